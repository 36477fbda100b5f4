import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop
from feeds import Feed, running_feed
from gateways import PlaneUnderTest, running_plane


@pytest.fixture
async def feed() -> AsyncIterator[Feed]:
    async with running_feed() as feed:
        yield feed


@pytest.fixture
async def plane(tmp_path: Path, feed: Feed) -> AsyncIterator[PlaneUnderTest]:
    async with running_plane(tmp_path, feed.port) as plane:
        await plane.scope("website", read="courses,course-dates")
        yield plane


@pytest.fixture
async def key(plane: PlaneUnderTest) -> str:
    return await plane.key("website")


@pytest.fixture
async def full_key(plane: PlaneUnderTest) -> str:
    """A key that may do everything."""
    return await plane.key("api-v2")


@pytest.fixture
def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the gateway runs on."""
    return {"uvloop": uvloop.new_event_loop}
