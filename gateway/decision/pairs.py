"""Pairs of an action and a module, counted and named: what somebody gains or loses by a change."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

from gateway.domain.action import Action
from gateway.domain.rights import ModuleIndex, Rights

_DANGER: Final = (Action.DELETE, Action.UPDATE, Action.CREATE, Action.READ)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Some pairs of an action and a module, as a mask for each action.

    "Every module of later" counts as one module, whose bit is the one past the last.
    """

    masks: tuple[int, ...]
    index: ModuleIndex

    @classmethod
    def between(cls, less: Rights, more: Rights, index: ModuleIndex) -> Self:
        """Those that one has and the other has not."""
        universe = ~(-2 << len(index.bits))
        granted = zip(less.granted, more.granted, strict=True)
        return cls(tuple(there & ~here & universe for here, there in granted), index)

    def __len__(self) -> int:
        return sum(mask.bit_count() for mask in self.masks)

    def but(self, action: Action, module: str) -> "Pairs":
        """All the others."""
        masks = list(self.masks)
        masks[action] &= ~(1 << self.index.bits[module])
        return Pairs(tuple(masks), self.index)

    def named(self) -> Iterator[tuple[Action, str]]:
        """Those of modules that have a name, what does most harm first."""
        for action in _DANGER:
            for module, bit in self.index.bits.items():
                if self.masks[action] >> bit & 1:
                    yield action, module

    def of_later(self) -> list[Action]:
        """What may be done to every module of later, what does most harm first."""
        return [action for action in _DANGER if self.masks[action] >> len(self.index.bits) & 1]
