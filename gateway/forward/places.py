"""Where a feed is reached, and how a connection is opened there: in clear, by TLS, or by a Unix socket."""

import asyncio
import ssl
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final, cast

from gateway.forward.connection import Home, UpstreamConnection
from gateway.tls.session import TlsSession

LOCALHOST: Final = "localhost"


class HandshakeError(OSError):
    """A feed was reached and did not prove itself, or would not have us. Nothing was sent to it."""


@dataclass(frozen=True, slots=True)
class Place:
    """One place to connect to: a host's address and port, or the path of a socket.

    `authority` is how operators and Host fields call it. With `tls` it must prove to be `server_name`.
    """

    host: str
    port: int
    authority: str
    path: str = ""
    tls: ssl.SSLContext | None = None
    server_name: str = ""

    @property
    def name(self) -> str:
        """What operators call it in particular."""
        if self.path:
            return f"unix://{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def named(self) -> bool:
        """Whether the host is a name, which may mean several addresses, and others tomorrow.

        `localhost` is not: it always means this machine (RFC 6761 §6.3), by one family or the other.
        """
        if self.path or self.host == LOCALHOST:
            return False
        try:
            ip_address(self.host.partition("%")[0])
        except ValueError:
            return True
        return False

    def names(self, place: "Place") -> bool:
        """Whether a place is what operators called by this name."""
        return replace(place, host=self.host) == self

    def at(self, address: str) -> "Place":
        """The same place by one address of its name."""
        return replace(self, host=address)

    async def dial(self, home: Home) -> UpstreamConnection:
        """Open a connection that comes back to `home`. Raises OSError, and HandshakeError of that kind."""
        connection = UpstreamConnection(home)
        protocol = cast("asyncio.Protocol", connection)
        if self.tls is None:
            await self._reach(protocol)
        else:
            await self._reach_securely(protocol, self.tls)
        return connection

    async def _reach(self, protocol: asyncio.Protocol) -> None:
        loop = asyncio.get_running_loop()
        if self.path:
            await loop.create_unix_connection(lambda: protocol, self.path)
        else:
            await loop.create_connection(lambda: protocol, self.host, self.port)

    async def _reach_securely(self, inside: asyncio.Protocol, context: ssl.SSLContext) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def begun(_: TlsSession) -> asyncio.Protocol:
            if not done.done():
                done.set_result(None)
            return inside

        def failed(session: TlsSession, why: Exception) -> None:
            session.plain.close()
            if not done.done():
                done.set_exception(HandshakeError(_told(why)))

        def wrap(incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
            return context.wrap_bio(incoming, outgoing, server_hostname=self.server_name)

        session = TlsSession(wrap, begun, failed)
        await self._reach(session)
        try:
            await done
        except BaseException:
            session.abort()
            raise


def _told(why: Exception) -> str:
    """Why a handshake failed, as OpenSSL has it."""
    reason: object = getattr(why, "verify_message", "") or getattr(why, "reason", "") or why
    return str(reason).replace("_", " ").lower()
