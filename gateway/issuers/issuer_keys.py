"""The keys of one issuer, kept fresh for as long as a worker lives.

They are fetched before anybody needs them and again before they grow old, and never emptied: while the issuer
is away the last good set serves for a stated time, also one that another worker fetched. A token of an
unknown key causes one fetch at a time, and soon no further one if it brings nothing new, so that forged
tokens drive no traffic to the issuer.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from random import getrandbits
from time import monotonic, time
from typing import Final

from gateway.domain.ports import KeysUnavailableError
from gateway.issuers.fetching import Fetcher, FetchError
from gateway.issuers.key_source import FetchedKeys, KeySource, Published, fetch_keys
from gateway.jose.key_set import KeySet, KeySetError

LEAST_FRESH: Final = 30.0
"""Seconds that keys are kept at the least, if nothing asks for others, whatever their server says."""

FIRST_RETRY: Final = 1.0
SLOWEST_RETRY: Final = 60.0
"""Seconds between two tries while the issuer is away: the pause doubles from the one to the other."""

MOST_DOUBLED: Final = 16

SPREAD: Final = 0.1
"""By what part pauses are shortened at random, so that workers do not ask all at once."""

LATELY: Final = 4
"""How many key sets are remembered, so that an issuer whose servers disagree brings no news each time."""

TOLD: Final = 3
"""How many faulty keys are told of."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Freshness:
    """How keys are kept fresh, in seconds.

    They are fetched again every `refresh`, or sooner if their server says so; after a failure they serve
    until they are `stale_for` old. What is asked for because somebody came with an unknown key, or because
    there are no good keys, is asked again after `refetch` at the soonest, if the last time was in vain.
    Callers wait for a fetch no longer than `patience`; it goes on without them.
    """

    refresh: float = 300
    stale_for: float = 3600
    refetch: float = 10
    patience: float = 5


