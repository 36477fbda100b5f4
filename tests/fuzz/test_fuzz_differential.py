"""Two readers of the same bytes: nothing crosses that h11, a parser that is not ours, would read otherwise.

`make fuzz` looks longer; each example is a batch of conversations.
"""

import asyncio
import os
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

import h11
import pytest
import uvloop
from conversations import conversation
from damage import SEEDS, conversations, damage, damaged, places, speak
from feeds import Feed, running_feed
from gateways import running_plane
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rows import EVERYTHING
from scripts import in_pieces, turns
from seen import Seen

EXAMPLES = int(os.environ.get("SCOPEGATE_FUZZ_EXAMPLES", "20"))
BATCH = 16
QUICK = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@dataclass
class Stage:
    """A plane that maps everything, and its feed."""

    runner: asyncio.Runner
    port: int
    feed: Feed


@contextmanager
def staged() -> Iterator[Stage]:
    """A stage of its own, as long as the block lasts."""

    @asynccontextmanager
    async def running(directory: Path) -> AsyncIterator[tuple[int, Feed]]:
        async with running_feed() as feed, running_plane(directory, feed.port, routes=EVERYTHING) as plane:
            yield plane.port, feed

    with (
        tempfile.TemporaryDirectory() as directory,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        context = running(Path(directory))
        port, feed = runner.run(context.__aenter__())
        yield Stage(runner, port, feed)
        runner.run(context.__aexit__(None, None, None))


# What a client says


ILLEGIBLE = re.compile(rb"[^\x21-\x7e]")


@dataclass(frozen=True)
class Request:
    """A request as both readers may tell it: the target without its encodings."""

    method: bytes
    target: bytes
    body: bytes


def as_h11_reads(data: bytes) -> list[Request]:
    """Every whole request among the bytes, up to where h11 gives up."""
    found: list[Request] = []
    while data:
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 18)
        parser.receive_data(legible(data))
        head, body = None, bytearray()
        while True:
            try:
                event = parser.next_event()
            except h11.RemoteProtocolError:
                return found
            if isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return found
        assert head is not None
        found.append(Request(head.method, plain(head.target), bytes(body)))
        data = parser.trailing_data[0]
    return found


def legible(data: bytes) -> bytes:
    """The bytes with a target that h11 reads: a bad one is refused for its path, and the next is heard."""
    data = data.removeprefix(b"\r\n")
    line, end, rest = data.partition(b"\r\n")
    parts = line.split(b" ")
    if len(parts) != 3:
        return data
    return b"%b %b %b" % (parts[0], ILLEGIBLE.sub(b"%00", parts[1]), parts[2]) + end + rest


def plain(target: bytes) -> bytes:
    """A target's path and query, without the authority of the absolute-form and without encodings."""
    if not target.startswith(b"/"):
        rest = target.partition(b"://")[2]
        at = min((rest.find(mark) for mark in (b"/", b"?") if mark in rest), default=len(rest))
        target = rest[at:] if rest[at:].startswith(b"/") else b"/" + rest[at:]
    return unquote_to_bytes(target)


def in_order_among(some: list[Request], others: list[Request]) -> bool:
    """Whether all of some are among the others, in the same order."""
    rest = iter(others)
    return all(one in rest for one in some)


@pytest.fixture(scope="module")
def reading() -> Iterator[tuple[Stage, Seen]]:
    with staged() as stage:
        seen = Seen()
        stage.feed.script = seen.read
        yield stage, seen


async def compare_requests(stage: Stage, seen: Seen, batch: list[tuple[bytes, list[int]]]) -> None:
    for data, cuts in batch:
        seen.forget()
        await speak(stage.port, data, cuts)
        await turns()
        assert seen.broken == []
        arrived = [
            Request(request.method, plain(request.target), body)
            for (request, _), body in zip(seen.whole, seen.bodies, strict=True)
        ]
        # RFC 9112 §7.1.1 allows white space before an extension, and h11 does not
        meant = as_h11_reads(data.replace(b" ;", b";").replace(b"\t;", b";"))
        assert in_order_among(arrived, meant), (data, arrived, meant)


@QUICK
@given(batch=st.lists(conversations, min_size=1, max_size=BATCH))
def test_what_the_feed_receives_is_what_another_parser_reads_from_the_client(
    reading: tuple[Stage, Seen], batch: list[tuple[bytes, list[int]]]
) -> None:
    reading[0].runner.run(compare_requests(*reading, batch))


