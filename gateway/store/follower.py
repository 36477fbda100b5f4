"""Follows the change feed, so that what others write reaches this process within a second."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from gateway.domain.change import Changes
from gateway.domain.ports import ChangeListener, StoreUnavailableError
from gateway.store.opening import open_store
from gateway.store.store import Store

POLL: Final = 0.25
"""Seconds between two looks at the feed."""

SLOW_AFTER: Final = 2.0
"""Seconds after which a look that has no answer counts as missed; it is still waited for."""

log = logging.getLogger(__name__)


class Follower:
    """Tells what changed, in order, from `start` on. An outage is waited out, and nothing is missed by it."""

    def __init__(self, store: Store, listener: ChangeListener) -> None:
        self._store = store
        self._listener = listener
        self.seen = 0
        """The last change seen: the revision of the policy that is in force here."""
        self.trouble: str | None = None
        """Why the store cannot be followed now, or None."""

    async def start(self) -> None:
        """Begin after the last change there is. Raises StoreUnavailableError; all changes are news then."""
        try:
            self.seen = await self._store.latest_change()
        except StoreUnavailableError as why:
            self._missed(str(why))
            raise
        self._listener.heard(Changes((), self.seen))

    async def follow(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(POLL)
            await self._look()

    async def _look(self) -> None:
        reading = asyncio.ensure_future(self._store.changes_after(self.seen))
        try:
            await asyncio.wait({reading}, timeout=SLOW_AFTER)
            if not reading.done():
                self._missed(f"The store {self._store.place} has not answered for {SLOW_AFTER:.0f} s.")
            changes = await reading
        except StoreUnavailableError as why:
            self._missed(str(why))
        except Exception as broken:
            if self.trouble is None:
                log.exception("the change feed cannot be read")
            self._missed(f"The store {self._store.place} has a change feed that cannot be read: {broken}.")
        else:
            self._heard(changes)
        finally:
            if not reading.done():
                reading.cancel()
                await asyncio.wait({reading})

    def _heard(self, changes: Changes) -> None:
        if self.trouble is not None:
            log.warning("changes are followed again")
            self.trouble = None
        self._listener.heard(changes)
        self.seen = changes.latest

    def _missed(self, why: str) -> None:
        if self.trouble is None:
            log.warning("changes cannot be followed: %s", why)
        self.trouble = why
        self._listener.missed()


class Across:
    """Tells a listener on another thread's loop, in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop, listener: ChangeListener) -> None:
        self._loop = loop
        self._listener = listener

    def heard(self, changes: Changes) -> None:
        """See ChangeListener."""
        self._loop.call_soon_threadsafe(self._listener.heard, changes)

    def missed(self) -> None:
        """See ChangeListener."""
        self._loop.call_soon_threadsafe(self._listener.missed)


@asynccontextmanager
async def following(
    url: str, listener: ChangeListener, *, in_an_outage: Callable[[], None] | None = None
) -> AsyncIterator[Follower]:
    """A follower with a thread, a loop and a connection of its own, as long as the block lasts.

    A crowd of callers who must be looked up keeps this loop and the look-ups' connections busy; it must not
    keep a revocation waiting. In an outage at the start `in_an_outage` is called, and the follower waits for
    its end; without it, StoreUnavailableError is raised.
    """
    patient = in_an_outage is not None
    ours = asyncio.get_running_loop()
    begun: asyncio.Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, Follower]] = ours.create_future()

    async def follow() -> None:
        ended = asyncio.Event()
        async with open_store(url, create=False, look=not patient) as store:
            follower = Follower(store, Across(ours, listener))
            try:
                await follower.start()
            except StoreUnavailableError:
                if in_an_outage is None:
                    raise
                ours.call_soon_threadsafe(in_an_outage)
            ours.call_soon_threadsafe(begun.set_result, (asyncio.get_running_loop(), ended, follower))
            task = asyncio.create_task(follower.follow())
            await ended.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    thread = asyncio.create_task(asyncio.to_thread(asyncio.run, follow()))
    thread.add_done_callback(lambda _: begun.done() or begun.cancel())
    try:
        theirs, ended, follower = await begun
    except asyncio.CancelledError:
        if thread.done():
            await thread  # it ended before it had begun, and says why
        raise
    try:
        yield follower
    finally:
        theirs.call_soon_threadsafe(ended.set)
        await thread
