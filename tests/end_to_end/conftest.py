from collections.abc import Iterator

import pytest
from feeds import Feed
from operations import feed_beside


@pytest.fixture
def feed() -> Iterator[Feed]:
    with feed_beside() as feed:
        yield feed
