"""A bad network between a gateway and its feed: delays, losses, ends and resets, at a place in the stream."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum

from scripts import reset


class How(Enum):
    """What becomes of a connection when it has come to the place."""

    RESET = "is reset"
    CLOSE = "is closed"
    HALF_CLOSE = "is half-closed by the feed's side"
    STALL = "carries nothing any more"
    DELAY = "carries on later"


@dataclass(frozen=True)
class Fault:
    """What happens after that many bytes from the gateway, or from the feed."""

    how: How
    up: int | None = None
    down: int | None = None
    delay: float = 0.05


@dataclass
class BadNetwork:
    """The way to a feed. `fault_of` tells by a connection's number, from 0, what befalls it."""

    feed_port: int
    fault_of: Callable[[int], Fault | None] = lambda _number: None
    port: int = 0
    connections: int = 0
    struck: int = 0
    """How many faults came to be."""
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _carried: set[asyncio.Task[None]] = field(default_factory=set)

    async def end(self) -> None:
        """Carry nothing any more."""
        self._over.set()
        await asyncio.gather(*self._carried)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection of the gateway's."""
        task = asyncio.ensure_future(self.carry(reader, writer))
        self._carried.add(task)
        task.add_done_callback(self._carried.discard)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection of the gateway's to the feed and back."""
        fault = self.fault_of(self.connections)
        self.connections += 1
        feed_reader, feed_writer = await asyncio.open_connection("127.0.0.1", self.feed_port)
        ways = [
            asyncio.ensure_future(self._pass(reader, feed_writer, writer, fault, fault and fault.up)),
            asyncio.ensure_future(self._pass(feed_reader, writer, writer, fault, fault and fault.down)),
        ]
        over = asyncio.ensure_future(self._over.wait())
        await asyncio.wait([*ways, over], return_when=asyncio.FIRST_COMPLETED)
        if not any(way.done() and way.result() for way in ways):
            for way in [*ways, over]:
                way.cancel()
        else:  # half-closed: the other way lives on
            await asyncio.wait([ways[0], over], return_when=asyncio.FIRST_COMPLETED)
            over.cancel()
        await asyncio.gather(*ways, over, return_exceptions=True)
        for end in (writer, feed_writer):
            end.close()
            with suppress(ConnectionError):
                await end.wait_closed()

    async def _pass(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        gateway: asyncio.StreamWriter,
        fault: Fault | None,
        after: int | None,
    ) -> bool:
        """Pass one way's bytes on; whether the other way is to live on after the end of this one."""
        passed = 0
        with suppress(ConnectionError):
            while piece := await source.read(1 << 16):
                if fault is not None and after is not None and passed <= after < passed + len(piece):
                    sink.write(piece[: after - passed])
                    await sink.drain()
                    self.struck += 1
                    if await self._strike(gateway, fault):
                        return fault.how is How.HALF_CLOSE
                    sink.write(piece[after - passed :])
                else:
                    sink.write(piece)
                passed += len(piece)
                await sink.drain()
        return False

    async def _strike(self, gateway: asyncio.StreamWriter, fault: Fault) -> bool:
        """Let a fault happen; whether nothing passes afterwards."""
        if fault.how is How.DELAY:
            await asyncio.sleep(fault.delay)  # the fault itself
            return False
        if fault.how is How.RESET:
            reset(gateway)
        elif fault.how is How.HALF_CLOSE:
            gateway.write_eof()
        elif fault.how is How.STALL:
            await self._over.wait()
        return True


@asynccontextmanager
async def bad_network(feed_port: int) -> AsyncIterator[BadNetwork]:
    """A way to a feed on a loopback port, as long as the block lasts."""
    network = BadNetwork(feed_port)
    server = await asyncio.start_server(network.accept, "127.0.0.1", 0)
    network.port = server.sockets[0].getsockname()[1]
    try:
        yield network
    finally:
        server.close()
        await network.end()
