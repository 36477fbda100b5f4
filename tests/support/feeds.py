"""A feed of the tests' own: a real TCP server that speaks bytes, read by h11, a parser that is not ours."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import h11

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"


@dataclass(frozen=True)
class Received:
    """One request as the feed read it; `head` is the head's bytes as they came."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    head: bytes = field(repr=False)

    def values(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def value(self, name: str) -> str | None:
        """The only value of a header, or None."""
        values = self.values(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None


Answer = Callable[[Received], bytes | None]
"""Makes the bytes of an answer; None closes the connection instead."""

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Speaks bytes by itself for one whole connection."""


class Feed:
    """What a feed has seen, and how it answers. `answer` and `script` may be set at any time."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.raw = bytearray()
        self.connections = 0
        self.answer: Answer = lambda _request: OK
        self.script: Script | None = None
        self.port = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._changed = asyncio.Condition()

    async def until(self, happened: Callable[["Feed"], bool], within: float = 5.0) -> None:
        """Wait until the feed has seen something."""
        async with asyncio.timeout(within), self._changed:
            await self._changed.wait_for(lambda: happened(self))

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak on one connection until either side ends it."""
        self.connections += 1
        self._open.add(writer)
        await self._tell()
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            if self.script is not None:
                await self.script(reader, writer)
            else:
                while await self._answered(reader, writer):
                    pass
        writer.close()
        self._open.discard(writer)
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def end(self) -> None:
        """End what is open, so that nothing outlives the loop."""
        for writer in self._open:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await self.read_request(reader, writer)
        if request is None:
            return False
        answer = self.answer(request)
        if answer is None:
            return False
        writer.write(answer)
        await writer.drain()
        return True

    async def read_request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Received | None:
        """The next whole request on a connection, by h11; None when the connection ended before."""
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        head: h11.Request | None = None
        body = bytearray()
        data = b""
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                if parser.they_are_waiting_for_100_continue:
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    parser.send(h11.InformationalResponse(status_code=100, headers=[]))
                # one byte less than a request's end would be another's beginning: requests come one by one
                piece = await reader.read(1 << 16)
                data += piece if head is None else b""
                self.raw += piece
                await self._tell()
                parser.receive_data(piece)
                if not piece and head is None:
                    return None
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed):
                return None
        assert head is not None
        request = Received(
            head.method.decode(),
            head.target.decode(),
            [(k.decode("latin-1"), v.decode("latin-1")) for k, v in head.headers.raw_items()],
            bytes(body),
            data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n",
        )
        self.requests.append(request)
        await self._tell()
        return request


@asynccontextmanager
async def running_feed(
    tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0, path: Path | None = None
) -> AsyncIterator[Feed]:
    """A feed on a loopback port or a Unix socket, as long as the block lasts; `tls` makes it speak that."""
    feed = Feed()
    if path is not None:
        server = await asyncio.start_unix_server(feed.serve, path, limit=1 << 20)
    else:
        server = await asyncio.start_server(feed.serve, host, port, limit=1 << 20, ssl=tls)
        feed.port = server.sockets[0].getsockname()[1]
    try:
        yield feed
    finally:
        server.close()
        await feed.end()