def test_undamaged_requests_are_read_alike_and_all_arrive(reading: tuple[Stage, Seen]) -> None:
    assert len(as_h11_reads(b"".join(SEEDS))) == len(SEEDS)
    reading[0].runner.run(compare_requests(*reading, [(b"".join(SEEDS), [7, 90])]))


# What a feed says

ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nfirst",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfir\r\n2;a=b\r\nst\r\n0\r\nX-T: 1\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nfirst",
    b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nfirst",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
]
SECOND = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond"
answers = st.tuples(
    st.sampled_from(ANSWERS),
    st.lists(
        damage | st.tuples(st.just("splice"), places, st.sampled_from([*ANSWERS, b"1\r\nx\r\n"])), max_size=3
    ),
    st.lists(places, max_size=3),
).map(lambda parts: (damaged(parts[0], parts[1]), parts[2]))


@dataclass(frozen=True)
class Whole:
    """An answer that a reader holds to be complete."""

    status: int
    body: bytes
    ours: bool
    """Whether the gateway made it."""


def answers_in(data: bytes, *, ended: bool = True) -> tuple[list[Whole], bytes]:
    """The first whole final answer among bytes after which the connection ended, and what follows it."""
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 18)
    parser.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    parser.send(h11.EndOfMessage())
    parser.receive_data(data)
    if ended:
        parser.receive_data(b"")
    head, body = None, bytearray()
    while True:
        try:
            event = parser.next_event()
        except h11.RemoteProtocolError:
            return [], b""
        if isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            ours = any(name == b"proxy-status" for name, _ in head.headers)
            return [Whole(head.status_code, bytes(body), ours)], parser.trailing_data[0]
        elif not isinstance(event, h11.InformationalResponse):
            return [], b""


class TwoAnswers:
    """A feed that says damaged bytes to the first request of a conversation, and answers the second well.

    Its connection lives on if the damaged bytes are a whole answer that leaves it open.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        feed.script = self.speak

    def prepare(self, data: bytes, cuts: list[int]) -> None:
        """Begin another conversation."""
        ends = sorted({cut % (len(data) + 1) for cut in cuts})
        self._pieces = [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]
        self._lives_on = bool(answers_in(data, ended=False)[0])
        self.spoken = asyncio.Event()

    async def speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        while (request := await self._feed.read_request(reader, writer)) is not None:
            if request.target != "/first":
                writer.write(SECOND)
                continue
            try:
                await in_pieces(writer, self._pieces)
            finally:  # the gateway may have heard enough
                self.spoken.set()
            if not self._lives_on:
                await turns()
                return


@pytest.fixture(scope="module")
def answering() -> Iterator[tuple[Stage, TwoAnswers]]:
    with staged() as stage:
        yield stage, TwoAnswers(stage.feed)


async def compare_answers(stage: Stage, two: TwoAnswers, batch: list[tuple[bytes, list[int]]]) -> None:
    for data, cuts in batch:
        two.prepare(data, cuts)
        async with conversation(stage.port) as client:
            await client.send(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
            async with asyncio.timeout(10):
                await two.spoken.wait()
            await turns()  # what the feed said unasked is there before the next request
            with suppress(OSError):
                await client.send(b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
                client.end()
            told = await client.closed(within=10)
        judge(data, told)


def judge(data: bytes, told: bytes) -> None:
    """The client holds an answer to be whole only if that is how another parser reads the feed."""
    first, rest = answers_in(told)
    meant, _ = answers_in(data.replace(b" ;", b";").replace(b"\t;", b";"))
    for answer in first:
        assert answer.ours or [answer] == meant, (data, told, meant)
    if first:
        second, nothing = answers_in(rest)
        assert all(answer.ours or answer.body == b"second" for answer in second), (data, told)
        assert nothing == b""


@QUICK
@given(batch=st.lists(answers, min_size=1, max_size=BATCH))
def test_no_client_sees_a_whole_answer_that_another_parser_would_not_read_from_the_feed(
    answering: tuple[Stage, TwoAnswers], batch: list[tuple[bytes, list[int]]]
) -> None:
    answering[0].runner.run(compare_answers(*answering, batch))


@pytest.mark.parametrize("answer", ANSWERS)
def test_undamaged_answers_arrive_and_so_does_the_next(
    answering: tuple[Stage, TwoAnswers], answer: bytes
) -> None:
    answering[0].runner.run(compare_answers(*answering, [(answer, [9, 40])]))
