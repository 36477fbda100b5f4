"""API Scopes: made, changed, copied and deleted by operators (CONTRACT 2)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from gateway.control.gain import Gain
from gateway.control.refused import (
    InUseError,
    InvalidError,
    LockedError,
    RefusedError,
    TakenError,
    UnknownError,
)
from gateway.control.widening import (
    DENYING,
    BearerTerms,
    gain_of_tokens,
    gains_without,
    refuse_widening,
)
from gateway.control.words import label_of, module_set_of, scope_name_of
from gateway.document.problem import nearest
from gateway.domain.action import Action
from gateway.domain.scope import FULL_ACCESS, SCOPE_NAME, Mode, ModuleSet, Scope
from gateway.domain.scope_use import MemberUse, ScopeUse
from gateway.store.questions import Questions
from gateway.store.store import Store
from gateway.store.writing import Writing

LISTED_USERS: Final = 20
"""How many users of a scope a refusal names; `scopes show` has all of them."""


class Fallback(StrEnum):
    """What becomes of those who had a scope that is deleted."""

    DENY = "deny"
    """They lose what it gave."""
    FULL_ACCESS = "full-access"
    """A key left with no scope may do everything from then on, as the reference product has it."""


@dataclass(frozen=True, slots=True)
class ScopeEdit:
    """What is to be different about a scope; None leaves a part as it is. `modules` replaces whole sets."""

    label: str | None = None
    mode: Mode | None = None
    modules: Mapping[Action, Collection[str]] = field(default_factory=dict)
    bypass_enabled_flag: bool | None = None

    def __bool__(self) -> bool:
        return bool(self.modules) or (self.label, self.mode, self.bypass_enabled_flag) != (None, None, None)


@dataclass(frozen=True, slots=True)
class SavedScope:
    """A scope as it is on record now, with what its operator should know."""

    scope: Scope
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeletedScope:
    """A scope that is gone, who had it, the keys that have full access because of it, and who gained."""

    scope: Scope
    use: ScopeUse
    given_full_access: tuple[int, ...] = ()
    gains: tuple[Gain, ...] = ()
    warnings: tuple[str, ...] = ()


async def scope_called(store: Questions, reference: str) -> Scope:
    """The scope of that name or, failing that, of that id. Raises UnknownError with the nearest name."""
    scope = await store.scope_named(reference) if SCOPE_NAME.fullmatch(reference) else None
    if scope is None and reference.isascii() and reference.isdigit():
        scope = await store.scope_with_id(int(reference[:20]))
    if scope is None:
        names = [known.name for known in await store.scopes()]
        raise UnknownError(f"There is no scope {reference[:80]!r}.", hint=nearest(reference, names))
    return scope


async def scopes_called(store: Questions, references: Iterable[str]) -> list[Scope]:
    """The scopes of those names, each once. Raises UnknownError that tells of all the unknown ones."""
    found: dict[int, Scope] = {}
    unknown: list[UnknownError] = []
    for reference in references:
        try:
            scope = await scope_called(store, reference)
        except UnknownError as error:
            unknown.append(error)
        else:
            found[scope.id] = scope
    if len(unknown) == 1:
        raise unknown[0]
    if unknown:
        raise UnknownError(*(_in_one_line(error) for error in unknown))
    return list(found.values())


def _in_one_line(error: RefusedError) -> str:
    """What is wrong and what to do about it, where several such stand below one another."""
    said = " ".join(error.sentences)
    return f"{said.removesuffix('.')}; {error.hint}" if error.hint else said


async def create_scope(
    store: Store, actor: str, name: str, edit: ScopeEdit, known_modules: Collection[str]
) -> SavedScope:
    """A new scope. Its label is its name unless the edit has one, its mode `allow`. Raises RefusedError."""
    blank = Scope(id=0, name=scope_name_of(name), label=name, mode=Mode.ALLOW)
    async with store.writing(actor) as writing:
        await _refuse_taken(writing, name)
        scope = await writing.add_scope(_edited(blank, edit, known_modules))
        await writing.record("scope.create", f"scope:{name}", described(scope))
    return SavedScope(scope, _warnings(scope, known_modules))


async def update_scope(
    store: Store, actor: str, reference: str, edit: ScopeEdit, known_modules: Collection[str]
) -> SavedScope:
    """A changed scope, for everyone who has it. Raises RefusedError, as for every locked scope."""
    if not edit:
        raise InvalidError("Nothing to change was given.")
    async with store.writing(actor) as writing:
        before = await scope_called(writing, reference)
        _refuse_locked(before, "edited", "clone it and edit the clone")
        after = _edited(before, edit, known_modules)
        await writing.replace_scope(after)
        await writing.record(
            "scope.update", f"scope:{after.name}", {"before": described(before), "after": described(after)}
        )
    return SavedScope(after, _warnings(after, known_modules))


async def clone_scope(
    store: Store, actor: str, reference: str, name: str, label: str | None = None
) -> SavedScope:
    """A copy of a scope under a new name; the copy of a locked scope is not locked. Raises RefusedError."""
    scope_name_of(name)
    async with store.writing(actor) as writing:
        source = await scope_called(writing, reference)
        await _refuse_taken(writing, name)
        wanted = label_of(label if label is not None else _copy_label(source.label))
        scope = await writing.add_scope(replace(source, id=0, name=name, label=wanted, locked=False))
        await writing.record("scope.clone", f"scope:{name}", {"of": source.name, **described(scope)})
    return SavedScope(scope)


async def delete_scope(  # noqa: PLR0913 - two of them say how far the operator means to go
    store: Store,
    actor: str,
    reference: str,
    fallback: Fallback | None = None,
    *,
    widens: bool = False,
    terms: BearerTerms = DENYING,
) -> DeletedScope:
    """Delete a scope. One that is in use needs a fallback, which gives members nothing.

    Raises RefusedError: for one in use that lists its users, and, unless `widens`, where losing it lets
    somebody do more. The full access that a fallback gives to keys left with nothing is not counted.
    """
    async with store.writing(actor) as writing:
        scope = await scope_called(writing, reference)
        _refuse_locked(scope, "deleted", "take it from keys that should not have it")
        use = await writing.use_of(scope.id)
        if use and fallback is None:
            raise InUseError(
                f"The scope {scope.name!r} is in use by {listed_use(use)}.",
                use=use,
                hint="say what becomes of them: --fallback deny or --fallback full-access",
            )
        keys = [await writing.key_with_id(number) for number in _using(use)]
        gains = await gains_without(writing, scope, filter(None, keys), use.members, terms)
        gains += await gain_of_tokens(writing, scope, terms)
        refuse_widening(f"Deleting the scope {scope.name!r}", gains, meant=widens)
        await writing.remove_scope(scope.id)
        emptied = await _emptied(writing, use)
        given = emptied if fallback is Fallback.FULL_ACCESS else ()
        await _give_full_access(writing, given, scope.name)
        gained = [gain.sentence for gain in gains]
        detail = {**described(scope), "fallback": fallback, "full_access_given_to": given, "widens": gained}
        await writing.record("scope.delete", f"scope:{scope.name}", detail)
        warned = _deletion_warnings(emptied, given, await _without_any(writing, use.members))
    return DeletedScope(scope, use, given, tuple(gains), (*warned, *(f"Now {gain}." for gain in gained)))


def described(scope: Scope) -> dict[str, object]:
    """A scope for programs and for the audit."""
    return {
        "id": scope.id,
        "name": scope.name,
        "label": scope.label,
        "mode": scope.mode,
        **{action.word: scope.selection(action).listed() for action in Action},
        "bypass_enabled_flag": scope.bypass_enabled_flag,
        "locked": scope.locked,
    }


def listed_use(use: ScopeUse) -> str:
    """Those who have a scope, in a sentence's words: `key 3 (Website), key 4 (HR, trial), role trainers`."""
    users = [f"key {key.key_id} ({key.label}{', trial' if key.trial else ''})" for key in use.keys]
    users += [f"{member.kind} {member.name}" for member in use.members]
    more = len(users) - LISTED_USERS
    return ", ".join(users[:LISTED_USERS]) + (f" and {more} more" if more > 0 else "")


