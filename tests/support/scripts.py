"""What a feed may do to its gateway beside answering well, and what can be read of the gateway afterwards."""

import asyncio
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

from feeds import Feed, Script
from gateways import PlaneUnderTest


async def settled(happened: Callable[[], bool], within: float = 5.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(within):
        while not happened():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)


async def turns(count: int = 20) -> None:
    """Let the loop turn: feed, gateway and client share it, so that what was written is read meanwhile."""
    for _ in range(count):
        await asyncio.sleep(0)


async def in_pieces(writer: asyncio.StreamWriter, pieces: Iterable[bytes]) -> None:
    """Write so that each piece leaves, and is read, by itself: a loop's turn writes, the next one reads."""
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await turns(2)


def saying(feed: Feed, *pieces: bytes, closing: bool = False) -> Script:
    """Answer every request on a connection with these pieces, or the first one and then close."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await feed.read_request(reader, writer) is not None:
            await in_pieces(writer, pieces)
            if closing:
                return

    return script


async def read_head(reader: asyncio.StreamReader) -> bytes:
    """A request's head, byte for byte."""
    return await reader.readuntil(b"\r\n\r\n")


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST, as a process that died does."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def by_bytes(answer: bytes) -> tuple[bytes, ...]:
    """Pieces of one byte."""
    return tuple(answer[at : at + 1] for at in range(len(answer)))


def by_lines(answer: bytes) -> tuple[bytes, ...]:
    """Pieces cut before, within and after every CRLF."""
    pieces: list[bytes] = []
    for line in answer.split(b"\r\n"):
        pieces += [line, b"\r", b"\n"]
    return tuple(piece for piece in pieces[:-2] if piece)


def whole(answer: bytes) -> tuple[bytes, ...]:
    """One piece."""
    return (answer,)


async def records(plane: PlaneUnderTest, count: int, within: float = 5.0) -> list[dict[str, Any]]:
    """The access log, once it holds that many lines; it must not hold more."""
    async with asyncio.timeout(within):
        while len(lines := await plane.logged()) < count:  # noqa: ASYNC110 - a file has no events
            await asyncio.sleep(0.02)
    assert len(lines) == count
    return lines


def faults(plane: PlaneUnderTest) -> Counter[str]:
    """What `gateway_upstream_errors_total` says of the feed `test`, by kind."""
    rows: Any = plane.worker.snapshot()["values"]
    return Counter({kind: int(n) for (_, kind), n in rows["gateway_upstream_errors_total"]})
