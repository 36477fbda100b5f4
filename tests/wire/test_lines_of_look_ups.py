"""Who floods one line of look-ups keeps nobody in another waiting, and nothing good that has ended.

Opaque tokens are asked about at an endpoint that answers when it is let; meanwhile a flood of made-up ones
takes all the room there is for strangers.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import time
from typing import Final
from urllib.parse import parse_qs

import pytest
from conversations import ask
from feeds import Feed, Received
from gateways import PlaneUnderTest, running_plane
from issuing import KEYS, Issuer, answered, running_issuer
from tokens import AUDIENCE, ISSUER, SigningKey, key_set
from waiting import until

from gateway.control.members import add_member
from gateway.domain.scope_use import MemberKind, MemberUse

KEY: Final = SigningKey()
ASK: Final = "/introspect"
ROOM: Final = 3
ADA: Final = MemberUse(MemberKind.USER, "ada")


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with running_issuer() as issuer:
        issuer.page(KEYS, key_set(KEY))
        yield issuer


def live(issuer: Issuer, *tokens: str) -> None:
    """From now on these opaque tokens are ada's, and all others are not active."""

    def introspected(request: Received) -> bytes:
        [token] = parse_qs(request.body.decode())["token"]
        ends = int(time()) + 600
        return answered(json.dumps({"active": token in tokens, "sub": "ada", "exp": ends}))

    issuer.pages[ASK] = introspected


@asynccontextmanager
async def plane_of(directory: Path, feed: Feed, issuer: Issuer, ttl: str) -> AsyncIterator[PlaneUnderTest]:
    trusted = {"issuer": ISSUER, "audience": AUDIENCE, "algorithms": ["ES256"], "jwks": issuer.url + KEYS}
    endpoint = {"url": issuer.url + ASK, "client_id": "gateway", "client_secret": "s3cret"}
    bearer = {"issuers": [trusted], "introspection": endpoint}
    main = f"limits: {{look_ups: {ROOM}}}\ncache: {{ttl: {ttl}}}\nauthentication: " + json.dumps(
        {"bearer": bearer}
    )
    async with running_plane(directory, feed.port, main=main) as plane:
        await plane.scope("website", read="courses")
        await add_member(plane.store, "tests", "website", ADA)
        latest = await plane.store.latest_change()
        await until(lambda: plane.worker.follower.seen == latest and issuer.asked(KEYS) == 1)
        yield plane


async def bearing(plane: PlaneUnderTest, token: str) -> int:
    return (await ask(plane.port, "GET", "/v2/courses", f"Authorization: Bearer {token}")).status


@asynccontextmanager
async def flooded(plane: PlaneUnderTest, issuer: Issuer) -> AsyncIterator[None]:
    """As many strangers as there is room for wait for the endpoint, until it answers at the end."""
    before = issuer.asked(ASK)
    issuer.hold()
    flood = [asyncio.create_task(bearing(plane, f"made-up-{number}")) for number in range(ROOM)]
    await until(lambda: issuer.asked(ASK) == before + ROOM)
    assert await bearing(plane, "one-more") == 503
    yield
    issuer.let_go()
    assert [await one for one in flood] == [401] * ROOM


async def test_tokens_of_another_issuer_are_served_meanwhile(
    tmp_path: Path, feed: Feed, issuer: Issuer
) -> None:
    live(issuer)
    async with plane_of(tmp_path, feed, issuer, "60s") as plane, flooded(plane, issuer):
        for number in range(2 * ROOM):
            assert await bearing(plane, KEY.token(jti=str(number))) == 200


async def test_issuers_that_nobody_believes_share_a_line(tmp_path: Path, feed: Feed, issuer: Issuer) -> None:
    live(issuer)
    async with plane_of(tmp_path, feed, issuer, "60s") as plane:
        for number in range(2 * ROOM):
            assert await bearing(plane, KEY.token(iss=f"https://{number}.example.com")) == 401
        assert not plane.worker._memory.under_way


async def test_a_token_that_is_known_is_asked_about_again_meanwhile(
    tmp_path: Path, feed: Feed, issuer: Issuer
) -> None:
    live(issuer, "alive", "dead-soon")
    async with plane_of(tmp_path, feed, issuer, "300ms") as plane:
        assert [await bearing(plane, token) for token in ("alive", "dead-soon")] == [200, 200]
        live(issuer, "alive")
        await asyncio.sleep(0.4)
        async with flooded(plane, issuer):
            before = issuer.asked(ASK)
            again = [asyncio.create_task(bearing(plane, token)) for token in ("alive", "dead-soon")]
            await until(lambda: issuer.asked(ASK) == before + 2)
        assert [await one for one in again] == [200, 401]


async def test_no_token_outlasts_its_time_for_want_of_room(
    tmp_path: Path, feed: Feed, issuer: Issuer
) -> None:
    """Not even where those who are known take all the room that is theirs."""
    tokens = [f"known-{number}" for number in range(ROOM)]
    live(issuer, "dead-soon", *tokens)
    async with plane_of(tmp_path, feed, issuer, "300ms") as plane:
        assert [await bearing(plane, token) for token in ("dead-soon", *tokens)] == [200] * (1 + ROOM)
        live(issuer, *tokens)
        await asyncio.sleep(0.4)
        before = issuer.asked(ASK)
        issuer.hold()
        again = [asyncio.create_task(bearing(plane, token)) for token in tokens]
        await until(lambda: issuer.asked(ASK) == before + ROOM)
        assert await bearing(plane, "dead-soon") == 503
        issuer.let_go()
        assert [await one for one in again] == [200] * ROOM
        assert await bearing(plane, "dead-soon") == 401