def unmapped_modules(scope: Scope, known_modules: Collection[str]) -> list[str]:
    """The modules a scope names that the route map no longer has."""
    named = {name for action in Action for name in scope.selection(action).names}
    return sorted(named.difference(known_modules))


def _edited(scope: Scope, edit: ScopeEdit, known: Collection[str]) -> Scope:
    """The scope with the edit applied; tells everything that is wrong with the edit at once."""
    wrong: list[str] = []
    sets: dict[Action, ModuleSet] = {}
    kept = ModuleSet(frozenset(unmapped_modules(scope, known)))
    for action, names in sorted(edit.modules.items()):
        try:
            sets[action] = module_set_of(names, known, kept)
        except InvalidError as error:
            wrong += error.sentences
    label = scope.label
    if edit.label is not None:
        try:
            label = label_of(edit.label)
        except InvalidError as error:
            wrong += error.sentences
    if wrong:
        raise InvalidError(*dict.fromkeys(wrong))
    bypass = scope.bypass_enabled_flag if edit.bypass_enabled_flag is None else edit.bypass_enabled_flag
    create, read, update, delete = (sets.get(action, scope.selection(action)) for action in Action)
    return replace(
        scope,
        label=label,
        mode=edit.mode or scope.mode,
        create=create,
        read=read,
        update=update,
        delete=delete,
        bypass_enabled_flag=bypass,
    )


