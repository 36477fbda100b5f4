"""Follows the change feed, so that what others write reaches this process within a second."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from gateway.domain.change import Changes
from gateway.domain.ports import StoreUnavailableError
from gateway.store.questions import Questions

POLL: Final = 0.25
"""Seconds between two looks at the feed."""

log = logging.getLogger(__name__)


class Follower:
    """Tells what changed, in order, from `start` on. An outage is waited out, and nothing is missed by it."""

    def __init__(self, store: Questions, tell: Callable[[Changes], None]) -> None:
        self._store = store
        self._tell = tell
        self.seen = 0
        """The last change seen: the revision of the policy that is in force here."""
        self.trouble: str | None = None
        """Why the store cannot be followed now, or None."""

    async def start(self) -> None:
        """Begin after the last change there is. Raises StoreUnavailableError."""
        self.seen = await self._store.latest_change()

    async def follow(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(POLL)
            await self._look()

    async def _look(self) -> None:
        try:
            changes = await self._store.changes_after(self.seen)
        except StoreUnavailableError as why:
            if self.trouble is None:
                log.warning("changes cannot be followed: %s", why)
            self.trouble = str(why)
            return
        if self.trouble is not None:
            log.warning("changes are followed again")
            self.trouble = None
        if changes.gap or changes.rows:
            self._tell(changes)
        self.seen = changes.latest
