"""When each key was last used: noted as requests end, written now and then, off the request path."""

import asyncio
import logging
from collections.abc import Mapping
from time import time
from typing import Final, Protocol

from gateway.domain.exchange import Exchange
from gateway.domain.ports import StoreUnavailableError

WRITE_EVERY: Final = 5.0
"""Seconds between two writes."""

PRECISION: Final = 60.0
"""Seconds between two writes of one key: a busy one costs the store a write a minute."""

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
        self._written: dict[int, float] = {}
        """When each key was last written, as far as that was less than PRECISION ago."""

    def exchange(self, record: Exchange) -> None:
        """Note the use that an exchange made of a key."""
        if record.key_id is not None:
            self._used[record.key_id] = record.ts

    async def write(self, *, everything: bool = False) -> None:
        """Write down what was noted: of keys that were not written lately, or of all."""
        now = time()
        self._written = {key: at for key, at in self._written.items() if now - at < PRECISION}
        used = {key: at for key, at in self._used.items() if everything or key not in self._written}
        if not used:
            return
        self._used = {key: at for key, at in self._used.items() if key not in used}
        try:
            await self._book.record_last_use(used)
        except StoreUnavailableError as why:
            log.warning("when keys were last used could not be written, and is kept: %s", why)
            self._used = used | self._used
        else:
            self._written |= dict.fromkeys(used, now)

    async def keep_writing(self) -> None:
        """Write again and again, until cancelled."""
        while True:
            await asyncio.sleep(WRITE_EVERY)
            await self.write()