class IssuerKeys:
    """The key set of one issuer. `start` it on a running loop, and `close` it.

    `known` is what was fetched from the same source before: it serves until it is `stale_for` old, or until
    there is another. `tell` hears of every document that is fetched.
    """

    def __init__(
        self,
        source: KeySource,
        fetcher: Fetcher,
        freshness: Freshness,
        known: Published | None = None,
        tell: Callable[[Published], None] = lambda _: None,
    ) -> None:
        self._source = source
        self._fetcher = fetcher
        self._freshness = freshness
        self._tell = tell
        self._keys: KeySet | None = None
        self._lately: deque[KeySet] = deque(maxlen=LATELY)
        self._fetched_at = -inf
        self._recalled = False
        """Whether the keys are those that were known before the first fetch."""
        self._fault: str | None = None
        """Why the last fetch failed."""
        self._failures = 0
        self._rests_until = -inf
        """When a caller may cause a fetch again, after one that failed."""
        self._in_vain_until = -inf
        """When an unknown key may cause a fetch again, after one that brought no other keys."""
        self._under_way: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._started = False
        self._closed = False
        if known is not None:
            self._recall(known)

    def _recall(self, known: Published) -> None:
        """Begin with what was fetched before, if that can be read; its age counts on."""
        try:
            keys = KeySet.parse(known.document)
        except KeySetError:
            return
        self._keys, self._recalled = keys, True
        self._fetched_at = monotonic() - max(0.0, time() - known.fetched_at)
        self._lately.append(keys)

    def start(self) -> None:
        """Fetch the keys now, and keep them fresh from now on."""
        self._started = True
        self._renew()

    async def close(self) -> None:
        """Fetch nothing any more; whoever waits for a fetch is told that there are no keys."""
        self._closed = True
        self._cancel_timer()
        task = self._under_way
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def now_known(self) -> KeySet | None:
        """The last good set, however old; None before the first."""
        return self._keys

    @property
    def trouble(self) -> str | None:
        """What operators should know: that the last fetch failed, or that keys are faulty; else None."""
        if self._fault is not None:
            return self._failing()
        faults = () if self._keys is None else self._keys.faults
        if not faults:
            return None
        more = f" and {len(faults) - TOLD} more" if len(faults) > TOLD else ""
        told = "; ".join(fault.rstrip(".") for fault in faults[:TOLD])
        return f"Some keys of {self._source.shown} are not used: {told}{more}."

    def _failing(self) -> str:
        left = self._fetched_at + self._freshness.stale_for - monotonic()
        meanwhile = (
            f"the last good ones serve for {left:.0f} s more"
            if left > 0
            else "no token of this issuer can be proven until they are"
        )
        return f"The keys of {self._source.shown} cannot be fetched: {self._fault}; {meanwhile}."

    async def current(self) -> KeySet:
        """The last good set; the first callers wait for it. Raises KeysUnavailableError.

        There is none before the first fetch succeeds, and none once that is `stale_for` ago and the last one
        failed.
        """
        keys = self._usable()
        if keys is None:
            return await self._brought_by(self._under_way or self._begin_unless_it_rests())
        return keys

    async def knowing(self, kid: str | None) -> KeySet:
        """The set for a token whose key the last good set may not know. Raises KeysUnavailableError.

        If it does not, it is fetched again, unless that was in vain a moment ago: what comes back may not
        know the key either, and then the token is bad. If the fetch fails nobody can tell.
        """
        keys = await self.current()
        if keys.knows(kid):
            return keys
        if self._under_way is not None:
            # it may have begun before the key was published: what it brings need not be the last word
            keys = await self._brought_by(self._under_way)
        if keys.knows(kid):
            return keys
        newer = self._under_way  # of those who waited for the same fetch, the first has begun another
        if newer is None and self._fault is None and monotonic() < self._in_vain_until:
            return keys
        return await self._brought_by(newer or self._begin_for_unknown())

    def _begin_for_unknown(self) -> asyncio.Task[None]:
        """Begin a fetch that uses up the allowance, unless it brings news. Raises KeysUnavailableError."""
        task = self._begin_unless_it_rests()
        self._in_vain_until = monotonic() + self._freshness.refetch
        return task

    def _usable(self) -> KeySet | None:
        """The last good set, if it is not too old: age counts from `refresh` on.

        After a failure, and for what was known before the first fetch, it counts from the beginning.
        """
        doubtful = self._recalled or self._fault is not None
        good_for = self._freshness.stale_for + (0 if doubtful else self._freshness.refresh)
        return self._keys if monotonic() - self._fetched_at < good_for else None

    async def _brought_by(self, task: asyncio.Task[None]) -> KeySet:
        """The set after a fetch; it is shared, so who waits may leave, and it goes on."""
        patience = self._freshness.patience
        await asyncio.wait({task}, timeout=patience)
        if not task.done():
            raise KeysUnavailableError(
                f"The keys of {self._source.shown} have not come within {patience:g} s."
            )
        keys = self._usable()
        if self._fault is not None or keys is None:
            raise self._unavailable()
        return keys

    def _unavailable(self) -> KeysUnavailableError:
        if self._fault is None:
            return KeysUnavailableError(f"No keys of {self._source.shown} are fetched any more.")
        return KeysUnavailableError(self._failing())

    def _begin_unless_it_rests(self) -> asyncio.Task[None]:
        """Begin a fetch that a caller caused. Raises KeysUnavailableError if one failed a moment ago."""
        if self._closed or monotonic() < self._rests_until:
            raise self._unavailable()
        return self._begin()

    def _renew(self) -> None:
        if self._under_way is None and not self._closed:
            self._begin()

    def _begin(self) -> asyncio.Task[None]:
        self._cancel_timer()
        self._under_way = asyncio.get_running_loop().create_task(self._fetch())
        return self._under_way

    async def _fetch(self) -> None:
        """One fetch, and what is done next: neither a good one nor a failed one ends the keeping."""
        began = monotonic()
        pause = SLOWEST_RETRY
        try:
            pause = self._take(await fetch_keys(self._source, self._fetcher))
        except FetchError as why:
            pause = self._fail(str(why), began)
        except Exception:
            log.exception("the keys of %s cannot be fetched", self._source.shown)
            pause = self._fail("the gateway failed on them; its log says how", began)
        finally:
            self._under_way = None
            if self._started and not self._closed:
                wait = pause * (1 - SPREAD * getrandbits(8) / 255)
                self._timer = asyncio.get_running_loop().call_later(wait, self._renew)

    def _take(self, fetched: FetchedKeys) -> float:
        """Use a good set from now on; the seconds until it is fetched again."""
        keys, max_age, document = fetched
        if self._fault is not None:
            log.info("the keys of %s are fetched again", self._source.shown)
        if keys not in self._lately:
            self._in_vain_until = -inf
            self._lately.append(keys)
            log.info("issuer %s has new keys", self._source.shown)
        self._keys, self._fetched_at, self._recalled = keys, monotonic(), False
        if document is not None:
            self._tell(Published(document, time()))
        self._fault, self._failures, self._rests_until = None, 0, -inf
        refresh = self._freshness.refresh
        return refresh if max_age is None else min(max(max_age, LEAST_FRESH), refresh)

    def _fail(self, why: str, began: float) -> float:
        """Keep what there is; the seconds until the next try."""
        if self._fault is None:
            log.warning("the keys of %s cannot be fetched: %s", self._source.shown, why)
        self._fault = why
        self._rests_until = began + self._freshness.refetch
        first = min(FIRST_RETRY, self._freshness.refetch)
        pause = first * (1 << self._failures)
        self._failures = min(self._failures + 1, MOST_DOUBLED)
        return min(pause, SLOWEST_RETRY, max(first, self._freshness.refresh))

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
