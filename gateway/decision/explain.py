"""Why a verdict is what it is, and the smallest change of scopes that flips it.

Pure: votes and candidates from values alone. A candidate is only told after the principal's scopes, changed
so, were compiled again and gave the other answer; the evaluator is the one that every request meets.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import count
from typing import Final

from gateway.domain.action import Action
from gateway.domain.principal import Principal
from gateway.domain.rights import ModuleIndex, Rights
from gateway.domain.scope import Mode, ModuleSet, Scope, Vote
from gateway.domain.target import Target

MOST_STEPS: Final = 2
"""How many edits are combined before every denial is answered one by one."""

WIDEST_SEARCH: Final = 60
"""With more candidates than this, pairs are not tried out; the answer one by one is found at once."""


class EditKind(StrEnum):
    """What can be done to flip a verdict, the least trouble first."""

    ADD_MODULE = "add-module"
    """Select the module in a scope the principal has."""
    REMOVE_MODULE = "remove-module"
    """Take the module out of what a scope of the principal selects."""
    ASSIGN = "assign"
    """Give the principal a scope that exists."""
    UNASSIGN = "unassign"
    """Take a scope from the principal."""
    CLONE = "clone"
    """Give the principal an edited copy of a locked scope in its place."""
    CREATE = "create"
    """Give the principal a new scope for just this."""


_ORDER: Final = {kind: place for place, kind in enumerate(EditKind)}


@dataclass(frozen=True, slots=True)
class Ballot:
    """What one scope says to the pair that was asked for."""

    scope: Scope
    vote: Vote


@dataclass(frozen=True, slots=True)
class Edit:
    """One step: what to do, with which scope, and the scope as it is to become (None for none).

    A scope that is not on record yet has no positive id.
    """

    kind: EditKind
    scope: Scope
    after: Scope | None


@dataclass(frozen=True, slots=True)
class Remedy:
    """Steps that flip the verdict together, and how many pairs the principal gains and loses by them.

    A pair is an action and a module; "every module of later" counts as one module.
    """

    edits: tuple[Edit, ...]
    gained: int
    lost: int


def ballots(scopes: Iterable[Scope], action: Action, module: str) -> tuple[Ballot, ...]:
    """Every scope's vote on a pair."""
    return tuple(Ballot(scope, scope.vote(action, module)) for scope in scopes)


def deciding(votes: Sequence[Ballot]) -> str | None:
    """The scope that settles a pair: the first that denies it, else the first that allows it, else none."""
    for wanted in (Vote.DENY, Vote.ALLOW):
        for ballot in votes:
            if ballot.vote is wanted:
                return ballot.scope.name
    return None


def smallest_changes(
    principal: Principal, target: Target, all_scopes: Iterable[Scope], index: ModuleIndex
) -> list[Remedy]:
    """What flips the verdict on the principal's scopes, the one that changes least first.

    No candidate leaves the principal without any scope, which no key may be.
    Those that grant the fewest other pairs come first, then those that take the fewest away. Empty for a
    target without a module, where no scope decides.
    """
    if target.module is None or target.action is None:
        return []
    search = _Search(target.action, target.module, index, tuple(all_scopes))
    return search.remedies(principal.scopes)


def _vote(scopes: Iterable[Scope], action: Action, module: str) -> bool:
    votes = {scope.vote(action, module) for scope in scopes}
    return Vote.ALLOW in votes and Vote.DENY not in votes


