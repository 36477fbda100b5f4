"""The listening sockets: the parent owns them, so that replacing a worker refuses no connection."""

import errno
import os
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from types import MappingProxyType
from typing import Final

from gateway.settings.address import Address

BACKLOG: Final = 4096
"""How many connections may wait to be accepted; the kernel cuts it to net.core.somaxconn."""

HINTS: Final[Mapping[int, str]] = MappingProxyType(
    {
        errno.EADDRINUSE: "the address is in use; stop what listens there, or choose another port",
        errno.EACCES: "the port needs privileges; choose one above 1023",
        errno.EADDRNOTAVAIL: "this machine has no such address; use one of its own, or 0.0.0.0 for all",
        errno.EAFNOSUPPORT: "this machine does not speak that address family",
    }
)


class CannotListenError(Exception):
    """An address cannot be listened on. Says which, by what setting, and what to do."""


def listen_once(address: Address, setting: str) -> socket.socket:
    """A listening socket that shares its port with nobody. Raises CannotListenError."""
    return _listening(address, setting, shared=False)


def listen_shared(address: Address, setting: str, count: int) -> list[socket.socket]:
    """That many sockets which share a port, the kernel spreading connections over them.

    Raises CannotListenError, also where another process shares its port willingly: two gateways on one port
    would each get half of the requests.
    """
    with _listening(address, setting, shared=False) as alone:
        taken = address_of(alone)
    with ExitStack() as undone:
        sockets = [undone.enter_context(_listening(taken, setting, shared=True)) for _ in range(count)]
        undone.pop_all()
    return sockets


def address_of(sock: socket.socket) -> Address:
    """Where a socket listens, with the port the kernel chose."""
    host, port, *_ = sock.getsockname()
    return Address(host, port)


def _listening(address: Address, setting: str, *, shared: bool) -> socket.socket:
    try:
        family, kind, protocol, _, place = _resolved(address)
        sock = socket.socket(family, kind, protocol)
    except OSError as fault:
        raise _cannot(address, setting, fault) from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # `[::]` is every address of the machine, those of IPv4 included; others are themselves alone.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address.host != "::")
        sock.bind(place)
        sock.listen(BACKLOG)
        sock.settimeout(0)
    except OSError as fault:
        sock.close()
        raise _cannot(address, setting, fault) from None
    return sock


_Resolved = tuple[
    socket.AddressFamily,
    socket.SocketKind,
    int,
    str,
    tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes],
]


def _resolved(address: Address) -> _Resolved:
    return socket.getaddrinfo(
        address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]


def _cannot(address: Address, setting: str, fault: OSError) -> CannotListenError:
    if isinstance(fault, socket.gaierror):
        return CannotListenError(f"{setting}: {address}: the host cannot be found ({fault.strerror})")
    hint = HINTS.get(fault.errno or 0) or os.strerror(fault.errno or 0)
    return CannotListenError(f"{setting}: cannot listen on {address}: {hint}")
