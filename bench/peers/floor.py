"""The physical floor: a pair of uvloop protocols that pass bytes on and look at nothing.

Run as a program: `python -m bench.peers.floor PORT UPSTREAM_PORT`. Each client connection has its own kept
connection to the feed, so that not even an answer's end has to be found.
"""

import asyncio
import sys
from importlib.metadata import version
from typing import Final, cast

import uvloop

from bench.peer import Bed, Checks, Command, Peer, Stand
from bench.tools import Toolbox


class Half(asyncio.Protocol):
    """One side of a pair: what it receives, the other side sends."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: Half | None = None
        self.early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what came before this side was connected."""
        self.transport = cast("asyncio.Transport", transport)
        for data in self.early:
            self.transport.write(data)
        self.early.clear()

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        other = self.other
        if other is None:
            return
        if other.transport is None:
            other.early.append(data)
        else:
            other.transport.write(data)

    def pause_writing(self) -> None:
        """Stop reading on the other side while this one is full."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the other side too."""
        del exc
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class Pair(Half):
    """The client's side, which brings the feed's side into being."""

    def __init__(self, upstream_port: int, dialling: set[asyncio.Task[object]]) -> None:
        super().__init__()
        self.upstream_port = upstream_port
        self.dialling = dialling

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Dial the feed."""
        super().connection_made(transport)
        feed = Half()
        self.other, feed.other = feed, self
        loop = asyncio.get_running_loop()
        dial: asyncio.Task[object] = loop.create_task(
            loop.create_connection(lambda: feed, "127.0.0.1", self.upstream_port)
        )
        self.dialling.add(dial)
        dial.add_done_callback(self.dialling.discard)


async def serve(port: int, upstream_port: int) -> None:
    """Pass bytes on until ended."""
    dialling: set[asyncio.Task[object]] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Pair(upstream_port, dialling), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


def _lay_out(bed: Bed) -> Stand:
    argv = (bed.tools["python"], "-m", "bench.peers.floor", str(bed.port), str(bed.upstream_port))
    return Stand((Command.of(*argv),), bed, logs=False)


def _version(tools: Toolbox) -> str:
    del tools
    return f"uvloop {version('uvloop')}"


PEER: Final = Peer(
    "floor",
    "uvloop pair passing bytes on (the floor)",
    Checks.NOTHING,
    "nothing",
    ("python",),
    _lay_out,
    _version,
)

if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
