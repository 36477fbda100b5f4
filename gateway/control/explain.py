"""What would become of a request, and why: the whole trace, from the evaluator that the data plane runs."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.control.keys import key_numbered
from gateway.control.scopes import listed_use
from gateway.decision.explain import Ballot, Edit, EditKind, Remedy, ballots, deciding, smallest_changes
from gateway.domain.action import Action
from gateway.domain.key import KeyState
from gateway.domain.key_entry import KeyEntry
from gateway.domain.permit import Permit, Verdict
from gateway.domain.principal import Principal
from gateway.domain.scope import Mode, Scope
from gateway.domain.scope_use import ScopeUse
from gateway.domain.target import Target, Unmapped
from gateway.domain.verdict import Reason, Refusal
from gateway.identity.keys import principal_of
from gateway.pipeline import judge
from gateway.routing.canonical import canonical_path
from gateway.routing.table import RouteTable
from gateway.store.questions import Questions
from gateway.store.store import Store

TOLD_REMEDIES: Final = 5
"""How many ways to flip the answer are told; the first is the smallest."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to flip the answer, in sentences, with the commands that go it.

    `shared` tells, for each scope that would be edited, who else has it.
    """

    sentences: tuple[str, ...]
    commands: tuple[str, ...]
    gained: int = 0
    lost: int = 0
    shared: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything that leads to the verdict on one request. What was not reached is None or empty.

    `credential` is the refusal that the key itself earns, None for a key that is accepted.
    """

    entry: KeyEntry
    method: str
    asked_path: str
    canonical_path: str | None
    place: Target | Unmapped | None
    credential: Refusal | None
    verdict: Verdict
    votes: tuple[Ballot, ...] = ()
    trial_votes: tuple[Ballot, ...] = ()
    deciding: str | None = None
    ways: tuple[Way, ...] = ()

    @property
    def permitted(self) -> bool:
        """Whether the request would be forwarded."""
        return isinstance(self.verdict, Permit)


@dataclass(frozen=True, slots=True)
class Question:
    """A request to explain; `path` without a query, `host` as the Host field has it."""

    method: str
    path: str
    host: str = ""


async def explain_key(
    store: Store, routes: RouteTable, relaxed: frozenset[str], key_id: int, question: Question
) -> Trace:
    """The trace of a request with a key, whose secret nobody needs. Raises UnknownError."""
    entry = await key_numbered(store, key_id)
    credential = credential_refusal(entry, store.now())
    path = canonical_path(question.path.encode("utf-8", "surrogateescape"), relaxed)
    if isinstance(path, Refusal):
        return Trace(entry, question.method, question.path, None, None, credential, path)
    place = routes.place(question.method, question.host.encode("utf-8", "surrogateescape"), path)
    principal = principal_of(entry.record, routes.modules)
    verdict = judge(place, credential or principal)
    shown, votes = path.decode(), _votes(principal, place)
    trace = Trace(entry, question.method, question.path, shown, place, credential, verdict, *votes)
    return await _with_ways(store, routes, trace, principal)


def credential_refusal(entry: KeyEntry, now: float) -> Refusal | None:
    """Why the key would not be accepted now, whatever it asks for; None if it would be."""
    record = entry.record
    if record.state is not KeyState.ACTIVE:
        return Refusal(Reason.CREDENTIAL_REVOKED, f"Key {record.id} is {record.state}.")
    if record.expires_at is not None and record.expires_at <= now:
        return Refusal(Reason.CREDENTIAL_EXPIRED, f"Key {record.id} has expired.")
    if not entry.has_live_secret(now):
        return Refusal(Reason.CREDENTIAL_EXPIRED, f"Every secret of key {record.id} has expired.")
    return None


def _votes(
    principal: Principal, place: Target | Unmapped
) -> tuple[tuple[Ballot, ...], tuple[Ballot, ...], str | None]:
    if not isinstance(place, Target) or place.module is None or place.action is None:
        return (), (), None
    pair = place.action, place.module
    votes = ballots(principal.scopes, *pair)
    return votes, ballots(principal.trial or (), *pair), deciding(votes)


async def _with_ways(store: Store, routes: RouteTable, trace: Trace, principal: Principal) -> Trace:
    """The trace with what flips its answer: what stands in the way before the scopes, then each remedy."""
    first = _before_the_scopes(trace, principal)
    if not isinstance(trace.place, Target) or trace.place.route.public:
        return replace(trace, ways=(first,)) if first else trace
    index = routes.modules
    remedies = smallest_changes(principal, trace.place, await store.scopes(), index)
    stands = trace.place.module is not None and trace.place.action is not None
    allowed = stands and principal.rights.covers(*_pair(trace.place))
    if first is not None and allowed:
        return replace(trace, ways=(first,))
    ways = [await _way(store, trace.entry, remedy) for remedy in remedies[:TOLD_REMEDIES]]
    return replace(trace, ways=tuple(ways if first is None else [_both(first, way) for way in ways]))


