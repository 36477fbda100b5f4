"""Message bodies: how many bytes belong to this message, and where the next one begins.

A body reader is fed what arrived and says which bytes are content and how many it took. It holds no content,
so its memory does not depend on the body's size.
"""

import re
from typing import Final, Protocol

from gateway.http1.grammar import FIELD_SECTION
from gateway.http1.small_chunks import LARGEST_SMALL, SMALL_CHUNKS, SmallChunks

CHUNK_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,15})"
    rb"(?:[ \t]*;[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
    rb"(?:[ \t]*=[ \t]*(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
    rb"|\"(?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t\x20-\x7e])*\"))?)*"
)
"""A chunk's size and its extensions, which are ignored (RFC 9112 §7.1, §7.1.1)."""

LONGEST_CHUNK_LINE: Final = 256
MOST_EXTENSIONS: Final = 16 * 1024
LEAST_COUNTED: Final = 64
"""What the extensions of one chunk count for at the least, for each costs a step of ours."""

LARGEST_TRAILERS: Final = 16 * 1024

SMALLEST_CHUNK: Final = len(b"1\r\nx\r\n")
CHUNK_START: Final = re.compile(CHUNK_LINE.pattern + rb"\r\n")
"""The line before a chunk's data, with its end."""


class FramingError(Exception):
    """A body breaks its framing; nothing after this point can be told apart."""


class Body(Protocol):
    """Reads one body. `done` once its last byte was seen."""

    done: bool

    def feed(self, data: bytes) -> tuple[bytes, int]:
        """The content among `data`, and how many bytes of `data` belong to this body.

        Takes everything unless the body ends within. Raises FramingError.
        """
        ...


class LengthBody:
    """A body of a length known beforehand (RFC 9112 §6.2)."""

    __slots__ = ("done", "left")

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = length == 0

    def feed(self, data: bytes) -> tuple[bytes, int]:
        """See Body."""
        size = len(data)
        if size < self.left:
            self.left -= size
            return data, size
        size = self.left
        self.left = 0
        self.done = True
        return (data if size == len(data) else data[:size]), size


class UntilClose:
    """An answer's body that ends with the connection (RFC 9112 §6.3, the last case); never a request's."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        self.done = False

    def feed(self, data: bytes) -> tuple[bytes, int]:
        """See Body."""
        return data, len(data)


class ChunkedBody:
    """A body in the chunked coding (RFC 9112 §7.1). Extensions and trailers are checked and dropped."""

    __slots__ = ("_extensions", "_left", "_line", "_part", "_small", "_trailers", "done")

    SIZE: Final = 0
    DATA: Final = 1
    DATA_END: Final = 2
    TRAILERS: Final = 3

    def __init__(self) -> None:
        self.done = False
        self._part = self.SIZE
        self._left = 0
        self._line = b""
        self._extensions = 0
        self._trailers = 0
        self._small: SmallChunks | None = None

    def feed(self, data: bytes) -> tuple[bytes, int]:
        """See Body. The content of all chunks in `data` comes joined."""
        pieces: list[bytes] = []
        at = 0
        size = len(data)
        while at < size and not self.done:
            if self._part == self.SIZE and not self._line and size - at >= SMALLEST_CHUNK:
                at = self._whole_chunks(data, at, pieces)
                if at == size:
                    break
            if self._part == self.DATA:
                end = at + self._left
                pieces.append(data[at:end])
                if end > size:
                    self._left = end - size
                    at = size
                else:
                    at = end
                    self._part = self.DATA_END
                continue
            if self._part == self.TRAILERS and not self._line:
                at = self._whole_trailers(data, at)
                if at == size:
                    break
            at, line = self._line_from(data, at)
            if line is not None:
                self._take(line)
        return (pieces[0] if len(pieces) == 1 else b"".join(pieces)), at

    def _whole_chunks(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Read on over the chunks that are whole in `data`; where the first that is not begins."""
        while start := CHUNK_START.match(data, at, at + LONGEST_CHUNK_LINE + 2):
            digits, begin = start[1], start.end()
            length = int(digits, 16)
            end = begin + length
            if length <= LARGEST_SMALL and (run := SMALL_CHUNKS.match(data, at)) and run.end() > end + 2:
                pieces.append(self._content_of(run[0]))
                at = run.end()
                continue
            if not length or data[end : end + 2] != b"\r\n":
                break
            self._count_extensions(begin - 2 - at - len(digits))
            pieces.append(data[begin:end])
            at = end + 2
        return at

    def _content_of(self, run: bytes) -> bytes:
        if self._small is None:
            self._small = SmallChunks()
        content = self._small.content_of(run)
        if content is None:
            raise FramingError("chunks can be read in two ways")
        return content

    def _whole_trailers(self, data: bytes, at: int) -> int:
        """Read on over the trailer lines that are whole in `data`; where the first that is not begins."""
        lines = FIELD_SECTION.match(data, at, at + 2 * LARGEST_TRAILERS)
        if lines is None or lines.end() == at:
            return at
        self._count_trailers(lines.end() - at)
        return lines.end()

    def _take(self, line: bytes) -> None:
        if self._part == self.DATA_END:
            if line:
                raise FramingError("a chunk is longer than its size says")
            self._part = self.SIZE
        elif self._part == self.SIZE:
            self._left = self._size_in(line)
            self._part = self.DATA if self._left else self.TRAILERS
        elif not line:
            self.done = True
        else:
            self._count_trailers(len(line) + 2)
            if FIELD_SECTION.fullmatch(line + b"\r\n") is None:
                raise FramingError("a trailer line is malformed")

    def _size_in(self, line: bytes) -> int:
        matched = CHUNK_LINE.fullmatch(line)
        if matched is None:
            raise FramingError("a chunk size is malformed")
        digits = matched[1]
        self._count_extensions(len(line) - len(digits))
        return int(digits, 16)

    def _count_extensions(self, size: int) -> None:
        if not size:
            return
        self._extensions += max(size, LEAST_COUNTED)
        if self._extensions > MOST_EXTENSIONS:
            raise FramingError("the chunk extensions are too large")

    def _count_trailers(self, size: int) -> None:
        self._trailers += size
        if self._trailers > LARGEST_TRAILERS:
            raise FramingError("the trailer section is too large")

    def _line_from(self, data: bytes, at: int) -> tuple[int, bytes | None]:
        """Read on to the next CRLF; the line without it, or None while it is incomplete."""
        longest = 0 if self._part == self.DATA_END else self._longest_line()
        end = data.find(b"\n", at, at + longest + 2 - len(self._line))
        if end < 0:
            self._line += data[at : at + longest + 2]
            if len(self._line) > longest + 1 or not self._may_become_a_line(self._line):
                raise FramingError("a chunk line is malformed or too long")
            return len(data), None
        line = self._line + data[at : end + 1]
        self._line = b""
        if not line.endswith(b"\r\n"):
            raise FramingError("a line of the chunked coding does not end in CRLF")
        return end + 1, line[:-2]

    def _longest_line(self) -> int:
        return LARGEST_TRAILERS if self._part == self.TRAILERS else LONGEST_CHUNK_LINE

    def _may_become_a_line(self, start: bytes) -> bool:
        """Whether an incomplete line can still end well: a CR only as its last byte."""
        if self._part == self.DATA_END:
            return start == b"\r"
        return b"\r" not in start[:-1] and b"\0" not in start


def chunk(content: bytes) -> bytes:
    """One chunk; `content` must not be empty, for an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(content), content)


LAST_CHUNK: Final = b"0\r\n\r\n"
