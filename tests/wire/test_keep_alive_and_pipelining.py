"""One connection, many requests: each gets its own answer, in the order they were asked."""

import asyncio
from pathlib import Path

import pytest
from conversations import CutShortError, conversation
from feeds import Feed, Received
from gateways import PlaneUnderTest, running_plane
from writings import WAYS, write

HOST = "Host: feeds.test\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"


def echo(request: Received) -> bytes:
    """Answers with what was asked, so that a wrong answer shows."""
    said = f"{request.method} {request.target} {request.body.decode()}".encode()
    return OK % (len(said), said)


def asked(method: str, target: str, key: str = "", body: str = "", *more: str) -> bytes:
    """One request."""
    lines = [f"{method} {target} HTTP/1.1", "Host: feeds.test", *more]
    if key:
        lines.append(f"X-API-Key: {key}")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", body]).encode()


@pytest.fixture
async def writer_key(plane: PlaneUnderTest) -> str:
    await plane.scope("writer", read="courses", create="bookings", update="bookings")
    return await plane.key("writer")


def fifty(key: str) -> list[tuple[bytes, str, int, bytes]]:
    """Fifty requests of every kind: bytes, method, status, and the body of the answer if it is the feed's."""
    kinds = [
        lambda n: (asked("GET", f"/v2/courses/{n}", key), "GET", 200, f"GET /v2/courses/{n} ".encode()),
        lambda n: (
            asked("POST", f"/v2/bookings?n={n}", key, f"body {n}"),
            "POST",
            200,
            f"POST /v2/bookings?n={n} body {n}".encode(),
        ),
        lambda n: (asked("GET", f"/v2/users?n={n}", key), "GET", 403, b""),
        lambda n: (asked("HEAD", f"/v2/courses/{n}", key), "HEAD", 200, b""),
        lambda n: (asked("GET", f"/v2/nowhere/{n}", key), "GET", 404, b""),
        lambda n: (asked("PUT", "/v2/users", key, f"refused {n}"), "PUT", 403, b""),
        lambda n: (asked("GET", f"/v2/courses/{n}"), "GET", 401, b""),
        lambda n: (asked("HEAD", f"/v2/users?n={n}", key), "HEAD", 403, b""),
        lambda n: (asked("GET", f"/v2/status?n={n}"), "GET", 200, f"GET /v2/status?n={n} ".encode()),
        lambda n: (asked("GET", f"/v2//courses?n={n}", key), "GET", 400, b""),
    ]
    return [kinds[n % len(kinds)](n) for n in range(50)]


@pytest.mark.parametrize("way", WAYS)
async def test_fifty_pipelined_requests_are_answered_in_order(
    plane: PlaneUnderTest, feed: Feed, writer_key: str, way: str
) -> None:
    feed.answer = echo
    requests = fifty(writer_key)
    async with conversation(plane.port) as client:
        writing = asyncio.create_task(write(client, WAYS[way](b"".join(r[0] for r in requests))))
        for number, (_, method, status, body) in enumerate(requests):
            answer = await client.answer(method)
            assert answer.status == status, number
            if status == 200:
                assert answer.body == body
        await writing


async def test_requests_behind_a_body_far_ahead_of_their_turn_are_answered_in_order(
    plane: PlaneUnderTest, feed: Feed, writer_key: str
) -> None:
    feed.answer = lambda request: echo(request) if request.method == "GET" else OK % (2, b"ok")
    count, body = 400, "b" * 200_000
    ahead = [asked("GET", f"/v2/courses/{n}?{'a' * 500}", writer_key) for n in range(count)]
    assert sum(map(len, ahead)) > 3 * 65536
    async with conversation(plane.port) as client:
        writing = asyncio.create_task(
            client.send(asked("POST", "/v2/bookings", writer_key, body), b"".join(ahead))
        )
        assert (await client.answer("POST")).body == b"ok"
        for number in range(count):
            assert (await client.answer()).body.startswith(f"GET /v2/courses/{number}?".encode())
        await writing
    assert feed.requests[0].body == body.encode()


async def test_what_is_sent_ahead_of_a_slow_answer_is_held_and_not_lost(
    plane: PlaneUnderTest, feed: Feed, key: str
) -> None:
    released = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await feed.read_request(reader, writer)) is not None:
            await released.wait()
            writer.write(echo(request))

    feed.script = slow
    count = 2000
    async with conversation(plane.port) as client:
        writing = asyncio.create_task(
            client.send(*(asked("GET", f"/v2/courses/{n}?{'a' * 500}", key) for n in range(count)))
        )
        await feed.until(lambda feed: len(feed.requests) == 1)
        assert len(feed.requests) == 1
        released.set()
        for number in range(count):
            assert (await client.answer()).body.startswith(f"GET /v2/courses/{number}?".encode())
        await writing


async def test_headers_larger_than_what_may_wait_come_to_their_end_behind_a_slow_answer(
    tmp_path: Path, feed: Feed
) -> None:
    feed.answer = echo
    released = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await feed.read_request(reader, writer)) is not None:
            await released.wait()
            writer.write(echo(request))

    feed.script = slow
    async with running_plane(tmp_path, feed.port, main="limits: {headers: 256KiB}") as plane:
        large = asked("GET", "/v2/status?second", "", "", "A: " + "a" * 200_000)
        async with conversation(plane.port) as client:
            writing = asyncio.create_task(client.send(asked("GET", "/v2/status?first"), large))
            await feed.until(lambda feed: len(feed.requests) == 1)
            released.set()
            assert (await client.answer()).body == b"GET /v2/status?first "
            assert (await client.answer()).body == b"GET /v2/status?second "
            await writing


