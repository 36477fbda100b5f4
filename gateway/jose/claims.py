"""What a signed token says, judged by the terms of its issuer (RFC 7519 §4.1)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from types import MappingProxyType
from typing import Final

from gateway.jose.flaw import Check, Flaw
from gateway.jose.terms import TokenTerms

_SECONDS: Final = range(-(2**53) + 1, 2**53)
"""Times that are the same number to every reader (RFC 7493 §2.2)."""

_STRINGS: Final = ("iss", "sub", "jti")
_TIMES: Final = ("exp", "nbf", "iat")

MISSHAPEN: Final = MappingProxyType(
    {name: Flaw(Check.CLAIMS, f"`{name}` is not a string.") for name in _STRINGS}
    | {name: Flaw(Check.CLAIMS, f"`{name}` is not a whole number of seconds.") for name in _TIMES}
)
OTHER_ISSUER: Final = Flaw(Check.ISSUER, "`iss` is absent or another issuer's.")
NO_AUDIENCE: Final = Flaw(
    Check.AUDIENCE, "`aud` is absent, empty, or neither a string nor a list of strings."
)
OTHER_AUDIENCE: Final = Flaw(Check.AUDIENCE, "The token is meant for somebody else: `aud` does not name us.")
ENDLESS: Final = Flaw(Check.CLAIMS, "`exp` is absent; a token has to end.")
EXPIRED: Final = Flaw(Check.EXPIRED, "The token has expired.")
TOO_EARLY: Final = Flaw(Check.NOT_BEFORE, "The token is not valid yet (`nbf`).")
FROM_THE_FUTURE: Final = Flaw(Check.ISSUED_AT, "The token was issued in the future (`iat`).")


@dataclass(frozen=True, slots=True)
class Claims:
    """What a proven token says. `expires_at` is its `exp`, in seconds since the epoch, without any leeway."""

    values: Mapping[str, object] = field(repr=False)
    expires_at: float


def judge_claims(claims: Mapping[str, object], terms: TokenTerms, now: float) -> Claims | Flaw:
    """The claims, if they meet the terms at a time (seconds since the epoch)."""
    flaw = _shape_flaw(claims)
    if flaw is None and claims.get("iss") != terms.issuer:
        flaw = OTHER_ISSUER
    flaw = flaw or _audience_flaw(claims.get("aud"), terms.audiences)
    if flaw is not None:
        return flaw
    expires = claims.get("exp")
    if not isinstance(expires, int):
        return ENDLESS
    if now >= expires + terms.leeway:
        return EXPIRED
    latest = now + terms.leeway
    if _seconds(claims, "nbf", latest) > latest:
        return TOO_EARLY
    if _seconds(claims, "iat", latest) > latest:
        return FROM_THE_FUTURE
    return Claims(MappingProxyType(dict(claims)), float(expires))


def _shape_flaw(claims: Mapping[str, object]) -> Flaw | None:
    """The registered claim that is not what all readers take it for."""
    strings = (name for name in _STRINGS if not isinstance(claims.get(name, ""), str))
    times = (name for name in _TIMES if not _is_time(claims.get(name, 0)))
    found = next(chain(strings, times), None)
    return None if found is None else MISSHAPEN[found]


def _is_time(value: object) -> bool:
    """Whether it is a time that all read alike: RFC 7519 §2 allows fractions, and we do not (ADR 0008)."""
    return isinstance(value, int) and not isinstance(value, bool) and value in _SECONDS


def _seconds(claims: Mapping[str, object], name: str, absent: float) -> float:
    value = claims.get(name, absent)
    return value if isinstance(value, int) else absent


def _audience_flaw(audience: object, accepted: frozenset[str]) -> Flaw | None:
    """Whom the token is meant for, one or several (RFC 7519 §4.1.3)."""
    named = audience if isinstance(audience, list) else [audience]
    if not named or not all(isinstance(one, str) and one for one in named):
        return NO_AUDIENCE
    return OTHER_AUDIENCE if accepted.isdisjoint(named) else None
