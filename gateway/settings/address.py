"""Where the gateway listens, and where a feed is."""

import os
import re
from dataclasses import dataclass
from types import MappingProxyType
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
UPSTREAM_HINT: Final = "write http://host:port, https://host:port or unix:///path/to.sock"
DEFAULT_PORTS: Final = MappingProxyType({"http": 80, "https": 443})
LONGEST_SOCKET_PATH: Final = 107
"""Bytes that the kernel takes for the path of a Unix socket (unix(7))."""


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
    """One address of a feed; an IPv6 host without brackets. `scheme` is http, https or unix.

    `path` is the socket's, for unix, whose `host` is `localhost`.
    """

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def authority(self) -> str:
        """`host:port`, as a Host field may have it."""
        return f"{bracketed(self.host)}:{self.port}" if self.port else self.host

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}"
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
    if scheme == "unix":
        return _unix(match["authority"], match["rest"])
    if scheme not in DEFAULT_PORTS:
        raise unfit("is not an http, https or unix URL", UPSTREAM_HINT)
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
    port = DEFAULT_PORTS[scheme]
    if authority["port"] is not None:
        port = _port(authority["port"], UPSTREAM_HINT, least=1)
    return Upstream(scheme, _host(authority["host"], UPSTREAM_HINT), port)


def _unix(authority: str, path: str) -> Upstream:
    """The socket of `unix:///path`; the path is taken as it stands, without percent-encoding."""
    if authority or not path.strip("/"):
        raise unfit("names no socket", "write unix:///path/to.sock, with three slashes")
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH or "\0" in path:
        raise unfit(f"is a path of more than {LONGEST_SOCKET_PATH} bytes", "move the socket nearer to /")
    return Upstream("unix", "localhost", 0, path)


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
