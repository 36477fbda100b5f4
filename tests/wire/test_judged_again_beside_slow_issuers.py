"""A revocation ends what lasts within a second, however long an issuer takes to tell of others."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import time

import pytest
from conversations import Conversation, conversation
from feeds import Feed
from gateways import PlaneUnderTest, running_plane
from issuing import Issuer, answered, running_issuer
from scripts import read_head, records
from waiting import until

from gateway.control.keys import revoke_key
from gateway.control.members import add_member, remove_member
from gateway.domain.scope_use import MemberKind, MemberUse

ASK = "/introspect"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat/1\r\n\r\n"
ADA = MemberUse(MemberKind.USER, "ada")
TUNNELS = 40
"""More than are asked about at a time."""


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """Says of every opaque token that it is ada's."""
    async with running_issuer() as issuer:
        told = json.dumps({"active": True, "sub": "ada", "exp": int(time()) + 600})
        issuer.pages[ASK] = lambda _: answered(told)
        yield issuer


@pytest.fixture
async def plane(tmp_path: Path, feed: Feed, issuer: Issuer) -> AsyncIterator[PlaneUnderTest]:
    endpoint = {"url": issuer.url + ASK, "client_id": "gateway", "client_secret": "s3cret"}
    told = json.dumps({"bearer": {"introspection": endpoint}})
    async with running_plane(
        tmp_path, feed.port, main=f"cache: {{ttl: 2s}}\nauthentication: {told}"
    ) as plane:
        await plane.scope("website", read="courses")
        await add_member(plane.store, "tests", "website", ADA)
        yield plane


@asynccontextmanager
async def tunnel(plane: PlaneUnderTest, credential: str) -> AsyncIterator[Conversation]:
    async with conversation(plane.port) as client:
        lines = ["GET /v2/courses HTTP/1.1", "Host: a", credential, "Connection: Upgrade", "Upgrade: chat/1"]
        await client.send("\r\n".join([*lines, "", ""]).encode())
        async with asyncio.timeout(5):
            await client.reader.readuntil(b"\r\n\r\n")
        yield client


async def _switching(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_head(reader)
    writer.write(SWITCH)
    await reader.read()


async def test_a_revoked_key_is_not_served_while_an_issuer_is_waited_for(
    plane: PlaneUnderTest, feed: Feed, issuer: Issuer
) -> None:
    feed.script = _switching
    key = await plane.key("website")
    async with AsyncExitStack() as opened:
        for number in range(TUNNELS):
            await opened.enter_async_context(tunnel(plane, f"Authorization: Bearer live-{number}"))
        revoked = await opened.enter_async_context(tunnel(plane, f"X-API-Key: {key}"))
        asked = issuer.asked(ASK)
        issuer.hold()
        await until(lambda: issuer.asked(ASK) > asked)  # a look again has begun, and waits
        await revoke_key(plane.store, "tests", 1)
        await revoked.closed(within=1.5)
        issuer.let_go()
        review = plane.worker._listener.review
        await until(lambda: not review._asking)
        (record,) = await records(plane, 1)  # nobody else was ended
    assert record["code"] == "credential_revoked"


async def test_news_while_an_issuer_is_waited_for_are_heeded_when_it_has_told(
    plane: PlaneUnderTest, feed: Feed, issuer: Issuer
) -> None:
    """What the issuer said of a token before its bearer lost the scope is no verdict after it."""
    feed.script = _switching
    async with tunnel(plane, "Authorization: Bearer live-1") as ended:
        asked = issuer.asked(ASK)
        issuer.hold()
        await until(lambda: issuer.asked(ASK) > asked)
        await remove_member(plane.store, "tests", "website", ADA)
        latest = await plane.store.latest_change()
        await until(lambda: plane.worker.follower.seen == latest)
        issuer.let_go()
        await ended.closed(within=1.5)
    (record,) = await records(plane, 1)
    assert record["code"] == "scope_none"
