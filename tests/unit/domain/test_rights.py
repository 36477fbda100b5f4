"""Compiled rights against a model made of plain sets, which says slowly what the masks say fast."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.action import Action
from gateway.domain.rights import MOST_COMPILED, ModuleIndex, Rights
from gateway.domain.scope import Mode, ModuleSet, Scope, Vote

MAPPED = ("accounts", "bookings", "courses", "users")
UNMAPPED = ("invoices", "zebras")
LATER = ("aardvarks", "courses-archive", "zones")
INDEX = ModuleIndex.of(MAPPED)

module_sets = st.one_of(
    st.just(ModuleSet(every=True)), st.frozensets(st.sampled_from(MAPPED + UNMAPPED)).map(ModuleSet)
)
scopes = st.builds(
    Scope,
    id=st.integers(1, 99),
    name=st.just("s"),
    label=st.just(""),
    mode=st.sampled_from(Mode),
    create=module_sets,
    read=module_sets,
    update=module_sets,
    delete=module_sets,
    bypass_enabled_flag=st.booleans(),
)
scope_lists = st.lists(scopes, max_size=5)


def may(held: Iterable[Scope], action: Action, module: str, modules: Iterable[str]) -> bool:
    """The algebra as the contract words it, in sets of (action, module)."""
    every = {(a, m) for a in Action for m in modules}
    allowed: set[tuple[Action, str]] = set()
    denied: set[tuple[Action, str]] = set()
    for scope in held:
        chosen = {"create": scope.create, "read": scope.read, "update": scope.update, "delete": scope.delete}
        selected = {(a, m) for a, m in every if chosen[a.word].every or m in chosen[a.word].names}
        if scope.mode is Mode.ALLOW:
            allowed |= selected
        else:
            allowed |= every - selected
            denied |= selected
    return (action, module) in allowed - denied


@given(scope_lists, st.sampled_from(Action), st.sampled_from(MAPPED))
def test_compiled_rights_say_what_the_sets_say(held: list[Scope], action: Action, module: str) -> None:
    assert Rights.of(held, INDEX).covers(action, INDEX.bits[module]) is may(held, action, module, MAPPED)


@given(scope_lists, st.sampled_from(Action), st.sampled_from(MAPPED + LATER))
def test_modules_that_are_mapped_later_are_judged_as_if_they_had_always_been(
    held: list[Scope], action: Action, module: str
) -> None:
    grown = ModuleIndex.of(MAPPED + LATER)
    assert Rights.of(held, grown).covers(action, grown.bits[module]) is may(
        held, action, module, MAPPED + LATER
    )


@given(scope_lists, st.sampled_from(Action), st.integers(len(MAPPED), 5000))
def test_a_bit_beyond_the_index_follows_the_sets_that_hold_every_module(
    held: list[Scope], action: Action, bit: int
) -> None:
    assert Rights.of(held, INDEX).covers(action, bit) is may(
        held, action, "not-yet-thought-of", ["not-yet-thought-of"]
    )


@given(scope_lists, st.randoms())
def test_the_order_of_scopes_and_their_repetition_mean_nothing(held: list[Scope], random: object) -> None:
    shuffled = held * 2
    random.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis names no type for it
    assert Rights.of(shuffled, INDEX) == Rights.of(held, INDEX)


@given(scope_lists, scopes)
def test_an_allow_scope_takes_nothing_away_and_what_a_deny_scope_selects_is_gone(
    held: list[Scope], more: Scope
) -> None:
    before, after = Rights.of(held, INDEX), Rights.of([*held, more], INDEX)
    for action in Action:
        for module, bit in INDEX.bits.items():
            if more.vote(action, module) is Vote.DENY:
                assert not after.covers(action, bit)
            elif more.vote(action, module) is Vote.ABSTAIN:
                assert after.covers(action, bit) is before.covers(action, bit)
            else:
                assert after.covers(action, bit) or not before.covers(action, bit)


@given(scope_lists, st.sampled_from(Action), st.sampled_from(MAPPED))
def test_the_votes_of_the_scopes_add_up_to_the_rights(held: list[Scope], action: Action, module: str) -> None:
    votes = {scope.vote(action, module) for scope in held}
    by_votes = Vote.ALLOW in votes and Vote.DENY not in votes
    assert Rights.of(held, INDEX).covers(action, INDEX.bits[module]) is by_votes


@given(st.lists(st.tuples(scope_lists, scope_lists), max_size=2))
def test_what_is_kept_compiled_is_what_compiling_says(held: list[tuple[list[Scope], list[Scope]]]) -> None:
    index = ModuleIndex.of(MAPPED)
    for one, other in held * 2:
        first, second = Rights.of(one, index), Rights.of(other, index)
        assert index.rights_of(tuple(one)) == first
        assert index.rights_of(tuple(one), tuple(other)) == first.within(second)


def test_equal_scopes_are_compiled_once_and_no_more_sets_are_kept_than_fit() -> None:
    index = ModuleIndex.of(MAPPED)
    sets = [(Scope(number, "s", "", Mode.DENY),) for number in range(MOST_COMPILED + 10)]
    assert index.rights_of(sets[0]) is index.rights_of((Scope(0, "s", "", Mode.DENY),))
    for one in sets:
        index.rights_of(one)
    assert len(index.compiled) <= MOST_COMPILED


def test_no_scope_grants_nothing_to_any_bit() -> None:
    nothing = Rights.of([], INDEX)
    assert nothing.granted == (0, 0, 0, 0)
    assert not any(nothing.covers(action, bit) for action in Action for bit in (0, 1, 63, 64, 10_000))


def test_a_deny_scope_that_selects_nothing_allows_every_module_there_may_ever_be() -> None:
    free = Rights.of([Scope(1, "free", "", Mode.DENY)], INDEX)
    assert all(free.covers(action, bit) for action in Action for bit in (0, 63, 64, 100_000))


@pytest.mark.parametrize("order", [MAPPED, MAPPED[::-1], MAPPED * 3])
def test_bits_follow_the_names_whatever_order_they_come_in(order: tuple[str, ...]) -> None:
    assert ModuleIndex.of(order).bits == {"accounts": 0, "bookings": 1, "courses": 2, "users": 3}


def test_ten_thousand_modules_each_keep_their_own_bit() -> None:
    names = [f"m{number:05}" for number in range(10_000)]
    index = ModuleIndex.of(names)
    rights = Rights.of([Scope(1, "one", "", Mode.ALLOW, read=ModuleSet.of(["m04242"]))], index)
    assert [name for name in names if rights.covers(Action.READ, index.bits[name])] == ["m04242"]


def test_a_star_among_names_is_every_module_and_is_listed_as_the_star_alone() -> None:
    chosen = ModuleSet.of(["courses", "*"])
    assert chosen.every
    assert "anything" in chosen
    assert chosen.listed() == ["*"]
    assert ModuleSet.of(["users", "courses"]).listed() == ["courses", "users"]


@pytest.mark.parametrize(
    ("word", "action"),
    [("create", Action.CREATE), ("read", Action.READ), ("update", Action.UPDATE), ("delete", Action.DELETE)]
    + [(word, None) for word in ("", "READ", "Read", "reads", "write", "*", "__class__", "rEad", "read ")],
)
def test_only_the_four_words_name_an_action(word: str, action: Action | None) -> None:
    assert Action.named(word) is action
    if action is not None:
        assert action.word == word
