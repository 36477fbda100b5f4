"""Is this bearer token good, and whom does it speak for? Its shape decides who is asked.

A JWT is checked here, with the keys of the issuer it claims; any other token is asked about at the
introspection endpoint, where there is one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import time
from typing import Final, Protocol

from gateway.domain.token import TokenFacts
from gateway.domain.verdict import Reason, Refusal
from gateway.identity.answers import facts_in_answer
from gateway.identity.claims import ClaimNames, facts_in
from gateway.identity.credential import can_be_a_token
from gateway.jose.flaw import Check, Flaw
from gateway.jose.key_set import KeySet
from gateway.jose.token import UnverifiedToken, claimed_issuer, looks_like_jwt, read
from gateway.jose.verify import Claims, TokenTerms, verify

NOT_BELIEVED: Final = Flaw(Check.ISSUER, "The token's issuer is not one that is believed here.")
NO_JWT: Final = Flaw(Check.SHAPE, "The token is not a JWT, and no other tokens are accepted here.")
ENDPOINT: Final = "introspection"
"""What the endpoint is called among those who are asked."""

INACTIVE: Final = Flaw(Check.ACTIVE, "The authorization server says that the token is not active.")


class KeySupply(Protocol):
    """Where an issuer's keys come from."""

    async def current(self) -> KeySet:
        """The keys as last fetched. Raises KeysUnavailableError."""
        ...

    async def knowing(self, kid: str | None) -> KeySet:
        """The keys, after looking whether there is one of that id by now. Raises KeysUnavailableError."""
        ...


class FixedKeys:
    """A KeySupply of keys that never change, such as a shared secret."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    async def current(self) -> KeySet:
        """See KeySupply."""
        return self._keys

    async def knowing(self, _kid: str | None) -> KeySet:
        """See KeySupply."""
        return self._keys


class Introspecting(Protocol):
    """Who tells what an opaque token means (RFC 7662)."""

    async def of(self, token: bytes) -> Mapping[str, object] | None:
        """The answer for an active token, None for one that is not. Raises KeysUnavailableError."""
        ...


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """An issuer whose tokens are believed, under these terms."""

    terms: TokenTerms
    names: ClaimNames
    keys: KeySupply


@dataclass(frozen=True, slots=True)
class TrustedIntrospection:
    """An endpoint whose answers are believed. `audiences` may be empty: then any will do."""

    asked: Introspecting
    names: ClaimNames
    audiences: frozenset[str] = frozenset()
    leeway: float = 0.0


class Prover:
    """Implements TokenProver: every check there is, and the first that fails."""

    def __init__(
        self,
        issuers: Mapping[str, TrustedIssuer],
        introspection: TrustedIntrospection | None,
        clock: Callable[[], float] = time,
    ) -> None:
        self._issuers = issuers
        self._introspection = introspection
        self._clock = clock

    async def prove(self, token: bytes) -> TokenFacts | Refusal:
        """See TokenProver."""
        found = await self.examine(token)
        return refusal_for(found) if isinstance(found, Flaw) else found

    def asked_of(self, token: bytes) -> str:
        """See TokenProver. Anybody may claim an issuer, and so wait with those who have its tokens."""
        if self._issuers and looks_like_jwt(token):
            claimed = claimed_issuer(token)
            return claimed if claimed in self._issuers else ""
        return "" if self._introspection is None else ENDPOINT

    async def examine(self, token: bytes) -> TokenFacts | Flaw:
        """What the token says, or the check it fails. Raises KeysUnavailableError."""
        if self._issuers and looks_like_jwt(token):
            return await self._verified(token)
        if self._introspection is not None and can_be_a_token(token):
            return await self._introspected(token, self._introspection)
        shape = read(token)
        return shape if isinstance(shape, Flaw) else NO_JWT

    async def _verified(self, token: bytes) -> TokenFacts | Flaw:
        unverified = read(token)
        if isinstance(unverified, Flaw):
            return unverified
        issuer = self._issuers.get(unverified.claimed_issuer or "")
        if issuer is None:
            return NOT_BELIEVED
        claims = await self._claims(unverified, issuer)
        if isinstance(claims, Flaw):
            return claims
        return facts_in(claims.values, issuer.names, claims.expires_at + issuer.terms.leeway)

    async def _claims(self, token: UnverifiedToken, issuer: TrustedIssuer) -> Claims | Flaw:
        """The claims; where no key fits, once more with the keys that the issuer has by now."""
        claims = verify(token, await issuer.keys.current(), issuer.terms, self._clock())
        if isinstance(claims, Flaw) and claims.check is Check.KEY:
            return verify(token, await issuer.keys.knowing(token.kid), issuer.terms, self._clock())
        return claims

    async def _introspected(self, token: bytes, endpoint: TrustedIntrospection) -> TokenFacts | Flaw:
        answer = await endpoint.asked.of(token)
        if answer is None:
            return INACTIVE
        return facts_in_answer(answer, endpoint.names, endpoint.audiences, self._clock(), endpoint.leeway)


def refusal_for(flaw: Flaw) -> Refusal:
    """The refusal that a caller is told of: what failed, and nothing of the token."""
    reason = Reason.CREDENTIAL_EXPIRED if flaw.check is Check.EXPIRED else Reason.CREDENTIAL_INVALID
    return Refusal(reason, flaw.sentence)
