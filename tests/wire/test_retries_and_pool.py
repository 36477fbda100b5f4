"""Connections to a feed: which are used again, what is sent again, and what never is."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from conversations import Conversation, conversation
from feeds import OK, Feed, Script
from gateways import ROUTES, PlaneUnderTest, running_plane
from scripts import faults, in_pieces, read_head, records, reset, saying, settled, turns

POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
FRESH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfresh"


def request(method: str, key: str, *headers: str, path: str = "/v2/courses/1", body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: feeds.test", f"X-API-Key: {key}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def shut_down(writer: asyncio.StreamWriter) -> None:
    """End a connection now, not in a later turn of the loop."""
    with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as sock:
        sock.shutdown(socket.SHUT_RDWR)


def write_now(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Write now, not in a later turn of the loop."""
    os.write(writer.get_extra_info("socket").fileno(), data)


class Breaking:
    """A feed that answers the first request of its first connection, and then breaks that connection.

    The second request's head is read, `last_words` are said, and the connection ends as `how` says.
    From the second connection on it answers; `heads` has the heads of the requests that met the end.
    """

    def __init__(self, feed: Feed, how: Callable[[asyncio.StreamWriter], None] | None = None) -> None:
        self.heads: list[bytes] = []
        self.last_words = b""
        self.broken = 0
        self.times = 1
        self._feed = feed
        self._how = how
        feed.script = self.script

    async def script(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak on one connection."""
        feed = self._feed
        if feed.connections == 1:
            await feed.read_request(reader, writer)
            await in_pieces(writer, [OK])
        if self.broken < self.times:
            self.heads.append(await read_head(reader))
            self.broken += 1
            if self.last_words:
                await in_pieces(writer, [self.last_words])
            if self._how is not None:
                self._how(writer)
            return
        await saying(feed, FRESH)(reader, writer)


@asynccontextmanager
async def with_a_used_connection(plane: PlaneUnderTest, key: str) -> AsyncIterator[Conversation]:
    """A client whose first request has left a connection to the feed behind."""
    async with conversation(plane.port) as client:
        assert (await client.ask("GET", "/v2/courses", f"X-API-Key: {key}")).status == 200
        yield client


@pytest.fixture
async def plane(tmp_path: Path, feed: Feed) -> AsyncIterator[PlaneUnderTest]:
    routes = ROUTES.replace('/{id}", module: courses', '/{id}", module: courses, actions: {OPTIONS: read}')
    async with running_plane(tmp_path, feed.port, routes=routes) as plane:
        yield plane


async def test_a_connection_is_used_again_by_any_client(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    for _ in range(5):
        async with conversation(plane.port) as client:
            await client.ask("GET", "/v2/courses", f"X-API-Key: {full_key}")
            await client.ask("POST", "/v2/courses", f"X-API-Key: {full_key}", body=b"x")
    assert feed.connections == 1


async def test_requests_at_once_have_a_connection_each_and_later_ones_use_those_again(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    together = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await feed.read_request(reader, writer) is not None:
            await together.wait()
            writer.write(OK)

    feed.script = script

    async def one() -> None:
        async with conversation(plane.port) as client:
            assert (await client.ask("GET", "/v2/courses", f"X-API-Key: {full_key}")).status == 200

    asking = [asyncio.create_task(one()) for _ in range(20)]
    await feed.until(lambda feed: len(feed.requests) == 20)
    together.set()
    await asyncio.gather(*asking)
    assert feed.connections == 20
    await asyncio.gather(*(one() for _ in range(20)))
    assert feed.connections == 20


@pytest.mark.parametrize("how", [None, reset], ids=["closed", "reset"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
async def test_what_may_be_sent_twice_is_when_a_used_connection_closed_before_the_first_byte(
    plane: PlaneUnderTest,
    feed: Feed,
    full_key: str,
    method: str,
    how: Callable[[asyncio.StreamWriter], None] | None,
) -> None:
    breaking = Breaking(feed, how)
    async with with_a_used_connection(plane, full_key) as client:
        await client.send(request(method, full_key))
        answer = await client.answer(method)
    assert (answer.status, answer.body) == (200, b"" if method == "HEAD" else b"fresh")
    assert [asked.head for asked in feed.requests[1:]] == breaking.heads
    assert feed.connections == 2
    assert faults(plane) == {}
    _, record = await records(plane, 2)
    assert (record["outcome"], record["status"]) == ("permit", 200)


@pytest.mark.parametrize("how", [None, reset], ids=["closed", "reset"])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_what_may_not_be_sent_twice_is_not(
    plane: PlaneUnderTest,
    feed: Feed,
    full_key: str,
    method: str,
    how: Callable[[asyncio.StreamWriter], None] | None,
) -> None:
    breaking = Breaking(feed, how)
    async with with_a_used_connection(plane, full_key) as client:
        await client.send(request(method, full_key, "Content-Length: 0"))
        answer = await client.answer(method)
    assert (answer.status, answer.code) == (502, "upstream_unreachable")
    assert (len(breaking.heads), len(feed.requests), feed.connections) == (1, 1, 1)
    assert faults(plane) == {"reset": 1}


async def test_a_request_is_sent_again_once_and_no_more(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    breaking = Breaking(feed)
    breaking.times = 10
    async with with_a_used_connection(plane, full_key) as client:
        answer = await client.ask("GET", "/v2/courses", f"X-API-Key: {full_key}")
    assert (answer.status, answer.code) == (502, "upstream_unreachable")
    assert len(breaking.heads) == 2
    assert faults(plane) == {"reset": 1}


async def test_nothing_is_sent_again_after_a_fresh_connection_closed(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    heads: list[bytes] = []

    async def script(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        heads.append(await read_head(reader))

    feed.script = script
    async with conversation(plane.port) as client:
        answer = await client.ask("GET", "/v2/courses", f"X-API-Key: {full_key}")
    assert (answer.status, len(heads)) == (502, 1)


@pytest.mark.parametrize("last_words", [b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
async def test_nothing_is_sent_again_after_the_first_byte_of_an_answer(
    plane: PlaneUnderTest, feed: Feed, full_key: str, last_words: bytes
) -> None:
    breaking = Breaking(feed)
    breaking.last_words = last_words
    async with with_a_used_connection(plane, full_key) as client:
        answer = await client.ask("GET", "/v2/courses", f"X-API-Key: {full_key}")
    assert (answer.status, answer.code) == (502, "upstream_unreachable")
    assert feed.connections == 1


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        ("Content-Length: 4", b"body"),
        ("Content-Length: 400", b"body"),
        ("Transfer-Encoding: chunked", b"4\r\nbody\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", b"4\r\nbody\r\n"),
    ],
)
async def test_nothing_is_sent_again_of_which_a_body_was_sent(
    plane: PlaneUnderTest, feed: Feed, full_key: str, framing: str, body: bytes
) -> None:
    breaking = Breaking(feed)
    async with with_a_used_connection(plane, full_key) as client:
        await client.send(request("PUT", full_key, framing, body=body))
        answer = await client.answer("PUT")
    assert (answer.status, answer.code) == (502, "upstream_unreachable")
    assert (len(breaking.heads), feed.connections) == (1, 1)


async def test_a_body_that_was_not_begun_goes_to_the_second_connection_whole(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    breaking = Breaking(feed)
    async with with_a_used_connection(plane, full_key) as client:
        await client.send(request("PUT", full_key, "Content-Length: 4", "Expect: 100-continue"))
        await settled(lambda: breaking.broken == 1)
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"body")
        assert (await client.answer("PUT")).status == 200
    assert feed.requests[1].body == b"body"


@pytest.mark.parametrize("later", range(14))
@pytest.mark.parametrize(
    ("framing", "pieces"),
    [
        ("Content-Length: 8", (b"first", b"and")),
        ("Transfer-Encoding: chunked", (b"5\r\nfirst\r\n", b"3\r\nand\r\n0\r\n\r\n")),
    ],
    ids=["length", "chunked"],
)
async def test_a_body_that_begins_while_its_request_is_sent_again_loses_nothing(
    plane: PlaneUnderTest, feed: Feed, full_key: str, framing: str, pieces: tuple[bytes, ...], later: int
) -> None:
    """The body's first piece arrives some turns of the loop after the first connection's end."""
    ended = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if feed.connections > 1:
            return await saying(feed, FRESH)(reader, writer)
        await feed.read_request(reader, writer)
        await in_pieces(writer, [OK])
        await read_head(reader)
        shut_down(writer)
        await turns(later)
        ended.set()
        return None

    feed.script = script
    async with with_a_used_connection(plane, full_key) as client:
        await client.send(request("PUT", full_key, framing))
        await ended.wait()
        write_now(client.writer, pieces[0])
        await client.send(*pieces[1:])
        answer = await client.answer("PUT")
    if answer.status == 200:
        assert [asked.body for asked in feed.requests[1:]] == [b"firstand"]
    else:
        assert (answer.code, len(feed.requests)) == ("upstream_unreachable", 1)


@pytest.mark.parametrize(("method", "connections"), [("GET", 1), ("POST", 2)])
async def test_a_request_that_may_not_be_sent_twice_trusts_no_connection_that_rested_long(
    plane: PlaneUnderTest, feed: Feed, full_key: str, method: str, connections: int
) -> None:
    async with with_a_used_connection(plane, full_key) as client:
        await asyncio.sleep(2.2)  # that time passes is what is tested
        await client.ask(method, "/v2/courses", f"X-API-Key: {full_key}", body=b"")
    assert feed.connections == connections


async def test_a_connection_that_the_feed_closed_at_rest_costs_no_request(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    feed.script = saying(feed, OK, closing=True)
    async with conversation(plane.port) as client:
        for count in range(1, 4):
            answer = await client.ask("POST", "/v2/courses", f"X-API-Key: {full_key}", body=b"x")
            assert (answer.status, feed.connections) == (200, count)
            await turns()
    assert faults(plane) == {}


NOT_KEPT = {
    "it says close": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    "it says close among others": b"HTTP/1.1 200 OK\r\nConnection: x, CLOSE\r\nContent-Length: 2\r\n\r\nok",
    "it is HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "it is chunked and says close": (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    ),
}


@pytest.mark.parametrize("said", NOT_KEPT.values(), ids=NOT_KEPT.keys())
async def test_a_connection_is_not_used_again_when_the_feed_does_not_keep_it(
    plane: PlaneUnderTest, feed: Feed, full_key: str, said: bytes
) -> None:
    feed.script = saying(feed, said)
    async with conversation(plane.port) as client:
        for count in range(1, 3):
            answer = await client.ask("GET", "/v2/courses", f"X-API-Key: {full_key}")
            assert (answer.status, answer.body, feed.connections) == (200, b"ok", count)


TOO_MUCH = {
    "after a length": ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    "after a length of none": ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "after the last chunk": ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "after a 204": ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
    "after a 304": ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 49\r\n\r\n"),
    "after the answer to HEAD": ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 49\r\n\r\n"),
}


@pytest.mark.parametrize("cut", [1, 20, len(POISON)])
@pytest.mark.parametrize(("method", "said"), TOO_MUCH.values(), ids=TOO_MUCH.keys())
async def test_bytes_after_the_end_of_an_answer_answer_nobody(
    plane: PlaneUnderTest, feed: Feed, full_key: str, method: str, said: bytes, cut: int
) -> None:
    """Some bytes too many are read with the answer, the others later; the next request already waits."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = feed.connections == 1
        everything, at = said + POISON, len(said) + cut
        await saying(feed, *([everything[:at], everything[at:]] if first else [FRESH]))(reader, writer)

    feed.script = script
    async with conversation(plane.port) as client:
        await client.send(request(method, full_key) + request("GET", full_key))
        first = await client.answer(method)
        assert (first.status, first.body) == (int(said[9:12]), b"ok" if said.endswith(b"ok") else b"")
        assert (await client.answer()).body == b"fresh"
        async with conversation(plane.port) as other:
            assert (await other.ask("GET", "/v2/courses", f"X-API-Key: {full_key}")).body == b"fresh"
    assert feed.connections == 2


async def test_bytes_on_a_connection_at_rest_end_it(plane: PlaneUnderTest, feed: Feed, full_key: str) -> None:
    ended = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if feed.connections > 1:
            return await saying(feed, FRESH)(reader, writer)
        await feed.read_request(reader, writer)
        await in_pieces(writer, [OK, *[b""] * 20, POISON])
        try:
            await reader.read()
        finally:
            ended.set()
        return None

    feed.script = script
    async with with_a_used_connection(plane, full_key):
        await asyncio.wait_for(ended.wait(), 5)
    async with conversation(plane.port) as client:
        assert (await client.ask("GET", "/v2/courses", f"X-API-Key: {full_key}")).body == b"fresh"
    assert feed.connections == 2


@pytest.mark.parametrize("turns", range(3))
async def test_bytes_that_came_before_a_request_left_do_not_answer_it(
    plane: PlaneUnderTest, feed: Feed, full_key: str, turns: int
) -> None:
    """A request and the leftover of the answer before it reach the gateway in the same turn of the loop."""
    go_on = asyncio.Event()
    other: list[Conversation] = []

    def script() -> Script:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if feed.connections > 1:
                return await saying(feed, FRESH)(reader, writer)
            await feed.read_request(reader, writer)
            await in_pieces(writer, [OK])
            await go_on.wait()
            os.write(other[0].writer.get_extra_info("socket").fileno(), request("GET", full_key))
            os.write(writer.get_extra_info("socket").fileno(), POISON)
            await reader.read()
            return None

        return speak

    feed.script = script()
    async with with_a_used_connection(plane, full_key), conversation(plane.port) as client:
        other.append(client)
        for _ in range(turns):
            await asyncio.sleep(0.01)
        go_on.set()
        assert (await client.answer()).body == b"fresh"
