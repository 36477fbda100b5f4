"""The proven caller, with what its scopes amount to."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.rights import Rights
from gateway.domain.scope import Scope


class PrincipalKind(StrEnum):
    """Who can be proven to call."""

    KEY = "key"
    USER = "user"
    CLIENT = "client"


@dataclass(frozen=True, slots=True, eq=False)
class Principal:
    """A caller whose credential was proven, and its effective scopes, compiled.

    `name` is the closed form used in logs and towards the feed: `key:17`, `user:ada`. `trial_rights` is None
    unless a trial set of scopes runs beside the scopes. Two principals are the same only if they are one
    object, so that what was derived from one is never taken for another's.
    """

    kind: PrincipalKind
    name: str
    label: str
    scopes: tuple[Scope, ...]
    rights: Rights
    trial: tuple[Scope, ...] | None = None
    trial_rights: Rights | None = None
    key_id: int | None = None

    @property
    def bypasses_enabled_flag(self) -> bool:
        """Whether a feed that is switched off still serves this caller; its scopes are judged as ever."""
        return any(scope.bypass_enabled_flag for scope in self.scopes)
