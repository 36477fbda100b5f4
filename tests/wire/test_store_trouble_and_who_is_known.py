"""Who is known is served for a stated time while the store is away; then 503, and never a 401 or a pass."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic, time
from typing import Final

import pytest
from conversations import Answered, Conversation, conversation
from feeds import Feed
from gateways import PlaneUnderTest, running_plane
from outages import locked, removed, replaced, restored
from stopwatch import Stopwatch
from waiting import until, until_so

from gateway.control.keys import disable_key, revoke_key
from gateway.store.opening import open_store

STALE_FOR: Final = 2.0
"""Seconds for which callers are served from memory in most of these tests."""

SLACK: Final = 0.7
"""Seconds that a loaded machine may be late by."""

FORGETFUL: Final = "cache: {ttl: 0s, negative_ttl: 0s}"
LASTING: Final = "cache: {ttl: 1h, negative_ttl: 1h}"


@asynccontextmanager
async def plane_of(
    directory: Path, feed: Feed, main: str, stale_for: str = f"{STALE_FOR}s"
) -> AsyncIterator[PlaneUnderTest]:
    """A gateway with the scope `website`."""
    async with running_plane(directory, feed.port, main=main, stale_for=stale_for) as plane:
        await plane.scope("website", read="courses,course-dates")
        yield plane


def store_of(plane: PlaneUnderTest) -> Path:
    return plane.directory / "scopegate.db"


def garbage(store: Path) -> None:
    other = store.with_suffix(".new")
    other.write_bytes(b"garbage!" * 4096)
    replaced(store, other)


def another_database(store: Path) -> None:
    other = store.with_suffix(".new")
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE songs (title TEXT)")
    database.close()
    replaced(store, other)


def a_folder(store: Path) -> None:
    removed(store)
    store.mkdir()


BREAK: Final[Mapping[str, Callable[[Path], object]]] = {
    "removed": removed,
    "replaced by garbage": garbage,
    "replaced by a folder": a_folder,
    "replaced by something else's": another_database,
}


async def courses(client: Conversation, key: str) -> Answered:
    return await client.ask("GET", "/v2/courses", f"X-API-Key: {key}")


def said(answer: Answered) -> tuple[int, str | None]:
    """Status, and the code of what the gateway refused."""
    ours = answer.value("Content-Type") == "application/problem+json"
    return answer.status, answer.code if ours else None


def unread_for(plane: PlaneUnderTest) -> float:
    """Seconds since the worker last read what changed, as it says itself."""
    return plane.counted("gateway_store_unread_seconds")[0][1]


SERVED = (200, None)
AWAY = (503, "store_unavailable")


@pytest.mark.parametrize("ttl", [FORGETFUL, LASTING], ids=["past its ttl", "within its ttl"])
@pytest.mark.parametrize("how", BREAK)
async def test_who_is_known_is_served_for_the_stated_time_and_then_told_of_the_outage(
    tmp_path: Path, feed: Feed, how: str, ttl: str
) -> None:
    async with plane_of(tmp_path, feed, ttl) as plane, conversation(plane.port) as client:
        known, stranger = await plane.key("website"), await plane.key("website")
        await plane.until_heard()
        assert said(await courses(client, known)) == SERVED
        BREAK[how](store_of(plane))
        broken = monotonic()

        async def refused() -> bool:
            answer = said(await courses(client, known))
            assert answer == SERVED or (answer == AWAY and unread_for(plane) >= STALE_FOR)
            return answer == AWAY

        assert not await refused()
        assert said(await courses(client, stranger)) == AWAY
        await until_so(refused, within=STALE_FOR + SLACK)
        assert monotonic() - broken >= STALE_FOR - SLACK
        reached = len(feed.requests)
        for key in (known, stranger, "imported-from-elsewhere"):
            assert said(await courses(client, key)) == AWAY
        assert len(feed.requests) == reached


async def test_a_store_that_is_back_confirms_again_who_was_no_longer_served(
    tmp_path: Path, feed: Feed
) -> None:
    async with plane_of(tmp_path, feed, LASTING, "1s") as plane, conversation(plane.port) as client:
        key = await plane.key("website")
        await plane.until_heard()
        assert said(await courses(client, key)) == SERVED
        away = removed(store_of(plane))

        async def answers(expected: tuple[int, str | None]) -> bool:
            return said(await courses(client, key)) == expected

        await until_so(lambda: answers(AWAY), within=1 + 2 * SLACK)
        assert plane.worker.health()["checks"]["store"] is not None
        restored(away, store_of(plane))
        await until_so(lambda: answers(SERVED), within=1)
        await until(lambda: plane.worker.health() == {"checks": {"store": None}, "warnings": []})


async def test_the_end_of_a_key_bites_while_the_store_is_away(tmp_path: Path, feed: Feed) -> None:
    async with plane_of(tmp_path, feed, FORGETFUL, "1m") as plane, conversation(plane.port) as client:
        end = time() + 3.0
        key = await plane.key("website", expires_at=end)
        lasting = await plane.key("website")
        await plane.until_heard()
        assert said(await courses(client, lasting)) == SERVED
        assert said(await courses(client, key)) == SERVED
        removed(store_of(plane))
        assert said(await courses(client, key)) == SERVED
        await until(lambda: time() > end)
        assert said(await courses(client, key)) == (401, "credential_expired")
        assert said(await courses(client, lasting)) == SERVED


@pytest.mark.parametrize("withdraw", [revoke_key, disable_key])
async def test_who_was_withdrawn_before_the_outage_is_not_served_from_memory(
    tmp_path: Path, feed: Feed, withdraw: Callable[..., object]
) -> None:
    async with plane_of(tmp_path, feed, LASTING, "1m") as plane, conversation(plane.port) as client:
        key = await plane.key("website")
        await plane.until_heard()
        assert said(await courses(client, key)) == SERVED
        before = plane.worker.follower.seen
        withdrawn = withdraw(plane.store, "tests", 1)
        assert asyncio.iscoroutine(withdrawn)
        await withdrawn
        await until(lambda: plane.worker.follower.seen > before)
        removed(store_of(plane))
        assert said(await courses(client, key)) == AWAY
        assert len(feed.requests) == 1


async def test_what_changed_during_the_outage_is_heeded_within_a_second_of_its_end(
    tmp_path: Path, feed: Feed
) -> None:
    async with plane_of(tmp_path, feed, LASTING, "1m") as plane, conversation(plane.port) as client:
        keys = [await plane.key("website") for _ in range(3)]
        await plane.until_heard()
        for key in keys:
            assert said(await courses(client, key)) == SERVED
        away = removed(store_of(plane))
        await until(lambda: plane.worker.follower.trouble is not None)
        async with open_store(f"sqlite:///{away}/scopegate.db") as elsewhere:
            await revoke_key(elsewhere, "tests", 1)
            await disable_key(elsewhere, "tests", 2)
        assert {said(await courses(client, key)) for key in keys} == {SERVED}
        restored(away, store_of(plane))

        async def heeded() -> bool:
            told = [said(await courses(client, key)) for key in keys]
            return told == [(401, "credential_revoked"), (401, "credential_revoked"), SERVED]

        await until_so(heeded, within=1)


async def test_a_store_locked_for_seconds_costs_who_is_known_next_to_nothing_and_strangers_two_seconds(
    tmp_path: Path, feed: Feed
) -> None:
    async with plane_of(tmp_path, feed, FORGETFUL, "1m") as plane, conversation(plane.port) as client:
        known, stranger = await plane.key("website"), await plane.key("website")
        await plane.until_heard()
        assert said(await courses(client, known)) == SERVED
        with locked(store_of(plane)):
            began, watch = monotonic(), Stopwatch()
            assert said(await courses(client, stranger)) == AWAY
            assert monotonic() - began > 1.9
            assert watch.seconds < 2.0 + SLACK
            await until(lambda: plane.worker.follower.trouble is not None)
            for _ in range(20):
                watch = Stopwatch()
                assert said(await courses(client, known)) == SERVED
                assert watch.seconds < SLACK
            watch = Stopwatch()
            assert said(await courses(client, stranger)) == AWAY
            assert watch.seconds < 0.25 + SLACK
        freed = Stopwatch()
        await until(lambda: plane.worker.follower.trouble is None, within=1)

        async def served() -> bool:
            return said(await courses(client, stranger)) == SERVED

        await until_so(served, within=1)
        assert freed.seconds < 1


async def test_many_who_ask_for_one_key_of_a_slow_store_cost_it_one_question(
    tmp_path: Path, feed: Feed
) -> None:
    async with plane_of(tmp_path, feed, LASTING) as plane:
        key = await plane.key("website")

        async def asked() -> tuple[int, str | None]:
            async with conversation(plane.port) as client:
                return said(await courses(client, key))

        with locked(store_of(plane)):
            asking = [asyncio.create_task(asked()) for _ in range(50)]
            await until(lambda: plane.worker.snapshot()["values"]["gateway_in_flight"][0][1] == 50)
            assert plane.worker._memory.under_way.total() == 1
        assert {await answer for answer in asking} == {SERVED}
        assert len(feed.requests) == 50


async def test_a_reload_in_an_outage_makes_nobody_unknown(tmp_path: Path, feed: Feed) -> None:
    async with plane_of(tmp_path, feed, FORGETFUL, "1m") as plane, conversation(plane.port) as client:
        known, stranger = await plane.key("website"), await plane.key("website")
        await plane.until_heard()
        assert said(await courses(client, known)) == SERVED
        removed(store_of(plane))
        await until(lambda: plane.worker.follower.trouble is not None)
        routes = plane.directory / "routes.yaml"
        routes.write_text(routes.read_text().replace("modules: {", "modules: {another: Another, "))
        for _ in range(3):
            await plane.worker.reload()
            assert said(await courses(client, known)) == SERVED
            answer = await client.ask("GET", "/v2/bookings", f"X-API-Key: {known}")
            assert said(answer) == (403, "scope_denied")
            assert said(await courses(client, stranger)) == AWAY


async def test_an_outage_is_told_by_health_and_metrics(tmp_path: Path, feed: Feed) -> None:
    async with plane_of(tmp_path, feed, FORGETFUL, "3s") as plane, conversation(plane.port) as client:
        key = await plane.key("website")
        await plane.until_heard()
        assert said(await courses(client, key)) == SERVED
        assert plane.counted("gateway_store_up") == [([], 1)]
        removed(store_of(plane))
        await until(lambda: plane.counted("gateway_store_up") == [([], 0)])
        assert said(await courses(client, key)) == SERVED
        health = plane.worker.health()
        assert health["checks"] == {"store": None}
        assert "is not there" in health["warnings"][0]
        assert "Callers who are known are served for" in health["warnings"][0]
        assert (["stale"], 1) in plane.counted("gateway_principal_cache_total")
        await until(lambda: plane.worker.health()["checks"]["store"] is not None, within=3 + 2 * SLACK)
        assert plane.worker.health()["warnings"] == []
        assert plane.counted("gateway_store_unread_seconds")[0][1] >= 3 - SLACK
