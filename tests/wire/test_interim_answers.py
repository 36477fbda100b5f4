"""Answers before the answer (RFC 9110 §15.2): who may say 100, when, and what else is passed on."""

import asyncio
from pathlib import Path
from time import monotonic

import pytest
from conversations import Conversation, conversation
from feeds import Feed
from gateways import PlaneUnderTest, running_plane
from scripts import faults, in_pieces, read_head, records, saying

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Hop: 1\r\nConnection: X-Hop\r\n\r\n"


def expecting(key: str, length: int = 4, *, version: str = "1.1", path: str = "/v2/courses") -> bytes:
    return (
        f"POST {path} HTTP/{version}\r\nHost: x\r\nX-API-Key: {key}\r\n"
        f"Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
    ).encode()


async def said_within(client: Conversation, seconds: float) -> bytes:
    """What the client is told in that time, which may be nothing."""
    try:
        async with asyncio.timeout(seconds):
            return await client.reader.read(1 << 16)
    except TimeoutError:
        return b""


async def test_the_client_is_told_to_go_on_by_the_feed_and_only_once(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    feed.answer = lambda _asked: OK
    async with conversation(plane.port) as client:
        await client.send(expecting(full_key))
        assert await client.reader.readexactly(len(CONTINUE)) == CONTINUE
        await client.send(b"body")
        answer = await client.answer("POST")
        assert (answer.status, answer.interim) == (200, ())
    (asked,) = feed.requests
    assert (asked.value("Expect"), asked.body) == ("100-continue", b"body")


async def test_a_client_that_does_not_wait_gets_no_100(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    feed.script = saying(feed, CONTINUE + OK)
    async with conversation(plane.port) as client:
        await client.send(expecting(full_key) + b"body")
        answer = await client.answer("POST")
    assert (answer.status, answer.interim) == (200, ())
    assert feed.requests[0].body == b"body"


async def test_a_client_told_to_go_on_has_the_bodys_own_time_to_do_so(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    feed.answer = lambda _asked: OK
    async with conversation(plane.port) as client:
        await client.send(expecting(full_key))
        assert await client.reader.readexactly(len(CONTINUE)) == CONTINUE
        assert await said_within(client, 1.6) == b""
        await client.send(b"body")
        assert (await client.answer("POST")).status == 200
    assert feed.requests[0].body == b"body"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v2/courses", "", 401),
        ("/v2/courses", "X-API-Key: sg_no\r\n", 401),
        ("/v2/users", "X-API-Key: {key}\r\n", 403),
        ("/v2/nowhere", "X-API-Key: {key}\r\n", 404),
        ("/v2//courses", "X-API-Key: {key}\r\n", 400),
    ],
)
async def test_nobody_is_told_to_go_on_before_a_refusal(
    plane: PlaneUnderTest, feed: Feed, key: str, path: str, headers: str, status: int
) -> None:
    async with conversation(plane.port) as client:
        await client.send(
            f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers.format(key=key)}"
            "Content-Length: 9\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        answer = await client.answer("POST")
        assert (answer.status, answer.interim) == (status, ())
        # nobody knows whether the nine bytes still come, so nothing can follow them
        assert answer.value("Connection") == "close"
    assert feed.connections == 0


async def test_a_feed_that_refuses_at_once_spares_the_client_the_body(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        assert await reader.read() == b""

    feed.script = script
    async with conversation(plane.port) as client:
        await client.send(expecting(full_key))
        answer = await client.answer("POST")
        assert (answer.status, answer.body, answer.interim) == (403, b"no", ())
        assert answer.value("Connection") == "close"
        assert await client.closed() == b""


async def test_after_a_second_of_silence_the_client_is_told_to_go_on_by_us(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert b"Expect: 100-continue\r\n" in await read_head(reader)
        assert await reader.readexactly(4) == b"body"
        writer.write(CONTINUE + OK)

    feed.script = script
    async with conversation(plane.port) as client:
        began = monotonic()
        await client.send(expecting(full_key))
        assert await client.reader.readexactly(len(CONTINUE)) == CONTINUE
        assert 0.9 <= monotonic() - began <= 3
        await client.send(b"body")
        assert (await client.answer("POST")).interim == ()


async def test_no_100_breaks_into_an_answer_that_has_begun(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    go_on = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 6\r\n\r\nsor")
        await go_on.wait()
        writer.write(b"ry!")
        await reader.read()

    feed.script = script
    async with conversation(plane.port) as client:
        await client.send(expecting(full_key))
        assert (await client.reader.readuntil(b"sor")).startswith(b"HTTP/1.1 400 ")
        assert await said_within(client, 2.2) == b""
        go_on.set()
        assert await client.closed() == b"ry!"


@pytest.mark.parametrize("feed_says_100", [True, False])
async def test_an_http_1_0_client_is_never_told_to_go_on(
    plane: PlaneUnderTest, feed: Feed, full_key: str, *, feed_says_100: bool
) -> None:
    """RFC 9110 §10.1.1: the expectation of an HTTP/1.0 client is ignored."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        if feed_says_100:
            writer.write(CONTINUE)
        await reader.readexactly(4)
        writer.write(OK)

    feed.script = script
    async with conversation(plane.port) as client:
        await client.send(expecting(full_key, version="1.0"))
        assert await said_within(client, 2.2) == b""
        await client.send(b"body")
        assert (await client.closed()).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("pieces", [(HINTS + HINTS + OK,), (HINTS, HINTS, OK), tuple(HINTS + HINTS + OK)])
async def test_early_hints_are_passed_on_without_what_is_for_one_hop(
    plane: PlaneUnderTest, feed: Feed, full_key: str, pieces: tuple[bytes | int, ...]
) -> None:
    feed.script = saying(feed, *(p if isinstance(p, bytes) else bytes([p]) for p in pieces))
    async with conversation(plane.port) as client:
        await client.send(f"GET /v2/courses HTTP/1.1\r\nHost: x\r\nX-API-Key: {full_key}\r\n\r\n".encode())
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
        assert await client.reader.readexactly(2 * len(hints)) == 2 * hints
        assert (await client.answer()).status == 200


async def test_an_http_1_0_client_gets_the_final_answer_alone(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    feed.script = saying(feed, HINTS, b"HTTP/1.1 102 Processing\r\n\r\n", OK)
    async with conversation(plane.port) as client:
        await client.send(f"GET /v2/courses HTTP/1.0\r\nHost: x\r\nX-API-Key: {full_key}\r\n\r\n".encode())
        assert (await client.closed()).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_an_interim_answer_has_no_length(plane: PlaneUnderTest, feed: Feed, full_key: str) -> None:
    """RFC 9110 §8.6: a reader that believed it would take the final answer's head for content."""
    feed.script = saying(feed, b"HTTP/1.1 103 Early Hints\r\nContent-Length: 60\r\nLink: x\r\n\r\n" + OK)
    async with conversation(plane.port) as client:
        await client.send(f"GET /v2/courses HTTP/1.1\r\nHost: x\r\nX-API-Key: {full_key}\r\n\r\n".encode())
        said = await client.reader.readuntil(b"\r\n\r\n")
        assert said == b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        assert (await client.answer()).body == b"ok"


@pytest.mark.parametrize(("number", "status"), [(16, 200), (17, 502)])
async def test_sixteen_interim_answers_are_enough(
    plane: PlaneUnderTest, feed: Feed, full_key: str, number: int, status: int
) -> None:
    feed.script = saying(feed, HINTS * number + OK)
    async with conversation(plane.port) as client:
        answer = await client.ask("GET", "/v2/courses", f"X-API-Key: {full_key}")
    assert (answer.status, answer.interim) == (status, (103,) * 16)
    assert faults(plane)["invalid"] == (status == 502)


async def test_a_feed_that_only_ever_says_interim_things_times_out(tmp_path: Path, feed: Feed) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        await reader.read()

    feed.script = script
    async with (
        running_plane(tmp_path, feed.port, feed="timeouts: {response: 300ms}") as plane,
        conversation(plane.port) as client,
    ):
        answer = await client.ask("GET", "/v2/courses", f"X-API-Key: {await plane.key('api-v2')}")
        assert (answer.status, answer.code, answer.interim) == (504, "upstream_timeout", (102,))


@pytest.mark.parametrize("upgrade", ["", "Upgrade: websocket\r\nConnection: Upgrade\r\n"])
async def test_switching_protocols_unasked_is_a_fault(
    plane: PlaneUnderTest, feed: Feed, full_key: str, upgrade: str
) -> None:
    feed.script = saying(feed, f"HTTP/1.1 101 Switching Protocols\r\n{upgrade}\r\nGET / ".encode())
    async with conversation(plane.port) as client:
        answer = await client.ask("GET", "/v2/courses", f"X-API-Key: {full_key}")
        assert (answer.status, answer.code) == (502, "upstream_invalid")
    (record,) = await records(plane, 1)
    assert (record["outcome"], record["status"]) == ("error", 502)


async def test_an_interim_answer_after_a_chunked_upload_began_does_not_disturb_it(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        await in_pieces(writer, [HINTS])
        assert (await reader.readuntil(b"0\r\n\r\n")).endswith(b"de\r\n0\r\n\r\n")
        writer.write(OK)

    feed.script = script
    async with conversation(plane.port) as client:
        await client.send(
            f"PUT /v2/courses/1 HTTP/1.1\r\nHost: x\r\nX-API-Key: {full_key}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 103 ")
        await client.send(b"3\r\nabc\r\n")
        await client.send(b"2\r\nde\r\n", b"0\r\n\r\n")
        assert (await client.answer("PUT")).status == 200
