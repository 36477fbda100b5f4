"""Tunnels by TLS on both sides, in which one side has said its last and hears the other out."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from authorities import Authority
from gateways import PlaneUnderTest, running_plane
from scripts import records
from waiting import until

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat/1\r\n\r\n"


class Secured:
    """One end of a TLS session that can say its last and read on, which asyncio's own cannot."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject

    async def shake_hands(self, context: ssl.SSLContext, name: str | None = None) -> None:
        """Begin the session, as the server if no name is expected."""
        self._tls = context.wrap_bio(self._incoming, self._outgoing, name is None, name)
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush()
                self._incoming.write(await self._reader.read(1 << 16))
        self._flush()

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._writer.write(data)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._tls.write(data)
        self._flush()

    async def receive(self) -> bytes:
        """What the other end sent, or nothing after its close_notify. Raises EOFError without one."""
        while True:
            try:
                return self._tls.read(1 << 16)
            except ssl.SSLWantReadError:
                if not (data := await self._reader.read(1 << 16)):
                    raise EOFError from None
                self._incoming.write(data)
            except ssl.SSLZeroReturnError:
                return b""

    async def receive_all(self) -> bytes:
        """Everything up to the close_notify."""
        said = b""
        async with asyncio.timeout(5):
            while piece := await self.receive():
                said += piece
        return said

    async def until(self, end: bytes) -> bytes:
        """Everything up to the first such end."""
        said = b""
        async with asyncio.timeout(5):
            while end not in said:
                said += await self.receive()
        return said

    def leave(self) -> None:
        """Go, whatever is still said."""
        self._writer.transport.abort()

    def end(self, *, fin: bool) -> None:
        """Say the last: a close_notify, perhaps a FIN as well."""
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            """The other end has not said its last yet."""
        self._flush()
        if fin:
            self._writer.write_eof()


Ends = tuple[Secured, Secured, PlaneUnderTest]
"""The client's and the feed's end of a tunnel, and the gateway between."""


class SecuredFeed:
    """A feed that switches, and then speaks as the test tells it to."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.end: Secured | None = None
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection as far as the switch."""
        end = Secured(reader, writer)
        await end.shake_hands(self._context)
        await end.until(b"\r\n\r\n")
        end.send(SWITCH)
        self.end = end


@asynccontextmanager
async def tunnel(directory: Path, version: ssl.TLSVersion) -> AsyncIterator[Ends]:
    """The client's and the feed's end of a tunnel through the gateway."""
    authority = Authority(directory)
    pair = authority.pair("127.0.0.1")
    far = SecuredFeed(authority.server(pair))
    server = await asyncio.start_server(far.serve, "127.0.0.1", 0)
    upstream = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    rules = f"tls: {{ca: {authority.file}}}"
    async with running_plane(directory, upstream, feed=rules, main=f"tls: {{{pair.yaml}}}") as plane:
        key = await plane.key("api-v2")
        reader, writer = await asyncio.open_connection("127.0.0.1", plane.port)
        client = Secured(reader, writer)
        await client.shake_hands(authority.client(maximum=version), "127.0.0.1")
        lines = ["GET /v2/courses HTTP/1.1", "Host: a", f"X-API-Key: {key}", "Connection: upgrade"]
        client.send("\r\n".join([*lines, "Upgrade: chat/1", "", ""]).encode())
        await client.until(b"\r\n\r\n")
        await until(lambda: far.end is not None)
        assert far.end is not None
        try:
            yield client, far.end, plane
        finally:
            client.leave()
            far.end.leave()
            server.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize("fin", [True, False], ids=["with a FIN", "with a close_notify alone"])
@pytest.mark.parametrize("first", ["client", "feed"])
async def test_who_has_said_its_last_hears_the_other_out(
    tmp_path: Path, first: str, version: ssl.TLSVersion, *, fin: bool
) -> None:
    async with tunnel(tmp_path, version) as (client, far, plane):
        one, other = (client, far) if first == "client" else (far, client)
        one.send(b"my last word")
        one.end(fin=fin)
        assert await other.receive_all() == b"my last word"
        large = bytes(range(256)) * 2000
        other.send(large)
        other.end(fin=fin)
        assert await one.receive_all() == large
        (record,) = await records(plane, 1)
    assert (record["status"], record["outcome"]) == (101, "permit")
