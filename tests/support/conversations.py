"""A client of the tests' own: writes bytes, and reads answers by h11, a parser that is not ours."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import h11


@dataclass(frozen=True)
class Answered:
    """One answer as the client read it; `interim` are the statuses of the 1xx answers before it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    interim: tuple[int, ...] = ()

    def values(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def value(self, name: str) -> str | None:
        """The only value of a header, or None."""
        values = self.values(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def problem(self) -> dict[str, Any]:
        """The problem document."""
        assert self.value("Content-Type") == "application/problem+json"
        document: dict[str, Any] = json.loads(self.body)
        return document

    @property
    def code(self) -> str:
        """The refusal's code."""
        return str(self.problem["code"])


class CutShortError(Exception):
    """The connection ended before the answer was whole."""


class Conversation:
    """One client connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._rest = b""

    async def send(self, *pieces: bytes) -> None:
        """Write bytes, a write a piece."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    def end(self) -> None:
        """Say that nothing more will be sent."""
        self.writer.write_eof()

    def reset(self) -> None:
        """Leave at once, as a program that was killed with answers unread."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def answer(self, method: str = "GET", within: float = 5.0) -> Answered:
        """The next whole answer. Raises CutShortError."""
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        parser.send(h11.EndOfMessage())
        head: h11.Response | None = None
        interim: list[int] = []
        body = bytearray()
        if self._rest:
            parser.receive_data(self._rest)
            self._rest = b""
        async with asyncio.timeout(within):
            while True:
                event = self._event(parser)
                if event is h11.NEED_DATA:
                    await self._receive(parser)
                elif isinstance(event, h11.InformationalResponse):
                    interim.append(event.status_code)
                elif isinstance(event, h11.Response):
                    head = event
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    break
                else:
                    raise CutShortError(repr(event))
        assert head is not None
        self._rest = parser.trailing_data[0]
        headers = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in head.headers.raw_items()]
        return Answered(head.status_code, headers, bytes(body), tuple(interim))

    def _event(self, parser: h11.Connection) -> object:
        try:
            return parser.next_event()
        except h11.RemoteProtocolError as cut:
            if self.reader.at_eof():
                raise CutShortError(str(cut)) from cut
            raise

    async def _receive(self, parser: h11.Connection) -> None:
        try:
            data = await self.reader.read(1 << 16)
            parser.receive_data(data)
        except (ConnectionError, h11.RemoteProtocolError) as cut:
            raise CutShortError(str(cut)) from cut

    async def ask(self, method: str, path: str, *headers: str, body: bytes | None = None) -> Answered:
        """One request in the plainest form, and its answer."""
        lines = [f"{method} {path} HTTP/1.1", "Host: feeds.test", *headers]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        await self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""))
        return await self.answer(method)

    async def closed(self, within: float = 5.0) -> bytes:
        """Wait for the other side to end the connection; what it said before."""
        said = bytearray(self._rest)
        async with asyncio.timeout(within):
            try:
                while piece := await self.reader.read(1 << 16):
                    said += piece
            except ConnectionError:
                pass
        return bytes(said)


@asynccontextmanager
async def conversation(port: int) -> AsyncIterator[Conversation]:
    """A client connection to a port on loopback, closed at the end of the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    try:
        yield Conversation(reader, writer)
    finally:
        writer.close()


async def ask(port: int, method: str, path: str, *headers: str, body: bytes | None = None) -> Answered:
    """One request on a connection of its own."""
    async with conversation(port) as client:
        return await client.ask(method, path, *headers, body=body)
