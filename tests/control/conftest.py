"""A store of one test's own for the use cases; what all stores do is in tests/contract."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from stores import put_new_store

from gateway.store.opening import open_store
from gateway.store.store import Store


class Clock:
    """A clock that goes only when told to."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
    put_new_store(tmp_path / "store.db")
    async with open_store(f"sqlite:///{tmp_path}/store.db", clock=clock) as opened:
        yield opened
