"""What flips a verdict where two sides must permit: what operators give, and what the token names.

To take a pair away, one side is enough. To give it, every side that refuses has to change; what is edited in
place changes on both sides at once. Each candidate is compiled again on both sides before it is told.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Final

from gateway.decision.explain import Edit, Remedy, edited, least_first, smallest_changes
from gateway.decision.holding import Holding
from gateway.decision.pairs import Pairs
from gateway.domain.rights import ModuleIndex, Rights
from gateway.domain.scope import Scope
from gateway.domain.target import Target

MOST_COMBINED: Final = 8
"""How many remedies of each side, the least first, are tried together with those of the other."""


def changes_of_sides(
    sides: Sequence[Holding], target: Target, all_scopes: Iterable[Scope], index: ModuleIndex
) -> list[Remedy]:
    """What flips the verdict on one or two sides, the least change first; see `smallest_changes`."""
    known = tuple(all_scopes)
    if len(sides) == 1 or target.module is None or target.action is None:
        return smallest_changes(sides[0], target, known, index)
    action, bit = target.action, target.bit
    refusing = [side for side in sides if not Rights.of(side.scopes, index).covers(action, bit)]
    each = [smallest_changes(side, target, known, index) for side in refusing or sides]
    if refusing:
        combined = [_together(chosen) for chosen in product(*(found[:MOST_COMBINED] for found in each))]
    else:
        combined = [_together([remedy]) for found in each for remedy in found]
    before = _rights(sides, (), index)
    remedies: dict[frozenset[Edit], Remedy] = {}
    widths: dict[frozenset[Edit], int] = {}
    for edits, reach, width in combined:
        after = _rights(sides, edits, index)
        gained, lost = Pairs.between(before, after, index), Pairs.between(after, before, index)
        if after.covers(action, bit) is bool(refusing) and (refusing or not gained):
            remedies.setdefault(frozenset(edits), Remedy(edits, gained, lost, reach))
            widths.setdefault(frozenset(edits), width)
    return sorted(remedies.values(), key=lambda remedy: _narrowest_first(remedy, widths))


def _narrowest_first(remedy: Remedy, widths: Mapping[frozenset[Edit], int]) -> tuple[object, ...]:
    """As `least_first`, and of equals the one by which a side gains least that the other holds back."""
    amounts, *others = least_first(remedy)
    return amounts, widths[frozenset(remedy.edits)], *others


def _together(remedies: Sequence[Remedy]) -> tuple[tuple[Edit, ...], int, int]:
    """The edits of several remedies, each once; how many touch others, and the pairs their sides gain."""
    edits = dict.fromkeys(edit for remedy in remedies for edit in remedy.edits)
    reach = sum(remedy.reach for remedy in remedies)
    return tuple(edits), reach, sum(len(remedy.gained) for remedy in remedies)


def _rights(sides: Sequence[Holding], edits: Sequence[Edit], index: ModuleIndex) -> Rights:
    """What all sides allow, once the edits are made."""
    first, *others = (Rights.of(_after(side, edits), index) for side in sides)
    for other in others:
        first = first.within(other)
    return first


def _after(side: Holding, edits: Sequence[Edit]) -> tuple[Scope, ...]:
    mine = [edit for edit in edits if edit.in_place or edit.side is side.side]
    return side.settled(edited(side.scopes, mine))
