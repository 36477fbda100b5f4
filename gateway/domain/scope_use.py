"""Who uses an API Scope: what has to be known before one is changed or deleted."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

LONGEST_MEMBER: Final = 200
"""Characters of the longest name that the store can hold, so that whoever is accepted can be a member."""


class MemberKind(StrEnum):
    """Who a bearer token can speak for."""

    USER = "user"
    ROLE = "role"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class KeyUse:
    """A key that has the scope, in its trial set or among its scopes."""

    key_id: int
    label: str
    trial: bool


@dataclass(frozen=True, slots=True)
class MemberUse:
    """A user, a role or an OAuth2 client that has the scope."""

    kind: MemberKind
    name: str


@dataclass(frozen=True, slots=True)
class ScopeUse:
    """Everyone who has one scope."""

    keys: tuple[KeyUse, ...] = ()
    members: tuple[MemberUse, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.keys or self.members)
