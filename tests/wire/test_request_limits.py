"""How much a client may send, and how slowly, and how many clients there may be."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from conversations import Conversation, CutShortError, conversation
from feeds import Feed
from gateways import PlaneUnderTest, running_plane
from waiting import until, until_so

LIMITS = (
    "limits: {request_line: 256, headers: 1KiB, header_count: 20, body: 1KiB,"
    " header_timeout: 300ms, body_idle_timeout: 300ms, keepalive_timeout: 300ms, connections: 4}"
)
ROUTES = """\
feed: test
modules: {bookings: Bookings, files: Files}
routes:
  - {path: /v2/bookings, module: bookings}
  - {path: /v2/files, module: files, max_body: 4KiB}
  - {path: /v2/notes, module: files, max_body: 10}
  - {path: /v2/votes, module: files, max_body: 0}
  - {path: /v2/status, public: true, actions: {GET: read}, only: true}
"""
HOST = b"Host: feeds.test\r\n"


@pytest.fixture
async def narrow(tmp_path: Path, feed: Feed) -> AsyncIterator[PlaneUnderTest]:
    """A gateway with small limits and little patience."""
    async with running_plane(tmp_path, feed.port, routes=ROUTES, main=LIMITS) as plane:
        await plane.scope("everything", "deny")
        yield plane


@pytest.fixture
async def pass_(narrow: PlaneUnderTest) -> str:
    return f"X-API-Key: {await narrow.key('everything')}"


def padded(size: int) -> bytes:
    """A request line of that many bytes, without its CRLF."""
    line = b"GET /v2/status? HTTP/1.1"
    return line.replace(b"?", b"?" + b"a" * (size - len(line)))


@pytest.mark.parametrize(("size", "status"), [(256, 200), (257, 414), (100_000, 414)])
async def test_a_request_line_may_be_so_long(narrow: PlaneUnderTest, size: int, status: int) -> None:
    async with conversation(narrow.port) as client:
        await client.send(padded(size) + b"\r\n" + HOST + b"\r\n")
        assert (await client.answer()).status == status


async def test_a_request_line_without_an_end_is_refused_before_it_ends(narrow: PlaneUnderTest) -> None:
    async with conversation(narrow.port) as client:
        await client.send(b"GET /" + b"a" * 300)
        answer = await client.answer()
        assert (answer.status, answer.code) == (414, "uri_too_long")
        assert await client.closed() == b""


@pytest.mark.parametrize(("size", "status"), [(1024, 200), (1025, 431), (100_000, 431)])
async def test_a_header_section_may_be_so_large(narrow: PlaneUnderTest, size: int, status: int) -> None:
    section = HOST + b"A: " + b"a" * (size - len(HOST) - 5) + b"\r\n"
    assert len(section) == size
    async with conversation(narrow.port) as client:
        await client.send(b"GET /v2/status HTTP/1.1\r\n" + section + b"\r\n")
        assert (await client.answer()).status == status


@pytest.mark.parametrize(("count", "status"), [(20, 200), (21, 431)])
async def test_there_may_be_so_many_header_fields(narrow: PlaneUnderTest, count: int, status: int) -> None:
    async with conversation(narrow.port) as client:
        await client.send(b"GET /v2/status HTTP/1.1\r\n" + HOST + b"A: b\r\n" * (count - 1) + b"\r\n")
        assert (await client.answer()).status == status


async def test_headers_without_an_end_are_refused_before_they_end(narrow: PlaneUnderTest) -> None:
    async with conversation(narrow.port) as client:
        await client.send(b"GET /v2/status HTTP/1.1\r\n" + HOST, *[b"A: " + b"a" * 100 + b"\r\n"] * 20)
        answer = await client.answer()
        assert (answer.status, answer.code) == (431, "headers_too_large")
        assert await client.closed() == b""


BODIES = {
    "/v2/bookings": 1024,
    "/v2/files": 4096,
    "/v2/notes": 10,
    "/v2/votes": 0,
}


@pytest.mark.parametrize("path", BODIES)
async def test_a_body_may_be_as_large_as_its_route_says(
    narrow: PlaneUnderTest, feed: Feed, pass_: str, path: str
) -> None:
    size = BODIES[path]
    async with conversation(narrow.port) as client:
        assert (await client.ask("POST", path, pass_, body=b"a" * size)).status == 200
        answer = await client.ask("POST", path, pass_, body=b"a" * (size + 1))
        assert (answer.status, answer.code) == (413, "body_too_large")
        assert await client.closed() == b""
    assert [len(request.body) for request in feed.requests] == [size]


@pytest.mark.parametrize("path", BODIES)
async def test_a_body_in_chunks_may_be_no_larger(
    narrow: PlaneUnderTest, feed: Feed, pass_: str, path: str
) -> None:
    size = BODIES[path]
    head = (
        f"POST {path} HTTP/1.1\r\nHost: feeds.test\r\n{pass_}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    )
    end = b"0\r\n\r\n"
    async with conversation(narrow.port) as client:
        whole = (b"%x\r\n%b\r\n" % (size, b"a" * size) if size else b"") + end
        await client.send(head + whole)
        assert (await client.answer("POST")).status == 200
        await client.send(head + b"%x\r\n%b\r\n" % (size + 1, b"a" * (size + 1)) + end)
        answer = await client.answer("POST")
        assert (answer.status, answer.code) == (413, "body_too_large")
        assert await client.closed() == b""
    assert [len(request.body) for request in feed.requests] == [size]


async def test_a_body_in_chunks_is_cut_off_where_it_grows_too_large(
    narrow: PlaneUnderTest, feed: Feed, pass_: str
) -> None:
    head = f"POST /v2/bookings HTTP/1.1\r\nHost: feeds.test\r\n{pass_}\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with conversation(narrow.port) as client:
        await client.send(head.encode())
        for _ in range(10):
            await client.send(b"80\r\n" + b"a" * 128 + b"\r\n")
        answer = await client.answer("POST")
        assert (answer.status, answer.code) == (413, "body_too_large")
    assert feed.requests == []
    assert feed.raw.count(b"a" * 128) <= 8


async def test_a_body_no_route_takes_is_refused_before_the_credential_is_looked_at(
    narrow: PlaneUnderTest,
) -> None:
    async with conversation(narrow.port) as client:
        answer = await client.ask("POST", "/v2/bookings", "Content-Length: 4097")
        assert (answer.status, answer.code) == (413, "body_too_large")
    async with conversation(narrow.port) as client:
        answer = await client.ask("POST", "/v2/bookings", "Content-Length: 4096")
        assert answer.status == 401


@pytest.mark.parametrize(
    "sent", [b"G", b"GET /v2/status HTTP/1.1\r\n", b"GET /v2/status HTTP/1.1\r\nHost: x\r\nA"]
)
async def test_a_head_that_does_not_come_to_its_end_is_timed_out(narrow: PlaneUnderTest, sent: bytes) -> None:
    async with conversation(narrow.port) as client:
        await client.send(sent)
        answer = await client.answer()
        assert (answer.status, answer.code) == (408, "request_timeout")
        assert await client.closed() == b""


async def test_a_head_in_drips_is_timed_out_all_the_same(narrow: PlaneUnderTest) -> None:
    async with conversation(narrow.port) as client:
        answer = asyncio.create_task(client.answer())
        await client.send(b"GET /v2/status HTTP/1.1\r\nHost: feeds.test\r\nA: ")
        while not answer.done():
            await client.send(b"a")
            await asyncio.wait({answer}, timeout=0.05)
        assert (await answer).status == 408


async def test_a_head_has_its_own_time_after_a_rest(narrow: PlaneUnderTest) -> None:
    async with conversation(narrow.port) as client:
        assert (await client.ask("GET", "/v2/status")).status == 200
        await client.send(b"GET /v2/status HTTP/1.1\r\n")
        assert (await client.answer()).status == 408


@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
async def test_a_body_that_does_not_come_to_its_end_is_timed_out(
    narrow: PlaneUnderTest, feed: Feed, pass_: str, framing: str
) -> None:
    async with conversation(narrow.port) as client:
        head = f"POST /v2/bookings HTTP/1.1\r\nHost: feeds.test\r\n{pass_}\r\n{framing}\r\n\r\n"
        await client.send(head.encode(), b"5\r\nhello")
        answer = await client.answer("POST")
        assert (answer.status, answer.code) == (408, "request_timeout")
        assert await client.closed() == b""
    assert feed.requests == []


async def test_a_body_in_drips_is_waited_for(narrow: PlaneUnderTest, feed: Feed, pass_: str) -> None:
    head = f"POST /v2/bookings HTTP/1.1\r\nHost: feeds.test\r\n{pass_}\r\nContent-Length: 8\r\n\r\n"
    async with conversation(narrow.port) as client:
        answer = asyncio.create_task(client.answer("POST"))
        await client.send(head.encode())
        for _ in range(8):
            await asyncio.wait({answer}, timeout=0.1)
            await client.send(b"a")
        assert (await answer).status == 200
    assert feed.requests[0].body == b"a" * 8


async def test_the_rest_of_a_refused_body_is_waited_for_and_not_for_ever(narrow: PlaneUnderTest) -> None:
    async with conversation(narrow.port) as client:
        answer = await client.ask("POST", "/v2/bookings", "Content-Length: 100")
        assert (answer.status, answer.value("Connection")) == (401, None)
        assert await client.closed() == b""


@pytest.mark.parametrize("before", [b"", b"\r\n"])
async def test_a_connection_at_rest_is_closed_without_a_word(narrow: PlaneUnderTest, before: bytes) -> None:
    async with conversation(narrow.port) as client:
        assert (await client.ask("GET", "/v2/status")).status == 200
        await client.send(before)
        assert await client.closed() == b""
    await narrow.until_logged(1)
    assert [record["status"] for record in await narrow.logged()] == [200]


async def test_a_connection_on_which_nothing_comes_is_closed_without_a_word(narrow: PlaneUnderTest) -> None:
    async with conversation(narrow.port) as client:
        assert await client.closed() == b""


async def test_clients_beyond_the_limit_are_sent_away_and_others_let_in_when_some_leave(
    narrow: PlaneUnderTest, feed: Feed
) -> None:
    released = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await feed.read_request(reader, writer)
        await released.wait()
        writer.write(feed.answer(feed.requests[-1]) or b"")

    feed.script = slow
    async with AsyncExitStack() as crowd:
        guests = [await crowd.enter_async_context(conversation(narrow.port)) for _ in range(4)]
        for guest in guests:
            await guest.send(b"GET /v2/status HTTP/1.1\r\n" + HOST + b"\r\n")
        await feed.until(lambda feed: len(feed.requests) == 4)
        async with conversation(narrow.port) as one_too_many:
            answer = await one_too_many.answer()
            assert (answer.status, answer.code, answer.value("Retry-After")) == (503, "overloaded", "1")
            assert await one_too_many.closed() == b""
        released.set()
        for guest in guests:
            assert (await guest.answer()).status == 200
    feed.script = None

    async def let_in() -> bool:
        async with conversation(narrow.port) as client:
            return (await client.ask("GET", "/v2/status")).status == 200

    await until_so(let_in)


async def sent_until_held(client: Conversation, request: bytes, most: int) -> int:
    """Send requests, reading nothing, until the gateway takes no more for half a second; how many bytes."""
    client.writer.transport.set_write_buffer_limits(0)
    sent = 0
    with suppress(TimeoutError):
        while sent < most:
            async with asyncio.timeout(0.5):
                await client.send(request * 500)
            sent += len(request) * 500
    return sent


async def test_what_a_client_asks_without_reading_stays_in_its_own_buffers(
    tmp_path: Path, feed: Feed
) -> None:
    request = b"GET /v2/nowhere HTTP/1.1\r\n" + HOST + b"\r\n"
    async with running_plane(tmp_path, feed.port, routes=ROUTES) as plane, conversation(plane.port) as client:
        assert await sent_until_held(client, request, most=128 << 20) < 32 << 20
        assert all(len(connection.waiting) < 1 << 20 for connection in plane.worker._listener.connections)
        statuses = {(await client.answer()).status for _ in range(2000)}
        assert statuses == {401}


async def test_a_client_that_never_reads_is_cut_off(narrow: PlaneUnderTest) -> None:
    async with conversation(narrow.port) as client:
        with suppress(ConnectionError):
            await sent_until_held(client, b"GET /v2/nowhere HTTP/1.1\r\n" + HOST + b"\r\n", most=128 << 20)
        await until(lambda: not narrow.worker.snapshot()["values"]["gateway_connections"][0][1])


async def test_a_client_that_reads_late_gets_every_answer_in_order(tmp_path: Path, feed: Feed) -> None:
    count = 3000
    async with running_plane(tmp_path, feed.port, routes=ROUTES) as plane, conversation(plane.port) as client:
        asking = asyncio.create_task(
            client.send(
                *(b"GET /v2/nowhere/%d HTTP/1.1\r\n" % n + HOST + b"\r\n" for n in range(count)),
                b"GET /v2/status HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
            )
        )
        statuses = [(await client.answer()).status for _ in range(count + 1)]
        await asking
        with pytest.raises(CutShortError):
            await client.answer()
    assert statuses == [401] * count + [200]
