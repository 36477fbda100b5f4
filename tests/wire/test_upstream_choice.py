"""A feed with several addresses: who is asked, who is passed over, and for how long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from conversations import Answered, ask, conversation
from feeds import Feed, Script, running_feed
from gateways import PlaneUnderTest, running_plane
from scripts import faults, read_head, records, settled

PATH = "/v2/courses"


def named(name: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(name)}\r\n\r\n{name}".encode()


@pytest.fixture
async def feeds() -> AsyncIterator[list[Feed]]:
    """Three feeds, which answer with their own names: 0, 1 and 2."""
    async with AsyncExitStack() as stack:
        feeds = [await stack.enter_async_context(running_feed()) for _ in range(3)]
        for number, feed in enumerate(feeds):
            feed.answer = lambda _asked, name=str(number): named(name)  # type: ignore[misc]  # bound early
        yield feeds


@pytest.fixture
async def plane(tmp_path: Path, feeds: list[Feed]) -> AsyncIterator[PlaneUnderTest]:
    async with running_plane(tmp_path, *(feed.port for feed in feeds)) as plane:
        yield plane


def well_known(plane: PlaneUnderTest) -> list[float]:
    """What `gateway_upstream_healthy` says of each address, in order."""
    return [value for _, value in plane.counted("gateway_upstream_healthy")]


class Slow:
    """Feeds that answer only when told to; counts what waits at each."""

    def __init__(self, feeds: list[Feed]) -> None:
        self.waiting = [0] * len(feeds)
        self.go_on = asyncio.Event()
        for number, feed in enumerate(feeds):
            feed.script = self._script(feed, number)

    def _script(self, feed: Feed, number: int) -> Script:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await feed.read_request(reader, writer) is not None:
                self.waiting[number] += 1
                await self.go_on.wait()
                self.waiting[number] -= 1
                writer.write(named(str(number)))

        return script


async def test_requests_at_once_go_to_whoever_has_the_fewest_under_way(
    plane: PlaneUnderTest, feeds: list[Feed]
) -> None:
    slow = Slow(feeds)
    key = await plane.key("api-v2")
    asking: list[asyncio.Task[Answered]] = []
    for count in range(1, 10):
        asking.append(asyncio.create_task(ask(plane.port, "GET", PATH, f"X-API-Key: {key}")))
        await settled(lambda count=count: sum(slow.waiting) == count)  # type: ignore[misc]  # bound early
        assert max(slow.waiting) - min(slow.waiting) <= 1
    slow.go_on.set()
    answers = await asyncio.gather(*asking)
    assert sorted(answer.body for answer in answers) == [b"0"] * 3 + [b"1"] * 3 + [b"2"] * 3


async def test_requests_one_after_the_other_go_round(plane: PlaneUnderTest, feeds: list[Feed]) -> None:
    key = await plane.key("api-v2")
    async with conversation(plane.port) as client:
        said = [(await client.ask("GET", PATH, f"X-API-Key: {key}")).body for _ in range(9)]
    assert sorted(said[:3]) == sorted(said[3:6]) == sorted(said[6:]) == [b"0", b"1", b"2"]
    assert [feed.connections for feed in feeds] == [1, 1, 1]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_address_that_refuses_connections_costs_no_request(
    tmp_path: Path, feed: Feed, closed_port: int, method: str
) -> None:
    async with running_plane(tmp_path, closed_port, feed.port) as plane:
        key = await plane.key("api-v2")
        for _ in range(8):
            answer = await ask(plane.port, method, PATH, f"X-API-Key: {key}", body=b"x")
            assert answer.status == 200
        # after three failures in a row it is left alone
        assert 1 <= faults(plane)["connect"] <= 3
        assert [r["outcome"] for r in await records(plane, 8)] == ["permit"] * 8


async def test_when_every_address_refuses_the_feed_is_unreachable(tmp_path: Path, closed_port: int) -> None:
    other = closed_port - 1 if closed_port > 40_000 else closed_port + 1
    async with running_plane(tmp_path, closed_port, other) as plane:
        answer = await ask(plane.port, "GET", PATH, f"X-API-Key: {await plane.key('api-v2')}")
        assert (answer.status, answer.code) == (502, "upstream_unreachable")
        assert faults(plane) == {"connect": 2}


@pytest.mark.slow
async def test_an_address_that_breaks_is_passed_over_after_three_failures_and_comes_back(
    tmp_path: Path, feeds: list[Feed]
) -> None:
    broken, well, _ = feeds

    async def script(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await read_head(reader)

    broken.script = script
    async with running_plane(tmp_path, broken.port, well.port) as plane:
        key = await plane.key("api-v2")
        statuses = [(await ask(plane.port, "GET", PATH, f"X-API-Key: {key}")).status for _ in range(20)]
        assert statuses.count(502) == 3
        assert set(statuses[-10:]) == {200}
        assert (broken.connections, faults(plane)) == (3, {"reset": 3})
        broken.script = None
        before = len(well.requests)
        async with asyncio.timeout(14):  # it is passed over for ten seconds
            while not broken.requests:
                assert (await ask(plane.port, "GET", PATH, f"X-API-Key: {key}")).status == 200
                await asyncio.sleep(0.1)
        assert len(well.requests) - before > 50


@pytest.mark.slow
async def test_an_address_that_comes_back_is_tried_by_one_request_before_it_gets_its_share(
    tmp_path: Path, feeds: list[Feed]
) -> None:
    ailing, well, _ = feeds
    asked, go_on = 0, asyncio.Event()

    async def closes(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await read_head(reader)

    async def takes_its_time(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while True:
            await read_head(reader)
            asked += 1
            await go_on.wait()
            writer.write(named("0"))

    ailing.script = closes
    async with running_plane(tmp_path, ailing.port, well.port) as plane:
        key = f"X-API-Key: {await plane.key('api-v2')}"
        while faults(plane)["reset"] < 3:
            await ask(plane.port, "GET", PATH, key)
        assert well_known(plane) == [0, 1]
        ailing.script = takes_its_time
        asking: list[asyncio.Task[Answered]] = []
        async with asyncio.timeout(14):  # it is passed over for ten seconds
            while not asked:
                asking.append(asyncio.create_task(ask(plane.port, "GET", PATH, key)))
                await asyncio.sleep(0.1)
        burst = [asyncio.create_task(ask(plane.port, "GET", PATH, key)) for _ in range(20)]
        assert {answer.body for answer in await asyncio.gather(*burst)} == {b"1"}
        assert asked == 1
        go_on.set()
        assert b"0" in {answer.body for answer in await asyncio.gather(*asking)}
        assert well_known(plane) == [1, 1]
        burst = [asyncio.create_task(ask(plane.port, "GET", PATH, key)) for _ in range(20)]
        said = [answer.body for answer in await asyncio.gather(*burst)]
        assert 5 <= said.count(b"0") <= 15


async def test_a_feed_that_closes_after_each_answer_collects_no_failures_over_time(
    tmp_path: Path, feeds: list[Feed]
) -> None:
    """Three failures put an address aside only when they come in a row."""
    broken, well, _ = feeds
    fail = False

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        if not fail:
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n0")

    broken.script = script
    async with running_plane(tmp_path, broken.port, well.port) as plane:
        key = await plane.key("api-v2")
        async with asyncio.timeout(8):
            for turn in range(12):
                fail = turn % 2 == 0
                before = broken.connections
                while broken.connections == before:
                    await ask(plane.port, "GET", PATH, f"X-API-Key: {key}")
        assert faults(plane) == {"reset": 6}


async def test_a_request_sent_again_may_go_to_another_address(tmp_path: Path, feeds: list[Feed]) -> None:
    """The address that closed its used connection accepts no new one: the other answers."""
    leaving, staying, _ = feeds
    asked = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await read_head(reader)
        writer.write(named("0"))
        await read_head(reader)
        asked = 2
        server.close()

    leaving.script = script
    server = await asyncio.start_server(leaving.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with running_plane(tmp_path, port, staying.port) as plane, conversation(plane.port) as client:
        key = await plane.key("api-v2")
        said = [(await client.ask("GET", PATH, f"X-API-Key: {key}")).body for _ in range(3)]
        assert (sorted(said), asked) == ([b"0", b"1", b"1"], 2)
        assert faults(plane)["reset"] == 0
