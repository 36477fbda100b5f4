"""The grammar of RFC 9110 and RFC 9112, without the lenient readings the RFCs leave room for."""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from types import MappingProxyType
from typing import Final

TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A method or a field name (RFC 9110 §5.6.2)."""

FIELD_SECTION: Final = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t\x20-\x7e\x80-\xff]*+\r\n)*+")
"""Field lines, each ended by CRLF. No space before the colon, no folding, no control characters
(RFC 9110 §5.5, RFC 9112 §5)."""

BARE_LINE_END: Final = re.compile(rb"(?<!\r)\n|\r(?=[^\n])|\0")
"""What shows a head to be broken before it is complete: a bare CR, a bare LF, a NUL."""

STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?![^ ]) ?([\t\x20-\x7e\x80-\xff]*+)")
"""A status line without its CRLF. The space after the code may be missing at the line's end, as feeds leave
it out with an empty reason (RFC 9112 §4)."""

CONTENT_LENGTH: Final = re.compile(rb"0|[1-9][0-9]{0,17}")
"""One decimal number that every reader reads alike: no sign, no padding, no list (RFC 9110 §8.6)."""

QUERY: Final = re.compile(rb"[\x21\x22\x24-\x7e]*+")
"""A query as it may cross: visible ASCII without `#`; what is percent-encoded stays so."""

REG_NAME: Final = re.compile(rb"[A-Za-z0-9_](?:[A-Za-z0-9\-._]*[A-Za-z0-9_])?\.?")
NUMERIC_LABEL: Final = re.compile(rb"[0-9]+|0[xX][0-9A-Fa-f]*")
AUTHORITY: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[^\[\]:@/?#]*)(?::([0-9]{0,5}))?")
HIGHEST_PORT: Final = 65535
DEFAULT_PORTS: Final = MappingProxyType({b"http": b"80", b"https": b"443"})
"""The port that each scheme may leave out (RFC 9110 §4.2)."""


def is_authority(authority: bytes) -> bool:
    """Whether a Host value names one host in one way: a DNS name, an IPv4 or an IPv6 address, and a port.

    Stricter than RFC 3986: no userinfo, no percent-encoding, no empty host, and a name whose last label
    is a number must be a plain dotted quad, because some readers take `0x7f.1` for an address.
    """
    matched = AUTHORITY.fullmatch(authority)
    if matched is None:
        return False
    host, port = matched.groups()
    if port and int(port) > HIGHEST_PORT:
        return False
    if host.startswith(b"["):
        return _is_ipv6(host[1:-1])
    if REG_NAME.fullmatch(host) is None or b".." in host:
        return False
    last_label = host.removesuffix(b".").rpartition(b".")[2]
    return NUMERIC_LABEL.fullmatch(last_label) is None or _is_ipv4(host)


def same_authority(one: bytes, other: bytes, scheme: bytes = b"http") -> bool:
    """Whether two authorities name the same host and port; the scheme's may be left out (RFC 9110 §4.2.3)."""
    default = DEFAULT_PORTS[scheme]
    return one == other or _with_port(one, default) == _with_port(other, default)


def _with_port(authority: bytes, default: bytes) -> tuple[bytes, bytes]:
    matched = AUTHORITY.fullmatch(authority)
    host, port = (authority, b"") if matched is None else matched.groups()
    return host.lower(), (port or default).lstrip(b"0")


def _is_ipv4(host: bytes) -> bool:
    try:
        IPv4Address(host.decode())
    except AddressValueError:
        return False
    return True


def _is_ipv6(host: bytes) -> bool:
    try:
        IPv6Address(host.decode())
    except AddressValueError:
        return False
    return True
