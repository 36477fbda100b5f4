"""Authorization servers for the tests of this folder: one that they share, and ones to break."""

from collections.abc import Iterator

import pytest
from authorization_server import AuthorizationServer, running_authorization_server


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
