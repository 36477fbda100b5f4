"""Where a feed is: host names and what they mean today, several addresses of one name, Unix sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from conversations import ask, conversation
from feeds import Feed, running_feed
from gateways import running_plane
from scripts import faults, settled

from gateway.forward.names import system_look_up

QUICK = "resolve_every: 100ms"


class Names:
    """A name service of the test's own: what each name means at the moment; nothing is an outage."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = frozenset(addresses)
        self.asked = 0
        self.slow: asyncio.Event | None = None

    async def look_up(self, host: str) -> frozenset[str]:
        """Answer, or not."""
        assert host == "feed.internal"
        self.asked += 1
        if self.slow is not None:
            await self.slow.wait()
        if not self.addresses:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return self.addresses

    async def asked_again(self) -> None:
        """Wait until whatever is meant now was asked for."""
        before = self.asked
        await settled(lambda: self.asked >= before + 2)


@asynccontextmanager
async def two_feeds() -> AsyncIterator[tuple[Feed, Feed]]:
    """Feeds on one port of two loopback addresses: 127.0.0.1 and 127.0.0.2."""
    async with running_feed() as one, running_feed(host="127.0.0.2", port=one.port) as two:
        yield one, two


async def test_a_name_is_asked_of_the_systems_resolver() -> None:
    assert await system_look_up("127.0.0.1") == {"127.0.0.1"}
    assert await system_look_up("localhost") & {"127.0.0.1", "::1"}
    with pytest.raises(OSError, match=r".+"):
        await system_look_up("feed.invalid")


async def test_localhost_is_one_place_whichever_family_it_is_served_on(tmp_path: Path, feed: Feed) -> None:
    async with running_plane(tmp_path, f"http://localhost:{feed.port}", feed=QUICK) as plane:
        for _ in range(3):
            assert (await ask(plane.port, "GET", "/v2/status")).status == 200
        assert set(plane.worker.upstreams["test"].state()) == {f"localhost:{feed.port}"}
        assert faults(plane) == {}


async def test_several_addresses_of_a_name_are_several_candidates(tmp_path: Path) -> None:
    names = Names("127.0.0.1", "127.0.0.2")
    async with (
        two_feeds() as (one, two),
        running_plane(
            tmp_path, f"http://feed.internal:{one.port}", feed=QUICK, look_up=names.look_up
        ) as plane,
    ):
        await settled(lambda: len(plane.worker.upstreams["test"].state()) == 2)
        for _ in range(6):
            assert (await ask(plane.port, "GET", "/v2/status")).status == 200
    assert (len(one.requests), len(two.requests)) == (3, 3)


async def test_a_candidate_that_does_not_answer_costs_no_request(tmp_path: Path, feed: Feed) -> None:
    names = Names("127.0.0.1", "127.0.0.3")
    async with running_plane(
        tmp_path, f"http://feed.internal:{feed.port}", feed=QUICK, look_up=names.look_up
    ) as plane:
        await settled(lambda: len(plane.worker.upstreams["test"].state()) == 2)
        for _ in range(4):
            assert (await ask(plane.port, "GET", "/v2/status")).status == 200
        assert set(faults(plane)) == {"connect"}


async def test_a_changed_answer_is_followed_and_what_rested_at_the_old_address_is_retired(
    tmp_path: Path,
) -> None:
    names = Names("127.0.0.1")
    async with (
        two_feeds() as (one, two),
        running_plane(
            tmp_path, f"http://feed.internal:{one.port}", feed=QUICK, look_up=names.look_up
        ) as plane,
        conversation(plane.port) as client,
    ):
        await settled(lambda: set(plane.worker.upstreams["test"].state()) == {f"127.0.0.1:{one.port}"})
        ended = asyncio.Event()

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await one.read_request(reader, writer) is not None:
                writer.write(one.answer(one.requests[-1]) or b"")
            ended.set()

        one.script = script
        await client.ask("GET", "/v2/status")
        names.addresses = frozenset({"127.0.0.2"})
        await names.asked_again()
        await asyncio.wait_for(ended.wait(), 5)
        assert (await client.ask("GET", "/v2/status")).status == 200
        assert (len(one.requests), len(two.requests)) == (1, 1)


