"""Who presents this credential? Answered from memory; the store is asked on a miss, once however many wait.

What is remembered is a fact, a key or a token with its scopes, and never a verdict. While the store is away,
who is known is served for a stated time, all others are told of the outage, and nobody's credential is called
bad for it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from time import monotonic, time
from typing import Final, Protocol

from gateway.domain.change import Changes
from gateway.domain.ports import KeysUnavailableError, StoreUnavailableError
from gateway.domain.principal import Principal
from gateway.domain.rights import ModuleIndex
from gateway.domain.verdict import Reason, Refusal
from gateway.identity.credential import Credential, CredentialKind
from gateway.identity.memory import Denied, Found, Known, Line, Memory
from gateway.identity.proof import Proof

LOOK_UP_WITHIN: Final = 2.0
"""Seconds a caller waits for the store."""

GLANCE: Final = 0.25
"""Seconds a caller waits for a store that was away a moment ago."""

MISSING: Final = Refusal(Reason.CREDENTIAL_MISSING)
INVALID: Final = Refusal(Reason.CREDENTIAL_INVALID)
EXPIRED: Final = Refusal(Reason.CREDENTIAL_EXPIRED)
UNAVAILABLE: Final = Refusal(Reason.STORE_UNAVAILABLE)
NO_KEYS: Final = Refusal(Reason.KEYS_UNAVAILABLE)
TOO_MANY: Final = Refusal(
    Reason.OVERLOADED, "Too many unknown credentials are being looked up; try again shortly."
)
NO_TOKEN: Final = Refusal(
    Reason.CREDENTIAL_INVALID,
    "A bearer token has 8 KiB at most, of letters, digits and -._~+/, and = at its end (RFC 6750 §2.1).",
)
NO_BEARER: Final = Refusal(Reason.CREDENTIAL_INVALID, "Bearer tokens are not accepted here; send an API key.")


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How many principals are kept, and for how many seconds; `negative` is for unknown credentials.

    `stale` is for how long a principal whose time is up is still served while the store does not answer;
    `look_ups` is how many may be under way in a line. They outlast those who wait, and end when the driver
    does.
    """

    principals: int
    ttl: float
    negative: float
    stale: float = 0.0
    look_ups: int = 256


class Proofs(Protocol):
    """Who can prove a kind of credential."""

    async def proven(self, credential: Credential) -> Proof | Refusal:
        """What it proves. Raises StoreUnavailableError and KeysUnavailableError."""
        ...

    def patience(self, credential: Credential) -> float:
        """Seconds that others than the store may take over it."""
        ...

    def asked_of(self, credential: Credential) -> str:
        """Who that is, by a name of few; empty for nobody."""
        ...


