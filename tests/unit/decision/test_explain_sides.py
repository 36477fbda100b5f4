"""What flips a verdict for a token's bearer: on two sides that must permit, and with scopes others have."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.decision.explain import Edit, EditKind, Remedy, ballots, deciders, smallest_changes
from gateway.decision.holding import Holding, Side
from gateway.decision.sides import changes_of_sides
from gateway.domain.action import Action
from gateway.domain.feed import Feed
from gateway.domain.rights import ModuleIndex
from gateway.domain.scope import Mode, ModuleSet, Scope, Vote
from gateway.domain.target import Route, Target

MODULES = ("bookings", "courses", "users")
INDEX = ModuleIndex.of(MODULES)
ALL = ModuleSet.of(["*"])
FULL = Scope(10_000, "api-v2", "API v2", Mode.ALLOW, ALL, ALL, ALL, ALL, locked=True)


def reads(scope_id: int, *modules: str, mode: Mode = Mode.ALLOW) -> Scope:
    return Scope(scope_id, f"s{scope_id}", f"s{scope_id}", mode, read=ModuleSet.of(modules))


def asks(action: Action, module: str) -> Target:
    return Target(Feed("demo"), Route(f"/{module}", "routes.yaml:1"), module, INDEX.bits[module], action)


READ_COURSES = asks(Action.READ, "courses")
COURSES, USERS, BOOKINGS = reads(1, "courses"), reads(2, "users"), reads(3, "bookings")
NO_COURSES = reads(4, "courses", mode=Mode.DENY)
NO_USERS = reads(5, "users", mode=Mode.DENY)


def both(given_: Sequence[Scope], named: Sequence[Scope], **parts: frozenset[int]) -> list[Holding]:
    return [Holding(tuple(given_), **parts), Holding(tuple(named), Side.NAMED)]


def done(scopes: Sequence[Scope], side: Side, edits: Iterable[Edit]) -> list[Scope]:
    """The scopes of a side once somebody has done what the edits say."""
    held = {scope.id: scope for scope in scopes}
    for edit in edits:
        in_place = edit.kind in {EditKind.ADD_MODULE, EditKind.REMOVE_MODULE}
        if (in_place and edit.scope.id in held) or (not in_place and edit.side is side):
            held.pop(edit.scope.id, None)
            if edit.after is not None:
                held[edit.after.id] = edit.after
    return list(held.values())


def pairs(scopes: Iterable[Scope]) -> set[tuple[Action, str]]:
    """Every pair that the scopes permit, by their votes; `later` stands for the modules added later."""
    held = list(scopes)
    votes = {
        (action, module): {scope.vote(action, module) for scope in held}
        for action in Action
        for module in (*MODULES, "later")
    }
    return {pair for pair, said in votes.items() if Vote.ALLOW in said and Vote.DENY not in said}


def on_both(sides: Sequence[Holding], edits: Sequence[Edit] = ()) -> set[tuple[Action, str]]:
    first, second = (pairs(done(side.scopes, side.side, edits)) for side in sides)
    return first & second


def steps(remedy: Remedy) -> list[tuple[EditKind, str, Side]]:
    return [(edit.kind, edit.scope.name, edit.side) for edit in remedy.edits]


@pytest.mark.parametrize(
    ("given_", "named", "first"),
    [
        ([COURSES], [USERS], [(EditKind.ADD_MODULE, "s2", Side.GIVEN)]),
        ([USERS], [COURSES], [(EditKind.ADD_MODULE, "s2", Side.GIVEN)]),
        ([], [COURSES], [(EditKind.ASSIGN, "s1", Side.GIVEN)]),
        ([COURSES], [], [(EditKind.ASSIGN, "s1", Side.NAMED)]),
        ([], [], [(EditKind.ASSIGN, "s1", Side.GIVEN), (EditKind.ASSIGN, "s1", Side.NAMED)]),
        ([USERS], [USERS], [(EditKind.ADD_MODULE, "s2", Side.GIVEN)]),
        ([COURSES], [COURSES], [(EditKind.REMOVE_MODULE, "s1", Side.GIVEN)]),
    ],
)
def test_each_side_that_refuses_is_mended_and_one_that_is_in_both_once(
    given_: list[Scope], named: list[Scope], first: list[tuple[EditKind, str, Side]]
) -> None:
    found = changes_of_sides(both(given_, named), READ_COURSES, [COURSES, USERS, BOOKINGS, FULL], INDEX)
    assert steps(found[0]) == first


def test_a_permit_is_taken_away_on_either_side() -> None:
    sides = both([COURSES, USERS], [COURSES, BOOKINGS])
    found = changes_of_sides(sides, READ_COURSES, [COURSES, USERS, BOOKINGS], INDEX)
    assert {edit.side for remedy in found for edit in remedy.edits if edit.kind is EditKind.UNASSIGN} == {
        Side.GIVEN,
        Side.NAMED,
    }


def test_what_one_side_gains_is_counted_as_far_as_the_other_lets_it_through() -> None:
    wide = Scope(9, "s9", "s9", Mode.ALLOW, read=ALL)
    found = changes_of_sides(both([], [COURSES]), READ_COURSES, [wide], INDEX)
    gained = {edit.kind: len(remedy.gained) for remedy in found for edit in remedy.edits}
    assert gained[EditKind.ASSIGN] == 1


@pytest.mark.parametrize(
    ("given_", "named", "names"),
    [
        ([COURSES], [COURSES, NO_COURSES], ("s4",)),
        ([COURSES, NO_COURSES], [NO_COURSES], ("s4",)),
        ([USERS], [COURSES], ()),
        ([COURSES], [FULL], ("s1", "api-v2")),
        ([], [], ()),
    ],
)
def test_the_first_side_that_refuses_decides_and_else_every_side_does(
    given_: list[Scope], named: list[Scope], names: tuple[str, ...]
) -> None:
    assert deciders([ballots(side, Action.READ, "courses") for side in (given_, named)]) == names


# Scopes that the caller does not have alone


def test_a_role_is_changed_only_after_what_changes_the_caller_alone() -> None:
    own = Holding((USERS,), shared=frozenset({2}), pooled=frozenset({2}))
    found = smallest_changes(own, READ_COURSES, [USERS], INDEX)
    assert found[0].edits[0].kind is EditKind.CREATE
    assert all(remedy.reach for remedy in found[1:])


def test_what_is_to_be_kept_is_never_taken_away() -> None:
    held = (COURSES, replace(FULL, locked=False))
    for kept in (frozenset[int](), frozenset({1, 10_000})):
        found = smallest_changes(Holding(held, kept=kept), READ_COURSES, held, INDEX)
        taken = {e.scope.id for r in found for e in r.edits if e.kind is EditKind.UNASSIGN}
        assert not taken & kept


def test_a_scope_that_is_held_for_want_of_any_is_gone_with_the_next() -> None:
    held = Holding((FULL,), lapsing=FULL.id, base=(FULL,))
    found = smallest_changes(held, READ_COURSES, [FULL, COURSES, NO_COURSES, NO_USERS], INDEX)
    kinds = {remedy.edits[0].kind for remedy in found}
    assert EditKind.UNASSIGN not in kinds
    given_ = [r for r in found if steps(r) == [(EditKind.ASSIGN, "s4", Side.GIVEN)]]
    assert len(given_[0].lost) == 1
    assert not given_[0].gained


def test_no_deny_scope_is_given_that_opens_what_another_token_of_the_caller_may_not() -> None:
    with_a_role = Holding((COURSES, FULL), pooled=frozenset({FULL.id}), base=(COURSES,))
    without = Holding((COURSES, FULL))
    for held, offered in ((with_a_role, False), (without, True)):
        found = smallest_changes(held, READ_COURSES, [COURSES, FULL, NO_COURSES], INDEX)
        single = [remedy.edits[0] for remedy in found if len(remedy.edits) == 1]
        assert any(edit.scope is NO_COURSES for edit in single) is offered


module_sets = st.one_of(st.just(ALL), st.frozensets(st.sampled_from(MODULES)).map(ModuleSet))
scope_lists = st.lists(
    st.builds(
        Scope,
        id=st.just(0),
        name=st.just(""),
        label=st.just(""),
        mode=st.sampled_from(Mode),
        read=module_sets,
        update=module_sets,
        locked=st.booleans(),
    ),
    max_size=5,
).map(lambda scopes: [replace(s, id=number, name=f"s{number}") for number, s in enumerate(scopes, start=1)])


@settings(max_examples=150, deadline=None)
@given(scope_lists, st.data(), st.sampled_from([Action.READ, Action.UPDATE]), st.sampled_from(MODULES))
def test_there_is_always_a_remedy_on_two_sides_and_each_flips_the_answer(
    known: list[Scope], data: st.DataObject, action: Action, module: str
) -> None:
    sides = both(
        [scope for scope in known if data.draw(st.booleans())],
        [scope for scope in known if data.draw(st.booleans())],
        shared=frozenset(scope.id for scope in known if data.draw(st.booleans())),
    )
    before = on_both(sides)
    permitted = (action, module) in before
    remedies = changes_of_sides(sides, asks(action, module), known, INDEX)
    assert remedies
    for remedy in remedies:
        after = on_both(sides, remedy.edits)
        assert ((action, module) in after) is not permitted
        assert (len(remedy.gained), len(remedy.lost)) == (len(after - before), len(before - after))
        if permitted:
            assert not remedy.gained
        assert len({(e.kind, e.scope.id, e.side) for e in remedy.edits}) == len(remedy.edits)
    assert [len(remedy.edits) for remedy in remedies] == sorted(len(remedy.edits) for remedy in remedies)
