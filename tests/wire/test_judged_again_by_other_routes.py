"""What lasts is judged by the modules of the routes in force, whatever was found under those before."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from conversations import Conversation, ask, conversation
from feeds import Feed
from gateways import PlaneUnderTest
from scripts import read_head, records
from waiting import until

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat/1\r\n\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
BOOKINGS = "/v2/bookings, module: bookings}"


@pytest.fixture
async def key(plane: PlaneUnderTest) -> str:
    """The key of an integration that reads bookings, and is known by now."""
    await plane.scope("bookings", read="bookings")
    key = await plane.key("bookings")
    latest = await plane.store.latest_change()
    await until(lambda: plane.worker.follower.seen == latest)
    assert (await ask(plane.port, "GET", "/v2/users", f"X-API-Key: {key}")).status == 403
    return key


@asynccontextmanager
async def lasting(
    plane: PlaneUnderTest, feed: Feed, key: str, beginning: bytes
) -> AsyncIterator[tuple[Conversation, asyncio.StreamWriter]]:
    """A client whose tunnel or stream of bookings has begun, and the feed's side of it."""
    far = list[asyncio.StreamWriter]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(beginning + b"data: hello\n\n")
        far.append(writer)
        await reader.read()

    feed.script = answer
    lines = ["GET /v2/bookings HTTP/1.1", "Host: a", f"X-API-Key: {key}"]
    lines += ["Connection: Upgrade", "Upgrade: chat/1"] if beginning is SWITCH else []
    async with conversation(plane.port) as client:
        await client.send("\r\n".join([*lines, "", ""]).encode())
        async with asyncio.timeout(5):
            await client.reader.readuntil(b"data: hello\n\n")
        yield client, far[0]


async def other_routes(plane: PlaneUnderTest, bookings: str = BOOKINGS) -> None:
    """Map one more module, which comes before all others; and bookings as told."""
    file = plane.directory / "routes.yaml"
    text = file.read_text().replace("modules: {", "modules: {accounts: Accounts, ")
    assert BOOKINGS in text
    file.write_text(text.replace(BOOKINGS, bookings))
    await plane.worker.reload()


@pytest.mark.parametrize("beginning", [SWITCH, EVENTS], ids=["tunnel", "events"])
async def test_what_is_of_a_module_now_that_no_scope_allows_is_ended(
    plane: PlaneUnderTest, feed: Feed, key: str, beginning: bytes
) -> None:
    async with lasting(plane, feed, key, beginning) as (client, _):
        await other_routes(plane, "/v2/bookings, module: accounts}")
        await client.closed(within=2)
    told = [record["code"] for record in await records(plane, 2)]
    assert told == ["scope_denied", "scope_denied"]


@pytest.mark.parametrize("beginning", [SWITCH, EVENTS], ids=["tunnel", "events"])
async def test_a_module_that_is_new_ends_nothing_of_the_others(
    plane: PlaneUnderTest, feed: Feed, key: str, beginning: bytes
) -> None:
    async with lasting(plane, feed, key, beginning) as (client, far):
        await other_routes(plane)
        review = plane.worker._listener.review
        await until(lambda: not review._news.is_set())
        await asyncio.sleep(0.05)  # the round has begun, and is over ten tunnels in less
        far.write(b"data: more\n\n")
        async with asyncio.timeout(2):
            await client.reader.readuntil(b"more\n\n")
