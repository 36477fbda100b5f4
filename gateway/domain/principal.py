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
    unless a trial set of scopes runs beside the scopes. `token_scopes` are a second set that must permit
    too: those that the caller's token names, where that is asked for, else None. Two principals are the same
    only if they are one object, so that what was derived from one is never taken for another's.
    """

    kind: PrincipalKind
    name: str
    label: str
    scopes: tuple[Scope, ...]
    rights: Rights
    trial: tuple[Scope, ...] | None = None
    trial_rights: Rights | None = None
    key_id: int | None = None
    token_scopes: tuple[Scope, ...] | None = None

    @property
    def bypasses_enabled_flag(self) -> bool:
        """Whether a feed that is switched off still serves this caller; its scopes are judged as ever."""
        return all(any(scope.bypass_enabled_flag for scope in side) for side in self.sides)

    @property
    def sides(self) -> tuple[tuple[Scope, ...], ...]:
        """The sets of scopes of which each must permit."""
        return (self.scopes,) if self.token_scopes is None else (self.scopes, self.token_scopes)

    @property
    def held(self) -> tuple[Scope, ...]:
        """The scopes that every side has, for whoever wants names: what only one side has is not given."""
        if self.token_scopes is None:
            return self.scopes
        named = {scope.id for scope in self.token_scopes}
        return tuple(scope for scope in self.scopes if scope.id in named)
