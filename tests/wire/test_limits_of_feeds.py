"""How many requests a feed is given at a time; and that each gives its place back, however it ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from conversations import Answered, Conversation, CutShortError, ask, conversation
from feeds import OK, Feed, Script, running_feed
from gateways import PlaneUnderTest, running_plane
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripts import faults, read_head, records, reset, turns
from waiting import until, until_so

from gateway.forward.room import Room

LIMIT = 3
FEED = f"max_in_flight: {LIMIT}\ntimeouts: {{connect: 300ms, response: 300ms, idle: 300ms}}"
MAIN = "limits: {body_idle_timeout: 300ms, body: 1KiB}"


@pytest.fixture
async def plane(tmp_path: Path, feed: Feed) -> AsyncIterator[PlaneUnderTest]:
    async with running_plane(tmp_path, feed.port, feed=FEED, main=MAIN) as plane:
        yield plane


def room_of(plane: PlaneUnderTest) -> Room:
    room = plane.worker._plane.upstreams["test"].room
    assert room is not None
    return room


class Waiting:
    """A feed that answers when told to."""

    def __init__(self, feed: Feed) -> None:
        self.go_on = asyncio.Event()
        self._feed = feed
        feed.script = self.script

    async def script(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read requests, and hold their answers."""
        while await self._feed.read_request(reader, writer) is not None:
            await self.go_on.wait()
            writer.write(OK)


def refused(answer: Answered) -> None:
    assert (answer.status, answer.code) == (503, "overloaded")
    assert (answer.value("Retry-After"), answer.value("Connection")) == ("1", None)
    assert "feed" in answer.problem["detail"]


@pytest.mark.parametrize("path", ["/v2/courses", "/v2/status"])
async def test_a_request_too_many_is_refused_before_anything_is_sent(
    tmp_path: Path, feed: Feed, path: str
) -> None:
    waiting = Waiting(feed)
    async with (
        running_plane(tmp_path, feed.port, feed=f"max_in_flight: {LIMIT}") as plane,
        AsyncExitStack() as crowd,
    ):
        key = f"X-API-Key: {await plane.key('api-v2')}"
        guests = [await crowd.enter_async_context(conversation(plane.port)) for _ in range(LIMIT)]
        asking = [asyncio.create_task(guest.ask("GET", path, key)) for guest in guests]
        await feed.until(lambda feed: len(feed.requests) == LIMIT)
        async with conversation(plane.port) as client:
            for _ in range(3):  # the connection is as good as before
                refused(await client.ask("GET", path, key))
            refused(await client.ask("POST", "/v2/courses", key, body=b"a" * 100))
            assert (await client.ask("GET", "/v2/courses")).status == 401
            waiting.go_on.set()
            assert [(await answer).status for answer in asking] == [200] * LIMIT
            assert (await client.ask("GET", path, key)).status == 200
        assert len(feed.requests) == LIMIT + 1
        assert feed.connections == LIMIT
        codes = [r["code"] for r in await records(plane, 2 * LIMIT + 3) if r["status"] == 503]
        assert codes == ["overloaded"] * 4
        assert faults(plane) == {}
        assert room_of(plane).taken == 0


async def test_a_burst_is_given_no_more_room_than_there_is(plane: PlaneUnderTest, feed: Feed) -> None:
    """All of them come before any connection to the feed is there."""
    Waiting(feed).go_on.set()
    key = f"X-API-Key: {await plane.key('api-v2')}"
    assert (await ask(plane.port, "GET", "/v2/courses", key)).status == 200
    async with AsyncExitStack() as crowd:
        guests = [await crowd.enter_async_context(conversation(plane.port)) for _ in range(20)]
        answers = await asyncio.gather(*(guest.ask("GET", "/v2/courses", key) for guest in guests))
    assert {answer.status for answer in answers} <= {200, 503}
    assert feed.connections <= LIMIT
    assert room_of(plane).taken == 0


