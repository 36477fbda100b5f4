"""Every remedy that explain tells really flips the answer, and the first one grants the least."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.decision.explain import EditKind, Remedy, ballots, deciding, smallest_changes
from gateway.domain.action import Action
from gateway.domain.feed import Feed
from gateway.domain.principal import Principal, PrincipalKind
from gateway.domain.rights import ModuleIndex, Rights
from gateway.domain.scope import Mode, ModuleSet, Scope, Vote
from gateway.domain.target import Route, Target

MODULES = ("bookings", "courses", "invoices", "users")
INDEX = ModuleIndex.of(MODULES)
ALL = ModuleSet.of(["*"])
FULL = Scope(10_000, "api-v2", "API v2", Mode.ALLOW, ALL, ALL, ALL, ALL, locked=True)


def allow(scope_id: int, name: str, *, locked: bool = False, **sets: ModuleSet) -> Scope:
    return Scope(scope_id, name, name, Mode.ALLOW, locked=locked, **sets)  # type: ignore[arg-type] # sets only


def deny(scope_id: int, name: str, *, locked: bool = False, **sets: ModuleSet) -> Scope:
    return Scope(scope_id, name, name, Mode.DENY, locked=locked, **sets)  # type: ignore[arg-type] # sets only


def only(*names: str) -> ModuleSet:
    return ModuleSet.of(names)


def asks(action: Action, module: str) -> Target:
    return Target(Feed("demo"), Route(f"/{module}", "routes.yaml:1"), module, INDEX.bits[module], action)


def having(*scopes: Scope) -> Principal:
    return Principal(PrincipalKind.KEY, "key:1", "test", scopes, Rights.of(scopes, INDEX), key_id=1)


def after(scopes: tuple[Scope, ...], remedy: Remedy) -> tuple[Scope, ...]:
    """The scopes once an operator has done what the remedy says."""
    held = {scope.id: scope for scope in scopes}
    for edit in remedy.edits:
        held.pop(edit.scope.id, None)
        if edit.after is not None:
            held[edit.after.id] = edit.after
    return tuple(held.values())


READ_COURSES = asks(Action.READ, "courses")
WEBSITE = allow(1, "website", read=only("courses"))
REPORTS = allow(2, "reports", read=only("courses", "invoices", "bookings"))
NO_COURSES = deny(3, "no-courses", read=only("courses"))


@pytest.mark.parametrize(
    ("held", "known", "first", "name"),
    [
        ([allow(9, "hr", read=only("users"))], [FULL], EditKind.ADD_MODULE, "hr"),
        ([NO_COURSES], [FULL], EditKind.REMOVE_MODULE, "no-courses"),
        ([], [WEBSITE, REPORTS, FULL], EditKind.ASSIGN, "website"),
        ([FULL, NO_COURSES], [], EditKind.UNASSIGN, "no-courses"),
        ([allow(9, "mail", read=only("users"), locked=True)], [FULL], EditKind.CLONE, "mail"),
        ([], [FULL], EditKind.CREATE, "courses-read"),
        ([WEBSITE], [], EditKind.REMOVE_MODULE, "website"),
        ([FULL], [NO_COURSES], EditKind.ASSIGN, "no-courses"),
    ],
)
def test_the_first_change_is_the_one_that_grants_least(
    held: list[Scope], known: list[Scope], first: EditKind, name: str
) -> None:
    edit = smallest_changes(having(*held), READ_COURSES, [*held, *known], INDEX)[0].edits[0]
    if (first, name) == (EditKind.UNASSIGN, "no-courses"):
        assert edit.scope.name == name  # taking it out of the scope and taking the scope away grant the same
    else:
        assert (edit.kind, edit.scope.name) == (first, name)


def test_of_two_scopes_that_would_help_the_narrower_is_offered_first() -> None:
    remedies = smallest_changes(having(), READ_COURSES, [FULL, REPORTS, WEBSITE], INDEX)
    assigned = [r.edits[0].scope.name for r in remedies if r.edits[0].kind is EditKind.ASSIGN]
    assert assigned == ["website", "reports", "api-v2"]


def test_two_denials_need_two_edits() -> None:
    held = [NO_COURSES, deny(4, "nothing-read", read=ALL)]
    best = smallest_changes(having(*held), READ_COURSES, held, INDEX)[0]
    assert len(best.edits) == 2
    assert {edit.scope.name for edit in best.edits} == {"no-courses", "nothing-read"}


def test_any_number_of_denials_is_answered() -> None:
    held = [deny(number, f"no-{number}", read=ALL, locked=number % 2 == 0) for number in range(1, 80)]
    best = smallest_changes(having(*held), READ_COURSES, held, INDEX)[0]
    assert len(best.edits) == 79
    assert Rights.of(after(tuple(held), best), INDEX).covers(Action.READ, INDEX.bits["courses"])


def test_a_new_scope_never_takes_a_name_that_is_taken() -> None:
    taken = allow(5, "courses-read", read=only("users"))
    remedies = smallest_changes(having(), READ_COURSES, [taken], INDEX)
    assert remedies[0].edits[0].scope.name == "courses-read-2"


def test_where_no_scope_decides_there_is_nothing_to_change() -> None:
    public = Target(Feed("demo"), Route("/status", "routes.yaml:9", public=True), None, -1, None)
    assert smallest_changes(having(FULL), public, [FULL], INDEX) == []


@pytest.mark.parametrize(
    ("held", "decides"),
    [
        ([], None),
        ([allow(1, "a", read=only("users"))], None),
        ([WEBSITE, REPORTS], "website"),
        ([WEBSITE, NO_COURSES], "no-courses"),
        ([NO_COURSES, WEBSITE], "no-courses"),
    ],
)
def test_a_denial_decides_before_an_allowance_and_abstaining_decides_nothing(
    held: list[Scope], decides: str | None
) -> None:
    assert deciding(ballots(held, Action.READ, "courses")) == decides


def test_every_scope_has_its_vote() -> None:
    votes = ballots([WEBSITE, NO_COURSES, allow(7, "idle")], Action.READ, "courses")
    assert [ballot.vote for ballot in votes] == [Vote.ALLOW, Vote.DENY, Vote.ABSTAIN]


module_sets = st.one_of(st.just(ALL), st.frozensets(st.sampled_from(MODULES)).map(ModuleSet))
scope_lists = st.lists(
    st.builds(
        Scope,
        id=st.just(0),
        name=st.just(""),
        label=st.just(""),
        mode=st.sampled_from(Mode),
        create=module_sets,
        read=module_sets,
        update=module_sets,
        delete=module_sets,
        locked=st.booleans(),
    ),
    max_size=6,
).map(
    lambda scopes: [
        Scope(number, f"s{number}", "", s.mode, s.create, s.read, s.update, s.delete, locked=s.locked)
        for number, s in enumerate(scopes, start=1)
    ]
)


@settings(max_examples=200, deadline=None)
@given(scope_lists, st.data(), st.sampled_from(Action), st.sampled_from(MODULES))
def test_there_is_always_a_remedy_and_each_flips_the_answer(
    known: list[Scope], data: st.DataObject, action: Action, module: str
) -> None:
    held = tuple(scope for scope in known if data.draw(st.booleans()))
    permitted = Rights.of(held, INDEX).covers(action, INDEX.bits[module])
    remedies = smallest_changes(having(*held), asks(action, module), known, INDEX)
    assert remedies
    for remedy in remedies:
        changed = after(held, remedy)
        assert changed
        assert Rights.of(changed, INDEX).covers(action, INDEX.bits[module]) is not permitted
        for edit in remedy.edits:
            if edit.kind in {EditKind.ADD_MODULE, EditKind.REMOVE_MODULE}:
                assert not edit.scope.locked
    steps = [len(remedy.edits) for remedy in remedies]
    assert steps == sorted(steps)
    assert remedies[0].gained == min(r.gained for r in remedies if len(r.edits) == steps[0])