@pytest.mark.parametrize("size", [0, 1, 1000, 60_000])
async def test_a_refused_request_with_a_small_body_keeps_its_connection(
    plane: PlaneUnderTest, feed: Feed, key: str, size: int
) -> None:
    async with conversation(plane.port) as client:
        for _ in range(3):
            answer = await client.ask("POST", "/v2/bookings", f"X-API-Key: {key}", body=b"x" * size)
            assert (answer.status, answer.value("Connection")) == (403, None)
        assert (await client.ask("GET", "/v2/courses", f"X-API-Key: {key}")).status == 200
    assert [request.target for request in feed.requests] == ["/v2/courses"]


async def test_a_refused_body_that_looks_like_a_request_is_none(
    plane: PlaneUnderTest, feed: Feed, key: str
) -> None:
    inner = asked("GET", "/v2/courses/inner", key)
    head = asked("POST", "/v2/bookings", key, "", f"Content-Length: {len(inner)}")
    async with conversation(plane.port) as client:
        await client.send(head)
        assert (await client.answer("POST")).status == 403
        await client.send(inner)
        await client.send(asked("GET", "/v2/courses/outer", key))
        assert (await client.answer()).status == 200
    assert [request.target for request in feed.requests] == ["/v2/courses/outer"]


async def test_a_refused_body_in_chunks_that_came_whole_keeps_its_connection(
    plane: PlaneUnderTest, key: str
) -> None:
    head = asked("POST", "/v2/bookings", key, "", "Transfer-Encoding: chunked")
    async with conversation(plane.port) as client:
        await client.send(head + b"5\r\nhello\r\n0\r\n\r\n" + asked("GET", "/v2/courses", key))
        assert (await client.answer("POST")).status == 403
        assert (await client.answer()).status == 200


@pytest.mark.parametrize(
    "framing", ["Content-Length: 10000000", "Transfer-Encoding: chunked", "Content-Length: 70000"]
)
async def test_a_refused_request_with_a_large_body_is_answered_readably_and_then_closed(
    plane: PlaneUnderTest, feed: Feed, key: str, framing: str
) -> None:
    """Read only after all was sent: a reset would have thrown the answer away."""
    async with conversation(plane.port) as client:
        await client.send(asked("POST", "/v2/bookings", key, "", framing))
        for _ in range(64):
            await client.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n" if "chunked" in framing else b"x" * 1024)
            await asyncio.sleep(0)
        answer = await client.answer("POST")
        assert (answer.status, answer.code, answer.value("Connection")) == (403, "scope_denied", "close")
        assert await client.closed() == b""
    assert feed.requests == []


async def test_a_refused_request_that_waits_for_100_continue_gets_its_refusal_instead(
    plane: PlaneUnderTest, feed: Feed, key: str
) -> None:
    async with conversation(plane.port) as client:
        answer = await client.ask(
            "POST", "/v2/bookings", f"X-API-Key: {key}", "Expect: 100-continue", "Content-Length: 5"
        )
        assert (answer.status, answer.interim) == (403, ())
        assert answer.value("Connection") == "close"  # whether the body follows is not known
        assert await client.closed() == b""
    assert feed.raw == b""


@pytest.mark.parametrize(
    ("version", "header", "kept"),
    [
        ("1.1", "A: b", True),
        ("1.1", "Connection: keep-alive", True),
        ("1.1", "Connection: close", False),
        ("1.1", "Connection: CLOSE", False),
        ("1.1", "Connection: x, close", False),
        ("1.1", "Connection: keep-alive, close", False),
        ("1.0", "A: b", False),
        ("1.0", "Connection: keep-alive", True),
        ("1.0", "Connection: Keep-Alive, x", True),
        ("1.0", "Connection: keep-alive, close", False),
        ("1.0", "Keep-Alive: timeout=5", False),
    ],
)
@pytest.mark.parametrize(("path", "status"), [("/v2/status", 200), ("/v2/courses", 401)])
async def test_a_connection_is_kept_as_both_sides_say(
    plane: PlaneUnderTest,
    version: str,
    header: str,
    kept: bool,  # noqa: FBT001 - a column of the table
    path: str,
    status: int,
) -> None:
    async with conversation(plane.port) as client:
        request = f"GET {path} HTTP/{version}\r\n{HOST}{header}\r\n\r\n".encode()
        await client.send(request)
        answer = await client.answer()
        assert answer.status == status
        if not kept:
            assert answer.value("Connection") == "close"
            assert await client.closed() == b""
            return
        assert answer.value("Connection") == ("keep-alive" if version == "1.0" else None)
        await client.send(request)
        assert (await client.answer()).status == status


async def test_what_is_pipelined_behind_connection_close_is_not_answered(
    plane: PlaneUnderTest, feed: Feed
) -> None:
    async with conversation(plane.port) as client:
        await client.send(
            asked("GET", "/v2/status", "", "", "Connection: close") + asked("GET", "/v2/status?second")
        )
        assert (await client.answer()).status == 200
        with pytest.raises(CutShortError):
            await client.answer()
    assert len(feed.requests) == 1


async def test_many_connections_keep_their_answers_apart(plane: PlaneUnderTest, feed: Feed, key: str) -> None:
    feed.answer = echo

    async def talk(who: int) -> None:
        async with conversation(plane.port) as client:
            for n in range(20):
                answer = await client.ask("GET", f"/v2/courses/{who}-{n}", f"X-API-Key: {key}")
                assert answer.body == f"GET /v2/courses/{who}-{n} ".encode()

    await asyncio.gather(*(talk(who) for who in range(20)))
    assert feed.connections <= 20
