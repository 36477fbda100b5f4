"""What has happened to the records lately, for those who listen to the event stream."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

REMEMBERED: Final = 200


class Change(NamedTuple):
    """One change; numbers rise by one and serve as event ids."""

    number: int
    event: str
    data: Mapping[str, object]


class Changes:
    """The latest changes, and a way to wait for the next."""

    def __init__(self) -> None:
        self.latest: deque[Change] = deque(maxlen=REMEMBERED)
        self.number = 0
        self._news = asyncio.Event()

    def publish(self, event: str, data: Mapping[str, object]) -> None:
        """Tell everybody who listens."""
        self.number += 1
        self.latest.append(Change(self.number, event, data))
        self._news.set()
        self._news = asyncio.Event()

    def since(self, number: int) -> list[Change]:
        """The remembered changes after that number."""
        return [change for change in self.latest if change.number > number]

    async def wait(self, seconds: float) -> bool:
        """Whether something changed before the time was over."""
        try:
            return await asyncio.wait_for(self._news.wait(), seconds)
        except TimeoutError:
            return False
