"""Heads of requests: read strictly, once; what is read is a value."""

from typing import Final, NamedTuple

import httptools

from gateway.domain.verdict import Reason, Refusal
from gateway.http1.blanks import filled_value
from gateway.http1.grammar import (
    CONTENT_LENGTH,
    DEFAULT_PORTS,
    FIELD_SECTION,
    QUERY,
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


VALUES_READ: Final = frozenset(
    {
        *(b"connection", b"content-length", b"expect", b"host"),
        *(b"proxy-connection", b"transfer-encoding", b"upgrade"),
    }
)
"""Request fields whose values say what a Section is, beyond that they are there; llhttp reads one more."""


class Section:
    """A request's header section, read: its fields and what they say of framing and connection.

    `length` is None without Content-Length. `options` are the connection options in lower case.
    """

    __slots__ = ("_fields", "_values", "chunked", "expects_continue", "host", "length", "options", "upgrade")

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
        self._fields = fields
        self._values: list[bytes] | None = None
        self.host = host
        self.length = length
        self.chunked = chunked
        self.options = options
        self.expects_continue = expects_continue
        self.upgrade = upgrade

    @property
    def fields(self) -> Fields:
        """The fields in order. Those of a form are filled only if somebody wants to know."""
        values = self._values
        if values is not None:
            self._fields = tuple((name, filled_value(value, values)) for name, value in self._fields)
            self._values = None
        return self._fields

    def filled(self, values: list[bytes], length: int | None) -> "Section":
        """This section, read from a form, with the values that were left blank."""
        section = Section(
            self._fields,
            self.host,
            self.length if length is None else length,
            self.options,
            self.upgrade,
            chunked=self.chunked,
            expects_continue=self.expects_continue,
        )
        section._values = values
        return section


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


def fields_in(section: bytes) -> Fields | None:
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
    fields = fields_in(section)
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
            options.update(list_in(value))
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


def list_in(value: bytes) -> list[bytes]:
    """The members of a comma-separated list, in lower case (RFC 9110 §5.6.1)."""
    return [member for part in value.lower().split(b",") if (member := part.strip(b" \t"))]
