"""Why a verdict is what it is, and the smallest change of scopes that flips it.

Pure: votes and candidates from values alone. A candidate is only told after the principal's scopes, changed
so, were compiled again and gave the other answer; the evaluator is the one that every request meets. What
takes a pair away never gives another one, and what gives one is neither a deny scope nor full access.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import count
from typing import Final

from gateway.decision.holding import Holding, Side
from gateway.decision.pairs import Pairs
from gateway.domain.action import Action
from gateway.domain.rights import ModuleIndex, Rights
from gateway.domain.scope import Mode, ModuleSet, Scope, Vote
from gateway.domain.target import Target

MOST_STEPS: Final = 2
"""How many edits are combined before every denial is answered one by one."""

LONGEST_STEM: Final = 55
"""Characters of a scope's name that leave room for the ending of a copy's."""

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
    """Give the principal an edited copy of a scope in its place, one that is locked or that others have."""
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

    A scope that is not on record yet has no positive id. `side` is where it is given or taken; what is edited
    in place is so everywhere.
    """

    kind: EditKind
    scope: Scope
    after: Scope | None
    side: Side = Side.GIVEN

    @property
    def in_place(self) -> bool:
        """Whether the scope itself changes, for everybody and on every side."""
        return self.kind in {EditKind.ADD_MODULE, EditKind.REMOVE_MODULE}


@dataclass(frozen=True, slots=True)
class Remedy:
    """Steps that flip the verdict together, and the pairs that the principal gains and loses by them.

    `reach` is how many of the steps edit a scope that others have too.
    """

    edits: tuple[Edit, ...]
    gained: Pairs
    lost: Pairs
    reach: int = 0


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


def deciders(sides: Sequence[Sequence[Ballot]]) -> tuple[str, ...]:
    """The scopes that settle a pair on which each side must permit: of the first that refuses, or of all."""
    refusing = [votes for votes in sides if not _permitting(ballot.vote for ballot in votes)]
    settling = refusing[:1] or sides
    return tuple(name for votes in settling if (name := deciding(votes)) is not None)


def smallest_changes(
    held: Holding, target: Target, all_scopes: Iterable[Scope], index: ModuleIndex
) -> list[Remedy]:
    """What flips the verdict on the scopes of one side, the one that changes least first.

    No candidate leaves the side without any scope, which no key may be. One that turns a permit into a
    refusal gives nothing: no pair, and no service while the feed is off. Those that grant the fewest other
    pairs come first, then those that take the fewest away, then those that touch nobody else. Empty for a
    target without a module, where no scope decides.
    """
    if target.module is None or target.action is None:
        return []
    return _Search(target.action, target.module, index, tuple(all_scopes), held).remedies()


def edited(scopes: Sequence[Scope], edits: Iterable[Edit]) -> tuple[Scope, ...]:
    """The scopes after the edits; what is edited in place changes nothing for who does not have it."""
    changed = list(scopes)
    for edit in edits:
        kept = [scope for scope in changed if scope.id != edit.scope.id]
        lacking = edit.in_place and len(kept) == len(changed)
        changed = kept if edit.after is None or lacking else [*kept, edit.after]
    return tuple(changed)


def _vote(scopes: Iterable[Scope], action: Action, module: str) -> bool:
    return _permitting(scope.vote(action, module) for scope in scopes)


def _permitting(votes: Iterable[Vote]) -> bool:
    given = set(votes)
    return Vote.ALLOW in given and Vote.DENY not in given


