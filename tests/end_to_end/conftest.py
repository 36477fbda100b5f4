from collections.abc import Iterator

import pytest
from commands import Commands
from feeds import Feed
from operations import feed_beside


@pytest.fixture(scope="module")
def commands(program: Commands) -> Commands:
    """Commands for whatever configuration: `commands.on(file)`."""
    return program


@pytest.fixture
def feed() -> Iterator[Feed]:
    with feed_beside() as feed:
        yield feed
