"""Bearer tokens, proven: verified once, remembered until they end, and given their bearer's API Scopes."""

from time import time
from typing import Final

from cachetools import TLRUCache

from gateway.domain.ports import ScopeSource, TokenProver
from gateway.domain.scope import FULL_ACCESS, Scope
from gateway.domain.token import ScopesFrom, TokenFacts, WithoutScope
from gateway.domain.verdict import Refusal
from gateway.identity.bearers import members_of
from gateway.identity.credential import Credential
from gateway.identity.proof import BearerProof

NOTHING: Final[tuple[Scope, ...]] = ()

ISSUERS_WITHIN: Final = 8.0
"""Seconds that a caller waits for the issuer of a token that is not verified yet."""


class TokenProofs:
    """Tells what a bearer token proves. A membership that changes costs no second verification.

    `principals` is how many verified tokens are kept, `ttl` for how many seconds at the most.
    """

    def __init__(
        self,
        prover: TokenProver,
        scopes: ScopeSource,
        without_scope: WithoutScope,
        *,
        principals: int,
        ttl: float,
    ) -> None:
        self._prover = prover
        self._scopes = scopes
        self._without_scope = without_scope
        self._verified: TLRUCache[bytes, TokenFacts] = TLRUCache(
            principals, lambda _digest, facts, now: min(now + ttl, facts.expires_at), time
        )

    async def proven(self, credential: Credential) -> BearerProof | Refusal:
        """The proof of a token. Raises KeysUnavailableError and StoreUnavailableError."""
        facts = await self._facts(credential)
        if isinstance(facts, Refusal):
            return facts
        token_scopes = member_scopes = NOTHING
        if facts.scopes_from is not ScopesFrom.TOKEN:
            member_scopes = await self._scopes.scopes_of_members(members_of(facts))
        if facts.scopes_from is not ScopesFrom.MEMBERS and facts.scopes:
            token_scopes = await self._scopes.scopes_named(facts.scopes)
        return BearerProof(
            facts, member_scopes, token_scopes, self._without_scope, await self._full_access(member_scopes)
        )

    def patience(self, credential: Credential) -> float:
        """See Proofs: an issuer is asked at most once while a token is good."""
        return 0.0 if credential.digest in self._verified else ISSUERS_WITHIN

    async def _facts(self, credential: Credential) -> TokenFacts | Refusal:
        try:
            return self._verified[credential.digest]
        except KeyError:
            facts = await self._prover.prove(credential.secret)
        if isinstance(facts, TokenFacts):
            self._verified[credential.digest] = facts
        return facts

    async def _full_access(self, found: tuple[Scope, ...]) -> Scope | None:
        if found or self._without_scope is not WithoutScope.FULL_ACCESS:
            return None
        return next(iter(await self._scopes.scopes_named([FULL_ACCESS])), None)
