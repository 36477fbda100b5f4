import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop
from issuing import Issuer, running_issuer

from gateway.issuers.fetching import Fetcher


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with running_issuer() as issuer:
        yield issuer


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    async with Fetcher() as fetcher:
        yield fetcher


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the gateway runs on."""
    return {"uvloop": uvloop.new_event_loop}