@dataclass(frozen=True, slots=True)
class _Search:
    """A search for remedies on one pair."""

    action: Action
    module: str
    index: ModuleIndex
    all_scopes: tuple[Scope, ...]

    def remedies(self, scopes: tuple[Scope, ...]) -> list[Remedy]:
        """Single edits; where none does, pairs; where none of those does, one edit against each denial."""
        before = Rights.of(scopes, self.index)
        wanted = not self._permits(before)
        tried: list[tuple[Edit, ...]] = [(edit,) for edit in self._edits(scopes, wanted=wanted)]
        found = self._flipping(scopes, before, tried, wanted=wanted)
        if not found and len(tried) <= WIDEST_SEARCH:
            found = self._flipping(
                scopes, before, list(self._pairs(scopes, tried, wanted=wanted)), wanted=wanted
            )
        if not found:
            found = self._flipping(scopes, before, [self._one_by_one(scopes, wanted=wanted)], wanted=wanted)
        return sorted(found, key=_least_first)

    def _permits(self, rights: Rights) -> bool:
        return rights.covers(self.action, self.index.bits[self.module])

    def _flipping(
        self, scopes: tuple[Scope, ...], before: Rights, tried: Iterable[tuple[Edit, ...]], *, wanted: bool
    ) -> list[Remedy]:
        """Those of the candidates that, compiled, give the wanted answer."""
        remedies = []
        for edits in tried:
            changed = _edited(scopes, edits)
            if not changed or _vote(changed, self.action, self.module) is not wanted:
                continue
            after = Rights.of(changed, self.index)
            if self._permits(after) is wanted:
                remedies.append(Remedy(edits, self._more(before, after), self._more(after, before)))
        return remedies

    def _more(self, less: Rights, more: Rights) -> int:
        """How many pairs one has and the other has not; the bit past the last module is the later ones."""
        universe = ~(-2 << len(self.index.bits))
        pairs = zip(less.granted, more.granted, strict=True)
        return sum((there & ~here & universe).bit_count() for here, there in pairs)

    def _pairs(
        self, scopes: tuple[Scope, ...], singles: Iterable[tuple[Edit, ...]], *, wanted: bool
    ) -> Iterator[tuple[Edit, ...]]:
        for (first,) in singles:
            changed = _edited(scopes, (first,))
            for second in self._edits(changed, wanted=wanted):
                if second.scope.id != first.scope.id:
                    yield (first, second)

    def _one_by_one(self, scopes: tuple[Scope, ...], *, wanted: bool) -> tuple[Edit, ...]:
        """An edit against each scope that stands in the way, and a new scope where none speaks for it."""
        against = Vote.DENY if wanted else Vote.ALLOW
        edits = []
        for scope in scopes:
            if scope.vote(self.action, self.module) is against:
                own = [e for e in self._own_edits(scope, wanted=wanted) if e.kind is not EditKind.UNASSIGN]
                edits.append(own[0])
        changed = _edited(scopes, edits)
        if _vote(changed, self.action, self.module) is not wanted:
            edits.append(self._new_scope(wanted=wanted))
        return tuple(edits)

    def _edits(self, scopes: Sequence[Scope], *, wanted: bool) -> Iterator[Edit]:
        """Every single edit that could help."""
        assigned = {scope.id for scope in scopes}
        for scope in scopes:
            yield from self._own_edits(scope, wanted=wanted)
        for scope in self.all_scopes:
            if scope.id not in assigned and self._helps(scope, wanted=wanted):
                yield Edit(EditKind.ASSIGN, scope, scope)
        yield self._new_scope(wanted=wanted)

    def _helps(self, scope: Scope, *, wanted: bool) -> bool:
        return scope.vote(self.action, self.module) is (Vote.ALLOW if wanted else Vote.DENY)

    def _own_edits(self, scope: Scope, *, wanted: bool) -> Iterator[Edit]:
        """What can be done with a scope the principal has; one that is locked is copied first."""
        kind, after = self._turned(scope, wanted=wanted)
        if after is not None:
            if scope.locked:
                name = self._free(f"{scope.name[:55]}-copy")
                copy = replace(after, id=-scope.id, name=name, locked=False)
                yield Edit(EditKind.CLONE, scope, copy)
            else:
                yield Edit(kind, scope, after)
        if not self._helps(scope, wanted=wanted):
            yield Edit(EditKind.UNASSIGN, scope, None)

    def _turned(self, scope: Scope, *, wanted: bool) -> tuple[EditKind, Scope | None]:
        """The scope with the module selected or not, whichever speaks for the wanted answer."""
        selects = self.module in scope.selection(self.action)
        select = (scope.mode is Mode.ALLOW) is wanted
        kind = EditKind.ADD_MODULE if select else EditKind.REMOVE_MODULE
        if selects is select:
            return kind, None
        return kind, self._with(scope, select=select)

    def _with(self, scope: Scope, *, select: bool) -> Scope:
        selected = scope.selection(self.action)
        names = set(self.index.bits) if selected.every else set(selected.names)
        (names.add if select else names.discard)(self.module)
        sets = [scope.selection(action) for action in Action]
        sets[self.action] = ModuleSet(frozenset(names))
        create, read, update, delete = sets
        return replace(scope, create=create, read=read, update=update, delete=delete)

    def _new_scope(self, *, wanted: bool) -> Edit:
        """A scope that allows, or denies, this pair and nothing else."""
        mode = Mode.ALLOW if wanted else Mode.DENY
        name = self._free(f"{self.module[:40]}-{'' if wanted else 'no-'}{self.action.word}")
        blank = Scope(id=0, name=name, label=name, mode=mode)
        scope = self._with(blank, select=True)
        return Edit(EditKind.CREATE, scope, scope)

    def _free(self, name: str) -> str:
        """The name, or one like it that no scope has."""
        taken = {scope.name for scope in self.all_scopes}
        if name not in taken:
            return name
        return next(like for number in count(2) if (like := f"{name}-{number}") not in taken)


def _edited(scopes: Sequence[Scope], edits: Iterable[Edit]) -> tuple[Scope, ...]:
    """The principal's scopes after the edits."""
    changed = list(scopes)
    for edit in edits:
        kept = [scope for scope in changed if scope.id != edit.scope.id]
        changed = kept if edit.after is None else [*kept, edit.after]
    return tuple(changed)


def _least_first(remedy: Remedy) -> tuple[int, int, int, list[int], list[str]]:
    kinds = [_ORDER[edit.kind] for edit in remedy.edits]
    names = [edit.scope.name for edit in remedy.edits]
    return len(remedy.edits), remedy.gained, remedy.lost, kinds, names
