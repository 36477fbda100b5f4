"""When each key was last used: noted as requests end, written now and then, off the request path."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final, Protocol

from gateway.domain.exchange import Exchange
from gateway.domain.ports import StoreUnavailableError

WRITE_EVERY: Final = 5.0
"""Seconds between two writes."""

log = logging.getLogger(__name__)


class UseBook(Protocol):
    """Where last uses are written down."""

    async def record_last_use(self, used: Mapping[int, float]) -> None:
        """Note when keys were last used: key id to seconds since the epoch. Raises StoreUnavailableError."""
        ...


class LastUse:
    """Collects last uses; what could not be written is kept for the next time."""

    def __init__(self, book: UseBook) -> None:
        self._book = book
        self._used: dict[int, float] = {}

    def exchange(self, record: Exchange) -> None:
        """Note the use that an exchange made of a key."""
        if record.key_id is not None:
            self._used[record.key_id] = record.ts

    async def write(self) -> None:
        """Write down what was noted since the last time."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await self._book.record_last_use(used)
        except StoreUnavailableError as why:
            log.warning("when keys were last used could not be written, and is kept: %s", why)
            self._used = used | self._used

    async def keep_writing(self) -> None:
        """Write again and again, until cancelled."""
        while True:
            await asyncio.sleep(WRITE_EVERY)
            await self.write()
