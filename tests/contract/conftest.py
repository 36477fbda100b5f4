"""Stores to put the same questions to: a SQLite file, and a real PostgreSQL of this test run's own."""

from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from postgresql import TEMPLATE, Server, running_postgresql
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


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL, started when the first test asks for it."""
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def database_names() -> Iterator[str]:
    return (f"store_{number}" for number in count())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a prepared store that only this test uses."""
    if request.param == "sqlite":
        put_new_store(tmp_path / "store.db")
        return f"sqlite:///{tmp_path}/store.db"
    server: Server = request.getfixturevalue("server")
    name = next(request.getfixturevalue("database_names"))
    server.run(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    return server.url(name)


@pytest.fixture
async def store(url: str, clock: Callable[[], float]) -> AsyncIterator[Store]:
    async with open_store(url, clock=clock) as opened:
        yield opened
