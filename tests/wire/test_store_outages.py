"""When the store is away, nobody's credential is called good or bad; when it is another, it is read anew."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest
from conversations import ask, conversation
from feeds import Feed
from gateways import PlaneUnderTest, running_plane
from outages import locked, removed, replaced, restored
from waiting import until, until_so

from gateway.control.keys import revoke_key
from gateway.store.opening import open_store

FORGETFUL = "cache: {ttl: 0s, negative_ttl: 0s}"


@pytest.fixture
async def forgetful(tmp_path: Path, feed: Feed) -> AsyncIterator[PlaneUnderTest]:
    """A gateway that asks its store each time."""
    async with running_plane(tmp_path, feed.port, main=FORGETFUL) as plane:
        await plane.scope("website", read="courses,course-dates")
        yield plane


def garbage(store: Path) -> None:
    other = store.with_suffix(".new")
    other.write_bytes(b"garbage!" * 4096)
    replaced(store, other)


def nothing(store: Path) -> None:
    other = store.with_suffix(".new")
    other.touch()
    replaced(store, other)


def a_folder(store: Path) -> None:
    removed(store)
    store.mkdir()


def another_database(store: Path) -> None:
    other = store.with_suffix(".new")
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE songs (title TEXT)")
    database.close()
    replaced(store, other)


BREAK: Final[Mapping[str, Callable[[Path], object]]] = {
    "removed": removed,
    "replaced by garbage": garbage,
    "emptied": nothing,
    "replaced by a folder": a_folder,
    "replaced by something else's": another_database,
}


@pytest.mark.parametrize("how", BREAK)
@pytest.mark.parametrize("presented", ["a good key", "an unknown key", "a good key on an unmapped path"])
async def test_a_store_that_is_broken_is_an_outage_and_neither_a_pass_nor_a_401(
    forgetful: PlaneUnderTest, feed: Feed, how: str, presented: str
) -> None:
    good = await forgetful.key("website")
    BREAK[how](forgetful.directory / "scopegate.db")
    path = "/v2/invoices" if "unmapped" in presented else "/v2/courses"
    key = "imported-from-elsewhere" if "unknown" in presented else good
    answer = await ask(forgetful.port, "GET", path, f"X-API-Key: {key}")
    assert (answer.status, answer.code) == (503, "store_unavailable")
    assert answer.value("Retry-After") == "5"
    assert str(forgetful.directory) not in answer.body.decode()
    assert feed.requests == []


@pytest.mark.parametrize("how", BREAK)
async def test_what_needs_no_store_is_answered_while_it_is_broken(
    forgetful: PlaneUnderTest, how: str
) -> None:
    BREAK[how](forgetful.directory / "scopegate.db")
    assert (await ask(forgetful.port, "GET", "/v2/status")).status == 200
    assert (await ask(forgetful.port, "GET", "/v2/courses")).status == 401
    typo = await ask(forgetful.port, "GET", "/v2/courses", "X-API-Key: sg_1_typo")
    assert (typo.status, typo.code) == (401, "credential_invalid")


async def test_a_key_that_is_remembered_is_served_while_the_store_is_away(
    plane: PlaneUnderTest, key: str
) -> None:
    await plane.until_heard()
    assert (await ask(plane.port, "GET", "/v2/courses", f"X-API-Key: {key}")).status == 200
    removed(plane.directory / "scopegate.db")
    assert (await ask(plane.port, "GET", "/v2/courses", f"X-API-Key: {key}")).status == 200
    await until(lambda: plane.worker.follower.trouble is not None)
    assert "is not there" in str(plane.worker.follower.trouble)
    assert (await ask(plane.port, "GET", "/v2/courses", f"X-API-Key: {key}")).status == 200


async def test_a_store_that_comes_back_is_used_again(forgetful: PlaneUnderTest, feed: Feed) -> None:
    key = await forgetful.key("website")
    store = forgetful.directory / "scopegate.db"
    away = removed(store)
    async with conversation(forgetful.port) as client:
        assert (await client.ask("GET", "/v2/courses", f"X-API-Key: {key}")).status == 503
        restored(away, store)
        assert (await client.ask("GET", "/v2/courses", f"X-API-Key: {key}")).status == 200
    assert len(feed.requests) == 1


async def test_a_key_revoked_in_a_store_put_in_place_of_another_is_refused_within_a_second(
    plane: PlaneUnderTest, key: str
) -> None:
    async with conversation(plane.port) as client:
        assert (await client.ask("GET", "/v2/courses", f"X-API-Key: {key}")).status == 200
        store, backup = plane.directory / "scopegate.db", plane.directory / "backup.db"
        with sqlite3.connect(store) as source, sqlite3.connect(backup) as copy:
            source.backup(copy)
        source.close()
        copy.close()
        async with open_store(f"sqlite:///{backup}") as other:
            await revoke_key(other, "tests", 1)
        replaced(store, backup)

        async def refused() -> bool:
            answer = await client.ask("GET", "/v2/courses", f"X-API-Key: {key}")
            return answer.status == 401 and answer.code == "credential_revoked"

        await until_so(refused, within=1.5)


@pytest.mark.slow
async def test_a_store_that_stays_locked_is_an_outage_and_ends_with_the_lock(
    forgetful: PlaneUnderTest, feed: Feed
) -> None:
    key = await forgetful.key("website")
    async with conversation(forgetful.port) as client:
        request = f"GET /v2/courses HTTP/1.1\r\nHost: feeds.test\r\nX-API-Key: {key}\r\n\r\n".encode()
        with locked(forgetful.directory / "scopegate.db"):
            await client.send(request)
            answer = await client.answer(within=15)
        assert (answer.status, answer.code) == (503, "store_unavailable")
        assert feed.requests == []
        await client.send(request)
        assert (await client.answer()).status == 200


async def test_who_leaves_while_the_store_is_asked_is_not_forwarded(
    forgetful: PlaneUnderTest, feed: Feed
) -> None:
    key = await forgetful.key("website")
    with locked(forgetful.directory / "scopegate.db"):
        async with conversation(forgetful.port) as client:
            await client.send(
                f"GET /v2/courses HTTP/1.1\r\nHost: feeds.test\r\nX-API-Key: {key}\r\n\r\n".encode()
            )
            await until(lambda: forgetful.worker.snapshot()["values"]["gateway_in_flight"][0][1] == 1)
            client.reset()
        await forgetful.until_logged(1)
    assert [(r["outcome"], r["status"]) for r in await forgetful.logged()] == [("abort", 0)]
    assert (await ask(forgetful.port, "GET", "/v2/courses", f"X-API-Key: {key}")).status == 200
    assert len(feed.requests) == 1


async def test_all_who_ask_at_once_are_answered(plane: PlaneUnderTest, feed: Feed, key: str) -> None:
    clients = 20
    async with AsyncExitStack() as crowd:
        guests = [await crowd.enter_async_context(conversation(plane.port)) for _ in range(clients)]
        answers = await asyncio.gather(
            *(guest.ask("GET", "/v2/courses", f"X-API-Key: {key}") for guest in guests)
        )
    assert [answer.status for answer in answers] == [200] * clients
    assert len(feed.requests) == clients
