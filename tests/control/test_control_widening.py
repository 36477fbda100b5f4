"""What takes something away never gives something without the operator's word."""

from collections.abc import Awaitable

import pytest

from gateway.control.keys import KeyEdit, create_key, key_numbered, revoke_key, update_key
from gateway.control.members import add_member, remove_member
from gateway.control.refused import WideningError
from gateway.control.scopes import Fallback, ScopeEdit, create_scope, delete_scope
from gateway.control.widening import BearerTerms
from gateway.domain.action import Action
from gateway.domain.scope import Mode
from gateway.domain.scope_use import MemberKind, MemberUse
from gateway.domain.token import WithoutScope
from gateway.store.store import Store

MODULES = frozenset({"courses", "bookings", "users"})
ADA, TRAINERS, SHOP = (
    MemberUse(MemberKind.USER, "ada"),
    MemberUse(MemberKind.ROLE, "trainers"),
    MemberUse(MemberKind.CLIENT, "shop"),
)
FULL = BearerTerms(WithoutScope.FULL_ACCESS)
BY_TOKENS = BearerTerms(tokens_name_scopes=True)


async def a_scope(store: Store, name: str, mode: Mode, **sets: str) -> None:
    modules = {Action[action.upper()]: names.split(",") for action, names in sets.items()}
    await create_scope(store, "ada", name, ScopeEdit(mode=mode, modules=modules), MODULES)


@pytest.fixture
async def no_users(store: Store) -> Store:
    """A store with a scope that denies to read users, and one that allows it."""
    await a_scope(store, "no-users", Mode.DENY, read="users")
    await a_scope(store, "users", Mode.ALLOW, read="users")
    await a_scope(store, "courses", Mode.ALLOW, read="courses")
    return store


async def refused(deed: Awaitable[object]) -> list[str]:
    """Who would gain what, of a deed that is refused for it."""
    with pytest.raises(WideningError) as error:
        await deed
    assert "--widens" in error.value.hint
    return [gain.sentence for gain in error.value.gains]


async def test_a_deny_scope_whose_loss_lets_a_key_do_more_is_not_deleted(no_users: Store) -> None:
    await create_key(no_users, "ada", "Both", ["no-users", "power-bi"])
    before = (await no_users.latest_change(), len(await no_users.audit()))
    for fallback in Fallback:
        said = await refused(delete_scope(no_users, "ada", "no-users", fallback))
        assert said == ["key 1 (Both) may read users"]
    assert (await no_users.latest_change(), len(await no_users.audit())) == before
    gone = await delete_scope(no_users, "ada", "no-users", Fallback.DENY, widens=True)
    assert gone.warnings == ("Now key 1 (Both) may read users.",)
    assert (await no_users.audit())[0].detail["widens"] == ["key 1 (Both) may read users"]


@pytest.mark.parametrize(
    ("scopes", "gained"),
    [
        (["no-users"], []),
        (["no-users", "courses"], []),
        (["no-users", "users"], ["key 1 (k) may read users"]),
        (["no-users", "no-users-either", "users"], []),
        (["no-users", "no-courses"], ["key 1 (k) may read users"]),
    ],
)
async def test_a_key_gains_what_its_other_scopes_allow_and_none_of_them_denies(
    no_users: Store, scopes: list[str], gained: list[str]
) -> None:
    await a_scope(no_users, "no-users-either", Mode.DENY, read="*")
    await a_scope(no_users, "no-courses", Mode.DENY, read="courses")
    await create_key(no_users, "ada", "k", scopes)
    deed = delete_scope(no_users, "ada", "no-users", Fallback.DENY)
    if gained:
        assert await refused(deed) == gained
    else:
        assert (await deed).gains == ()


async def test_who_can_never_use_it_gains_nothing(no_users: Store) -> None:
    revoked = (await create_key(no_users, "ada", "Revoked", ["no-users", "power-bi"])).entry.record.id
    await revoke_key(no_users, "ada", revoked)
    watched = (await create_key(no_users, "ada", "Trial", ["power-bi"])).entry.record.id
    await update_key(no_users, "ada", watched, KeyEdit(trial=["no-users", "power-bi"]))
    assert (await delete_scope(no_users, "ada", "no-users", Fallback.DENY)).gains == ()
    assert [scope.name for scope in (await key_numbered(no_users, watched)).record.scopes] == ["power-bi"]


