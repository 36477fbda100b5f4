"""Which URLs may be asked for keys and tokens: https, and plain http where it cannot leave the machine."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

LONGEST: Final = 2048
LAST_PORT: Final = 65535
LONGEST_QUOTE: Final = 200
SCHEMES: Final = frozenset({"https", "http"})

_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)"
    r"(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?P<fragment>#.*)?",
    re.DOTALL,
)
"""RFC 3986 appendix B, for URLs with an authority."""

_AUTHORITY: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")
_CHARACTERS: Final = re.compile(r"(?:[!#$&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]|%[0-9A-Fa-f]{2})*")
"""RFC 3986 §2: what a URL is made of."""

_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?")
_NUMERIC: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9a-fA-F]*)\.?")
"""A last label that makes a host an IPv4 address, in one of its odd writings (WHATWG URL §3.5)."""


class Parts(NamedTuple):
    """A URL taken apart: `root` is scheme and authority; path and query as they stand."""

    scheme: str
    root: str
    path: str
    query: str


def parts_of(url: str) -> Parts | None:
    """The parts of a URL, whether it may be used or not; None for what is none."""
    match = _URL.fullmatch(url)
    if match is None:
        return None
    scheme = match["scheme"].lower()
    return Parts(scheme, f"{scheme}://{match['authority']}", match["path"], match["query"] or "")


def refuse_url(url: str) -> str | None:
    """Why a URL may not be used, to be read after it (`is no URL`, `holds …`), or None if it may.

    https it must be; http is for loopback addresses and `localhost`, which never leave the machine. The
    phrase repeats nothing of the URL, which may hold a secret.
    """
    if len(url) > LONGEST:
        return f"is longer than {LONGEST} characters"
    match = _URL.fullmatch(url)
    if match is None:
        return "is no URL: write https://host/path"
    if "@" in match["authority"]:
        return "holds a user or a password, which a URL may not"
    if match["fragment"] is not None:
        return "has a fragment (#), which is never sent"
    if _CHARACTERS.fullmatch(url) is None:
        return "holds characters that must be percent-encoded, or a % that encodes nothing"
    authority = _AUTHORITY.fullmatch(match["authority"])
    if authority is None or not _is_host(authority["host"]):
        return "has no good host"
    if authority["port"] is not None and not 1 <= int(authority["port"]) <= LAST_PORT:
        return f"has no port from 1 to {LAST_PORT}"
    return _refuse_scheme(match["scheme"].lower(), authority["host"])


def _refuse_scheme(scheme: str, host: str) -> str | None:
    if scheme not in SCHEMES:
        return "is not https"
    if scheme == "http" and not _stays_here(host):
        return "is not https; plain http is for loopback addresses and `localhost` alone"
    return None


def _is_host(host: str) -> bool:
    """Whether it is a name or an address; numbers that only some resolvers take for an address are none."""
    if host.startswith("["):
        return isinstance(_address(host), IPv6Address)
    if _NUMERIC.fullmatch(host):
        return isinstance(_address(host), IPv4Address)
    return _NAME.fullmatch(host) is not None


def _stays_here(host: str) -> bool:
    address = _address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def shown(url: str) -> str:
    """A URL as messages may show it: no user, no password, no query, nothing that does not print."""
    parts = parts_of(url)
    if parts is None:
        return "what should be a URL"
    root = parts.root.removeprefix(f"{parts.scheme}://").rpartition("@")[2]
    text = f"{parts.scheme}://{root}{parts.path}"
    return ascii(text)[1:-1][:LONGEST]


def quoted(value: object) -> str:
    """A foreign value as messages may show it: what prints, and not much of it."""
    text = ascii(value)
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}…"
