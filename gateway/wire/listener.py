"""What all of a worker's client connections share: the pipeline, the limits, who watches, and the way out."""

import asyncio
import socket
from dataclasses import dataclass
from random import getrandbits
from time import monotonic
from typing import Final

from gateway.deadlines import Deadlines
from gateway.domain.ports import Observer
from gateway.domain.verdict import Reason, Refusal
from gateway.forward.forwarded import Networks
from gateway.http1.head import RequestLine
from gateway.pipeline import Pipeline
from gateway.tls.watch import CertificateWatch
from gateway.wire.connection import ClientConnection
from gateway.wire.crowd import Crowd, client_of
from gateway.wire.entrance import Entrance
from gateway.wire.introductions import Introductions
from gateway.wire.records import record_unread
from gateway.wire.refusals import Refuser
from gateway.wire.review import Review

BACKLOG: Final = 4096
"""Connections that may wait to be accepted; the kernel has its own bound (`net.core.somaxconn`)."""

CROWDED: Final = Refusal(Reason.OVERLOADED, "Too many connections are open; try again shortly.")
CROWDED_BY_ONE: Final = Refusal(
    Reason.OVERLOADED, "Too many connections are open from your address; close some, or try again shortly."
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a client may send, and how slowly. Sizes in bytes, times in seconds.

    `body` is the largest that any route accepts; `connections_per_client` is 0 for any number.
    """

    request_line: int
    headers: int
    header_count: int
    body: int
    header_timeout: float
    body_idle_timeout: float
    keepalive_timeout: float
    connections: int
    connections_per_client: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """One configuration of the wire, swapped as a whole."""

    pipeline: Pipeline
    refuser: Refuser
    limits: Limits
    trusted: Networks
    tls: CertificateWatch | None = None
    proxy_protocol: bool = False


class Listener:
    """Accepts clients and keeps count of them."""

    def __init__(self, terms: Terms, observer: Observer, deadlines: Deadlines) -> None:
        self.observer = observer
        self.deadlines = deadlines
        self.connections: set[ClientConnection] = set()
        self.draining = False
        self._server: asyncio.Server | None = None
        self._emptied = asyncio.Event()
        self._crowd = Crowd()
        self._entrance = Entrance(self)
        self.review = Review(self)
        self._take(terms)

    def _take(self, terms: Terms) -> None:
        self.pipeline = terms.pipeline
        self.refuser = terms.refuser
        self.limits = terms.limits
        self.trusted = terms.trusted
        self.tls = terms.tls
        self.proxy_protocol = terms.proxy_protocol
        self.introductions = Introductions(terms.pipeline, terms.limits.header_count)

    def swap(self, terms: Terms) -> None:
        """Judge by another configuration from the next request on, and what lasts again by it.

        What was read before is forgotten.
        """
        self._take(terms)
        self.review.ask()

    async def listen(self, bound: socket.socket) -> None:
        """Accept on a listening socket."""
        self.review.start()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._entrance.welcome, sock=bound, backlog=BACKLOG)

    def judge_again(self) -> None:
        """Keys, scopes, members or the configuration changed: end tunnels and event streams refused now.

        Returns at once; it is done soon after, and what it costs is spread.
        """
        self.review.ask()

    @property
    def at_the_door(self) -> int:
        """How many connections have not come in yet: their PROXY header or their handshake is not done."""
        return len(self._entrance.waiting)

    @property
    def in_flight(self) -> int:
        """How many requests are under way."""
        return sum(connection.turn is not None for connection in self.connections)

    def turned_down(
        self,
        address: str,
        refusal: Refusal,
        line: RequestLine | None = None,
        origin: bytes | None = None,
    ) -> bytes:
        """The answer to what is no request, or not one to go on after; it is put on record."""
        request_id = f"{getrandbits(128):032x}"
        head_only = line is not None and line.method == "HEAD"
        lines = b"Connection: close\r\n" + self.pipeline.origins.lines(origin, None)
        self.observer.exchange(record_unread(address, request_id, refusal, line))
        return self.refuser.bytes_of(refusal, request_id.encode("ascii"), lines, head_only=head_only)

    def joined(self, connection: ClientConnection) -> Refusal | None:
        """A connection has come; why it cannot stay, or None."""
        self.connections.add(connection)
        if len(self.connections) > self.limits.connections:
            return CROWDED
        most, peer = self.limits.connections_per_client, connection.peer
        if not most or peer.trusted:
            return None
        client = client_of(peer.address)
        if not self._crowd.enter(client, most):
            return CROWDED_BY_ONE
        peer.counted_as = client
        return None

    def left(self, connection: ClientConnection) -> None:
        """A connection is closed."""
        self.connections.discard(connection)
        if connection.peer.counted_as is not None:
            self._crowd.leave(connection.peer.counted_as)
        self.one_less()

    def one_less(self) -> None:
        """A connection went, or went in: perhaps nobody is left."""
        if not self.busy:
            self._emptied.set()

    @property
    def busy(self) -> bool:
        """Whether anybody is here, or at the door."""
        return bool(self.connections or self._entrance.waiting)

    async def drain(self, patience: float) -> int:
        """Accept nothing more and let what is under way end; how many were cut after `patience` seconds."""
        self.draining = True
        if self._server is not None:
            self._server.close()
        for connection in tuple(self.connections):
            connection.drain()
        deadline = monotonic() + patience
        while self.busy and (left := deadline - monotonic()) > 0:
            self._emptied.clear()
            try:
                await asyncio.wait_for(self._emptied.wait(), left)
            except TimeoutError:
                break
        self._entrance.abort()
        self.review.stop()
        cut = sum(connection.turn is not None for connection in self.connections)
        for connection in tuple(self.connections):
            connection.abort()
        return cut
