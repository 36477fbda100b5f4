"""That a user, a role or an OAuth2 client has an API Scope."""

from dataclasses import dataclass

from gateway.domain.scope import Scope
from gateway.domain.scope_use import MemberUse


@dataclass(frozen=True, slots=True)
class Membership:
    """One scope, and one of those who have it by a bearer token."""

    scope: Scope
    member: MemberUse
