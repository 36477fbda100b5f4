"""Every remedy that explain tells really flips the answer, and the first one grants the least."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.decision.explain import EditKind, Remedy, ballots, deciding, smallest_changes
from gateway.decision.holding import Holding
from gateway.decision.pairs import Pairs
from gateway.domain.action import Action
from gateway.domain.feed import Feed
from gateway.domain.rights import ModuleIndex, Rights
from gateway.domain.scope import SCOPE_NAME, Mode, ModuleSet, Scope, Vote
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


def having(*scopes: Scope, shared: frozenset[int] = frozenset()) -> Holding:
    return Holding(scopes, shared=shared)


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
    assert assigned == ["website", "reports"]


def test_neither_full_access_nor_a_deny_scope_is_offered_where_one_pair_is_wanted() -> None:
    opening = [FULL, allow(6, "all", create=ALL, read=ALL, update=ALL, delete=ALL), deny(7, "no-users")]
    for held in ([], [allow(9, "hr", read=only("users"))], [NO_COURSES, WEBSITE]):
        for remedy in smallest_changes(having(*held), READ_COURSES, [*held, *opening, WEBSITE], INDEX):
            given = [edit.after for edit in remedy.edits if edit.kind in {EditKind.ASSIGN, EditKind.CREATE}]
            assert not [s for s in given if s is None or s in opening or s.mode is Mode.DENY]


@pytest.mark.parametrize(
    "held",
    [
        [WEBSITE],
        [WEBSITE, REPORTS],
        [WEBSITE, allow(9, "power-bi", locked=True, read=ALL)],
        [WEBSITE, REPORTS, allow(9, "third", read=only("courses"))],
    ],
)
def test_a_key_of_allow_scopes_is_never_narrowed_by_a_deny_scope_which_would_open_the_feed(
    held: list[Scope],
) -> None:
    remedies = smallest_changes(having(*held), READ_COURSES, [*held, FULL, NO_COURSES], INDEX)
    assert remedies
    for remedy in remedies:
        assert not remedy.gained
        assert all(edit.after is None or edit.after.mode is Mode.ALLOW for edit in remedy.edits)


def test_no_way_to_take_a_pair_away_opens_a_feed_that_is_off_or_a_module_of_old() -> None:
    bypassing = replace(NO_COURSES, bypass_enabled_flag=True)
    remedies = smallest_changes(having(FULL), READ_COURSES, [FULL, bypassing], INDEX)
    assert "no-courses" not in [edit.scope.name for r in remedies for edit in r.edits]
    old = deny(8, "no-old", read=only("retired"))
    held = [allow(9, "a", read=only("courses", "retired")), old]
    told = smallest_changes(having(*held), READ_COURSES, held, INDEX)
    assert EditKind.UNASSIGN not in [edit.kind for r in told for edit in r.edits if edit.scope is old]


def test_a_scope_that_others_have_is_copied_rather_than_edited_and_each_way_is_told_once() -> None:
    held = [WEBSITE, REPORTS]
    shared = frozenset({WEBSITE.id})
    remedies = smallest_changes(having(*held, shared=shared), READ_COURSES, held, INDEX)
    assert remedies[0].reach == 0
    assert EditKind.CLONE in [edit.kind for remedy in remedies for edit in remedy.edits]
    single = smallest_changes(having(WEBSITE, shared=shared), READ_COURSES, [WEBSITE], INDEX)
    assert [remedy.edits[0].kind for remedy in single] == [EditKind.CLONE, EditKind.REMOVE_MODULE]
    assert len({frozenset(r.edits) for r in remedies}) == len(remedies)


def test_copies_of_scopes_with_long_names_have_names_of_their_own() -> None:
    held = [allow(n, f"{'a' * 63}{n}", read=only("courses"), locked=True) for n in (1, 2, 3)]
    best = smallest_changes(having(*held), READ_COURSES, held, INDEX)[0]
    names = {edit.after.name for edit in best.edits if edit.after is not None}
    assert len(names) == 3
    assert all(SCOPE_NAME.fullmatch(name) for name in names)


def test_pairs_are_named_by_the_harm_they_can_do_and_those_of_later_modules_apart() -> None:
    pairs = smallest_changes(having(FULL), READ_COURSES, [FULL], INDEX)[-1].lost
    everything = Pairs.between(Rights.of([], INDEX), Rights.of([FULL], INDEX), INDEX)
    assert len(everything) == 4 * (len(MODULES) + 1)
    assert next(everything.named()) == (Action.DELETE, "bookings")
    assert everything.of_later() == [Action.DELETE, Action.UPDATE, Action.CREATE, Action.READ]
    assert (Action.READ, "courses") not in everything.but(Action.READ, "courses").named()
    assert (Action.READ, "courses") in pairs.named()


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
        bypass_enabled_flag=st.booleans(),
        locked=st.booleans(),
    ),
    max_size=6,
).map(lambda scopes: [replace(s, id=number, name=f"s{number}") for number, s in enumerate(scopes, start=1)])


@settings(max_examples=200, deadline=None)
@given(scope_lists, st.data(), st.sampled_from(Action), st.sampled_from(MODULES))
def test_there_is_always_a_remedy_and_each_flips_the_answer(
    known: list[Scope], data: st.DataObject, action: Action, module: str
) -> None:
    held = tuple(scope for scope in known if data.draw(st.booleans()))
    permitted = Rights.of(held, INDEX).covers(action, INDEX.bits[module])
    shared = frozenset(scope.id for scope in known if data.draw(st.booleans()))
    remedies = smallest_changes(having(*held, shared=shared), asks(action, module), known, INDEX)
    assert remedies
    before = permitted_pairs(held)
    for remedy in remedies:
        changed = after(held, remedy)
        assert changed
        assert Rights.of(changed, INDEX).covers(action, INDEX.bits[module]) is not permitted
        gained, lost = permitted_pairs(changed) - before, before - permitted_pairs(changed)
        assert (len(remedy.gained), len(remedy.lost)) == (len(gained), len(lost))
        if permitted:
            assert not gained
            assert bypasses(held) or not bypasses(changed)
        for edit in remedy.edits:
            if edit.kind in {EditKind.ADD_MODULE, EditKind.REMOVE_MODULE}:
                assert not edit.scope.locked
    steps = [len(remedy.edits) for remedy in remedies]
    assert steps == sorted(steps)
    assert len(remedies[0].gained) == min(len(r.gained) for r in remedies if len(r.edits) == steps[0])


def permitted_pairs(scopes: Iterable[Scope]) -> set[tuple[Action, str]]:
    """Every pair that the scopes permit, by their votes; `later` stands for the modules added later."""
    held = list(scopes)
    votes = {
        (action, module): {scope.vote(action, module) for scope in held}
        for action in Action
        for module in (*MODULES, "later")
    }
    return {pair for pair, said in votes.items() if Vote.ALLOW in said and Vote.DENY not in said}


def bypasses(scopes: Iterable[Scope]) -> bool:
    return any(scope.bypass_enabled_flag for scope in scopes)