async def test_the_full_access_that_an_operator_asks_for_is_not_refused(no_users: Store) -> None:
    await create_key(no_users, "ada", "Only", ["no-users"])
    gone = await delete_scope(no_users, "ada", "no-users", Fallback.FULL_ACCESS)
    assert (gone.given_full_access, gone.gains) == ((1,), ())


async def test_a_module_of_tomorrow_counts(store: Store) -> None:
    await a_scope(store, "no-writing", Mode.DENY, create="*", update="*")
    await a_scope(store, "clerk", Mode.ALLOW, create="*", read="users")
    await create_key(store, "ada", "k", ["no-writing", "clerk"])
    (said,) = await refused(delete_scope(store, "ada", "no-writing", Fallback.DENY))
    assert "create users" in said
    assert "create any other module" in said
    assert "update" not in said


@pytest.mark.parametrize(
    ("own", "others", "gained"),
    [
        ([], [], None),
        (["courses"], [], None),
        (["users"], [], "user ada may read users"),
        (["no-users-either", "users"], [TRAINERS], None),
        ([], [TRAINERS], "user ada may read users, where another scope allows it"),
        (["courses"], [TRAINERS], "user ada may read users, where another scope allows it"),
        ([], [SHOP, MemberUse(MemberKind.USER, "bob")], None),
    ],
)
async def test_a_user_gains_what_its_own_scopes_or_those_of_some_role_allow(
    no_users: Store, own: list[str], others: list[MemberUse], gained: str | None
) -> None:
    await a_scope(no_users, "no-users-either", Mode.DENY, read="users")
    for scope in ["no-users", *own]:
        await add_member(no_users, "ada", scope, ADA)
    for other in others:
        await add_member(no_users, "ada", "users", other)
    if gained is None:
        assert (await remove_member(no_users, "ada", "no-users", ADA)).warnings == ()
    else:
        assert await refused(remove_member(no_users, "ada", "no-users", ADA)) == [gained]
        assert await refused(delete_scope(no_users, "ada", "no-users", Fallback.DENY)) == [gained]
        change = await remove_member(no_users, "ada", "no-users", ADA, widens=True)
        assert change.warnings == (f"Now {gained}.",)
        assert (await no_users.audit())[0].detail["widens"] == [gained]


async def test_a_role_is_had_by_users_and_clients_whose_own_scopes_count(no_users: Store) -> None:
    await add_member(no_users, "ada", "no-users", TRAINERS)
    await add_member(no_users, "ada", "users", SHOP)
    said = await refused(remove_member(no_users, "ada", "no-users", TRAINERS))
    assert said == ["role trainers may read users, where another scope allows it"]


async def test_where_none_is_everything_the_last_scope_is_not_taken_away(no_users: Store) -> None:
    for member in (ADA, TRAINERS, SHOP):
        await add_member(no_users, "ada", "courses", member)
    everything = "may do everything, where no other scope is left (without_scope: full-access)"
    said = await refused(delete_scope(no_users, "ada", "courses", Fallback.DENY, terms=FULL))
    assert sorted(said) == [f"role trainers {everything}", f"user ada {everything}"]
    assert await refused(remove_member(no_users, "ada", "courses", ADA, terms=FULL)) == [
        f"user ada {everything}"
    ]
    assert (await remove_member(no_users, "ada", "courses", SHOP, terms=FULL)).warnings == ()
    await add_member(no_users, "ada", "users", ADA)
    assert (await remove_member(no_users, "ada", "courses", ADA, terms=FULL)).warnings == ()
    assert (await delete_scope(no_users, "ada", "courses", Fallback.DENY)).gains == ()


async def test_tokens_that_name_a_deny_scope_gain_by_its_deletion_too(no_users: Store) -> None:
    said = await refused(delete_scope(no_users, "ada", "no-users", terms=BY_TOKENS))
    assert said == ["a token that names it may read users, where another scope allows it"]
    assert (await delete_scope(no_users, "ada", "courses", terms=BY_TOKENS)).gains == ()
    assert (await delete_scope(no_users, "ada", "no-users")).gains == ()


async def test_everyone_who_gains_is_counted_and_the_first_are_named(no_users: Store) -> None:
    for number in range(30):
        await create_key(no_users, "ada", f"k{number}", ["no-users", "users"])
    with pytest.raises(WideningError) as error:
        await delete_scope(no_users, "ada", "no-users", Fallback.DENY)
    assert len(error.value.gains) == 30
    assert error.value.sentences[0] == "Deleting the scope 'no-users' lets more be done, not less:"
    assert error.value.sentences[-1] == "And 10 others."
