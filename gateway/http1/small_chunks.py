"""Runs of small chunks, read without a step of ours for each, for a client may send nothing else.

As with heads (ADR 0002), a grammar of our own comes first, and llhttp takes apart what that has accepted.
"""

import re
from typing import Final

import httptools

LARGEST_SMALL: Final = 0xFF
"""Two digits; each step over a larger chunk is small beside its content."""

MOST_ZEROS: Final = 13
"""A size has 15 digits at most, and a small one two that count."""

BEGINNING: Final = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
"""What makes llhttp expect chunks."""


def _digit(value: int) -> bytes:
    low, high = b"%x" % value, b"%X" % value
    return low if low == high else b"[%b%b]" % (low, high)


def _data(size: int) -> bytes:
    return rb"\r\n.{%d}" % size


_ONE_DIGIT: Final = [_digit(size) + _data(size) for size in range(1, 16)]
_TWO_DIGITS: Final = [
    b"%b(?:%b|%b)"
    % (
        _digit(first),
        _data(first),
        b"|".join(_digit(second) + _data(16 * first + second) for second in range(16)),
    )
    for first in range(1, 16)
]
SMALL_CHUNKS: Final = re.compile(
    rb"(?s:(?:0{0,%d}+(?:%b|0(?:%b))\r\n)*+)" % (MOST_ZEROS, b"|".join(_TWO_DIGITS), b"|".join(_ONE_DIGIT))
)
"""Whole chunks without extensions, one after the other; sizes are told apart digit by digit."""


class SmallChunks:
    """Takes apart the runs of one body."""

    __slots__ = ("_parser", "_pieces", "on_body")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(BEGINNING)

    def content_of(self, run: bytes) -> bytes | None:
        """What the chunks of a run hold; None if llhttp reads them differently."""
        try:
            self._parser.feed_data(run)
        except httptools.HttpParserError:
            return None
        content = b"".join(self._pieces)
        self._pieces.clear()
        return content
