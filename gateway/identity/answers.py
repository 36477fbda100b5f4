"""What an introspection endpoint's answer says of an active token (RFC 7662 §2.2)."""

from collections.abc import Mapping
from math import inf
from typing import Final

from gateway.domain.principal import PrincipalKind
from gateway.domain.token import TokenFacts
from gateway.identity.claims import ClaimNames, facts_in
from gateway.jose.flaw import Check, Flaw

ENDED: Final = Flaw(Check.EXPIRED, "The token has expired.")
EARLY: Final = Flaw(Check.NOT_BEFORE, "The token is not valid yet.")
NO_BEARER: Final = Flaw(Check.TYPE, "The token is not a bearer token.")
NO_CLIENTS: Final = Flaw(
    Check.CLAIMS,
    "The token has a `username` and no subject: it is a user's, and none of its claims names one.",
)
OTHER_AUDIENCE: Final = Flaw(Check.AUDIENCE, "The token is for another audience.")

ACCESS: Final = ("access_token", "access")
"""What servers that tell of refresh tokens, too, say of those for access (`token_use`)."""

LATEST: Final = 2**53
"""A time that every JSON library tells exactly; no token ends as late."""


def facts_in_answer(
    answer: Mapping[str, object],
    names: ClaimNames,
    audiences: frozenset[str],
    now: float,
    leeway: float = 0.0,
) -> TokenFacts | Flaw:
    """The facts, or why an active token is refused all the same.

    `now` is in seconds since the epoch; by `leeway` seconds the endpoint's clock may differ from ours. What
    it says is good until `exp` all the same: then it is asked again. Without `audiences` it is trusted to
    tell of tokens for this API alone.
    """
    moments = {name: answer[name] for name in ("exp", "nbf") if answer.get(name) is not None}
    for name, moment in moments.items():
        if type(moment) is not int or abs(moment) > LATEST:
            return Flaw(Check.CLAIMS, f"The answer's member '{name}' is not a whole number.")
    ends, begins = moments.get("exp"), moments.get("nbf")
    if isinstance(ends, int) and ends + leeway <= now:
        return ENDED
    if isinstance(begins, int) and begins > now + leeway:
        return EARLY
    if not _is_bearer(answer.get("token_type")) or answer.get("token_use", ACCESS[0]) not in ACCESS:
        return NO_BEARER
    if audiences and audiences.isdisjoint(_audiences(answer)):
        return OTHER_AUDIENCE
    facts = facts_in(answer, names, float(ends) if isinstance(ends, int) else inf)
    return NO_CLIENTS if isinstance(facts, TokenFacts) and _is_a_users(answer, facts, names) else facts


def _is_a_users(answer: Mapping[str, object], facts: TokenFacts, names: ClaimNames) -> bool:
    """Whether a user authorized a client's token; the `sub` that would say so is optional (RFC 7662 §2.2)."""
    username = answer.get("username")
    if facts.kind is not PrincipalKind.CLIENT or answer.get("sub") is not None or username is None:
        return False
    return f"{names.prefix}{username}" != facts.name


def _is_bearer(token_type: object) -> bool:
    """Whether a token may be sent as it is (RFC 6750): what says nothing of its type may."""
    return token_type is None or (isinstance(token_type, str) and token_type.lower() == "bearer")


def _audiences(answer: Mapping[str, object]) -> set[str]:
    named = answer.get("aud")
    listed = named if isinstance(named, list) else [named]
    return {name for name in listed if isinstance(name, str)}
