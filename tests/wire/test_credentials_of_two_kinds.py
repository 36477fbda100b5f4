"""A key is no token and a token no key, also where it is remembered that the same bytes were good, or bad."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from conversations import ask
from feeds import Feed
from gateways import PlaneUnderTest, running_plane
from tokens import SigningKey, bearer_settings
from waiting import until

from gateway.control.members import add_member
from gateway.domain.scope_use import MemberKind, MemberUse

KEY: Final = SigningKey()
IN_QUERY: Final = "  api_key: {query: api_key}"


@pytest.fixture
async def plane(tmp_path: Path, feed: Feed) -> AsyncIterator[PlaneUnderTest]:
    main = f"{bearer_settings(tmp_path, KEY)}\n{IN_QUERY}"
    async with running_plane(tmp_path, feed.port, main=main) as plane:
        await plane.scope("website", read="courses")
        await add_member(plane.store, "tests", "website", MemberUse(MemberKind.USER, "ada"))
        yield plane


@pytest.fixture(params=["a key", "a token"])
async def places(request: pytest.FixtureRequest, plane: PlaneUnderTest) -> tuple[str, list[str]]:
    """Where a good credential belongs, and where it does not; nothing else changes any more."""
    secret = await plane.key("website") if request.param == "a key" else KEY.token()
    latest = await plane.store.latest_change()
    await until(lambda: plane.worker.follower.seen == latest)
    as_key, as_token = f"X-API-Key: {secret}", f"Authorization: Bearer {secret}"
    if request.param == "a key":
        return as_key, [as_token]
    return as_token, [as_key, f"X-API-Key: Bearer {secret}", f"?api_key={secret}"]


async def status_of(plane: PlaneUnderTest, place: str) -> int:
    if place.startswith("?"):
        return (await ask(plane.port, "GET", f"/v2/courses{place}")).status
    return (await ask(plane.port, "GET", "/v2/courses", place)).status


async def test_a_credential_that_is_known_is_good_in_its_own_place_alone(
    plane: PlaneUnderTest, places: tuple[str, list[str]]
) -> None:
    good, bad = places
    assert await status_of(plane, good) == 200
    assert [await status_of(plane, place) for place in bad] == [401] * len(bad)
    assert await status_of(plane, good) == 200


async def test_a_credential_that_was_refused_elsewhere_is_still_good_in_its_own_place(
    plane: PlaneUnderTest, places: tuple[str, list[str]]
) -> None:
    good, bad = places
    assert [await status_of(plane, place) for place in bad] == [401] * len(bad)
    assert await status_of(plane, good) == 200
