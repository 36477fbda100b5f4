"""A feed is not trusted either: what it says too much, too early or too often answers nobody else."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from time import process_time
from typing import Final

import pytest
from conversations import conversation
from feeds import Feed, Received
from gateways import PlaneUnderTest, running_plane
from scripts import faults, in_pieces, read_head, reset, settled, turns

POISON: Final = b"HTTP/1.1 200 OK\r\nX-Poison: 1\r\nContent-Length: 6\r\n\r\npoison"
TOO_MUCH: Final = {
    "a body for HEAD": ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(POISON)),
    "chunks for HEAD": ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "a body for 204": ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: %d\r\n\r\n" % len(POISON)),
    "a body for 304": ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: %d\r\n\r\n" % len(POISON)),
    "more than its length": ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    "more than its chunks": (
        "GET",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ),
    "two answers": ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
}


@pytest.fixture
async def key(plane: PlaneUnderTest) -> str:
    return f"X-API-Key: {await plane.key('api-v2')}"


def own_answer(asked: Received) -> bytes:
    """The feed's honest answer: who was asked for."""
    body = asked.target.encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@pytest.mark.parametrize("later", [0, 1])
@pytest.mark.parametrize(("method", "said"), TOO_MUCH.values(), ids=TOO_MUCH.keys())
async def test_what_a_feed_says_too_much_is_the_answer_to_nobodys_request(
    plane: PlaneUnderTest, feed: Feed, key: str, method: str, said: bytes, later: int
) -> None:
    """The surplus comes with the answer, or just behind it: before the connection serves another request."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (asked := await feed.read_request(reader, writer)) is not None:
            if asked.target != "/v2/courses/bad":
                writer.write(own_answer(asked))
            elif later:
                writer.write(said)
                await turns(later)
                writer.write(POISON)
            else:
                writer.write(said + POISON)

    feed.script = script
    async with conversation(plane.port) as first, conversation(plane.port) as second:
        for number in range(10):
            await first.ask(method, "/v2/courses/bad", key)
            for client in (first, second):
                answer = await client.ask("GET", f"/v2/courses/{number}", key)
                assert answer.value("X-Poison") is None
                assert (answer.status, answer.body) == (200, f"/v2/courses/{number}".encode())


async def test_an_answer_given_before_any_request_is_told_to_one_client_at_most(
    plane: PlaneUnderTest, feed: Feed, key: str
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(POISON)
        while (asked := await feed.read_request(reader, writer)) is not None:
            writer.write(own_answer(asked))

    feed.script = script
    async with conversation(plane.port) as client:
        for number in range(6):
            answer = await client.ask("GET", f"/v2/courses/{number}", key)
            assert answer.body in {b"poison", f"/v2/courses/{number}".encode()} or answer.status == 502
        # each connection that spoke out of turn served one request at the most
        assert feed.connections >= 6


HEADS: Final = {
    "one head without end": b"HTTP/1.1 200 OK\r\nX: " + b"a" * (1 << 20),
    "fields without end": b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * (1 << 17),
    "a status line without end": b"HTTP/1.1 200 " + b"a" * (1 << 20),
    "interim answers without end": b"HTTP/1.1 103 Early Hints\r\n\r\n" * (1 << 15),
    "large interim answers": (b"HTTP/1.1 103 Early Hints\r\nLink: " + b"a" * 60_000 + b"\r\n\r\n") * 40,
    "line ends without end": b"\r\n" * (1 << 19),
    "NULs": b"\0" * (1 << 20),
}


@pytest.mark.parametrize("said", HEADS.values(), ids=HEADS.keys())
async def test_a_head_that_never_ends_is_given_up_early_and_is_a_fault(
    plane: PlaneUnderTest, feed: Feed, key: str, said: bytes
) -> None:
    taken = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        await read_head(reader)
        try:
            for at in range(0, len(said), 4096):
                writer.write(said[at : at + 4096])
                await writer.drain()
                await turns(2)
                taken = at
        except ConnectionError:
            return

    feed.script = script
    async with conversation(plane.port) as client:
        answer = await client.ask("GET", "/v2/courses", key)
        assert (answer.status, answer.code) == (502, "upstream_invalid")
        assert len(answer.interim) <= 16
        assert (await client.ask("GET", "/v2/nowhere", key)).status == 404
    assert faults(plane) == {"invalid": 1}
    assert taken < len(said) - 4096


HOPELESS: Final = {
    "line feeds alone": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "a line feed at the end": b"HTTP/1.1 204 No Content\r\n\n\r\n",
    "a carriage return alone": b"HTTP/1.1 200 OK\r\nX: a\rY: b\r\n",
    "a NUL": b"HTTP/1.1 200 OK\r\nX: \0",
    "after an interim answer": b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\nX: a",
}


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("said", HOPELESS.values(), ids=HOPELESS.keys())
async def test_a_head_that_can_no_longer_become_one_is_not_waited_for(
    plane: PlaneUnderTest, feed: Feed, key: str, said: bytes, size: int
) -> None:
    over = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        await in_pieces(writer, [said[at : at + size] for at in range(0, len(said), size)])
        await over.wait()

    feed.script = script
    async with conversation(plane.port) as client:
        answer = await client.ask("GET", "/v2/courses", key)
        over.set()
    assert (answer.status, answer.code) == (502, "upstream_invalid")
    assert faults(plane) == {"invalid": 1}


async def test_a_head_in_single_bytes_costs_no_more_than_its_bytes(
    plane: PlaneUnderTest, feed: Feed, key: str
) -> None:
    """Twice the bytes, about twice the work: nothing is read again from its beginning."""
    sizes = {"/v2/courses/1": 8_000, "/v2/courses/2": 32_000}

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (asked := await feed.read_request(reader, writer)) is not None:
            said = b"HTTP/1.1 200 OK\r\nX: " + b"a" * sizes[asked.target] + b"\r\nContent-Length: 0\r\n\r\n"
            await in_pieces(writer, [said[at : at + 1] for at in range(len(said))])

    feed.script = script
    spent = {}
    async with conversation(plane.port) as client:
        for path in sizes:
            before = process_time()
            assert (await client.ask("GET", path, key)).status == 200
            spent[path] = process_time() - before
    assert spent["/v2/courses/2"] < 8 * spent["/v2/courses/1"]


@pytest.mark.parametrize("status", [200, 401, 413, 500])
async def test_a_feed_that_answers_early_and_leaves_is_heard(
    plane: PlaneUnderTest, feed: Feed, key: str, status: int
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 %d Early\r\nContent-Length: 5\r\n\r\nearly" % status)

    feed.script = script
    async with conversation(plane.port) as client:
        head = f"POST /v2/courses HTTP/1.1\r\nHost: x\r\n{key}\r\nContent-Length: 4000000\r\n\r\n"
        await client.send(head.encode(), b"a" * 4096)
        answer = await client.answer("POST")
        assert (answer.status, answer.body, answer.value("Connection")) == (status, b"early", "close")


@pytest.fixture
async def short(tmp_path: Path, feed: Feed) -> AsyncIterator[PlaneUnderTest]:
    timeouts = "timeouts: {connect: 500ms, response: 300ms, idle: 300ms}"
    async with running_plane(tmp_path, feed.port, feed=timeouts) as plane:
        yield plane


async def test_interim_answers_do_not_buy_a_feed_more_time(short: PlaneUnderTest, feed: Feed) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        reading = asyncio.create_task(reader.read())
        for _ in range(15):
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
            await asyncio.wait({reading}, timeout=0.1)
        await reading

    feed.script = script
    async with conversation(short.port) as client:
        answer = await client.ask("GET", "/v2/courses", f"X-API-Key: {await short.key('api-v2')}")
        assert (answer.status, answer.code) == (504, "upstream_timeout")
        assert 1 <= len(answer.interim) < 15


async def test_nothing_stays_of_feeds_that_fail(short: PlaneUnderTest, feed: Feed) -> None:
    """No connection, no count and no task is left behind by any of the ways to fail."""
    key = f"X-API-Key: {await short.key('api-v2')}"
    says = (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhe", POISON * 2, b"garbage\r\n\r\n")

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        number = feed.connections % (2 * len(says))
        writer.write(says[number // 2])
        await turns(2)
        if number % 2:
            reset(writer)

    feed.script = script
    for _ in range(4 * len(says)):
        async with conversation(short.port) as client:
            await client.send(f"GET /v2/courses HTTP/1.1\r\nHost: x\r\n{key}\r\n\r\n".encode())
            await client.reader.read(1 << 16)
    upstream = short.worker._plane.upstreams["test"]
    (address,) = upstream._addresses
    await settled(lambda: not (address.outstanding or address.resting or upstream._connecting))