async def test_a_request_under_way_at_a_vanished_address_is_answered(tmp_path: Path) -> None:
    names = Names("127.0.0.1")
    going_on = asyncio.Event()
    async with (
        two_feeds() as (one, two),
        running_plane(
            tmp_path, f"http://feed.internal:{one.port}", feed=QUICK, look_up=names.look_up
        ) as plane,
        conversation(plane.port) as client,
    ):
        await settled(lambda: set(plane.worker.upstreams["test"].state()) == {f"127.0.0.1:{one.port}"})

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await one.read_request(reader, writer)
            await going_on.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold")
            await reader.read()

        one.script = script
        asking = asyncio.create_task(client.ask("GET", "/v2/status"))
        await one.until(lambda feed: len(feed.requests) == 1)
        names.addresses = frozenset({"127.0.0.2"})
        await settled(lambda: set(plane.worker.upstreams["test"].state()) == {f"127.0.0.2:{one.port}"})
        going_on.set()
        assert (await asking).body == b"old"
        assert (await client.ask("GET", "/v2/status")).body == b"hello"
        assert len(two.requests) == 1


async def test_the_last_answer_stays_while_the_name_cannot_be_looked_up(tmp_path: Path, feed: Feed) -> None:
    names = Names("127.0.0.1")
    async with running_plane(
        tmp_path, f"http://feed.internal:{feed.port}", feed=QUICK, look_up=names.look_up
    ) as plane:
        await settled(lambda: "127.0.0.1" in next(iter(plane.worker.upstreams["test"].state())))
        names.addresses = frozenset()
        await names.asked_again()
        assert (await ask(plane.port, "GET", "/v2/status")).status == 200
        (warning,) = plane.worker.health()["warnings"]
        assert "feed.internal cannot be looked up" in warning
        names.addresses = frozenset({"127.0.0.1"})
        await names.asked_again()
        assert plane.worker.health()["warnings"] == []


async def test_a_name_that_means_nothing_is_unreachable(tmp_path: Path) -> None:
    async with running_plane(tmp_path, "http://feed.invalid:9") as plane:
        answer = await ask(plane.port, "GET", "/v2/status")
        assert (answer.status, answer.code) == (502, "upstream_unreachable")


async def test_a_slow_look_up_blocks_nobody(tmp_path: Path) -> None:
    names = Names("127.0.0.1")
    async with (
        two_feeds() as (one, _),
        running_plane(
            tmp_path, f"http://feed.internal:{one.port}", feed=QUICK, look_up=names.look_up
        ) as plane,
    ):
        await settled(lambda: "127.0.0.1" in next(iter(plane.worker.upstreams["test"].state())))
        names.slow = asyncio.Event()
        await settled(lambda: names.asked >= 2)
        asked = names.asked
        for _ in range(20):
            assert (await ask(plane.port, "GET", "/v2/status")).status == 200
        assert names.asked <= asked + 1
        names.slow.set()


async def test_a_reload_looks_names_up_no_more_for_what_it_replaced(tmp_path: Path, feed: Feed) -> None:
    names = Names("127.0.0.1")
    async with running_plane(
        tmp_path, f"http://feed.internal:{feed.port}", feed=QUICK, look_up=names.look_up
    ) as plane:
        await settled(lambda: names.asked > 0)
        file = tmp_path / "gateway.yaml"
        file.write_text(file.read_text().replace("feed.internal", "127.0.0.1"))
        await plane.worker.reload()
        asked = names.asked
        await asyncio.sleep(0.4)  # that nobody asks is what is tested
        assert names.asked == asked
        assert (await ask(plane.port, "GET", "/v2/status")).status == 200


async def test_a_feed_behind_a_unix_socket_is_served(tmp_path: Path) -> None:
    path = tmp_path / "feed.sock"
    async with running_feed(path=path) as feed, running_plane(tmp_path, f"unix://{path}") as plane:
        async with conversation(plane.port) as client:
            for _ in range(3):
                assert (await client.ask("GET", "/v2/status")).status == 200
            await client.send(b"GET /v2/status HTTP/1.0\r\n\r\n")
            assert (await client.answer()).status == 200
        assert feed.connections == 1
        assert feed.requests[0].value("Host") == "feeds.test"
        assert feed.requests[-1].value("Host") == "localhost"
        assert set(plane.worker.upstreams["test"].state()) == {f"unix://{path}"}


@pytest.mark.parametrize("there", [True, False], ids=["nobody listens", "no such file"])
async def test_a_unix_socket_that_nobody_serves_is_unreachable(tmp_path: Path, *, there: bool) -> None:
    path = tmp_path / "feed.sock"
    if there:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(path))
    async with running_plane(tmp_path, f"unix://{path}") as plane:
        answer = await ask(plane.port, "GET", "/v2/status")
        assert (answer.status, answer.code) == (502, "upstream_unreachable")
        assert faults(plane) == {"connect": 1}
