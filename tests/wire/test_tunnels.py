import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from conversations import conversation
from feeds import Feed
from gateways import PlaneUnderTest, running_plane
from scripts import read_head, records

SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat/1\r\n"
    b"X-Feed: yes\r\n\r\nwelcome"
)


@asynccontextmanager
async def websocket_feed() -> AsyncIterator[int]:
    """A WebSocket server of a library that is not ours; it echoes, and closes on `bye`."""

    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=8 << 20)
        await socket.prepare(request)
        async for message in socket:
            if message.data == "bye":
                await socket.close()
            elif message.type is aiohttp.WSMsgType.TEXT:
                await socket.send_str(message.data)
            else:
                await socket.send_bytes(message.data)
        return socket

    app = web.Application()
    app.router.add_get("/v2/courses", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def test_a_websocket_is_tunnelled_after_the_permit(tmp_path: Path) -> None:
    async with websocket_feed() as port, running_plane(tmp_path, port) as plane:
        await plane.scope("website", read="courses")
        key = await plane.key("website")
        url = f"http://127.0.0.1:{plane.port}/v2/courses"
        async with (
            aiohttp.ClientSession(headers={"X-API-Key": key}) as session,
            session.ws_connect(url, max_msg_size=8 << 20) as socket,
        ):
            await socket.send_str("hello")
            assert (await socket.receive_str()) == "hello"
            large = bytes(range(256)) * 16384
            await socket.send_bytes(large)
            assert (await socket.receive_bytes()) == large
            await socket.send_str("bye")
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        (record,) = await records(plane, 1)
    assert (record["status"], record["outcome"], record["action"]) == (101, "permit", "read")
    assert record["bytes_in"] > len(large)
    assert record["bytes_out"] > len(large)


async def test_a_websocket_without_permission_is_refused(tmp_path: Path) -> None:
    async with websocket_feed() as port, running_plane(tmp_path, port) as plane:
        await plane.scope("bookings", read="bookings")
        key = await plane.key("bookings")
        async with aiohttp.ClientSession(headers={"X-API-Key": key}) as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(f"http://127.0.0.1:{plane.port}/v2/courses")
    assert refused.value.status == 403


async def test_bytes_cross_a_tunnel_as_they_come_and_each_end_is_told_of_the_others(
    plane: PlaneUnderTest, feed: Feed, key: str
) -> None:
    said: list[bytes] = []

    async def chat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(SWITCH)
        while piece := await reader.read(1 << 16):
            said.append(piece)
            writer.write(piece.upper())
        writer.write(b"goodbye")
        await writer.drain()

    feed.script = chat
    async with conversation(plane.port) as client:
        head = f"GET /v2/courses HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n"
        await client.send(f"{head}Connection: upgrade\r\nUpgrade: chat/1\r\n\r\nahead".encode())
        greeting = await client.reader.readuntil(b"welcomeAHEAD")
        assert greeting.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"Connection: Upgrade\r\nUpgrade: chat/1\r\n" in greeting
        await client.send(b"more")
        assert await client.reader.readexactly(4) == b"MORE"
        client.end()
        assert await client.closed() == b"goodbye"
    assert b"".join(said) == b"aheadmore"


@pytest.mark.parametrize("protocol", ["h2c", "HTTP/2.0", "TLS/1.2", "websocket, h2c", "connect-udp"])
async def test_a_protocol_that_carries_requests_is_not_switched_to(
    plane: PlaneUnderTest, feed: Feed, key: str, protocol: str
) -> None:
    async with conversation(plane.port) as client:
        answer = await client.ask(
            "GET", "/v2/courses", f"X-API-Key: {key}", "Connection: Upgrade", f"Upgrade: {protocol}"
        )
    assert answer.status == 200
    assert feed.requests[0].values("Upgrade") == feed.requests[0].values("Connection") == []


@pytest.mark.parametrize("headers", [[], ["Connection: Upgrade", "Upgrade: websocket"]])
async def test_a_feed_that_switches_to_what_was_not_asked_for_is_not_believed(
    plane: PlaneUnderTest, feed: Feed, key: str, headers: list[str]
) -> None:
    feed.answer = lambda _request: SWITCH
    async with conversation(plane.port) as client:
        answer = await client.ask("GET", "/v2/courses", f"X-API-Key: {key}", *headers)
        assert (answer.status, answer.code) == (502, "upstream_invalid")


async def test_a_feed_may_answer_an_upgrade_with_something_else(
    plane: PlaneUnderTest, feed: Feed, key: str
) -> None:
    async with conversation(plane.port) as client:
        upgrade = ("Connection: Upgrade", "Upgrade: websocket")
        answer = await client.ask("GET", "/v2/courses", f"X-API-Key: {key}", *upgrade)
        assert (answer.status, answer.body) == (200, b"hello")
        assert (await client.ask("GET", "/v2/courses", f"X-API-Key: {key}")).status == 200
    assert feed.requests[0].value("Upgrade") == "websocket"


async def test_a_silent_tunnel_is_closed_after_the_idle_timeout(tmp_path: Path, feed: Feed) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(SWITCH)
        await reader.read()

    feed.script = silent
    async with running_plane(tmp_path, feed.port, feed="timeouts: {idle: 300ms}") as plane:
        await plane.scope("website", read="courses")
        key = await plane.key("website")
        async with conversation(plane.port) as client:
            head = f"GET /v2/courses HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n"
            await client.send(f"{head}Connection: upgrade\r\nUpgrade: chat/1\r\n\r\n".encode())
            assert (await client.closed()).endswith(b"welcome")
        (record,) = await records(plane, 1)
    assert (record["status"], record["outcome"]) == (101, "permit")


async def test_a_client_that_leaves_a_tunnel_takes_the_feeds_end_with_it(
    plane: PlaneUnderTest, feed: Feed, key: str
) -> None:
    gone = asyncio.Event()

    async def chat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(SWITCH)
        await reader.read()
        gone.set()

    feed.script = chat
    async with conversation(plane.port) as client:
        head = f"GET /v2/courses HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n"
        await client.send(f"{head}Connection: upgrade\r\nUpgrade: chat/1\r\n\r\n".encode())
        await client.reader.readuntil(b"welcome")
    async with asyncio.timeout(5):
        await gone.wait()
