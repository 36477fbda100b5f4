"""API Scopes: named sets of permissions, and what each of them says to one (action, module) pair."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from gateway.domain.action import Action

SCOPE_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""What a scope may be called; the name is also its OAuth2 scope value (RFC 6749 §3.3)."""

MODULE_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""What a module may be called in a route map."""

EVERY: Final = "*"
"""How operators write a module set that holds every module of today and later."""

FULL_ACCESS: Final = "api-v2"
"""The standard scope that allows everything (reference product: "API v2", id 10000)."""


class Mode(StrEnum):
    """Whether a scope's selection is what may be done, or what may not."""

    ALLOW = "allow"
    DENY = "deny"


class Vote(StrEnum):
    """What one scope says to one pair: deny outweighs allow, and abstaining is not allowing."""

    ALLOW = "allow"
    DENY = "deny"
    ABSTAIN = "abstain"


@dataclass(frozen=True, slots=True)
class ModuleSet:
    """Some modules by name, or every module of today and later."""

    names: frozenset[str] = frozenset()
    every: bool = False

    @classmethod
    def of(cls, names: Iterable[str]) -> Self:
        """The set an operator lists; `*` among the names means every module."""
        listed = frozenset(names)
        return cls(every=True) if EVERY in listed else cls(listed)

    def __contains__(self, module: str) -> bool:
        return self.every or module in self.names

    def listed(self) -> list[str]:
        """The set as operators write it: `["*"]`, or the names in order."""
        return [EVERY] if self.every else sorted(self.names)


@dataclass(frozen=True, slots=True)
class Scope:
    """One API Scope (CONTRACT: API Scopes)."""

    id: int
    name: str
    label: str
    mode: Mode
    create: ModuleSet = ModuleSet()
    read: ModuleSet = ModuleSet()
    update: ModuleSet = ModuleSet()
    delete: ModuleSet = ModuleSet()
    bypass_enabled_flag: bool = False
    locked: bool = False

    def __hash__(self) -> int:
        """Quick, for sets of scopes are looked up: by what hardly any two versions of a scope share."""
        return hash((self.id, self.create.names, self.read.names, self.update.names, self.delete.names))

    def selection(self, action: Action) -> ModuleSet:
        """The modules this scope selects for an action."""
        return (self.create, self.read, self.update, self.delete)[action]

    def vote(self, action: Action, module: str) -> Vote:
        """What this scope alone says to a pair.

        An allow scope allows what it selects and denies nothing; a deny scope denies what it selects and
        allows every other pair.
        """
        selected = module in self.selection(action)
        if self.mode is Mode.DENY:
            return Vote.DENY if selected else Vote.ALLOW
        return Vote.ALLOW if selected else Vote.ABSTAIN
