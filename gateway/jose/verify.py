"""Whether a token proves what it says: the signature first, so that a forger learns nothing of the rest."""

from typing import Final

from gateway.jose.claims import Claims, judge_claims
from gateway.jose.flaw import Check, Flaw
from gateway.jose.jws import Jws
from gateway.jose.key_set import KeySet
from gateway.jose.media_type import ACCESS_TOKEN, is_something_else, media_type
from gateway.jose.terms import TokenTerms
from gateway.jose.token import UnverifiedToken

__all__ = ["Claims", "TokenTerms", "verify"]

MOST_TRIED: Final = 8
"""Keys that one token may be tried with: what it costs us to refuse a forged one is bounded."""

OTHER_ALGORITHM: Final = Flaw(
    Check.ALGORITHM, "The token's algorithm is not one that is accepted from its issuer."
)
NOT_FOR_ACCESS: Final = Flaw(Check.TYPE, "The token's type (`typ`) says that it is not for access.")
UNTYPED: Final = Flaw(Check.TYPE, "The token's type (`typ`) is not `at+jwt` (RFC 9068).")
UNKNOWN_KEY: Final = Flaw(Check.KEY, "The token names a key (`kid`) that its issuer does not publish.")
OTHER_KEY: Final = Flaw(Check.KEY, "None of the keys that the token may be signed with is for its algorithm.")
ANY_KEY: Final = Flaw(
    Check.KEY, f"The token may be signed with more than {MOST_TRIED} keys; it has to name one (`kid`)."
)
FORGED: Final = Flaw(Check.SIGNATURE, "The signature is not by a key of the token's issuer.")


def verify(token: UnverifiedToken, keys: KeySet, terms: TokenTerms, now: float) -> Claims | Flaw:
    """The claims of a token that its issuer signed and that meets the terms now (seconds since the epoch)."""
    flaw = header_flaw(token.jws, terms) or signature_flaw(token.jws, keys, terms.algorithms)
    return flaw or judge_claims(token.claims, terms, now)


def header_flaw(jws: Jws, terms: TokenTerms) -> Flaw | None:
    """What is wrong with how a message says it is signed, and with what it says it is."""
    if jws.algorithm not in terms.algorithms:
        return OTHER_ALGORITHM
    if terms.typed:
        return None if jws.type is not None and media_type(jws.type) == ACCESS_TOKEN else UNTYPED
    return NOT_FOR_ACCESS if jws.type is not None and is_something_else(jws.type) else None


def signature_flaw(jws: Jws, keys: KeySet, algorithms: frozenset[str]) -> Flaw | None:
    """What is wrong with the signature: only a key that goes with the algorithm is ever tried."""
    if jws.algorithm not in algorithms:
        return OTHER_ALGORITHM
    if not keys.knows(jws.kid):
        return UNKNOWN_KEY
    fitting = keys.fitting(jws.kid, jws.algorithm)
    if not fitting:
        return OTHER_KEY
    if len(fitting) > MOST_TRIED:
        return ANY_KEY
    proven = any(key.verifies(jws.algorithm, jws.signed, jws.signature) for key in fitting)
    return None if proven else FORGED
