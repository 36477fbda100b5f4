"""Bodies on their way to the feed and back: whole, in order, framed anew, and never finished when cut."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from conversations import Answered, conversation
from feeds import Feed, Received, running_feed
from gateways import PlaneUnderTest, running_plane
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripts import by_bytes, by_lines, faults, in_pieces, read_head, records, reset, turns, whole

MIB = 1 << 20


def head(key: str, *headers: str, method: str = "POST", path: str = "/v2/courses") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: feeds.test", f"X-API-Key: {key}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


UPLOADS = {
    "by length": ("Content-Length: 11", b"hello\r\n\r\n!!", b"hello\r\n\r\n!!", ("11", None)),
    "of length none": ("Content-Length: 0", b"", b"", ("0", None)),
    "without framing": ("X-Any: thing", b"", b"", (None, None)),
    "chunked": (
        "Transfer-Encoding: Chunked",
        b'5;a="b;c\\""\r\nhello\r\n00006;x\r\n world\r\n0;e=1\r\nX-Sum: 1\r\nX-Gateway-Principal: me\r\n\r\n',
        b"hello world",
        (None, "chunked"),
    ),
    "chunked and empty": ("Transfer-Encoding: chunked", b"0\r\n\r\n", b"", (None, "chunked")),
}
SPLITS = {"whole": whole, "byte by byte": by_bytes, "around every CRLF": by_lines}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET"])
@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS.keys())
@pytest.mark.parametrize(("framing", "sent", "body", "framed"), UPLOADS.values(), ids=UPLOADS.keys())
async def test_an_upload_reaches_the_feed_whole_with_a_framing_of_our_own(
    plane: PlaneUnderTest,
    feed: Feed,
    full_key: str,
    method: str,
    framing: str,
    sent: bytes,
    body: bytes,
    framed: tuple[str | None, str | None],
    split: Callable[[bytes], tuple[bytes, ...]],
) -> None:
    message = head(full_key, framing, "Trailer: X-Sum", method=method)
    async with conversation(plane.port) as client:
        for _ in range(2):
            await in_pieces(client.writer, split(message + sent))
            assert (await client.answer(method)).status == 200
    assert feed.connections == 1
    for asked in feed.requests:
        assert (asked.method, asked.body) == (method, body)
        assert (asked.value("Content-Length"), asked.value("Transfer-Encoding")) == framed
        assert asked.values("X-Sum") == asked.values("Trailer") == []
        assert asked.value("X-Gateway-Principal") == "key:1"
    assert b";x" not in feed.raw
    assert [r["bytes_in"] for r in await records(plane, 2)] == [len(body)] * 2


LIMITED = "limits: {body: 1KiB, body_idle_timeout: 500ms}"


@pytest.fixture
async def limited(tmp_path: Path, feed: Feed) -> AsyncIterator[PlaneUnderTest]:
    """A plane that takes bodies of 1 KiB, and waits half a second for each piece."""
    async with running_plane(tmp_path, feed.port, main=LIMITED) as plane:
        yield plane


class Unfinished:
    """A feed that reads a request to the connection's end, whatever comes."""

    def __init__(self, feed: Feed, say: bytes = b"") -> None:
        self.said = bytearray()
        self.ended = asyncio.Event()
        self._say = say
        feed.script = self.script

    async def script(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak on one connection."""
        self.said += await read_head(reader)
        if self._say:
            await in_pieces(writer, [self._say])
        try:
            while piece := await reader.read(1 << 16):
                self.said += piece
        finally:
            self.ended.set()

    async def body(self) -> bytes:
        """What came of the body, once the gateway has ended the connection."""
        await asyncio.wait_for(self.ended.wait(), 5)
        return bytes(self.said).partition(b"\r\n\r\n")[2]


async def test_an_upload_that_grows_beyond_the_limit_is_refused_and_never_finished(
    limited: PlaneUnderTest, feed: Feed
) -> None:
    unfinished = Unfinished(feed)
    key = await limited.key("api-v2")
    async with conversation(limited.port) as client:
        await client.send(head(key, "Transfer-Encoding: chunked"))
        await client.send(*[b"200\r\n" + b"x" * 512 + b"\r\n"] * 2)
        await client.send(b"1\r\nx\r\n0\r\n\r\n")
        answer = await client.answer("POST")
        assert (answer.status, answer.code) == (413, "body_too_large")
        assert answer.value("Connection") == "close"
        assert await client.closed() == b""
    body = await unfinished.body()
    assert body.count(b"x") <= 1024
    assert not body.endswith(b"0\r\n\r\n")
    (record,) = await records(limited, 1)
    assert (record["outcome"], record["status"], record["code"]) == ("refuse", 413, "body_too_large")
    assert faults(limited) == {}


async def test_an_upload_exactly_at_the_limit_is_not_too_large(limited: PlaneUnderTest, feed: Feed) -> None:
    key = await limited.key("api-v2")
    async with conversation(limited.port) as client:
        await client.send(
            head(key, "Transfer-Encoding: chunked") + b"400\r\n" + b"x" * 1024 + b"\r\n0\r\n\r\n"
        )
        assert (await client.answer("POST")).status == 200
        assert (await client.ask("POST", "/v2/courses", f"X-API-Key: {key}", body=b"y" * 1024)).status == 200
        answer = await client.ask("POST", "/v2/courses", f"X-API-Key: {key}", body=b"y" * 1025)
        assert (answer.status, answer.code) == (413, "body_too_large")
    assert [len(asked.body) for asked in feed.requests] == [1024, 1024]


async def test_an_upload_too_large_after_the_answer_began_cuts_both_connections(
    limited: PlaneUnderTest, feed: Feed
) -> None:
    unfinished = Unfinished(feed, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
    key = await limited.key("api-v2")
    async with conversation(limited.port) as client:
        await client.send(head(key, "Transfer-Encoding: chunked"))
        await client.reader.readuntil(b"hello")
        await client.send(b"800\r\n" + b"x" * 2048 + b"\r\n0\r\n\r\n")
        assert await client.closed() == b""
    assert b"x" not in await unfinished.body()
    (record,) = await records(limited, 1)
    assert (record["outcome"], record["status"], record["code"]) == ("error", 200, "body_too_large")


ENDS: dict[str, tuple[int, str | None, str]] = {
    "end": (400, "request_malformed", "refuse"),
    "reset": (0, None, "abort"),
    "silence": (408, "request_timeout", "refuse"),
    "garbage": (400, "request_malformed", "refuse"),
}
BROKEN_OFF = {
    "length": ("Content-Length: 100", b"hello"),
    "chunked": ("Transfer-Encoding: chunked", b"5\r\nhello\r\n"),
    "within a chunk": ("Transfer-Encoding: chunked", b"9\r\nhello"),
    "before the last CRLF": ("Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n"),
}


@pytest.mark.parametrize(
    ("part", "how"),
    [(part, how) for part in BROKEN_OFF for how in ENDS if (part, how) != ("length", "garbage")],
)
async def test_an_upload_that_breaks_off_is_never_finished_at_the_feed(
    limited: PlaneUnderTest, feed: Feed, part: str, how: str
) -> None:
    framing, sent = BROKEN_OFF[part]
    status, code, outcome = ENDS[how]
    unfinished = Unfinished(feed)
    key = await limited.key("api-v2")
    async with conversation(limited.port) as client:
        await client.send(head(key, framing) + sent[:1])
        await feed.until(lambda feed: feed.connections == 1)
        await client.send(sent[1:])
        await turns()
        if how == "end":
            client.end()
        elif how == "reset":
            reset(client.writer)
        elif how == "garbage":
            await client.send(b"\x00garbage\r\n")
        if how != "reset":
            answer = await client.answer("POST")
            assert (answer.status, answer.code) == (status, code)
            assert answer.value("Connection") == "close"
        body = await unfinished.body()
    assert body in (b"hello", b"5\r\nhello\r\n")
    (record,) = await records(limited, 1)
    assert (record["outcome"], record["status"], record["code"]) == (outcome, status, code)
    assert record["bytes_in"] == 5
    assert faults(limited) == {}


async def test_a_refused_body_is_thrown_away_and_the_connection_rests_like_any_other(
    tmp_path: Path, feed: Feed
) -> None:
    async with (
        running_plane(tmp_path, feed.port, main="limits: {keepalive_timeout: 500ms}") as plane,
        conversation(plane.port) as client,
    ):
        key = await plane.key("api-v2")
        await client.send(head(key, "Content-Length: 10", path="/v2/nowhere") + b"01234")
        answer = await client.answer("POST")
        assert (answer.status, answer.value("Connection")) == (404, None)
        await client.send(b"56789" + head(key, method="GET"))
        assert (await client.answer()).status == 200
        await client.send(head(key, "Content-Length: 10", path="/v2/nowhere") + b"01234")
        assert (await client.answer("POST")).status == 404
        await client.send(b"56789")
        assert await client.closed(within=3) == b""
    assert len(feed.requests) == 1


async def test_an_answer_before_the_upload_ended_is_relayed_and_ends_the_connection(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    unfinished = Unfinished(feed, b"HTTP/1.1 409 Conflict\r\nContent-Length: 4\r\n\r\nstop")
    async with conversation(plane.port) as client:
        await client.send(head(full_key, "Content-Length: 1000000") + b"x" * 1000)
        answer = await client.answer("POST")
        assert (answer.status, answer.body) == (409, b"stop")
        assert answer.value("Connection") == "close"
        await client.send(b"x" * 10_000)
        assert await client.closed() == b""
    assert len(await unfinished.body()) <= 1000
    (record,) = await records(plane, 1)
    assert (record["outcome"], record["status"]) == ("permit", 409)


async def test_an_answer_may_flow_while_its_upload_does(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n")
        for _ in range(10):
            writer.write(await reader.readexactly(3))

    feed.script = echo
    async with conversation(plane.port) as client:
        await client.send(head(full_key, "Content-Length: 30"))
        await client.reader.readuntil(b"\r\n\r\n")
        for number in range(10):
            piece = b"%03d" % number
            await client.send(piece)
            assert await client.reader.readexactly(3) == piece


@contextmanager
def peak_memory() -> Iterator[Callable[[], int]]:
    """How many bytes of Python's memory are held at most, over those held now."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        yield lambda: tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


HUGE = "limits: {body: 200MiB}"
PIECE = bytes(range(256)) * 256


async def test_a_hundred_mebibytes_up_and_down_take_a_bounded_memory(tmp_path: Path, feed: Feed) -> None:
    size = 100 * MIB
    arrived = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        await read_head(reader)
        while arrived < size:
            arrived += len(await reader.read(1 << 16))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(PIECE)):
            writer.write(PIECE)
            await writer.drain()

    feed.script = script
    async with running_plane(tmp_path, feed.port, main=HUGE) as plane, conversation(plane.port) as client:
        key = await plane.key("api-v2")
        with peak_memory() as peak:
            await client.send(head(key, f"Content-Length: {size}"))
            for _ in range(size // len(PIECE)):
                await client.send(PIECE)
            await client.reader.readuntil(b"\r\n\r\n")
            back = 0
            while back < size:
                back += len(await client.reader.read(1 << 16))
            held = peak()
    assert (arrived, back) == (size, size)
    assert held < 8 * MIB
    (record,) = await records(plane, 1)
    assert (record["bytes_in"], record["bytes_out"], record["outcome"]) == (size, size, "permit")


class Spoken(NamedTuple):
    """One exchange as it is to be: what is sent, in which framing, and what comes back, in which."""

    method: str
    body: bytes
    chunks: tuple[int, ...] | None
    answer: bytes
    answer_chunks: tuple[int, ...] | None
    status: int


def chunked(body: bytes, sizes: tuple[int, ...]) -> bytes:
    """A body in chunks of these sizes, the rest in one."""
    said, at = b"", 0
    for size in sizes:
        if piece := body[at : at + size]:
            said += b"%x\r\n%b\r\n" % (len(piece), piece)
        at += size
    if rest := body[at:]:
        said += b"%X;ext\r\n%b\r\n" % (len(rest), rest)
    return said + b"0\r\nX-Trailer: t\r\n\r\n"


def cut_at(message: bytes, cuts: list[int]) -> list[bytes]:
    """A message in pieces that end at these places."""
    places = sorted({cut % (len(message) + 1) for cut in cuts} | {0, len(message)})
    return [message[a:b] for a, b in pairwise(places)]


BODIES = st.binary(max_size=200) | st.sampled_from(
    [b"", b"\r\n\r\n", b"x" * 70_000, b"HTTP/1.1 200 OK\r\n\r\n"]
)
CHUNKS = st.none() | st.lists(st.integers(1, 60_000), max_size=4).map(tuple)
EXCHANGES = st.builds(
    Spoken,
    st.sampled_from(["GET", "HEAD", "POST"]),
    BODIES,
    CHUNKS,
    BODIES,
    CHUNKS,
    st.sampled_from([200, 201, 204, 304, 404, 500]),
)


def request_bytes(key: str, number: int, spoken: Spoken) -> bytes:
    framing = "Transfer-Encoding: chunked"
    if spoken.chunks is None:
        framing = f"Content-Length: {len(spoken.body)}"
        return head(key, f"X-Number: {number}", framing, method=spoken.method) + spoken.body
    return head(key, f"X-Number: {number}", framing, method=spoken.method) + chunked(
        spoken.body, spoken.chunks
    )


def answer_bytes(number: int, spoken: Spoken) -> bytes:
    line = f"HTTP/1.1 {spoken.status} Whatever\r\nX-Number: {number}\r\n"
    without = spoken.method == "HEAD" or spoken.status in (204, 304)
    if spoken.status == 204:
        return f"{line}\r\n".encode()
    if spoken.answer_chunks is None:
        return f"{line}Content-Length: {len(spoken.answer)}\r\n\r\n".encode() + (
            b"" if without else spoken.answer
        )
    coded = b"" if without else chunked(spoken.answer, spoken.answer_chunks)
    return f"{line}Transfer-Encoding: chunked\r\n\r\n".encode() + coded


def agrees(spoken: Spoken, number: int, asked: Received, answered: Answered) -> bool:
    """Whether the feed got what the client sent, and the client what the feed answered."""
    without = spoken.method == "HEAD" or spoken.status in (204, 304)
    return (asked.method, asked.body, asked.value("X-Number")) == (
        spoken.method,
        spoken.body,
        str(number),
    ) and (answered.status, answered.body, answered.value("X-Number")) == (
        spoken.status,
        b"" if without else spoken.answer,
        str(number),
    )


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    spoken=st.lists(EXCHANGES, min_size=1, max_size=6),
    cuts=st.lists(st.integers(0, 1 << 20), max_size=12),
    answer_cuts=st.lists(st.integers(0, 1 << 20), max_size=8),
    ahead=st.booleans(),
)
async def test_whatever_is_said_in_whatever_pieces_arrives_as_it_was_said(
    spoken: list[Spoken], cuts: list[int], answer_cuts: list[int], *, ahead: bool
) -> None:
    """Requests are sent one by one, or all ahead; each side reads by h11 what the other side said."""
    with TemporaryDirectory() as directory:
        async with running_feed() as feed, running_plane(Path(directory), feed.port) as plane:
            key = await plane.key("api-v2")

            async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                while (asked := await feed.read_request(reader, writer)) is not None:
                    number = int(asked.value("X-Number") or 0)
                    await in_pieces(writer, cut_at(answer_bytes(number, spoken[number]), answer_cuts))

            feed.script = script
            said = [request_bytes(key, number, one) for number, one in enumerate(spoken)]
            async with conversation(plane.port) as client:
                answered = []
                for batch in [b"".join(said)] if ahead else said:
                    sending = asyncio.create_task(in_pieces(client.writer, cut_at(batch, cuts)))
                    methods = [one.method for one in spoken[len(answered) :]]
                    for method in methods if ahead else methods[:1]:
                        answered.append(await client.answer(method))  # noqa: PERF401 - while sending goes on
                    await sending
            assert len(feed.requests) == len(spoken)
            for number, (one, asked, answer) in enumerate(zip(spoken, feed.requests, answered, strict=True)):
                assert agrees(one, number, asked, answer)
