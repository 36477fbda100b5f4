"""Heads of requests and of answers: read strictly, once; what is read is a value."""

from typing import Final, NamedTuple

import httptools

from gateway.domain.verdict import Reason, Refusal
from gateway.http1.grammar import (
    CONTENT_LENGTH,
    DEFAULT_PORTS,
    FIELD_SECTION,
    QUERY,
    STATUS_LINE,
    TOKEN,
    is_authority,
)

Fields = tuple[tuple[bytes, bytes], ...]
"""Field lines in order, names as sent, values without the white space around them."""

SINGLETONS: Final = frozenset(
    {
        b"authorization",
        b"content-length",
        b"content-location",
        b"content-range",
        b"content-type",
        b"etag",
        b"expect",
        b"from",
        b"host",
        b"if-modified-since",
        b"if-range",
        b"if-unmodified-since",
        b"max-forwards",
        b"referer",
        b"server",
        b"transfer-encoding",
        b"user-agent",
    }
)
"""Request fields that hold one value; two of them have two readings (RFC 9110 §5.3)."""

NOT_FOR_ONE_HOP: Final = frozenset({b"host", b"content-length", b"x-real-ip"})
"""Fields that a Connection option must not name, since dropping them would change the message
(RFC 9110 §7.6.1: a sender must not list a field that is meant for all recipients)."""

OWN_FORWARDED: Final = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"})

METHODS: Final = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
}
NEVER_FORWARDED: Final = frozenset({b"CONNECT", b"TRACE"})
LONGEST_METHOD: Final = 32


class Origin(NamedTuple):
    """What the absolute-form says before the path (RFC 9112 §3.2.2); the scheme in lower case."""

    scheme: bytes
    authority: bytes


class RequestLine:
    """A request line in origin-form terms. `path` is raw, `query` has no `?` and is None when there is none.

    `origin` is set for the absolute-form, and must then be the connection's scheme and equal Host.
    """

    __slots__ = ("keeps_alive", "method", "origin", "path", "query")

    def __init__(
        self, method: str, path: bytes, query: bytes | None, origin: Origin | None, *, keeps_alive: bool
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.origin = origin
        self.keeps_alive = keeps_alive
        """HTTP/1.1, where a connection is kept unless someone says otherwise, as against HTTP/1.0."""


class Section:
    """A request's header section, read: its fields and what they say of framing and connection.

    `length` is None without Content-Length. `options` are the connection options in lower case.
    """

    __slots__ = ("chunked", "expects_continue", "fields", "host", "length", "options", "upgrade")

    def __init__(  # noqa: PLR0913 - one argument a fact
        self,
        fields: Fields,
        host: bytes | None,
        length: int | None,
        options: frozenset[bytes],
        upgrade: bytes | None,
        *,
        chunked: bool,
        expects_continue: bool,
    ) -> None:
        self.fields = fields
        self.host = host
        self.length = length
        self.chunked = chunked
        self.options = options
        self.expects_continue = expects_continue
        self.upgrade = upgrade


def malformed(detail: str) -> Refusal:
    """The refusal of a message that is not HTTP/1.1 as we read it."""
    return Refusal(Reason.REQUEST_MALFORMED, detail)


def parse_request_line(line: bytes) -> RequestLine | Refusal:
    """Read a request line (RFC 9112 §3), without its CRLF."""
    if b"\r" in line or b"\n" in line or b"\0" in line:  # RFC 9112 §2.2: no line end but CRLF
        return malformed("The request line holds a CR, an LF or a NUL.")
    parts = line.split(b" ")
    if len(parts) != 3:  # noqa: PLR2004 - method, target, version
        return malformed("The request line must be: method, one space, target, one space, version.")
    method, target, version = parts
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        return malformed("The version must be HTTP/1.1 or HTTP/1.0.")
    name = METHODS.get(method)
    if name is None:
        if len(method) > LONGEST_METHOD or TOKEN.fullmatch(method) is None or method in NEVER_FORWARDED:
            return malformed("The method must be a token; CONNECT and TRACE are not served.")
        name = method.decode("ascii")
    origin = None
    if not target.startswith(b"/"):
        split = _absolute_form(target)
        if isinstance(split, Refusal):
            return split
        origin, target = split
    path, mark, query = target.partition(b"?")
    if mark and QUERY.fullmatch(query) is None:
        if b"#" in query:
            return Refusal(Reason.PATH_AMBIGUOUS, "A request target has no fragment: leave out '#'.")
        return malformed("The query must be visible ASCII; percent-encode everything else.")
    return RequestLine(name, path, query if mark else None, origin, keeps_alive=version == b"HTTP/1.1")


def _absolute_form(target: bytes) -> tuple[Origin, bytes] | Refusal:
    """Origin and the rest, from `http://authority/path?query` (RFC 9112 §3.2.2)."""
    scheme, colon, rest = target.partition(b"://")
    scheme = scheme.lower()
    if not colon or scheme not in DEFAULT_PORTS:
        return malformed("The target must begin with '/', or be an absolute http URL; '*' is not served.")
    end = min(
        (at for at in (rest.find(b"/"), rest.find(b"?"), rest.find(b"#")) if at >= 0), default=len(rest)
    )
    authority, path = rest[:end], rest[end:]
    if not is_authority(authority):
        return malformed("The target's authority must be a host name or an address, and a port.")
    return Origin(scheme, authority), path if path.startswith(b"/") else b"/" + path


class _Lines:
    """Collects what llhttp reads."""

    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value.rstrip(b" \t")))


