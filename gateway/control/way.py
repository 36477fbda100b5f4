"""A way to flip an answer, for people: sentences, the commands that go it, and what else it does."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.control.asker import Asker
from gateway.control.scopes import listed_use
from gateway.decision.explain import Edit, EditKind, Remedy
from gateway.decision.holding import Side
from gateway.decision.pairs import Pairs
from gateway.domain.action import Action
from gateway.domain.scope import Mode, Scope
from gateway.domain.target import Target
from gateway.store.questions import Questions

TOLD_REMEDIES: Final = 5
"""How many ways to flip the answer are told; the first is the smallest."""

LISTED_PAIRS: Final = 3
"""Up to so many further pairs are all named; of more, one is."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to flip the answer, in sentences, with the commands that go it.

    `gained` and `lost` count pairs, the one that was asked for included; `also` tells of the others. `shared`
    tells, for each scope that would be edited, who else has it.
    """

    sentences: tuple[str, ...]
    commands: tuple[str, ...] = ()
    gained: int = 0
    lost: int = 0
    also: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()

    def after(self, first: "Way") -> "Way":
        """Both, one after the other."""
        sentences, commands = first.sentences + self.sentences, first.commands + self.commands
        return replace(self, sentences=sentences, commands=commands)


def most_different(remedies: Sequence[Remedy]) -> list[Remedy]:
    """The few that are told: the least of each sort before a second of any, and the least of all first."""
    seen: list[tuple[EditKind, ...]] = []
    ranks: list[tuple[int, int]] = []
    for place, remedy in enumerate(remedies):
        sort = tuple(sorted(edit.kind for edit in remedy.edits))
        ranks.append((seen.count(sort), place))
        seen.append(sort)
    return [remedies[place] for place in sorted(place for _, place in sorted(ranks)[:TOLD_REMEDIES])]


async def way_of(store: Questions, asker: Asker, target: Target, remedy: Remedy, *, permitted: bool) -> Way:
    """A remedy in sentences and commands, with what else it does and whom it touches besides the asker."""
    edits = remedy.edits
    commands = [command for edit in edits for command in _scope_commands(edit)]
    commands += asker.commands(edits, permitted=permitted)
    touched = [await _shared(store, asker, edit) for edit in edits]
    touched += [asker.also_touched(edit) for edit in edits]
    also = _also("permits", remedy.gained, target), _also("refuses", remedy.lost, target)
    return Way(
        tuple(_sentence(edit, asker) for edit in edits),
        tuple(dict.fromkeys(commands)),
        len(remedy.gained),
        len(remedy.lost),
        _said(also),
        _said(touched),
    )


def _said(sentences: Iterable[str]) -> tuple[str, ...]:
    return tuple(sentence for sentence in sentences if sentence)


def _also(does: str, pairs: Pairs, target: Target) -> str:
    """What a way does besides what was asked: `also permits 26 other pairs, delete users among them`."""
    if target.module is not None and target.action is not None:
        pairs = pairs.but(target.action, target.module)
    names = [f"{action.word} {module}" for action, module in pairs.named()]
    names += [f"{action.word} whatever is mapped later" for action in pairs.of_later()]
    if not names:
        return ""
    if len(names) == 1:
        return f"also {does} {names[0]}"
    if len(names) <= LISTED_PAIRS:
        return f"also {does} {len(names)} other pairs: {', '.join(names)}"
    return f"also {does} {len(names)} other pairs, {names[0]} among them"


def _sentence(edit: Edit, asker: Asker) -> str:
    scope, after, named = edit.scope, edit.after, edit.side is Side.NAMED
    match edit.kind:
        case EditKind.ADD_MODULE | EditKind.REMOVE_MODULE:
            return f"Let the scope {scope.name!r} select {_selection(after or scope, scope)}."
        case EditKind.ASSIGN if named:
            return f"Have the token name the scope {scope.name!r} too."
        case EditKind.ASSIGN:
            return f"Give {asker.called} the scope {scope.name!r} too."
        case EditKind.UNASSIGN if named:
            return f"Have the token name the scope {scope.name!r} no longer."
        case EditKind.UNASSIGN:
            return f"Take the scope {scope.name!r} from {asker.holders(scope)}."
        case EditKind.CLONE:
            copy = after or scope
            which = "locked" if scope.locked else "shared"
            put = "have the token name it" if named else f"give it to {asker.holders(scope)}"
            return (
                f"Clone the {which} scope {scope.name!r} as {copy.name!r}, let the clone select "
                f"{_selection(copy, scope)}, and {put} instead."
            )
        case EditKind.CREATE:
            new = f"new {scope.mode} scope {scope.name!r} that selects {_selection(scope, None)}"
            return f"Have the token name a {new}." if named else f"Give {asker.called} a {new}."


def _selection(scope: Scope, before: Scope | None) -> str:
    """What is selected differently, as people say it: `read: bookings, courses`."""
    parts = [f"{action.word}: {_modules(scope, action)}" for action in _changed(scope, before)]
    return "; ".join(parts)


def _modules(scope: Scope, action: Action) -> str:
    return ", ".join(scope.selection(action).listed()) or "nothing"


def _changed(scope: Scope, before: Scope | None) -> list[Action]:
    reference = before or Scope(0, "", "", scope.mode)
    return [action for action in Action if scope.selection(action) != reference.selection(action)]


def _scope_commands(edit: Edit) -> list[str]:
    scope, after = edit.scope, edit.after
    match edit.kind:
        case EditKind.ADD_MODULE | EditKind.REMOVE_MODULE if after is not None:
            return [f"gateway scopes update {scope.name} {_set_options(after, scope)}"]
        case EditKind.CLONE if after is not None:
            return [
                f"gateway scopes clone {scope.name} {after.name}",
                f"gateway scopes update {after.name} {_set_options(after, scope)}",
            ]
        case EditKind.CREATE:
            mode = "" if scope.mode is Mode.ALLOW else "--mode deny "
            return [f"gateway scopes create {scope.name} {mode}{_set_options(scope, None)}"]
        case _:
            return []


def _set_options(scope: Scope, before: Scope | None) -> str:
    """The options that give a scope its changed sets; an empty one is quoted, so is `*`."""
    options = []
    for action in _changed(scope, before):
        listed = ",".join(scope.selection(action).listed())
        options.append(f"--{action.word} {shlex.quote(listed)}")
    return " ".join(options)


async def _shared(store: Questions, asker: Asker, edit: Edit) -> str:
    if not edit.in_place:
        return ""
    others = asker.others(await store.use_of(edit.scope.id))
    return f"The scope {edit.scope.name!r} is shared by {listed_use(others)}." if others else ""
