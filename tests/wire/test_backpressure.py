"""One side slower than the other: the faster one is held, memory is bounded, nothing waits for ever."""

import asyncio
import socket
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from conversations import conversation
from feeds import Feed
from gateways import PlaneUnderTest, running_plane
from scripts import faults, read_head, records, settled

MIB = 1 << 20
PIECE = b"x" * (1 << 16)
SIZE = 192 * MIB
IN_KERNELS = 96 * MIB
"""More than the kernel's buffers of both connections hold, and well below SIZE."""

HELD = 8 * MIB
"""What may be held of one body by the gateway, and by the tests: their feed alone may hold half of this."""

HUGE = "limits: {body: 256MiB, body_idle_timeout: 30s}"


@contextmanager
def peak_memory() -> Iterator[Callable[[], int]]:
    """How many bytes of Python's memory are held at most, over those held now."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        yield lambda: tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@asynccontextmanager
async def raw_client(port: int) -> AsyncIterator[socket.socket]:
    """A client's socket without any buffer of Python's, and small ones in the kernel."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        sock.settimeout(0)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        yield sock


async def sent_until_stuck(sock: socket.socket, most: int, stuck: float = 0.5) -> int:
    """How much can be sent before the other side takes nothing for a while."""
    loop = asyncio.get_running_loop()
    sent = 0
    while sent < most:
        try:
            async with asyncio.timeout(stuck):
                await loop.sock_sendall(sock, PIECE)
        except TimeoutError:
            break
        sent += len(PIECE)
    return sent


def upload(key: str, *framing: str) -> bytes:
    lines = ["POST /v2/courses HTTP/1.1", "Host: x", f"X-API-Key: {key}", *framing]
    return "\r\n".join([*lines, "", ""]).encode()


def download(key: str) -> bytes:
    return f"GET /v2/courses HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n".encode()


