"""The scopes that somebody has from one side, and how they can be changed there."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.scope import Scope


class Side(StrEnum):
    """Where scopes come from; a token's bearer may have two sides, of which each must permit."""

    GIVEN = "given"
    """Operators give them: to a key, or to a user, a role or a client."""
    NAMED = "named"
    """The token names them."""


@dataclass(frozen=True, slots=True)
class Holding:
    """The scopes of one side. The sets of ids say what a change there would touch.

    `shared`: others have it too. `pooled`: it is held by way of a role, so that who has the role loses it
    too. `kept`: it is not to be taken away, were it safe for this caller. `lapsing`: it is held only for want
    of any other scope. `base`: what is held in every case, where part of `scopes` depends on the token.
    """

    scopes: tuple[Scope, ...]
    side: Side = Side.GIVEN
    shared: frozenset[int] = frozenset()
    pooled: frozenset[int] = frozenset()
    kept: frozenset[int] = frozenset()
    lapsing: int | None = None
    base: tuple[Scope, ...] | None = None

    def settled(self, scopes: tuple[Scope, ...]) -> tuple[Scope, ...]:
        """The scopes without the one that lapses as soon as there is another."""
        others = tuple(scope for scope in scopes if scope.id != self.lapsing)
        return others or scopes
