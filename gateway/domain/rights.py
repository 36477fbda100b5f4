"""Scopes compiled to integers: bit *m* of an action's mask is module *m*.

A deny scope allows everything it does not select, modules added later included. Python's integers have no
width, so `~selected` is that endless complement exactly, and one shift answers for any module.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from gateway.domain.action import Action
from gateway.domain.scope import Mode, ModuleSet, Scope

MOST_COMPILED: Final = 4096
"""How many different sets of scopes an index keeps compiled, for all who have the same."""


@dataclass(frozen=True, slots=True)
class ModuleIndex:
    """The bit of each mapped module. Made with a route map, and valid as long as that map is.

    `compiled` holds what scopes amount to under it, by the sides of which each must permit.
    """

    bits: Mapping[str, int]
    compiled: "dict[tuple[tuple[Scope, ...], ...], Rights]" = field(
        default_factory=dict, repr=False, compare=False
    )

    @classmethod
    def of(cls, modules: Iterable[str]) -> Self:
        """Number the modules in the order of their names."""
        return cls({name: bit for bit, name in enumerate(sorted(set(modules)))})

    def mask(self, modules: ModuleSet) -> int:
        """The set as an integer; modules that are not mapped have no bit and cannot be asked for."""
        if modules.every:
            return -1
        mask = 0
        for name in modules.names:
            bit = self.bits.get(name)
            if bit is not None:
                mask |= 1 << bit
        return mask

    def rights_of(self, *sides: tuple[Scope, ...]) -> "Rights":
        """What all of these sides allow, compiled once for all callers that have the same scopes."""
        rights = self.compiled.get(sides)
        if rights is None:
            if len(self.compiled) >= MOST_COMPILED:
                self.compiled.clear()
            rights, *others = (Rights.of(side, self) for side in sides)
            for other in others:
                rights = rights.within(other)
            self.compiled[sides] = rights
        return rights


@dataclass(frozen=True, slots=True)
class Rights:
    """What a set of scopes amounts to: for each action, the modules that are allowed and not denied.

    `settled` holds which scope settles a pair, by its bit and action; `decision` finds that out and keeps it.
    """

    granted: tuple[int, int, int, int]
    settled: dict[tuple[int, Action], str | None] = field(default_factory=dict, repr=False, compare=False)

    def covers(self, action: Action, bit: int) -> bool:
        """Whether at least one scope allows the pair and none denies it."""
        return bool(self.granted[action] >> bit & 1)

    def within(self, bounds: "Rights") -> "Rights":
        """What both allow."""
        create, read, update, delete = (a & b for a, b in zip(self.granted, bounds.granted, strict=True))
        return Rights((create, read, update, delete))

    @classmethod
    def of(cls, scopes: Iterable[Scope], index: ModuleIndex) -> Self:
        """Compile scopes against a module index. No scopes grant nothing."""
        allow, deny = [0, 0, 0, 0], [0, 0, 0, 0]
        for scope in scopes:
            for action in Action:
                selected = index.mask(scope.selection(action))
                if scope.mode is Mode.ALLOW:
                    allow[action] |= selected
                else:
                    allow[action] |= ~selected
                    deny[action] |= selected
        create, read, update, delete = (a & ~d for a, d in zip(allow, deny, strict=True))
        return cls((create, read, update, delete))
