"""What lasts is judged again: tunnels and event streams end when they would be refused, and only then."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import time

import pytest
from conversations import Conversation, conversation
from feeds import Feed
from gateways import PlaneUnderTest, running_plane
from scripts import read_head, records
from waiting import until

from gateway.control.keys import KeyEdit, disable_key, revoke_key, update_key
from gateway.control.scopes import Fallback, ScopeEdit, delete_scope, update_scope
from gateway.domain.action import Action

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat/1\r\n\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream ;charset=utf-8\r\nConnection: close\r\n\r\n"
DOWNLOAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n"
HELLO = b"data: hello\n\n"

Change = Callable[[PlaneUnderTest], Awaitable[object]]


class LastingFeed:
    """A feed that begins each answer and goes on when it is told to; it knows which have ended."""

    def __init__(self, feed: Feed, beginning: bytes) -> None:
        self.beginning = beginning
        self.ended = 0
        self.more: list[asyncio.StreamWriter] = []
        feed.script = self._answer

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        if self.beginning is DOWNLOAD:
            writer.write(DOWNLOAD + b"%x\r\n%b\r\n" % (len(HELLO), HELLO))
        else:
            writer.write(self.beginning + HELLO)
        self.more.append(writer)
        try:
            await reader.read()
        finally:
            self.ended += 1


@asynccontextmanager
async def lasting(
    plane: PlaneUnderTest,
    key: str | None,
    beginning: bytes,
    target: str = "/v2/courses",
    version: str = "1.1",
) -> AsyncIterator[Conversation]:
    """A client whose tunnel or stream has begun."""
    lines = [f"GET {target} HTTP/{version}", "Host: a"]
    lines += [] if key is None else [f"X-API-Key: {key}"]
    lines += ["Connection: Upgrade", "Upgrade: chat/1"] if beginning is SWITCH else []
    async with conversation(plane.port) as client:
        await client.send("\r\n".join([*lines, "", ""]).encode())
        async with asyncio.timeout(5):
            await client.reader.readuntil(b"data: hello\n\n")
        yield client


@pytest.fixture
async def key(plane: PlaneUnderTest) -> str:
    await plane.scope("other", read="bookings")
    return await plane.key("website")


async def _reload(plane: PlaneUnderTest, file: str, before: str, after: str) -> None:
    path = plane.directory / file
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    await plane.worker.reload()


async def _edit_scope(plane: PlaneUnderTest) -> None:
    edit = ScopeEdit(modules={Action.READ: ["bookings"]})
    await update_scope(plane.store, "tests", "website", edit, plane.modules)


WITHDRAWN: dict[str, tuple[Change, str]] = {
    "the key is revoked": (lambda plane: revoke_key(plane.store, "tests", 1), "credential_revoked"),
    "the key is disabled": (lambda plane: disable_key(plane.store, "tests", 1), "credential_revoked"),
    "the key has other scopes": (
        lambda plane: update_key(plane.store, "tests", 1, KeyEdit(scopes=["other"])),
        "scope_denied",
    ),
    "its scope allows other modules": (_edit_scope, "scope_denied"),
    "its only scope is deleted": (
        lambda plane: delete_scope(plane.store, "tests", "website", Fallback.DENY),
        "scope_none",
    ),
    "the feed is switched off": (
        lambda plane: _reload(plane, "gateway.yaml", "  test:\n", "  test:\n    enabled: false\n"),
        "feed_disabled",
    ),
    "the path is mapped no more": (
        lambda plane: _reload(plane, "routes.yaml", "path: /v2/courses,", "path: /v2/other,"),
        "route_unmapped",
    ),
    "the path is of another module": (
        lambda plane: _reload(
            plane, "routes.yaml", "/v2/courses, module: courses}", "/v2/courses, module: users}"
        ),
        "scope_denied",
    ),
}


@pytest.mark.parametrize("beginning", [SWITCH, EVENTS], ids=["tunnel", "events"])
@pytest.mark.parametrize(("change", "code"), WITHDRAWN.values(), ids=WITHDRAWN.keys())
async def test_what_would_be_refused_now_is_ended_within_a_second(
    plane: PlaneUnderTest, feed: Feed, key: str, beginning: bytes, change: Change, code: str
) -> None:
    far = LastingFeed(feed, beginning)
    async with lasting(plane, key, beginning) as client:
        await change(plane)
        assert await client.closed(within=2) in {b"", b"\r\n"}  # the end of the chunk before
        await until(lambda: far.ended == 1)
    (record,) = await records(plane, 1)
    status = 101 if beginning is SWITCH else 200
    assert (record["outcome"], record["code"], record["status"]) == ("refuse", code, status)
    assert (record["key_id"], record["module"]) == (1, "courses")
    await until(lambda: record["request_id"] in (plane.directory / "denied.log").read_text())
    counted = plane.counted("gateway_denied_total")
    assert [(labels[3], count) for labels, count in counted] == [(code, 1)]


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_a_stream_that_is_ended_is_never_told_as_whole(
    plane: PlaneUnderTest, feed: Feed, key: str, version: str
) -> None:
    LastingFeed(feed, EVENTS)
    async with lasting(plane, key, EVENTS, version=version) as client:
        await revoke_key(plane.store, "tests", 1)
        if version == "1.1":
            assert not (await client.closed()).endswith(b"0\r\n\r\n")
        else:
            with pytest.raises(ConnectionResetError):
                await client.reader.read()


@pytest.mark.parametrize("beginning", [SWITCH, EVENTS], ids=["tunnel", "events"])
async def test_what_lasts_ends_with_its_key(plane: PlaneUnderTest, feed: Feed, beginning: bytes) -> None:
    key = await plane.key("website", expires_at=time() + 1.5)
    far = LastingFeed(feed, beginning)
    async with lasting(plane, key, beginning) as client:
        assert await client.closed(within=5) in {b"", b"\r\n"}
        await until(lambda: far.ended == 1)
    (record,) = await records(plane, 1)
    assert (record["outcome"], record["code"]) == ("refuse", "credential_expired")


async def test_a_key_in_the_query_is_judged_again_like_any_other(tmp_path: Path, feed: Feed) -> None:
    main = "authentication: {api_key: {query: api_key}}"
    async with running_plane(tmp_path, feed.port, main=main) as plane:
        await plane.scope("website", read="courses")
        key = await plane.key("website")
        LastingFeed(feed, EVENTS)
        async with lasting(plane, None, EVENTS, f"/v2/courses?page=1&api_key={key}") as client:
            await revoke_key(plane.store, "tests", 1)
            await client.closed(within=2)
        (record,) = await records(plane, 1)
    assert record["code"] == "credential_revoked"


async def _goes_on(far: LastingFeed, client: Conversation, said: bytes) -> None:
    far.more[-1].write(said)
    async with asyncio.timeout(2):
        await client.reader.readuntil(b"more\n\n")
    assert far.ended == 0


UNTOUCHED: dict[str, Change] = {
    "another key is revoked": lambda plane: revoke_key(plane.store, "tests", 2),
    "the key has another label": lambda plane: update_key(plane.store, "tests", 1, KeyEdit(label="other")),
    "the key may do more": lambda plane: update_key(
        plane.store, "tests", 1, KeyEdit(scopes=["website", "other"])
    ),
    "the key is on trial for less": lambda plane: update_key(
        plane.store, "tests", 1, KeyEdit(trial=["other"])
    ),
    "the configuration is read again": lambda plane: plane.worker.reload(),
    "other routes are mapped no more": lambda plane: _reload(
        plane, "routes.yaml", '  - {path: "/v2/bookings/{id}", module: bookings}\n', ""
    ),
}


@pytest.mark.parametrize("beginning", [SWITCH, EVENTS], ids=["tunnel", "events"])
@pytest.mark.parametrize("change", UNTOUCHED.values(), ids=UNTOUCHED.keys())
async def test_what_is_still_permitted_goes_on(
    plane: PlaneUnderTest, feed: Feed, key: str, beginning: bytes, change: Change
) -> None:
    other = await plane.key("website")
    far = LastingFeed(feed, beginning)
    async with lasting(plane, other, beginning) as ends, lasting(plane, key, beginning) as client:
        await change(plane)
        await revoke_key(plane.store, "tests", 2)
        await ends.closed(within=2)  # so this round, or one before it, has judged the other
        far.ended = 0
        await _goes_on(far, client, b"data: more\n\n")


async def test_a_request_in_flight_finishes(plane: PlaneUnderTest, feed: Feed, key: str) -> None:
    """A download has an end of its own; whoever is revoked begins no other."""
    other = await plane.key("website")
    far = LastingFeed(feed, DOWNLOAD)
    async with lasting(plane, key, DOWNLOAD) as download:
        far.beginning = SWITCH
        async with lasting(plane, other, SWITCH) as tunnel:
            await revoke_key(plane.store, "tests", 1)
            await revoke_key(plane.store, "tests", 2)
            await tunnel.closed(within=2)
        far.more[0].write(b"4\r\nlast\r\n0\r\n\r\n")
        async with asyncio.timeout(2):
            assert (await download.reader.readuntil(b"0\r\n\r\n")).endswith(b"last\r\n0\r\n\r\n")
        assert (await download.ask("GET", "/v2/courses", f"X-API-Key: {key}")).code == "credential_revoked"


async def test_an_observed_stream_goes_on_whatever_becomes_of_its_key(tmp_path: Path, feed: Feed) -> None:
    async with running_plane(tmp_path, feed.port, feed="enforcement: observe") as plane:
        await plane.scope("website", read="courses")
        key, other = await plane.key("website"), await plane.key("website")
        far = LastingFeed(feed, EVENTS)
        async with lasting(plane, key, EVENTS) as client, lasting(plane, other, EVENTS):
            await revoke_key(plane.store, "tests", 1)
            await _until_heard(plane)
            far.more[0].write(b"data: more\n\n")
            async with asyncio.timeout(2):
                await client.reader.readuntil(b"more\n\n")


async def test_a_public_stream_ends_with_its_feed_alone(tmp_path: Path, feed: Feed) -> None:
    async with running_plane(tmp_path, feed.port) as plane:
        await plane.scope("website", read="courses")
        await plane.key("website")
        far = LastingFeed(feed, EVENTS)
        async with lasting(plane, None, EVENTS, "/v2/status") as client:
            await revoke_key(plane.store, "tests", 1)
            await _until_heard(plane)
            await _goes_on(far, client, b"data: more\n\n")
            await _reload(plane, "gateway.yaml", "  test:\n", "  test:\n    enabled: false\n")
            await client.closed(within=2)
        (record,) = await records(plane, 1)
    assert record["code"] == "feed_disabled"


async def _until_heard(plane: PlaneUnderTest) -> None:
    """Wait until the worker has heard of everything, and has judged by it."""
    latest = await plane.store.latest_change()
    await until(lambda: plane.worker.follower.seen == latest)
    review = plane.worker._listener.review
    await until(lambda: not review._news.is_set())
    await asyncio.sleep(0.05)


async def test_an_outage_of_the_store_ends_nobody_who_is_known(
    plane: PlaneUnderTest, feed: Feed, key: str, tmp_path: Path
) -> None:
    far = LastingFeed(feed, EVENTS)
    async with lasting(plane, key, EVENTS) as client:
        for name in ("scopegate.db", "scopegate.db-wal", "scopegate.db-shm"):
            (tmp_path / name).rename(tmp_path / f"away-{name}")
        await until(lambda: plane.worker.follower.trouble is not None)
        plane.worker._listener.judge_again()
        await asyncio.sleep(0.1)
        await _goes_on(far, client, b"data: more\n\n")


@pytest.mark.slow
async def test_a_change_that_cannot_be_read_is_waited_for_and_not_for_ever(
    plane: PlaneUnderTest, feed: Feed, key: str, tmp_path: Path
) -> None:
    """The store told that the key changed, and went away before it told how."""
    far = LastingFeed(feed, EVENTS)
    async with lasting(plane, key, EVENTS) as client:
        for name in ("scopegate.db", "scopegate.db-wal", "scopegate.db-shm"):
            (tmp_path / name).rename(tmp_path / f"away-{name}")
        await until(lambda: plane.worker.follower.trouble is not None)
        plane.worker._memory.lapse()
        plane.worker._listener.judge_again()
        await asyncio.sleep(2)
        await _goes_on(far, client, b"data: more\n\n")
        await client.closed(within=20)
    (record,) = await records(plane, 1)
    assert (record["outcome"], record["code"]) == ("error", "store_unavailable")


async def test_of_many_tunnels_those_of_the_revoked_key_end(
    plane: PlaneUnderTest, feed: Feed, key: str
) -> None:
    other = await plane.key("website")
    far = LastingFeed(feed, SWITCH)
    opened = [lasting(plane, key if number % 2 else other, SWITCH) for number in range(60)]
    clients = [await one.__aenter__() for one in opened]
    await revoke_key(plane.store, "tests", 1)
    await asyncio.gather(*(client.closed(within=3) for client in clients[1::2]))
    await until(lambda: far.ended == 30)
    for one in opened:
        await one.__aexit__(None, None, None)
    codes = [record["code"] for record in await records(plane, 60)]
    assert sorted(map(str, codes)) == ["None"] * 30 + ["credential_revoked"] * 30