@pytest.mark.parametrize("early", [b"", PIECE * 3], ids=["body later", "body with the head"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_a_feed_that_does_not_read_holds_the_clients_upload(
    tmp_path: Path, feed: Feed, early: bytes, *, chunked: bool
) -> None:
    go_on, arrived = asyncio.Event(), 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        await read_head(reader)
        writer.transport.pause_reading()
        await go_on.wait()
        writer.transport.resume_reading()
        while piece := await reader.read(1 << 16):
            arrived += len(piece)

    feed.script = script
    async with (
        running_plane(tmp_path, feed.port, main=HUGE) as plane,
        raw_client(plane.port) as client,
    ):
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {SIZE}"
        head = upload(await plane.key("api-v2"), framing) + (b"%x\r\n" % SIZE if chunked else b"")
        with peak_memory() as peak:
            await asyncio.get_running_loop().sock_sendall(client, head + early)
            await feed.until(lambda feed: feed.connections == 1)
            sent = len(early) + await sent_until_stuck(client, SIZE)
            assert sent < IN_KERNELS
            assert peak() < HELD
            go_on.set()
            more = await sent_until_stuck(client, SIZE // 4)
            assert more >= SIZE // 4
            await settled(lambda: arrived >= sent)
            assert peak() < HELD


@pytest.mark.parametrize("framing", ["Content-Length: %d", "Transfer-Encoding: chunked", "X-Framing: none"])
async def test_a_client_that_does_not_read_holds_the_feeds_answer(
    tmp_path: Path, feed: Feed, framing: str
) -> None:
    stuck, said = asyncio.Event(), 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal said
        await read_head(reader)
        line = framing % SIZE if "%d" in framing else framing
        writer.write(f"HTTP/1.1 200 OK\r\n{line}\r\n\r\n".encode())
        if "chunked" in framing:
            writer.write(b"%x\r\n" % SIZE)
        while said < SIZE:
            writer.write(PIECE)
            said += len(PIECE)
            draining = asyncio.ensure_future(writer.drain())
            await asyncio.wait({draining}, timeout=None if stuck.is_set() else 0.5)
            if not draining.done():
                stuck.set()
            await draining
        if "chunked" in framing:
            writer.write(b"\r\n0\r\n\r\n")

    feed.script = script
    async with running_plane(tmp_path, feed.port) as plane, raw_client(plane.port) as client:
        with peak_memory() as peak:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, download(await plane.key("api-v2")))
            await asyncio.wait_for(stuck.wait(), 20)
            assert said < IN_KERNELS
            assert peak() < HELD
            got = 0
            while got < SIZE:
                got += len(await loop.sock_recv(client, 1 << 20))
            assert peak() < HELD
    (record,) = await records(plane, 1)
    assert (record["outcome"], record["bytes_out"]) == ("permit", SIZE)


async def test_a_feed_that_never_reads_its_upload_is_given_up_after_the_idle_time(
    tmp_path: Path, feed: Feed
) -> None:
    ended = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.transport.pause_reading()
        await ended.wait()

    feed.script = script
    async with (
        running_plane(tmp_path, feed.port, feed="timeouts: {idle: 500ms}", main=HUGE) as plane,
        raw_client(plane.port) as client,
    ):
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(client, upload(await plane.key("api-v2"), f"Content-Length: {SIZE}"))
        await sent_until_stuck(client, SIZE, 0.2)
        assert (await loop.sock_recv(client, 1 << 16)).startswith(b"HTTP/1.1 504 ")
        ended.set()
    (record,) = await records(plane, 1)
    assert (record["outcome"], record["code"]) == ("error", "upstream_timeout")
    assert faults(plane) == {"timeout": 1}


async def ended(plane: PlaneUnderTest, client: socket.socket, within: float) -> None:
    """The gateway ends this client's connection, though the client reads nothing."""
    del client
    await settled(lambda: not plane.worker._listener.connections, within)


async def test_a_client_that_never_reads_its_answer_is_given_up(tmp_path: Path, feed: Feed) -> None:
    given_up = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
        try:
            for _ in range(SIZE // len(PIECE)):
                writer.write(PIECE)
                await writer.drain()
        finally:
            given_up.set()

    feed.script = script
    async with (
        running_plane(tmp_path, feed.port, main="limits: {body_idle_timeout: 500ms}") as plane,
        raw_client(plane.port) as client,
    ):
        await asyncio.get_running_loop().sock_sendall(client, download(await plane.key("api-v2")))
        await asyncio.wait_for(given_up.wait(), 8)
        await ended(plane, client, 3)
    (record,) = await records(plane, 1)
    assert (record["outcome"], record["status"]) == ("abort", 200)
    assert faults(plane) == {}


async def test_a_client_that_reads_slowly_but_reads_is_waited_for(tmp_path: Path, feed: Feed) -> None:
    size = 24 * MIB

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(PIECE)):
            writer.write(PIECE)
            await writer.drain()
        await reader.read()

    feed.script = script
    async with (
        running_plane(tmp_path, feed.port, main="limits: {body_idle_timeout: 500ms}") as plane,
        raw_client(plane.port) as client,
    ):
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(client, download(await plane.key("api-v2")))
        got = 0
        for _ in range(16):
            await asyncio.sleep(0.2)  # how slowly it reads is what is tested
            taken = 0
            while taken < MIB:
                taken += len(await loop.sock_recv(client, 1 << 18))
            got += taken
        while got < size:
            got += len(await loop.sock_recv(client, 1 << 20))
    (record,) = await records(plane, 1)
    assert (record["outcome"], record["bytes_out"]) == ("permit", size)


async def test_two_sides_that_wait_for_each_other_do_not_wait_for_ever(tmp_path: Path, feed: Feed) -> None:
    """The client sends and does not read; the feed sends back what it gets, and reads no more meanwhile."""
    given_up = asyncio.Event()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
        try:
            while piece := await reader.read(1 << 16):
                writer.write(piece)
                await writer.drain()
        finally:
            given_up.set()

    feed.script = echo
    main = "limits: {body: 256MiB, body_idle_timeout: 700ms}"
    async with (
        running_plane(tmp_path, feed.port, main=main) as plane,
        raw_client(plane.port) as client,
    ):
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(client, upload(await plane.key("api-v2"), f"Content-Length: {SIZE}"))
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(loop.sock_sendall(client, bytes(SIZE)), 8)
        await asyncio.wait_for(given_up.wait(), 5)
    (record,) = await records(plane, 1)
    assert (record["outcome"], record["status"]) == ("abort", 200)


async def test_many_requests_sent_ahead_of_a_slow_feed_are_held(tmp_path: Path, feed: Feed) -> None:
    go_on = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await feed.read_request(reader, writer) is not None:
            await go_on.wait()
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    feed.script = script
    async with running_plane(tmp_path, feed.port) as plane, raw_client(plane.port) as client:
        one = download(await plane.key("api-v2"))
        with peak_memory() as peak:
            loop = asyncio.get_running_loop()
            batch = one * (len(PIECE) // len(one))
            sent = 0
            while sent < SIZE:
                try:
                    async with asyncio.timeout(0.5):
                        await loop.sock_sendall(client, batch)
                except TimeoutError:
                    break
                sent += len(batch)
            assert sent < IN_KERNELS
            assert peak() < HELD
        go_on.set()
        answered = b""
        while answered.count(b"HTTP/1.1 204") < 100:
            answered += await loop.sock_recv(client, 1 << 16)


async def test_a_held_upload_goes_on_when_its_answer_came_early(tmp_path: Path, feed: Feed) -> None:
    """A client that was held is let go once there is nothing left to hold it for."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.transport.pause_reading()
        await sent.wait()
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno")
        await done.wait()

    sent, done = asyncio.Event(), asyncio.Event()
    feed.script = script
    async with running_plane(tmp_path, feed.port, main=HUGE) as plane, conversation(plane.port) as client:
        sock = client.writer.transport
        sock.write(upload(await plane.key("api-v2"), f"Content-Length: {SIZE}"))
        for _ in range(64):
            sock.write(PIECE * 16)
        await feed.until(lambda feed: feed.connections == 1)
        sent.set()
        answer = await client.answer("POST")
        assert (answer.status, answer.body, answer.value("Connection")) == (400, b"no", "close")
        done.set()