def _pair(target: Target) -> tuple[Action, int]:
    if target.action is None:
        raise ValueError("a target without an action has no pair")
    return target.action, target.bit


def _both(first: Way, then: Way) -> Way:
    return replace(
        then, sentences=(*first.sentences, *then.sentences), commands=(*first.commands, *then.commands)
    )


def _before_the_scopes(trace: Trace, principal: Principal) -> Way | None:
    """What must be mended before the scopes are even asked; None if nothing."""
    place = trace.place
    steps: list[Way] = []
    public = isinstance(place, Target) and place.route.public
    if trace.credential is not None and not public:
        steps.append(_credential_way(trace.entry, trace.credential))
    if isinstance(place, Unmapped):
        steps.append(_mapping_way(trace.method, place))
    elif place is not None and not place.feed.enabled and (public or not principal.bypasses_enabled_flag):
        steps.append(Way((f"Switch the feed on: feeds.{place.feed.name}.enabled: true.",), ()))
    if not steps:
        return None
    sentences = tuple(sentence for step in steps for sentence in step.sentences)
    return Way(sentences, tuple(command for step in steps for command in step.commands))


def _credential_way(entry: KeyEntry, refusal: Refusal) -> Way:
    key_id = entry.record.id
    if entry.record.state is KeyState.REVOKED:
        return Way(("Create a new key; a revoked one is refused for good.",), ())
    if entry.record.state is KeyState.DISABLED:
        return Way((f"Enable key {key_id}.",), (f"gateway keys enable {key_id}",))
    if "secret" in refusal.detail:
        return Way((f"Rotate key {key_id}.",), (f"gateway keys rotate {key_id}",))
    return Way((f"Let key {key_id} live longer.",), (f"gateway keys update {key_id} --expires 90d",))


def _mapping_way(method: str, place: Unmapped) -> Way:
    if place.route is None or place.reason is Reason.ROUTE_UNMAPPED:
        return Way(("Map the path in a route file.",), ())
    allowed = ", ".join(place.allow)
    return Way((f"Map {method} under `actions` at {place.route.where}, or use {allowed}.",), ())


async def _way(store: Questions, entry: KeyEntry, remedy: Remedy) -> Way:
    """A remedy in sentences and commands, with who else has a scope that it edits."""
    sentences = tuple(_sentence(edit, entry.record.id) for edit in remedy.edits)
    commands = [command for edit in remedy.edits for command in _scope_commands(edit)]
    before = [scope.name for scope in entry.record.scopes]
    after = _names_after(before, remedy.edits)
    if after != before:
        commands.append(" ".join(["gateway keys update", str(entry.record.id), *_scope_options(after)]))
    shared = [await _shared(store, edit, entry.record.id) for edit in remedy.edits]
    return Way(sentences, tuple(commands), remedy.gained, remedy.lost, tuple(s for s in shared if s))


def _sentence(edit: Edit, key_id: int) -> str:
    scope, after = edit.scope, edit.after
    match edit.kind:
        case EditKind.ADD_MODULE | EditKind.REMOVE_MODULE:
            return f"Let the scope {scope.name!r} select {_selection(after or scope, scope)}."
        case EditKind.ASSIGN:
            return f"Give key {key_id} the scope {scope.name!r} too."
        case EditKind.UNASSIGN:
            return f"Take the scope {scope.name!r} from key {key_id}."
        case EditKind.CLONE:
            copy = after or scope
            return (
                f"Clone the locked scope {scope.name!r} as {copy.name!r}, let the clone select "
                f"{_selection(copy, scope)}, and give it to key {key_id} instead."
            )
        case EditKind.CREATE:
            return f"Give key {key_id} a new {scope.mode} scope that selects {_selection(scope, None)}."


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


def _scope_options(names: Iterable[str]) -> list[str]:
    return [f"--scope {name}" for name in names]


def _names_after(names: Sequence[str], edits: Iterable[Edit]) -> list[str]:
    """The names of the key's scopes once the edits are made."""
    after = list(names)
    for edit in edits:
        if edit.kind in {EditKind.UNASSIGN, EditKind.CLONE}:
            after.remove(edit.scope.name)
        if edit.kind in {EditKind.ASSIGN, EditKind.CLONE, EditKind.CREATE} and edit.after is not None:
            after.append(edit.after.name)
    return after


async def _shared(store: Questions, edit: Edit, key_id: int) -> str:
    if edit.kind not in {EditKind.ADD_MODULE, EditKind.REMOVE_MODULE}:
        return ""
    use = await store.use_of(edit.scope.id)
    others = ScopeUse(tuple(key for key in use.keys if key.key_id != key_id), use.members)
    return f"The scope {edit.scope.name!r} is shared by {listed_use(others)}." if others else ""
