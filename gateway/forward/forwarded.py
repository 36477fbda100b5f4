"""Who sent the request, told to the feed: X-Forwarded-*, Forwarded (RFC 7239) and Via (RFC 9110 §7.6.3).

What a client says of itself under these names is dropped; only a trusted proxy's words are extended.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from gateway.http1.head import Fields, Section

Networks = tuple[IPv4Network | IPv6Network, ...]
VIA: Final = b"Via: 1.1 scopegate\r\n"
REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._\-]{1,128}")
"""What a trusted proxy's X-Request-Id may look like, to be kept."""


def is_trusted(peer: str, trusted: Networks) -> bool:
    """Whether a peer's address is among the trusted proxies."""
    if not trusted:
        return False
    address = _address(peer.partition("%")[0])
    return address is not None and any(address in network for network in trusted)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """The address that a text spells; the IPv4 one where that is mapped into IPv6 (RFC 4291 §2.5.5.2)."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def own_lines(peer: str, section: Section, scheme: bytes = b"http", *, trusted: bool) -> bytes:
    """The lines that tell the feed where the request came from, and by which scheme."""
    host = section.host or b""
    address = peer.partition("%")[0].encode("ascii")
    node = b'"[%b]"' % address if b":" in address else address
    quoted_host = b'"%b"' % host if b":" in host else host
    at = b";host=%b" % quoted_host if host else b""
    element = b"for=%b%b;proto=%b" % (node, at, scheme)
    said = _said_by_proxy(section.fields) if trusted else {}
    lines = [
        b"X-Forwarded-For: %b\r\n" % _extended(said.get(b"x-forwarded-for"), address),
        b"X-Forwarded-Proto: %b\r\n" % (said.get(b"x-forwarded-proto") or scheme),
    ]
    forwarded_host = said.get(b"x-forwarded-host") or host
    if forwarded_host:
        lines.append(b"X-Forwarded-Host: %b\r\n" % forwarded_host)
    lines.append(b"Forwarded: %b\r\n" % _extended(said.get(b"forwarded"), element))
    lines.append(VIA)
    return b"".join(lines)


def client_address(peer: str, fields: Fields, trusted: Networks) -> str:
    """The client's address for the logs: the last one in X-Forwarded-For that is no trusted proxy's."""
    if not is_trusted(peer, trusted):
        return peer
    hops = _said_by_proxy(fields).get(b"x-forwarded-for", b"").split(b",")
    for hop in reversed(hops):
        address = hop.strip().decode("ascii", "replace")
        if "%" in address or _address(address) is None:
            return peer
        if not is_trusted(address, trusted):
            return address
    return peer


def given_request_id(fields: Fields) -> bytes | None:
    """The X-Request-Id a trusted proxy sent, if it has the shape of one."""
    given = _said_by_proxy(fields).get(b"x-request-id")
    return given if given is not None and REQUEST_ID.fullmatch(given) else None


def _said_by_proxy(fields: Fields) -> dict[bytes, bytes]:
    """Fields by name, repeats joined as the list they are (RFC 9110 §5.3)."""
    joined: dict[bytes, bytes] = {}
    for name, value in _interesting(fields):
        joined[name] = joined[name] + b", " + value if name in joined else value
    return joined


def _interesting(fields: Fields) -> Iterable[tuple[bytes, bytes]]:
    for name, value in fields:
        lower = name.lower()
        if lower.startswith(b"x-forwarded-") or lower in (b"forwarded", b"x-request-id"):
            yield lower, value


def _extended(said: bytes | None, own: bytes) -> bytes:
    return own if not said else said + b", " + own
