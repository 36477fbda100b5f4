"""Where a request's head ends, and whether what has come so far can still become one."""

import re
from typing import Final, NamedTuple, Protocol

from gateway.domain.verdict import Reason, Refusal
from gateway.http1.grammar import BARE_LINE_END, same_authority
from gateway.http1.head import RequestLine, Section, malformed

_FIRST_BYTES: Final = tuple(
    bytes([byte])
    for byte in b"\r!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)
"""What a request can begin with: a method, or the empty line before it."""


UPGRADE_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)?")
"""One protocol name, and perhaps its version (RFC 9110 §7.8)."""

CARRYING_HTTP: Final = (b"h2", b"h3", b"http", b"tls", b"connect")
"""How the names of protocols begin that would carry further requests."""


class HeadLimits(Protocol):
    """How large a head may be, in bytes."""

    @property
    def request_line(self) -> int:
        """The request line."""
        ...

    @property
    def headers(self) -> int:
        """The header section."""
        ...


class Parts(NamedTuple):
    """A head cut in parts: the request line, the field lines with their CRLFs, and what follows the head."""

    line: bytes
    section: bytes
    rest: bytes


def parts_of(data: bytes, limits: HeadLimits) -> Parts | Refusal | None:
    """Cut the head off what has come; None while it is incomplete."""
    start = 0
    if data.startswith(b"\r\n"):  # RFC 9112 §2.2: one empty line before a request is let pass
        start = 2
        if data.startswith(b"\r\n", start):
            return malformed("A request begins with its request line.")
    end = data.find(b"\r\n\r\n", start)
    if end < 0:
        return None
    line_end = data.find(b"\r\n", start)
    if line_end - start > limits.request_line:
        return Refusal(Reason.URI_TOO_LONG)
    if end - line_end > limits.headers:
        return Refusal(Reason.HEADERS_TOO_LARGE)
    return Parts(data[start:line_end], data[line_end + 2 : end + 2], data[end + 4 :])


def hopeless(data: bytes, looked_at: int, limits: HeadLimits) -> Refusal | None:
    """Why an incomplete head can no longer become a request; its first bytes were looked at before."""
    line_end = data.find(b"\r\n", 2, limits.request_line + 4)
    if line_end < 0 and len(data) > limits.request_line + 2:
        return Refusal(Reason.URI_TOO_LONG)
    if len(data) - line_end > limits.headers + limits.request_line:
        return Refusal(Reason.HEADERS_TOO_LARGE)
    if BARE_LINE_END.search(data, max(0, looked_at - 1)) or not data.startswith(_FIRST_BYTES):
        return malformed("Lines end in CRLF, and a request begins with its method.")
    return None


def misfit(line: RequestLine, section: Section, largest_body: int, scheme: bytes) -> Refusal | None:
    """What a request line and a header section, each well-formed, may still have against each other."""
    if line.keeps_alive:
        if section.host is None:  # RFC 9112 §3.2
            return malformed("An HTTP/1.1 request must have a Host header.")
    elif section.chunked:  # RFC 9112 §6.1
        return malformed("An HTTP/1.0 request cannot have a transfer coding.")
    if line.origin is not None:
        if line.origin.scheme != scheme:  # RFC 9110 §7.4
            return malformed("The target's scheme must be that of the connection.")
        if not same_authority(line.origin.authority, section.host or b"", scheme):
            return malformed("The target's authority and the Host header must be the same.")
    if section.length is not None and section.length > largest_body:
        return Refusal(Reason.BODY_TOO_LARGE)
    return None


def stays_open(line: RequestLine, section: Section) -> bool:
    """Whether the client wants to use the connection on (RFC 9112 §9.3)."""
    if b"close" in section.options:
        return False
    return line.keeps_alive or b"keep-alive" in section.options


def upgrade_of(line: RequestLine, section: Section) -> bytes:
    """The protocol that a request may switch to (RFC 9110 §7.8); empty when it stays HTTP.

    Only a GET without a body, for one protocol, and never one that carries HTTP itself: requests inside would
    pass unjudged.
    """
    wanted = section.upgrade
    if wanted is None or line.method != "GET" or not line.keeps_alive or section.chunked or section.length:
        return b""
    lower = wanted.lower()
    if UPGRADE_TOKEN.fullmatch(wanted) is None or lower.startswith(CARRYING_HTTP):
        return b""
    return wanted
