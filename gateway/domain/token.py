"""What a proven bearer token says of its bearer."""

from dataclasses import dataclass
from enum import StrEnum
from math import inf

from gateway.domain.principal import PrincipalKind


class ScopesFrom(StrEnum):
    """Where the API Scopes of a bearer token come from; with `both` each side must permit."""

    MEMBERS = "members"
    TOKEN = "token"  # noqa: S105 - an operator's word, not a token
    BOTH = "both"


class WithoutScope(StrEnum):
    """What a proven user with no API Scope may do."""

    DENY = "deny"
    FULL_ACCESS = "full-access"


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """Who a token speaks for, and what else it says: facts, never a verdict.

    `kind` is USER or CLIENT, `name` the user's or the client's; the two are never one, even if they share a
    name. `roles` are those of the token's bearer, `scopes` the values of its `scope` claim (RFC 8693 §4.2),
    most of them perhaps no API Scopes. `expires_at` is in seconds since the epoch, inf for never.
    """

    kind: PrincipalKind
    name: str
    issuer: str
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    scopes_from: ScopesFrom = ScopesFrom.MEMBERS
    expires_at: float = inf