async def closes(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await read_head(reader)


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_head(reader)
    reset(writer)


async def talks_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_head(reader)
    writer.write(b"220 mail.example.com ESMTP\r\n\r\n")


async def is_silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def cuts_its_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_head(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")


async def stalls_in_its_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_head(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
    await reader.read()


async def answers_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_head(reader)
    writer.write(OK)
    await reader.read()


async def answers_and_closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_head(reader)
    writer.write(b"HTTP/1.1 200 OK\r\n\r\nhello")


SCRIPTS: list[Script | None] = [
    *(closes, resets, talks_nonsense, is_silent, cuts_its_answer, stalls_in_its_answer),
    *(answers_early, answers_and_closes, None),
]
SENT = {
    "a request": b"GET /v2/courses HTTP/1.1\r\nHost: x\r\n{key}\r\n\r\n",
    "three at once": b"GET /v2/courses HTTP/1.1\r\nHost: x\r\n{key}\r\n\r\n" * 3,
    "a body": b"POST /v2/courses HTTP/1.1\r\nHost: x\r\n{key}\r\nContent-Length: 3\r\n\r\nabc",
    "half a body": b"POST /v2/courses HTTP/1.1\r\nHost: x\r\n{key}\r\nContent-Length: 9\r\n\r\nabc",
    "a broken body": b"POST /v2/courses HTTP/1.1\r\nHost: x\r\n{key}\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n",
    "too large a body": b"POST /v2/courses HTTP/1.1\r\nHost: x\r\n{key}\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n800\r\n" + b"a" * 2048 + b"\r\n0\r\n\r\n",
    "no credential": b"GET /v2/courses HTTP/1.1\r\nHost: x\r\n\r\n",
}


End = Callable[[Conversation], Awaitable[None]]


async def waits_for_the_end(client: Conversation) -> None:
    with suppress(CutShortError, TimeoutError):
        await client.answer("GET", within=2)


async def leaves(client: Conversation) -> None:
    client.writer.close()


async def leaves_with_a_reset(client: Conversation) -> None:
    client.reset()


async def says_no_more(client: Conversation) -> None:
    client.end()
    await waits_for_the_end(client)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: getattr(script, "__name__", "answers"))
async def test_every_place_is_given_back_however_exchanges_end(
    plane: PlaneUnderTest, feed: Feed, script: Script | None
) -> None:
    key = f"X-API-Key: {await plane.key('api-v2')}".encode()
    room = room_of(plane)
    feed.script = script

    async def one(sent: bytes, end: End) -> None:
        async with conversation(plane.port) as client:
            await client.send(sent.replace(b"{key}", key))
            await end(client)

    ends = (waits_for_the_end, leaves, leaves_with_a_reset, says_no_more)
    await asyncio.gather(*(one(sent, end) for sent in SENT.values() for end in ends))
    await until(lambda: room.taken == 0)
    feed.script = None

    async def served() -> bool:
        """Connections that still rest were made by the script before."""
        return (await ask(plane.port, "GET", "/v2/courses", key.decode())).status == 200

    await until_so(served)
    assert room.taken == 0


async def test_places_are_given_back_when_the_feed_cannot_be_reached(
    tmp_path: Path, closed_port: int
) -> None:
    async with running_plane(tmp_path, closed_port, feed=FEED) as plane:
        key = f"X-API-Key: {await plane.key('api-v2')}"
        for _ in range(2 * LIMIT):
            assert (await ask(plane.port, "GET", "/v2/courses", key)).status == 502
        async with conversation(plane.port) as client:
            await client.send(f"GET /v2/courses HTTP/1.1\r\nHost: x\r\n{key}\r\n\r\n".encode())
            client.reset()
        await until(lambda: room_of(plane).taken == 0)


MOVES = st.tuples(
    st.sampled_from(sorted(SENT)),
    st.sampled_from((waits_for_the_end, leaves, leaves_with_a_reset, says_no_more)),
    st.integers(0, 3),
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(scripts=st.lists(st.sampled_from(SCRIPTS), min_size=1, max_size=8), moves=st.lists(MOVES, max_size=12))
async def test_places_taken_are_never_more_than_there_are_and_none_stays_taken(
    scripts: list[Script | None], moves: list[tuple[str, End, int]]
) -> None:
    """Whatever clients send and however they leave, whatever the feed does on each of its connections."""
    with TemporaryDirectory() as directory:
        async with (
            running_feed() as feed,
            running_plane(Path(directory), feed.port, feed=FEED, main=MAIN) as plane,
        ):
            key = f"X-API-Key: {await plane.key('api-v2')}".encode()
            room = room_of(plane)
            most = 0

            async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                nonlocal most
                most = max(most, room.taken)
                script = scripts[feed.connections % len(scripts)]
                if script is not None:
                    await script(reader, writer)
                    return
                while await feed.read_request(reader, writer) is not None:
                    writer.write(OK)

            async def one(sent: str, end: End, later: int) -> None:
                await turns(later * 10)
                async with conversation(plane.port) as client:
                    with suppress(ConnectionError):
                        await client.send(SENT[sent].replace(b"{key}", key))
                        await end(client)

            feed.script = behave
            await asyncio.gather(*(one(*move) for move in moves))
            await until(lambda: room.taken == 0)
            assert most <= LIMIT