def _warnings(scope: Scope, known: Collection[str]) -> tuple[str, ...]:
    unmapped = unmapped_modules(scope, known)
    warned = [f"The route map no longer has the module {name!r} of this scope." for name in unmapped]
    selects = any(scope.selection(action) != ModuleSet() for action in Action)
    if scope.mode is Mode.ALLOW and not selects:
        warned.append("The scope allows nothing; select modules with --create, --read, --update, --delete.")
    if scope.mode is Mode.DENY and not selects:
        warned.append("The scope denies nothing, so it allows everything.")
    return tuple(warned)


async def _refuse_taken(writing: Writing, name: str) -> None:
    if await writing.scope_named(name) is not None:
        raise TakenError(f"There is a scope {name!r} already.", hint="choose another name, or update it")


def _refuse_locked(scope: Scope, done: str, hint: str) -> None:
    if scope.locked:
        raise LockedError(f"The scope {scope.name!r} is a standard one and cannot be {done}.", hint=hint)


def _copy_label(label: str) -> str:
    return f"Copy of {label}"[:200]


def _using(use: ScopeUse) -> list[int]:
    """The ids of the keys that have the scope, and not in a trial set alone."""
    return sorted({key.key_id for key in use.keys if not key.trial})


async def _emptied(writing: Writing, use: ScopeUse) -> tuple[int, ...]:
    """The keys, in the order of their ids, that have no scope left."""
    emptied = []
    for key_id in _using(use):
        entry = await writing.key_with_id(key_id)
        if entry is not None and not entry.record.scopes:
            emptied.append(key_id)
    return tuple(emptied)


async def _without_any(writing: Writing, members: Collection[MemberUse]) -> list[MemberUse]:
    """Those of the members that have no scope themselves."""
    having = {row.member for row in await writing.memberships(members)}
    return [member for member in members if member not in having]


async def _give_full_access(writing: Writing, key_ids: Iterable[int], deleted: str) -> None:
    full = await writing.scope_named(FULL_ACCESS)
    if full is None:
        raise RefusedError(
            f"The standard scope {FULL_ACCESS!r} is missing from the store.", hint="restore a backup"
        )
    for key_id in key_ids:
        await writing.set_scopes(key_id, [full.id], full_access_after=deleted)
        await writing.record("key.full-access", f"key:{key_id}", {"after_deletion_of": deleted})


def _deletion_warnings(
    emptied: Collection[int], given: Collection[int], without: Sequence[MemberUse]
) -> tuple[str, ...]:
    warned = [f"Key {key_id} has full access now ({FULL_ACCESS})." for key_id in given]
    warned += [f"Key {key_id} has no scope now and is refused." for key_id in emptied if key_id not in given]
    warned += [f"The {who.kind} {who.name} has no scope now." for who in without[:LISTED_USERS]]
    more = len(without) - LISTED_USERS
    warned += [f"{more} more users, roles and clients have no scope now."] if more > 0 else []
    return tuple(warned)
