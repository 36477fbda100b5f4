"""Bearer tokens, proven: verified once, remembered until they end, and given their bearer's API Scopes."""

import asyncio
from time import monotonic, time
from typing import Final, NamedTuple

from cachetools import TLRUCache

from gateway.domain.ports import KeysUnavailableError, ScopeSource, TokenProver
from gateway.domain.principal import PrincipalKind
from gateway.domain.scope import FULL_ACCESS, Scope
from gateway.domain.token import ScopesFrom, TokenFacts, WithoutScope
from gateway.domain.verdict import Refusal
from gateway.identity.bearers import members_of
from gateway.identity.credential import Credential
from gateway.identity.proof import BearerProof

NOTHING: Final[tuple[Scope, ...]] = ()

ISSUERS_WITHIN: Final = 8.0
"""Seconds that a caller waits for the issuer of a token that is not verified yet."""


class Verified(NamedTuple):
    """What a token says, when that was verified, and until when it is believed (monotonic seconds)."""

    facts: TokenFacts
    at: float
    until: float


class TokenProofs:
    """Tells what a bearer token proves. A membership that changes costs no second verification.

    `principals` is how many verified tokens are kept, `ttl` for how many seconds at the most. `within` is for
    how many seconds an issuer may be waited for; who it is that does not answer is known for certain then.
    """

    def __init__(  # noqa: PLR0913 - whom to ask, and for how long what they say is good
        self,
        prover: TokenProver,
        scopes: ScopeSource,
        without_scope: WithoutScope,
        *,
        principals: int,
        ttl: float,
        within: float = ISSUERS_WITHIN,
    ) -> None:
        self._prover = prover
        self._scopes = scopes
        self._without_scope = without_scope
        self._ttl = ttl
        self._within = within
        self._verified: TLRUCache[bytes, Verified] = TLRUCache(
            principals, lambda _digest, verified, _now: verified.until, monotonic
        )

    async def proven(self, credential: Credential) -> BearerProof | Refusal:
        """The proof of a token. Raises KeysUnavailableError and StoreUnavailableError."""
        verified = await self._looked_at(credential)
        if isinstance(verified, Refusal):
            return verified
        facts = verified.facts
        token_scopes = member_scopes = NOTHING
        if facts.scopes_from is not ScopesFrom.TOKEN:
            member_scopes = await self._scopes.scopes_of_members(members_of(facts))
        if facts.scopes_from is not ScopesFrom.MEMBERS and facts.scopes:
            token_scopes = await self._scopes.scopes_named(facts.scopes)
        full_access = None if member_scopes else await self._full_access(facts)
        return BearerProof(facts, member_scopes, token_scopes, self._without_scope, full_access, verified.at)

    def patience(self, credential: Credential) -> float:
        """See Proofs: an issuer is asked at most once while a token is good."""
        return 0.0 if credential.digest in self._verified else self._within

    def asked_of(self, credential: Credential) -> str:
        """See Proofs."""
        return self._prover.asked_of(credential.secret)

    async def _looked_at(self, credential: Credential) -> Verified | Refusal:
        """The token as it was verified before, or is now."""
        try:
            return self._verified[credential.digest]
        except KeyError:
            facts = await self._asked(credential.secret)
        if isinstance(facts, Refusal):
            return facts
        now = monotonic()
        verified = Verified(facts, now, now + min(self._ttl, facts.expires_at - time()))
        self._verified[credential.digest] = verified
        return verified

    async def _asked(self, token: bytes) -> TokenFacts | Refusal:
        try:
            async with asyncio.timeout(self._within):
                return await self._prover.prove(token)
        except TimeoutError:
            raise KeysUnavailableError(f"The issuer has not answered within {self._within:g} s.") from None

    async def _full_access(self, facts: TokenFacts) -> Scope | None:
        """What a user without a membership has instead, where that is asked for."""
        of_user = facts.kind is PrincipalKind.USER and facts.scopes_from is not ScopesFrom.TOKEN
        if not of_user or self._without_scope is not WithoutScope.FULL_ACCESS:
            return None
        return next(iter(await self._scopes.scopes_named([FULL_ACCESS])), None)
