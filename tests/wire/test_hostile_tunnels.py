"""What either side of a tunnel may do to the gateway: say too much, too early, or what nobody asked for."""

import asyncio

import pytest
from conversations import conversation
from feeds import OK, Feed
from gateways import PlaneUnderTest
from scripts import read_head, records
from waiting import until

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat/1\r\n\r\n"
LARGE = 60_000_000
"""Bytes: more than what the kernel keeps for two connections, many times over."""

KEPT = 24_000_000
"""Bytes: what the kernel and the gateway may keep of it."""


def upgrade(key: str, *lines: str, method: str = "GET") -> bytes:
    head = [f"{method} /v2/courses HTTP/1.1", "Host: a", f"X-API-Key: {key}", *lines]
    return "\r\n".join([*head, "Connection: upgrade", "Upgrade: chat/1", "", ""]).encode()


async def left_at_rest(writer: asyncio.StreamWriter) -> int:
    """How many bytes a writer cannot get rid of, once nothing moves any more."""
    before, now = -1, writer.transport.get_write_buffer_size()
    while now != before:
        await asyncio.sleep(0.3)
        before, now = now, writer.transport.get_write_buffer_size()
    return now


async def test_a_feed_that_does_not_read_is_not_read_for(plane: PlaneUnderTest, feed: Feed, key: str) -> None:
    may_read = asyncio.Event()
    heard = 0

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        await read_head(reader)
        writer.write(SWITCH)
        writer.transport.pause_reading()
        await may_read.wait()
        writer.transport.resume_reading()
        while piece := await reader.read(1 << 20):
            heard += len(piece)

    feed.script = deaf
    async with conversation(plane.port) as client:
        await client.send(upgrade(key))
        await client.reader.readuntil(b"\r\n\r\n")
        client.writer.write(b"a" * LARGE)
        assert await left_at_rest(client.writer) > LARGE - KEPT
        may_read.set()
        await until(lambda: heard == LARGE, 20)


async def test_a_client_that_does_not_read_is_not_fed(plane: PlaneUnderTest, feed: Feed, key: str) -> None:
    said = asyncio.Event()
    left = 0

    async def talkative(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        await read_head(reader)
        writer.write(SWITCH + b"a" * LARGE)
        left = await left_at_rest(writer)
        said.set()
        await reader.read()

    feed.script = talkative
    async with conversation(plane.port) as client:
        client.writer.transport.pause_reading()
        await client.send(upgrade(key))
        await asyncio.wait_for(said.wait(), 20)
        assert left > LARGE - KEPT
        client.writer.transport.resume_reading()
        async with asyncio.timeout(20):
            await client.reader.readuntil(b"\r\n\r\n")
            await client.reader.readexactly(LARGE)


@pytest.mark.parametrize(
    "ahead",
    [b"\x81\x85abcdefghi", b"GET /v2/users HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n\r\n\r\n", b"\0"],
)
async def test_what_a_client_says_before_the_switch_is_judged_if_there_is_none(
    plane: PlaneUnderTest, feed: Feed, key: str, ahead: bytes
) -> None:
    """It must not reach a feed that stays with HTTP, where it would be a request that nobody has judged."""
    async with conversation(plane.port) as client:
        await client.send(upgrade(key) + ahead)
        assert (await client.answer()).status == 200
        assert (await client.answer()).status in {400, 401}
    assert [request.target for request in feed.requests] == ["/v2/courses"]
    assert feed.raw.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    ("method", "lines"),
    [
        ("POST", ["Content-Length: 2"]),
        ("POST", []),
        ("GET", ["Content-Length: 2"]),
        ("GET", ["Transfer-Encoding: chunked"]),
    ],
)
async def test_nothing_but_a_get_without_a_body_becomes_a_tunnel(
    plane: PlaneUnderTest, feed: Feed, full_key: str, method: str, lines: list[str]
) -> None:
    body = b"hi" if "Content-Length: 2" in lines else b"2\r\nhi\r\n0\r\n\r\n" if lines else b""
    feed.answer = lambda _request: SWITCH + OK
    async with conversation(plane.port) as client:
        await client.send(upgrade(full_key, *lines, method=method) + body)
        answer = await client.answer(method)
    assert (answer.status, answer.code) == (502, "upstream_invalid")
    assert feed.requests[0].values("Upgrade") == []


async def test_a_tunnels_connection_serves_nobody_else(plane: PlaneUnderTest, feed: Feed, key: str) -> None:
    async def chat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"upgrade: chat" in (await read_head(reader)).lower():
            writer.write(SWITCH + OK)
            await reader.read()
        else:
            writer.write(OK)

    feed.script = chat
    async with conversation(plane.port) as client:
        await client.send(upgrade(key))
        await client.reader.readuntil(b"hello")
        client.end()
        assert await client.closed() == b""
    async with conversation(plane.port) as client:
        assert (await client.ask("GET", "/v2/courses", f"X-API-Key: {key}")).status == 200
    assert feed.connections == 2
    await records(plane, 2)


@pytest.mark.parametrize("cut", range(1, len(SWITCH) + 1, 7))
async def test_a_switch_in_pieces_is_one_switch(
    plane: PlaneUnderTest, feed: Feed, key: str, cut: int
) -> None:
    async def chat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        said = b"HTTP/1.1 103 Early Hints\r\n\r\n" + SWITCH + b"hello"
        for piece in (said[:-cut], said[-cut:]):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        await reader.read()

    feed.script = chat
    async with conversation(plane.port) as client:
        await client.send(upgrade(key))
        said = await client.reader.readuntil(b"hello")
    assert said.count(b" 101 ") == said.count(b" 103 ") == 1
