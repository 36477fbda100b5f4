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


@dataclass(frozen=True, slots=True)
class _Known:
    """An answer and the monotonic second until which it holds."""

    answer: Principal | Refusal
    until: float
    key_id: int | None = None
    scope_ids: frozenset[int] = frozenset()


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
        known = self._known.get(credential.digest) or self._unknown.get(credential.digest)
        if known is None:
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
        del self._asking[digest]
        if not ended.cancelled():
            ended.exception()  # those who wait have it; if all have left, nobody needs it

    async def _look_up(self, digest: bytes) -> _Known:
        """One look-up. What was found while something changed is used once, and not kept."""
        generation = self._generation
        record = await self._source.key_with_digest(digest)
        known = self._judged(record)
        if generation == self._generation:
            (self._known if known.key_id is not None else self._unknown)[digest] = known
        return known

    def _judged(self, record: KeyRecord | None) -> _Known:
        now = monotonic()
        if record is None:
            return _Known(INVALID, now + self._lifetimes.negative)
        left = float("inf") if record.expires_at is None else record.expires_at - time()
        if record.state is not KeyState.ACTIVE:
            return _Known(REVOKED, now + self._lifetimes.negative)
        if left <= 0:
            return _Known(EXPIRED, now + self._lifetimes.negative)
        return _Known(
            principal_of(record, self._index),
            now + min(self._lifetimes.ttl, left),
            record.id,
            frozenset(scope.id for scope in (*record.scopes, *(record.trial or ()))),
        )

    def forget(self, changes: Changes) -> None:
        """Forget what the changes touch; whoever it was is asked for anew."""
        if changes.gap:
            self._known.clear()
        elif changes.rows:
            self._forget_known(changes)
        else:
            return
        self._unknown.clear()
        self._generation += 1

    def _forget_known(self, changes: Changes) -> None:
        keys = _subjects(changes, ChangeKind.KEY)
        scopes = _subjects(changes, ChangeKind.SCOPE)
        if EVERY_SUBJECT in keys or EVERY_SUBJECT in scopes:
            self._known.clear()
            return
        scope_ids = {int(subject) for subject in scopes}
        for digest, known in list(self._known.items()):
            if str(known.key_id) in keys or not scope_ids.isdisjoint(known.scope_ids):
                self._known.pop(digest, None)

    def remembered(self) -> int:
        """How many principals are in the cache."""
        return len(self._known)


def _subjects(changes: Changes, kind: ChangeKind) -> set[str]:
    return {change.subject for change in changes.rows if change.kind is kind}


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
