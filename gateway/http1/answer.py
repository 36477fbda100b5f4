"""Heads of answers: read strictly, once; what is read is a value."""

from typing import Final

from gateway.http1.grammar import CONTENT_LENGTH, STATUS_LINE
from gateway.http1.head import Fields, fields_in, list_in


class AnswerHead:
    """A feed's answer head, read once for all answers that repeat it (see `forward/answer_heads.py`).

    `start` is what may cross to the client: the status line and the end-to-end fields, Content-Length among
    them, each with CRLF. `length` is None without Content-Length. `streams` says that it is an event
    stream, which lasts for as long as somebody listens.
    """

    __slots__ = ("chunked", "closes", "length", "start", "status", "streams", "upgrade")

    def __init__(  # noqa: PLR0913 - one argument a fact
        self,
        status: int,
        start: bytes,
        length: int | None,
        upgrade: bytes | None,
        *,
        chunked: bool,
        closes: bool,
        streams: bool,
    ) -> None:
        self.status = status
        self.start = start
        self.length = length
        self.upgrade = upgrade
        self.chunked = chunked
        self.closes = closes
        self.streams = streams


class InvalidAnswerError(Exception):
    """The feed's answer is not HTTP/1.1 as we read it; says in which way."""


ANSWER_VALUES_READ: Final = frozenset(
    {b"connection", b"content-length", b"content-type", b"transfer-encoding", b"upgrade"}
)
"""Answer fields whose values say what an AnswerHead is, beyond that they are there."""

ANSWER_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-connection",
        b"proxy-status",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"x-request-id",
    }
)
"""Answer fields that end here (RFC 9110 §7.6.1). Proxy-Status too, so that a refusal of ours, which carries
it, is told from an answer of the feed's; and X-Request-Id, which is ours, as it stands in the log."""


FIRST_FINAL: Final = 200
NO_CONTENT: Final = 204
EVENT_STREAM: Final = b"text/event-stream"


def parse_answer(head: bytes, most_fields: int) -> AnswerHead:
    """Read an answer's head, from the status line to the last field line's CRLF (RFC 9112 §4).

    Raises InvalidAnswerError: an answer that can be read in two ways is not relayed.
    """
    line, _, section = head.partition(b"\r\n")
    matched = STATUS_LINE.fullmatch(line)
    if matched is None:
        raise InvalidAnswerError("the status line is malformed")
    if section.count(b"\n") > most_fields:
        raise InvalidAnswerError("the header section has too many fields")
    fields = fields_in(section)
    if fields is None:
        raise InvalidAnswerError("a header field is malformed")
    options: set[bytes] = set()
    lengths: list[bytes] = []
    codings: list[bytes] = []
    upgrade = None
    streams = False
    for name, value in fields:
        lower = name.lower()
        if lower == b"connection":
            options.update(list_in(value))
        elif lower == b"content-length":
            lengths.append(value)
        elif lower == b"transfer-encoding":
            codings.append(value.lower())
        elif lower == b"upgrade":
            upgrade = value
        elif lower == b"content-type":
            streams |= value.partition(b";")[0].strip(b" \t").lower() == EVENT_STREAM
    length = _answer_length(lengths, codings, old=matched[1] == b"0")
    status = int(matched[2])
    unsized = status < FIRST_FINAL or status == NO_CONTENT
    return AnswerHead(
        status,
        b"HTTP/1.1 %b %b\r\n" % (matched[2], matched[3]) + _answer_section(fields, options, unsized=unsized),
        length,
        upgrade,
        chunked=bool(codings),
        closes=b"close" in options or (matched[1] == b"0" and b"keep-alive" not in options),
        streams=streams,
    )


def _answer_length(lengths: list[bytes], codings: list[bytes], *, old: bool) -> int | None:
    if codings and (codings != [b"chunked"] or lengths or old):
        raise InvalidAnswerError("the framing is not clear: Transfer-Encoding beside something else")
    if not lengths:
        return None
    if len(lengths) > 1 or CONTENT_LENGTH.fullmatch(lengths[0]) is None:
        raise InvalidAnswerError("the Content-Length is not one plain decimal number")
    return int(lengths[0])


def _answer_section(fields: Fields, options: set[bytes], *, unsized: bool) -> bytes:
    """The lines that may cross; an `unsized` answer has no Content-Length (RFC 9110 §8.6)."""
    kept: list[bytes] = []
    for name, value in fields:
        lower = name.lower()
        if lower == b"content-length":
            if unsized:
                continue
        elif lower in ANSWER_HOP_BY_HOP or lower in options:
            continue
        kept.append(b"%b: %b\r\n" % (name, value))
    return b"".join(kept)