def _fields_in(section: bytes) -> Fields | None:
    """The field lines, if our grammar and llhttp both read the section, and find as many lines in it."""
    if FIELD_SECTION.fullmatch(section) is None:
        return None
    lines = _Lines()
    try:
        httptools.HttpRequestParser(lines).feed_data(b"POST / HTTP/1.1\r\n" + section + b"\r\n")
    except httptools.HttpParserUpgrade:
        pass  # an Upgrade field is read like any other; who may upgrade is decided elsewhere
    except httptools.HttpParserError:
        return None
    return tuple(lines.fields) if len(lines.fields) == section.count(b"\n") else None


def parse_section(section: bytes, most_fields: int) -> Section | Refusal:
    """Read a request's header section: field lines, each with its CRLF (RFC 9112 §5, §6).

    Framing is read here alone: both Transfer-Encoding and Content-Length, a coding other than `chunked`, a
    repeated or padded length, or a second Host make the message malformed.
    """
    if section.count(b"\n") > most_fields:
        return Refusal(Reason.HEADERS_TOO_LARGE, f"At most {most_fields} header fields are accepted.")
    fields = _fields_in(section)
    if fields is None:
        return malformed("A header field is malformed, or both a length and a transfer coding were sent.")
    seen: dict[bytes, bytes] = {}
    options: set[bytes] = set()
    for name, value in fields:
        lower = name.lower()
        if lower in SINGLETONS and lower in seen:
            if lower == b"authorization":
                return Refusal(Reason.CREDENTIAL_AMBIGUOUS)
            return malformed(f"The header {lower.decode()} may be sent once.")
        if lower == b"connection":
            options.update(_list_in(value))
        seen[lower] = value
    return _framed(fields, seen, frozenset(options))


def _framed(fields: Fields, seen: dict[bytes, bytes], options: frozenset[bytes]) -> Section | Refusal:
    host = seen.get(b"host")
    if host is not None and not is_authority(host):
        return malformed("The Host header must be a host name or an address, and a port.")
    if any(_is_for_everyone(option) for option in options):
        return malformed("The Connection header names a header that is not for one hop only.")
    coding, length = seen.get(b"transfer-encoding"), seen.get(b"content-length")
    if coding is not None and (length is not None or coding.lower() != b"chunked"):
        return malformed("Send a Content-Length, or the one transfer coding 'chunked', and never both.")
    if length is not None and CONTENT_LENGTH.fullmatch(length) is None:
        return malformed("The Content-Length must be one plain decimal number.")
    expect = seen.get(b"expect")
    if expect is not None and expect.lower() != b"100-continue":
        return Refusal(Reason.EXPECTATION_FAILED)
    return Section(
        fields,
        host,
        None if length is None else int(length),
        options,
        seen.get(b"upgrade") if b"upgrade" in options else None,
        chunked=coding is not None,
        expects_continue=expect is not None,
    )


def _is_for_everyone(option: bytes) -> bool:
    if option in NOT_FOR_ONE_HOP:
        return True
    return option.startswith(b"x-forwarded-") and option not in OWN_FORWARDED


def _list_in(value: bytes) -> list[bytes]:
    """The members of a comma-separated list, in lower case (RFC 9110 §5.6.1)."""
    return [member for part in value.lower().split(b",") if (member := part.strip(b" \t"))]


class AnswerHead:
    """A feed's answer head, read once for all answers that repeat it byte for byte.

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
    fields = _fields_in(section)
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
            options.update(_list_in(value))
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
