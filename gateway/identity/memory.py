"""What a worker remembers of callers: facts from the store, and how far they can be believed.

It outlives a reload, for a new configuration makes nobody unknown. Facts are believed as long as the change
feed is read: it tells what has changed since. Unread for `stale_for`, it could hide a revocation, and then
nothing is remembered until it is read again.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf
from time import monotonic
from typing import Final

from cachetools import LRUCache, TLRUCache

from gateway.domain.change import EVERY_SUBJECT, Changes
from gateway.domain.principal import Principal
from gateway.domain.rights import ModuleIndex
from gateway.domain.verdict import Refusal
from gateway.identity.credential import CredentialKind
from gateway.identity.proof import BearerProof, Proof, Subject

MOST_UNKNOWN: Final = 10_000
"""How many refused credentials are remembered."""

MOST_CHANGED: Final = 10_000
"""How many changed subjects are told apart before everything is forgotten instead."""

Line = tuple[CredentialKind, str, bool]
"""Look-ups that wait for the same: the kind of credential, who is asked, and whether it was good lately."""

SETTLED_WITHIN: Final = 2.0
"""Seconds that look-ups have to end when all is over."""

LEAST_BELIEVED: Final = 1.0
"""Seconds that facts are believed at the least: a feed read four times a second is not away in between."""


@dataclass(frozen=True, slots=True)
class Known:
    """A credential that was good when it was found, with the principal it proves under one set of modules.

    Times are monotonic seconds: when it was found, and when it expires. What the proof rests on must not have
    changed since `generation`. `stale_until` is set when it could not be found again for want of the store.
    """

    proof: Proof
    principal: Principal
    index: ModuleIndex
    found: float
    expires: float
    generation: int
    stale_until: float = inf


@dataclass(frozen=True, slots=True)
class Denied:
    """A refusal, and until when it holds (monotonic seconds)."""

    refusal: Refusal
    until: float


Found = Known | Denied


def _until(_digest: bytes, denied: Denied, _now: float) -> float:
    return denied.until


def held_in(cache: TLRUCache[bytes, Denied], digest: bytes) -> Denied | None:
    """What a cache holds, in one look: `get` takes two, and fails on what expires between them."""
    try:
        return cache[digest]
    except KeyError:
        return None


class Memory:
    """Callers who were found, and refusals; bounded both, so that guessing pushes out nobody who is known.

    `away` says that the change feed could not be read when last tried, `believed` that it was read recently
    enough; `generation` counts what was forgotten. A look-up that may be shared is kept in `asking` by its
    digest; `under_way` counts all that have not ended, by the line they stand in, and `looking` has them.
    """

    def __init__(self, principals: int, stale_for: float = inf) -> None:
        self.generation = 0
        self.away = False
        self.believed = True
        self.asking: dict[bytes, asyncio.Future[Found]] = {}
        self.under_way = Counter[Line]()
        self.looking: set[asyncio.Future[Found]] = set()
        self._known: LRUCache[bytes, Known] = LRUCache(principals)
        self._denied: TLRUCache[bytes, Denied] = TLRUCache(MOST_UNKNOWN, _until, monotonic)
        self._changed: dict[Subject, int] = {}
        self._stale_for = stale_for
        self._heard_at = monotonic()
        self._lapsing: asyncio.TimerHandle | None = None

    def resize(self, principals: int, stale_for: float) -> None:
        """Go on under other settings; of more callers than fit, those used last stay."""
        self._stale_for = stale_for
        if principals != self._known.maxsize:
            before, self._known = self._known, LRUCache(principals)
            self._known.update(before)

    def known(self, digest: bytes) -> Known | None:
        """Who has the credential with this digest, unless what it rests on has changed since it was found.

        What has not changed by this generation is not held against the changes again before the next one.
        """
        known = self._known.get(digest)
        if known is None or known.generation == self.generation:
            return known
        changed = self._changed
        if any(changed.get(subject, -1) > known.generation for subject in known.proof.rests_on()):
            return None
        known = self._known[digest] = replace(known, generation=self.generation)
        return known

    def met(self, digest: bytes) -> bool:
        """Whether the credential with this digest was good lately, even if that may have changed since."""
        return digest in self._known

    def denied(self, digest: bytes) -> Denied | None:
        """The refusal for this digest, while it holds."""
        return held_in(self._denied, digest)

    def keep(self, digest: bytes, found: Found) -> None:
        """Remember what was found."""
        if isinstance(found, Known):
            self._known[digest] = found
        else:
            self._known.pop(digest, None)
            self._denied[digest] = found

    def forget(self, changes: Changes) -> None:
        """Forget what the changes touch; whoever it was is asked for anew.

        The cost is that of the changes, however many callers are known: each is held against what changed
        when it is next presented. Whoever asks from now on shares no look-up that began before.
        """
        if not (changes.gap or changes.rows):
            return
        self.generation += 1
        self._denied.clear()
        self.asking.clear()
        subjects = {(change.kind, change.subject) for change in changes.rows}
        if changes.gap or self._too_many(subjects):
            self._known.clear()
            self._changed.clear()
        else:
            of_any = {(kind, EVERY_SUBJECT) for kind, _ in subjects}
            self._changed.update(dict.fromkeys(subjects | of_any, self.generation))

    def forget_tokens(self) -> None:
        """Forget what tokens prove: the rules that they were proven by are others now."""
        self.generation += 1
        self._denied.clear()
        self.asking.clear()
        tokens = [digest for digest, known in self._known.items() if isinstance(known.proof, BearerProof)]
        for digest in tokens:
            del self._known[digest]

    def forget_answers(self) -> None:
        """Have every credential looked at anew: its last answer was made for modules that are others now."""
        self.generation += 1

    def _too_many(self, subjects: Iterable[Subject]) -> bool:
        named = list(subjects)
        everyone = any(subject == EVERY_SUBJECT for _, subject in named)
        return everyone or len(self._changed) + len(named) > MOST_CHANGED

    # The change feed

    def heard(self, changes: Changes) -> None:
        """The feed was read to its end: what it tells is forgotten, and all else is confirmed."""
        self.forget(changes)
        self.away = False
        self.believed = True
        self._heard_at = monotonic()
        self.close()
        if self._stale_for < inf:
            patience = max(self._stale_for, LEAST_BELIEVED)
            self._lapsing = asyncio.get_running_loop().call_later(patience, self.lapse)

    def missed(self) -> None:
        """The feed could not be read this time."""
        self.away = True

    def lapse(self) -> None:
        """The feed was not read for too long: remember nothing until it is."""
        self.forget(Changes((), 0, gap=True))
        self.away = True
        self.believed = False

    @property
    def unread_for(self) -> float:
        """Seconds since the feed was last read."""
        return monotonic() - self._heard_at

    @property
    def believed_for(self) -> float:
        """How many seconds longer what is remembered is believed if the feed stays unread."""
        return max(0.0, max(self._stale_for, LEAST_BELIEVED) - self.unread_for) if self.believed else 0.0

    def close(self) -> None:
        """Leave no timer behind."""
        if self._lapsing is not None:
            self._lapsing.cancel()
            self._lapsing = None

    async def settle(self, patience: float = SETTLED_WITHIN) -> None:
        """Let look-ups end before the store is closed under them; those that take longer are given up."""
        if self.looking:
            _, late = await asyncio.wait(self.looking, timeout=patience)
            for one in late:
                one.cancel()
            await asyncio.gather(*late, return_exceptions=True)
