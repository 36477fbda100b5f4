"""Which scope settles what a principal asks for: a fact for the record, no part of the verdict."""

from typing import Final

from gateway.decision.decide import deciding_scope
from gateway.domain.principal import Principal
from gateway.domain.target import Target

MOST_SETTLED: Final = 256
"""For how many pairs of one set of scopes it is kept: all pairs of 64 modules."""


def settled_by(principal: Principal, target: Target) -> str | None:
    """The scope that settles a target, asked of all scopes once for everybody who has the same."""
    action = target.action
    if action is None:
        return None
    settled, pair = principal.rights.settled, (target.bit, action)
    if pair not in settled:
        if len(settled) >= MOST_SETTLED:
            settled.clear()
        settled[pair] = deciding_scope(principal.scopes, target)
    return settled[pair]