@dataclass(frozen=True, slots=True)
class _Search:
    """A search for remedies on one pair."""

    action: Action
    module: str
    index: ModuleIndex
    all_scopes: tuple[Scope, ...]
    held: Holding

    def remedies(self) -> list[Remedy]:
        """Single edits; where none does, pairs; where none of those does, one edit against each denial."""
        scopes = self.held.scopes
        wanted = not self._permits(Rights.of(scopes, self.index))
        tried: list[tuple[Edit, ...]] = [(edit,) for edit in self._edits(scopes, wanted=wanted)]
        found = self._flipping(tried, wanted=wanted)
        if not found and len(tried) <= WIDEST_SEARCH:
            found = self._flipping(list(self._pairs(scopes, tried, wanted=wanted)), wanted=wanted)
        if not found:
            found = self._flipping([self._one_by_one(scopes, wanted=wanted)], wanted=wanted)
        return sorted(found, key=least_first)

    def _permits(self, rights: Rights) -> bool:
        return rights.covers(self.action, self.index.bits[self.module])

    def _after(self, scopes: Sequence[Scope], edits: Iterable[Edit]) -> tuple[Scope, ...]:
        return self.held.settled(edited(scopes, edits))

    def _flipping(self, tried: Iterable[tuple[Edit, ...]], *, wanted: bool) -> list[Remedy]:
        """Those of the candidates that, compiled, give the wanted answer, and give nothing unasked."""
        remedies: dict[frozenset[Edit], Remedy] = {}
        before = Rights.of(self.held.scopes, self.index)
        for edits in tried:
            changed = self._after(self.held.scopes, edits)
            if not changed or _vote(changed, self.action, self.module) is not wanted:
                continue
            after = Rights.of(changed, self.index)
            if self._permits(after) is wanted and (wanted or self._only_takes(edits, changed)):
                gained = Pairs.between(before, after, self.index)
                lost = Pairs.between(after, before, self.index)
                remedies.setdefault(frozenset(edits), Remedy(edits, gained, lost, self._reach(edits)))
        return list(remedies.values())

    def _only_takes(self, edits: Iterable[Edit], changed: Sequence[Scope]) -> bool:
        """Whether edits give nothing, whatever part of the scopes a token of the caller's brings along."""
        base = self.held.scopes if self.held.base is None else self.held.base
        ids = {scope.id for scope in base}
        giving = {EditKind.ASSIGN, EditKind.CREATE}
        touching = [edit for edit in edits if edit.kind in giving or edit.scope.id in ids]
        return not self._gives(self.held.scopes, changed) and not self._gives(
            base, self._after(base, touching)
        )

    def _gives(self, before: Sequence[Scope], after: Sequence[Scope]) -> bool:
        """Whether the principal gains a pair, were it of a module not mapped any more, or the bypass flag."""
        named = (
            name for scope in self.all_scopes for action in Action for name in scope.selection(action).names
        )
        wide = ModuleIndex.of((*self.index.bits, *named))
        gained = Pairs.between(Rights.of(before, wide), Rights.of(after, wide), wide)
        return len(gained) > 0 or (_bypasses(after) and not _bypasses(before))

    def _reach(self, edits: Iterable[Edit]) -> int:
        taking = {EditKind.UNASSIGN, EditKind.CLONE}
        shared, pooled = self.held.shared, self.held.pooled
        return sum(
            (edit.in_place and edit.scope.id in shared) or (edit.kind in taking and edit.scope.id in pooled)
            for edit in edits
        )

    def _pairs(
        self, scopes: tuple[Scope, ...], singles: Iterable[tuple[Edit, ...]], *, wanted: bool
    ) -> Iterator[tuple[Edit, ...]]:
        for (first,) in singles:
            changed = self._after(scopes, (first,))
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
        changed = self._after(scopes, edits)
        if _vote(changed, self.action, self.module) is not wanted:
            edits.append(self._new_scope(wanted=wanted))
        return tuple(edits)

    def _edits(self, scopes: Sequence[Scope], *, wanted: bool) -> Iterator[Edit]:
        """Every single edit that could help."""
        assigned = {scope.id for scope in scopes}
        for scope in scopes:
            yield from self._own_edits(scope, wanted=wanted)
        for scope in self.all_scopes:
            if scope.id not in assigned and self._is_worth_giving(scope, wanted=wanted):
                yield Edit(EditKind.ASSIGN, scope, scope, self.held.side)
        yield self._new_scope(wanted=wanted)

    def _is_worth_giving(self, scope: Scope, *, wanted: bool) -> bool:
        """Whether a scope helps, and does not give everything, or nearly, where one pair was wanted."""
        if not self._helps(scope, wanted=wanted):
            return False
        return not wanted or (scope.mode is Mode.ALLOW and not _is_full_access(scope))

    def _helps(self, scope: Scope, *, wanted: bool) -> bool:
        return scope.vote(self.action, self.module) is (Vote.ALLOW if wanted else Vote.DENY)

    def _own_edits(self, scope: Scope, *, wanted: bool) -> Iterator[Edit]:
        """What can be done with a scope the principal has; one that is locked is copied first."""
        kind, after = self._turned(scope, wanted=wanted)
        if after is not None:
            if scope.locked or scope.id in self.held.shared:
                copy = replace(after, id=-scope.id, name=self._free(_copy_name(scope)), locked=False)
                yield Edit(EditKind.CLONE, scope, copy, self.held.side)
            if not scope.locked:
                yield Edit(kind, scope, after)
        if not self._helps(scope, wanted=wanted) and scope.id not in self.held.kept:
            yield Edit(EditKind.UNASSIGN, scope, None, self.held.side)

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
        return Edit(EditKind.CREATE, scope, scope, self.held.side)

    def _free(self, name: str) -> str:
        """The name, or one like it that no scope has."""
        taken = {scope.name for scope in self.all_scopes}
        if name not in taken:
            return name
        return next(like for number in count(2) if (like := f"{name}-{number}") not in taken)


def _copy_name(scope: Scope) -> str:
    """What a copy is called; names too long for the ending keep the scope's id, by which they differ."""
    stem = scope.name if len(scope.name) <= LONGEST_STEM else f"{scope.name[:44]}-{scope.id}"
    return f"{stem}-copy"


def _is_full_access(scope: Scope) -> bool:
    return scope.mode is Mode.ALLOW and all(scope.selection(action).every for action in Action)


def _bypasses(scopes: Iterable[Scope]) -> bool:
    return any(scope.bypass_enabled_flag for scope in scopes)


def least_first(remedy: Remedy) -> tuple[tuple[int, int, int, int, bool], list[int], list[str]]:
    """The order in which remedies are told."""
    kinds = [_ORDER[edit.kind] for edit in remedy.edits]
    names = [edit.scope.name for edit in remedy.edits]
    bypasses = any(edit.kind is EditKind.ASSIGN and edit.scope.bypass_enabled_flag for edit in remedy.edits)
    amounts = len(remedy.edits), len(remedy.gained), len(remedy.lost), remedy.reach, bypasses
    return amounts, kinds, names