class Identity:
    """Credentials, proven. `hits`, `misses` and `stale` count look-ups, for the metrics."""

    def __init__(
        self,
        proofs: Mapping[CredentialKind, Proofs],
        index: ModuleIndex,
        lifetimes: Lifetimes,
        memory: Memory | None = None,
    ) -> None:
        self._proofs = proofs
        self._index = index
        self._lifetimes = lifetimes
        self._memory = memory or Memory(lifetimes.principals)
        self._retired = False
        self.hits = 0
        self.misses = 0
        self.stale = 0

    def of(self, credential: Credential | None, now: float) -> Principal | Refusal | None:
        """Who presents the credential, as far as is known now (monotonic seconds).

        None means that the store has to be asked: `learn` does, and then this has an answer.
        """
        if credential is None:
            return MISSING
        memory = self._memory
        if credential.generation == memory.generation and now < credential.until:
            self.hits += 1
            return credential.answer
        if credential.kind not in self._proofs:
            return NO_BEARER
        if credential.flawed:
            return INVALID if credential.kind is CredentialKind.API_KEY else NO_TOKEN
        known = memory.known(credential.digest)
        if known is None:
            denied = memory.denied(credential.digest)
            if denied is None:
                self.misses += 1
                return None
            credential.answer, credential.until = denied.refusal, denied.until
        else:
            until = min(known.found + self._lifetimes.ttl, known.expires)
            if now >= until:
                return self._out_of_time(known, now)
            credential.answer, credential.until = self._principal(credential.digest, known), until
        self.hits += 1
        credential.generation = memory.generation
        return credential.answer

    def _out_of_time(self, known: Known, now: float) -> Principal | Refusal | None:
        """A key that has to be looked up again, unless the store is known to be away."""
        if self._memory.away and now < known.stale_until:
            return self._served_stale(known, now)
        self.misses += 1
        return None

    def _served_stale(self, known: Known, now: float) -> Principal | Refusal:
        """What a key that cannot be looked up again proves: its own end is as certain as it was."""
        self.stale += 1
        return EXPIRED if now >= known.expires else self._principal(None, known)

    def _principal(self, digest: bytes | None, known: Known) -> Principal:
        """The principal under the modules of this configuration; kept if there is a digest to keep it by."""
        if known.index is self._index:
            return known.principal
        principal = known.proof.principal(self._index)
        if digest is not None:
            self._memory.keep(digest, replace(known, principal=principal, index=self._index))
        return principal

    async def learn(self, credential: Credential) -> Principal | Refusal:
        """Ask who presents the credential, and remember. Those who ask the same share one look-up.

        An outage is never a verdict on the credential: who is known is served for `Lifetimes.stale` seconds
        while the store is away, and anybody else is STORE_UNAVAILABLE. A token that cannot be checked for
        want of its issuer is KEYS_UNAVAILABLE.
        """
        digest = credential.digest
        asked = self._memory.asking.get(digest) or self._begin(credential)
        if asked is None:
            return self._without_room(credential)
        await asyncio.wait({asked}, timeout=self._patience(credential))
        if not asked.done() or asked.cancelled():
            return self._without_the_store(digest)
        try:
            found = asked.result()
        except StoreUnavailableError:
            return self._without_the_store(digest)
        except KeysUnavailableError:
            return NO_KEYS
        return found.refusal if isinstance(found, Denied) else self._principal(None, found)

    def _patience(self, credential: Credential) -> float:
        """How long to wait: hardly, if the store was away just now, or did not find this caller again."""
        known = self._memory.known(credential.digest)
        failing = self._memory.away or (known is not None and known.stale_until < inf)
        return self._proofs[credential.kind].patience(credential) + (GLANCE if failing else LOOK_UP_WITHIN)

    def _without_room(self, credential: Credential) -> Principal | Refusal:
        """The answer when too many look-ups are under way: no token is good any longer for that."""
        away = self._memory.away
        if credential.kind is CredentialKind.BEARER and not away:
            return TOO_MANY
        who = self._without_the_store(credential.digest)
        return TOO_MANY if who is UNAVAILABLE and not away else who

    def _line(self, credential: Credential) -> Line:
        """Where it waits: strangers crowd out nobody who is known, nor one issuer's tokens another's."""
        asked_of = self._proofs[credential.kind].asked_of(credential)
        return credential.kind, asked_of, self._memory.met(credential.digest)

    def _without_the_store(self, digest: bytes) -> Principal | Refusal:
        """The answer when a look-up failed, or took too long."""
        memory, now = self._memory, monotonic()
        known = memory.known(digest)
        if known is None:
            return UNAVAILABLE
        if known.stale_until == inf:
            known = replace(known, stale_until=now + self._lifetimes.stale)
            memory.keep(digest, known)
        return self._served_stale(known, now) if now < known.stale_until else UNAVAILABLE

    def _begin(self, credential: Credential) -> asyncio.Future[Found] | None:
        """Begin a look-up. It goes on when nobody waits any longer: what it finds is worth keeping."""
        memory, line = self._memory, self._line(credential)
        if memory.under_way[line] >= self._lifetimes.look_ups:
            return None
        memory.under_way[line] += 1
        asked = asyncio.ensure_future(self._look_up(credential))
        memory.looking.add(asked)
        if not self._retired:
            memory.asking[credential.digest] = asked
        asked.add_done_callback(lambda ended: self._answered(credential, line, ended))
        return asked

    def _answered(self, credential: Credential, line: Line, ended: asyncio.Future[Found]) -> None:
        memory = self._memory
        memory.looking.discard(ended)
        memory.under_way[line] -= 1
        if not memory.under_way[line]:
            del memory.under_way[line]
        if memory.asking.get(credential.digest) is ended:
            del memory.asking[credential.digest]
        if not ended.cancelled():
            ended.exception()  # those who wait have it; if all have left, nobody needs it

    async def _look_up(self, credential: Credential) -> Found:
        """One look-up. What was found while something changed is used once, and not kept."""
        memory = self._memory
        generation = memory.generation
        proof = await self._proofs[credential.kind].proven(credential)
        found = self._found(proof, generation)
        if generation == memory.generation and memory.believed and not self._retired:
            memory.keep(credential.digest, found)
        return found

    def _found(self, proof: Proof | Refusal, generation: int) -> Found:
        now = monotonic()
        if isinstance(proof, Refusal):
            return Denied(proof, now + self._lifetimes.negative)
        expires = now + proof.expires_at - time()
        principal = proof.principal(self._index)
        found = now - proof.age
        return Known(proof, principal, self._index, found, expires, generation)

    def retire(self) -> None:
        """Another configuration is in force: what is found by this one's rules is used once, and not kept.

        Nor is what a credential was last answered, for what lasts presents it to our successor, too.
        """
        self._retired = True
        self._memory.forget_answers()

    def forget(self, changes: Changes) -> None:
        """Forget what the changes touch; see Memory."""
        self._memory.forget(changes)
