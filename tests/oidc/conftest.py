"""Authorization servers, feeds and gateways for the tests of this folder: to share, and to break."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from authorization_server import AuthorizationServer, running_authorization_server
from bearers import with_scopes
from commands import Commands
from feeds import Feed
from gateways import GatewayUnderTest, write_configuration
from operations import feed_beside, serving
from outages import files_of

Believer = Callable[..., AbstractContextManager[tuple[GatewayUnderTest, Commands]]]
"""Runs a gateway with these further lines of configuration, and with scopes and members; and its commands."""


@pytest.fixture(scope="session")
def issuer() -> Iterator[AuthorizationServer]:
    """A server that nobody stops or gives other keys."""
    with running_authorization_server() as server:
        yield server


@pytest.fixture
def breakable() -> Iterator[AuthorizationServer]:
    """A server for one test to do with as it likes."""
    with running_authorization_server() as server:
        yield server


@pytest.fixture(scope="module")
def feed() -> Iterator[Feed]:
    with feed_beside() as feed:
        yield feed


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, program: Commands) -> Commands:
    """Commands on a store with scopes and members, which is copied for every gateway."""
    file = write_configuration(tmp_path_factory.mktemp("prepared"), [9])
    run = program.on(file)
    with_scopes(run)
    return run


@pytest.fixture(scope="module")
def believer(tmp_path_factory: pytest.TempPathFactory, feed: Feed, prepared: Commands) -> Believer:
    @contextmanager
    def running(*lines: str) -> Iterator[tuple[GatewayUnderTest, Commands]]:
        directory: Path = tmp_path_factory.mktemp("believer")
        for store in files_of(prepared.file.parent / "scopegate.db"):
            shutil.copy(store, directory)
        file = write_configuration(directory, [feed.port], main="\n".join(lines))
        with serving(file) as gateway:
            yield gateway, prepared.on(file)

    return running
