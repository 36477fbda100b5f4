"""A flood of keys that nobody knows: bounded, and unnoticed by callers who are known."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from secrets import token_hex

import pytest
from conversations import Answered, ask
from feeds import Feed
from gateways import PlaneUnderTest, running_plane
from outages import locked

LIMITS = "limits: {look_ups: 2}"


@pytest.fixture
async def plane(tmp_path: Path, feed: Feed) -> AsyncIterator[PlaneUnderTest]:
    async with running_plane(tmp_path, feed.port, main=LIMITS) as plane:
        yield plane


async def test_unknown_keys_beyond_the_bound_are_overload_and_known_callers_are_served(
    plane: PlaneUnderTest, feed: Feed
) -> None:
    known = f"X-API-Key: {await plane.key('api-v2')}"
    assert (await ask(plane.port, "GET", "/v2/courses", known)).status == 200

    async def guess() -> Answered:
        return await ask(plane.port, "GET", "/v2/courses", f"X-API-Key: {token_hex(16)}")

    with locked(plane.directory / "scopegate.db"):  # what is under way stays under way for a while
        guesses = [asyncio.create_task(guess()) for _ in range(30)]
        for _ in range(5):
            assert (await ask(plane.port, "GET", "/v2/courses", known)).status == 200
        answers = await asyncio.gather(*guesses)
    codes = [answer.code for answer in answers]
    assert set(codes) <= {"overloaded", "store_unavailable"}
    assert codes.count("overloaded") >= 20
    overloaded = next(answer for answer in answers if answer.code == "overloaded")
    assert (overloaded.status, overloaded.value("Retry-After")) == (503, "1")
    assert len(feed.requests) == 6
    assert (await guess()).status in {401, 503}


async def test_the_same_key_asked_for_by_many_is_one_look_up(plane: PlaneUnderTest) -> None:
    key = f"X-API-Key: {await plane.key('api-v2')}"
    answers = await asyncio.gather(*(ask(plane.port, "GET", "/v2/courses", key) for _ in range(30)))
    assert [answer.status for answer in answers] == [200] * 30
