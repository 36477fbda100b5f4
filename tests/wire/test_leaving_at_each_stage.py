"""A client that leaves: at whatever stage its request is, what was begun for it is given up at once."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from conversations import Conversation, conversation
from feeds import Feed, running_feed
from gateways import PlaneUnderTest, running_plane
from scripts import read_head, records
from waiting import until

AT_ONCE = 3.0
"""Seconds: long before any timeout that is set here."""

PATIENT = "timeouts: {connect: 60s, response: 60s, idle: 60s}\nmax_in_flight: 1"
SYN_SENT = "02"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: hello\n\n"


def leave(client: Conversation, ending: str) -> None:
    if ending == "reset":
        client.reset()
    else:
        client.writer.close()


def connecting_to(port: int) -> int:
    """How many connections to a port are being made, as the kernel has it."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    rows = [line.split() for line in lines]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == SYN_SENT for row in rows)


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port whose queue is full: connections to it are neither made nor refused."""
    with ExitStack() as held:
        listening = held.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        held.enter_context(socket.create_connection(listening.getsockname()))
        yield listening.getsockname()[1]


@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_while_the_connection_to_the_feed_is_made(tmp_path: Path, deaf_port: int, ending: str) -> None:
    async with running_plane(tmp_path, deaf_port, feed=PATIENT) as plane, conversation(plane.port) as client:
        key = await plane.key("api-v2")
        await client.send(f"GET /v2/courses HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n".encode())
        await until(lambda: connecting_to(deaf_port) == 1)
        leave(client, ending)
        await until(lambda: connecting_to(deaf_port) == 0, AT_ONCE)
        (record,) = await records(plane, 1)
        room = plane.worker.upstreams["test"].room
        assert room is not None
        assert room.taken == 0
        assert list(plane.worker.upstreams["test"].troubles()) == []
    assert (record["outcome"], record["status"]) == ("abort", 0)


async def test_while_the_connection_is_made_and_its_upload_waits(tmp_path: Path, deaf_port: int) -> None:
    async with running_plane(tmp_path, deaf_port, feed=PATIENT) as plane, conversation(plane.port) as client:
        key = await plane.key("api-v2")
        head = f"PUT /v2/files/a HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nContent-Length: 100000\r\n\r\n"
        await client.send(head.encode(), b"a" * 50_000)
        await until(lambda: connecting_to(deaf_port) == 1)
        client.reset()
        await until(lambda: connecting_to(deaf_port) == 0, AT_ONCE)
        (record,) = await records(plane, 1)
    assert record["outcome"] == "abort"


@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_while_the_feed_shakes_hands(tmp_path: Path, feed: Feed, ending: str) -> None:
    given_up = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        try:
            await reader.read()
        finally:
            given_up.set()

    feed.script = mute
    upstream = f"https://127.0.0.1:{feed.port}"
    async with running_plane(tmp_path, upstream, feed=PATIENT) as plane, conversation(plane.port) as client:
        key = await plane.key("api-v2")
        await client.send(f"GET /v2/courses HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n".encode())
        await feed.until(lambda feed: feed.connections == 1)
        leave(client, ending)
        await asyncio.wait_for(given_up.wait(), AT_ONCE)
        (record,) = await records(plane, 1)
    assert record["outcome"] == "abort"


async def test_while_the_feed_does_not_read_the_upload(tmp_path: Path, feed: Feed) -> None:
    over = asyncio.Event()

    async def stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.transport.pause_reading()
        await over.wait()

    feed.script = stuck
    async with running_plane(tmp_path, feed.port, feed=PATIENT) as plane, conversation(plane.port) as client:
        key = await plane.key("api-v2")
        head = f"PUT /v2/files/a HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nContent-Length: 60000000\r\n\r\n"
        client.writer.write(head.encode() + b"a" * 30_000_000)
        written = client.writer.transport.get_write_buffer_size
        await until(lambda: 0 < written() < 29_000_000)
        client.reset()
        (record,) = await records(plane, 1, AT_ONCE)
        over.set()
    assert record["outcome"] == "abort"


@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_while_no_event_comes(plane: PlaneUnderTest, feed: Feed, key: str, ending: str) -> None:
    given_up = asyncio.Event()

    async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(EVENTS)
        try:
            await reader.read()
        finally:
            given_up.set()

    feed.script = quiet
    async with conversation(plane.port) as client:
        await client.send(f"GET /v2/courses HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n".encode())
        await client.reader.readuntil(b"data: hello\n\n")
        leave(client, ending)
        await asyncio.wait_for(given_up.wait(), AT_ONCE)
    (record,) = await records(plane, 1)
    assert (record["outcome"], record["status"]) == ("abort", 200)


async def test_while_the_feed_pauses_within_its_answer(plane: PlaneUnderTest, feed: Feed, key: str) -> None:
    """The client ends first, as some do, and then is gone with answers unread."""
    given_up = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthe first part")
        try:
            await reader.read()
        finally:
            given_up.set()

    feed.script = slow
    async with conversation(plane.port) as client:
        await client.send(f"GET /v2/courses HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n".encode())
        await client.reader.readuntil(b"the first part")
        client.end()
        await asyncio.sleep(0.2)
        client.reset()
        await asyncio.wait_for(given_up.wait(), AT_ONCE)


@pytest.mark.parametrize("leaves", [True, False])
async def test_a_connection_made_too_late_serves_the_next(tmp_path: Path, *, leaves: bool) -> None:
    """Giving up harms nobody else: not the address, and not who asks after."""
    async with running_feed() as feed, running_plane(tmp_path, feed.port, feed=PATIENT) as plane:
        key = await plane.key("api-v2")
        request = f"GET /v2/courses HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n".encode()
        for _ in range(20):
            async with conversation(plane.port) as client:
                await client.send(request)
                if leaves:
                    client.reset()
                else:
                    assert (await client.answer()).status == 200

        async def served() -> bool:
            async with conversation(plane.port) as client:
                return (await client.ask("GET", "/v2/courses", f"X-API-Key: {key}")).status == 200

        for _ in range(3):
            assert await served() or leaves
        assert await served()
        assert list(plane.worker.upstreams["test"].troubles()) == []


async def test_a_client_that_only_stopped_sending_may_read_slowly(
    plane: PlaneUnderTest, feed: Feed, key: str
) -> None:
    """While its answer does not fit into its buffers, a FIN says nothing of whether it has left."""
    body = bytes(range(256)) * 100_000
    feed.answer = lambda _request: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with conversation(plane.port) as client:
        client.writer.transport.pause_reading()
        await client.send(f"GET /v2/courses HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n".encode())
        await until(
            lambda: any(one.turn and one.turn.bytes_out for one in plane.worker._listener.connections)
        )
        await asyncio.sleep(0.5)
        client.end()
        await asyncio.sleep(1.5)
        client.writer.transport.resume_reading()
        assert (await client.answer(within=20)).body == body
