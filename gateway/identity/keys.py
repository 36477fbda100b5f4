"""Who presents this credential? Answered from cache; the store is asked on a miss, once however many wait.

What is cached is a fact, a principal with its scopes, and never a verdict. Unknown credentials are kept in a
cache of their own, so that guessing cannot push out those who are known.
"""

import asyncio
from dataclasses import dataclass
from time import monotonic, time
from typing import Final

from cachetools import TLRUCache

from gateway.domain.change import EVERY_SUBJECT, ChangeKind, Changes
from gateway.domain.key import KeyRecord, KeyState
from gateway.domain.ports import KeySource, StoreUnavailableError
from gateway.domain.principal import Principal, PrincipalKind
from gateway.domain.rights import ModuleIndex, Rights
from gateway.domain.verdict import Reason, Refusal
from gateway.identity.credential import Credential, CredentialKind

MOST_UNKNOWN: Final = 10_000
"""How many refused credentials are remembered."""

MOST_CHANGED: Final = 10_000
"""How many changed subjects are told apart before everything is forgotten instead."""

MISSING: Final = Refusal(Reason.CREDENTIAL_MISSING)
INVALID: Final = Refusal(Reason.CREDENTIAL_INVALID)
EXPIRED: Final = Refusal(Reason.CREDENTIAL_EXPIRED)
REVOKED: Final = Refusal(Reason.CREDENTIAL_REVOKED)
UNAVAILABLE: Final = Refusal(Reason.STORE_UNAVAILABLE)
NO_BEARER: Final = Refusal(Reason.CREDENTIAL_INVALID, "Bearer tokens are not accepted here; send an API key.")


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How many principals are kept, and for how many seconds; `negative` is for unknown credentials."""

    principals: int
    ttl: float
    negative: float


Subject = tuple[ChangeKind, str]
"""What a change is about."""


@dataclass(frozen=True, slots=True)
class _Known:
    """An answer, until when it holds (monotonic seconds), and what must not have changed since `generation`.

    Only principals rest on subjects; refusals are forgotten at every change.
    """

    answer: Principal | Refusal
    until: float
    generation: int
    rests_on: frozenset[Subject] = frozenset()


def held_in(cache: TLRUCache[bytes, _Known], digest: bytes) -> _Known | None:
    """What a cache holds, in one look: `get` takes two, and fails on what expires between them."""
    try:
        return cache[digest]
    except KeyError:
        return None


def _until(_digest: bytes, known: _Known, _now: float) -> float:
    return known.until


class KeyIdentity:
    """API keys, proven. `hits` and `misses` count look-ups, for the metrics."""

    def __init__(self, source: KeySource, index: ModuleIndex, lifetimes: Lifetimes) -> None:
        self._source = source
        self._index = index
        self._lifetimes = lifetimes
        self._known: TLRUCache[bytes, _Known] = TLRUCache(lifetimes.principals, _until, monotonic)
        self._unknown: TLRUCache[bytes, _Known] = TLRUCache(MOST_UNKNOWN, _until, monotonic)
        self._asking: dict[bytes, asyncio.Future[_Known]] = {}
        self._changed: dict[Subject, int] = {}
        self._generation = 0
        self.hits = 0
        self.misses = 0

    def of(self, credential: Credential | None, now: float) -> Principal | Refusal | None:
        """Who presents the credential, as far as is known now (monotonic seconds).

        None means that the store has to be asked: `learn` does, and then this has an answer.
        """
        if credential is None:
            return MISSING
        if credential.generation == self._generation and now < credential.until:
            self.hits += 1
            return credential.answer
        if credential.flawed:
            return INVALID if credential.kind is CredentialKind.API_KEY else NO_BEARER
        known = held_in(self._known, credential.digest) or held_in(self._unknown, credential.digest)
        if known is None or self._outdated(known):
            self.misses += 1
            return None
        self.hits += 1
        credential.answer, credential.until = known.answer, known.until
        credential.generation = self._generation
        return known.answer

    async def learn(self, credential: Credential) -> Principal | Refusal:
        """Ask the store who presents the credential, and remember. Those who ask the same share one look-up.

        An outage is STORE_UNAVAILABLE, never a verdict on the credential, and is not remembered.
        """
        asked = self._asking.get(credential.digest)
        if asked is None:
            asked = asyncio.ensure_future(self._look_up(credential.digest))
            self._asking[credential.digest] = asked
            asked.add_done_callback(lambda ended: self._answered(credential.digest, ended))
        try:
            return (await asyncio.shield(asked)).answer
        except StoreUnavailableError:
            return UNAVAILABLE

    def _answered(self, digest: bytes, ended: asyncio.Future[_Known]) -> None:
        if self._asking.get(digest) is ended:
            del self._asking[digest]
        if not ended.cancelled():
            ended.exception()  # those who wait have it; if all have left, nobody needs it

    async def _look_up(self, digest: bytes) -> _Known:
        """One look-up. What was found while something changed is used once, and not kept."""
        generation = self._generation
        record = await self._source.key_with_digest(digest)
        known = self._judged(record)
        if generation == self._generation:
            (self._known if isinstance(known.answer, Principal) else self._unknown)[digest] = known
        return known

    def _judged(self, record: KeyRecord | None) -> _Known:
        now = monotonic()
        if record is None:
            return self._refused(INVALID, now)
        left = float("inf") if record.expires_at is None else record.expires_at - time()
        if record.state is not KeyState.ACTIVE:
            return self._refused(REVOKED, now)
        if left <= 0:
            return self._refused(EXPIRED, now)
        scopes = (*record.scopes, *(record.trial or ()))
        return _Known(
            principal_of(record, self._index),
            now + min(self._lifetimes.ttl, left),
            self._generation,
            frozenset(
                ((ChangeKind.KEY, str(record.id)), *((ChangeKind.SCOPE, str(scope.id)) for scope in scopes))
            ),
        )

    def _refused(self, refusal: Refusal, now: float) -> _Known:
        return _Known(refusal, now + self._lifetimes.negative, self._generation)

    def forget(self, changes: Changes) -> None:
        """Forget what the changes touch; whoever it was is asked for anew.

        The cost is that of the changes, however many principals are known: each is held against what changed
        when it is next presented. Whoever asks from now on shares no look-up that began before.
        """
        if not (changes.gap or changes.rows):
            return
        self._generation += 1
        self._unknown.clear()
        self._asking.clear()
        subjects = {(change.kind, change.subject) for change in changes.rows}
        everything = changes.gap or any(subject == EVERY_SUBJECT for _, subject in subjects)
        if everything or len(self._changed) + len(subjects) > MOST_CHANGED:
            self._known.clear()
            self._changed.clear()
        else:
            self._changed.update(dict.fromkeys(subjects, self._generation))

    def _outdated(self, known: _Known) -> bool:
        """Whether something that an answer rests on has changed since it was found."""
        changed = self._changed
        return any(changed.get(subject, -1) > known.generation for subject in known.rests_on)


def principal_of(record: KeyRecord, index: ModuleIndex) -> Principal:
    """The principal that an accepted key proves, its scopes compiled against the mapped modules."""
    trial = record.trial
    return Principal(
        PrincipalKind.KEY,
        f"key:{record.id}",
        record.label,
        record.scopes,
        Rights.of(record.scopes, index),
        trial,
        None if trial is None else Rights.of(trial, index),
        record.id,
    )
