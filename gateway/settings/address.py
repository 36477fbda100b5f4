"""Where the gateway listens, and where a feed is."""

import re
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BeforeValidator, InstanceOf

from gateway.document.fields import host_name
from gateway.document.section import unfit

_PORT: Final = re.compile(r"[0-9]{1,5}")
_AUTHORITY: Final = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>.*))?", re.DOTALL)
_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.DOTALL
)
LAST_PORT: Final = 65535
LISTEN_HINT: Final = "write host:port, such as 127.0.0.1:8080 or [::1]:8080"
UPSTREAM_HINT: Final = "write http://host:port, such as http://127.0.0.1:9000"


def bracketed(host: str) -> str:
    """The host as it stands before a port: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port; an IPv6 host without brackets. Port 0 takes any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class Upstream:
    """One address of a feed; an IPv6 host without brackets."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """`host:port`, as a Host field may have it."""
        return f"{bracketed(self.host)}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def address(value: object) -> object:
    """The address that `host:port` means; what is not text passes. Raises for what is none."""
    if not isinstance(value, str):
        return value
    match = _AUTHORITY.fullmatch(value)
    if match is None or match["port"] is None:
        raise unfit("is not an address", LISTEN_HINT)
    return Address(_host(match["host"], LISTEN_HINT), _port(match["port"], LISTEN_HINT, least=0))


def upstream(value: object) -> object:
    """The upstream that a URL means; what is not text passes. Raises for what is none."""
    if not isinstance(value, str):
        return value
    match = _URL.fullmatch(value)
    if match is None:
        raise unfit("is not a URL", UPSTREAM_HINT)
    scheme = match["scheme"].lower()
    if scheme == "https":
        raise unfit(
            "is an https address, which is not served by this version: it comes with TLS to the upstream",
            "use http:// to an address that only this host or a trusted network reaches",
        )
    if scheme != "http":
        raise unfit("is not an http URL", UPSTREAM_HINT)
    if "@" in match["authority"]:
        raise unfit(
            "holds a user or a password", "set `credentials: {header: Authorization, value: ${NAME}}` instead"
        )
    if match["rest"] not in {"", "/"}:
        raise unfit(
            "has a path, a query or a fragment",
            "paths are forwarded as they were matched: name the host only",
        )
    authority = _AUTHORITY.fullmatch(match["authority"])
    if authority is None:
        raise unfit("has no good host", UPSTREAM_HINT)
    port = 80 if authority["port"] is None else _port(authority["port"], UPSTREAM_HINT, least=1)
    return Upstream(scheme, _host(authority["host"], UPSTREAM_HINT), port)


def _host(text: str, hint: str) -> str:
    try:
        return host_name(text)
    except ValueError:
        raise unfit("has no good host", hint) from None


def _port(text: str, hint: str, *, least: int) -> int:
    if _PORT.fullmatch(text) is None or not least <= int(text) <= LAST_PORT:
        raise unfit(f"has no port from {least} to {LAST_PORT}", hint)
    return int(text)


ListenAddress = Annotated[InstanceOf[Address], BeforeValidator(address)]
UpstreamAddress = Annotated[InstanceOf[Upstream], BeforeValidator(upstream)]
