"""Users, roles and OAuth2 clients that operators give scopes to."""

import pytest

from gateway.control.members import MemberChange, add_member, list_members, remove_member
from gateway.control.refused import InvalidError, RefusedError, UnknownError
from gateway.control.scopes import Fallback, ScopeEdit, create_scope, delete_scope
from gateway.domain.action import Action
from gateway.domain.scope import Mode
from gateway.domain.scope_use import MemberKind, MemberUse
from gateway.store.store import Store

MODULES = frozenset({"courses", "bookings", "users"})
ADA, TRAINERS, SHOP = (
    MemberUse(MemberKind.USER, "ada"),
    MemberUse(MemberKind.ROLE, "trainers"),
    MemberUse(MemberKind.CLIENT, "shop"),
)


async def website(store: Store, name: str = "website", mode: Mode = Mode.ALLOW, *modules: str) -> None:
    edit = ScopeEdit(mode=mode, modules={Action.READ: modules or ["courses"]})
    await create_scope(store, "ada", name, edit, MODULES)


async def give(store: Store, scope: str, *members: MemberUse) -> list[MemberChange]:
    return [await add_member(store, "grace", scope, member) for member in members]


async def listed(store: Store, scope: str | None = None, *members: MemberUse) -> list[tuple[str, str, str]]:
    rows = await list_members(store, scope, members)
    return [(row.scope.name, row.member.kind.value, row.member.name) for row in rows]


@pytest.mark.parametrize("kind", MemberKind)
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("x" * 201, "201 characters; 200 is the most"),
        ("x" * 10_240, "10240 characters; 200 is the most"),
        ("a\nb", r"U\+000A"),
        ("ada\0", r"U\+0000"),
        ("\x1b[2J", r"U\+001B"),
        ("a\x7f", r"U\+007F"),
        ("\u202eada", r"U\+202E"),
        ("ada\u200f", r"U\+200F"),
        ("a\u200bda", r"U\+200B"),
        ("\ufeffada", r"U\+FEFF"),
        ("ada\u2028", r"U\+2028"),
        ("\udcff", r"U\+DCFF"),
        ("\ue000", r"U\+E000"),
    ],
)
async def test_a_name_that_no_operator_could_read_is_refused(
    store: Store, kind: MemberKind, name: str, said: str
) -> None:
    await website(store)
    member = MemberUse(kind, name)
    attempts = [
        add_member(store, "ada", "website", member),
        remove_member(store, "ada", "website", member),
        list_members(store, None, [member]),
    ]
    for attempt in attempts:
        with pytest.raises(InvalidError, match=f"The {kind}'s name .*{said}") as refused:
            await attempt
        assert refused.value.sentences[0].isprintable()
    assert await listed(store) == []


async def test_what_looks_like_another_kind_or_like_sql_is_a_name_like_any(store: Store) -> None:
    await website(store)
    odd = [
        *("role:trainers", "client:shop", "user:ada", "'; DROP TABLE members; --", '" OR ""="', "%", "--"),
        *("Ada Lovelace", "--user", "山田太郎", "x" * 200, "\u00c5", "A\u030a", "{0}", "%s"),
    ]
    for name in odd:
        assert (await add_member(store, "ada", "website", MemberUse(MemberKind.USER, name))).changed
    await give(store, "website", TRAINERS)
    assert len(await listed(store)) == len(odd) + 1
    assert await listed(store, None, MemberUse(MemberKind.ROLE, "role:trainers"), SHOP) == []
    for name in odd:
        await remove_member(store, "ada", "website", MemberUse(MemberKind.USER, name))
    assert await listed(store) == [("website", "role", "trainers")]


async def test_a_user_a_role_and_a_client_of_one_name_are_three(store: Store) -> None:
    await website(store)
    ada_client = MemberUse(MemberKind.CLIENT, "ada")
    await give(store, "website", ADA, ada_client)
    await remove_member(store, "ada", "website", ADA)
    assert await listed(store) == [("website", "client", "ada")]
    with pytest.raises(UnknownError):
        await remove_member(store, "ada", "website", MemberUse(MemberKind.ROLE, "ada"))


async def test_an_unknown_scope_is_refused_with_the_nearest(store: Store) -> None:
    attempts = [
        add_member(store, "ada", "power-bl", ADA),
        remove_member(store, "ada", "power-bl", ADA),
        list_members(store, "power-bl"),
    ]
    for attempt in attempts:
        with pytest.raises(UnknownError) as refused:
            await attempt
        assert refused.value.hint == "did you mean power-bi?"


async def test_who_does_not_have_a_scope_cannot_lose_it_and_the_nearest_who_has_is_named(
    store: Store,
) -> None:
    await website(store)
    await give(store, "website", MemberUse(MemberKind.USER, "adah"), MemberUse(MemberKind.ROLE, "ada"))
    with pytest.raises(UnknownError, match="The user ada does not have the scope 'website'") as refused:
        await remove_member(store, "ada", "website", ADA)
    assert refused.value.hint == "did you mean adah?"


async def test_a_member_is_added_once_audited_and_told_to_every_reader(store: Store) -> None:
    await website(store)
    before = (await store.latest_change(), len(await store.audit()))
    first, second = await give(store, "website", ADA, ADA)
    assert (first.changed, second.changed) == (True, False)
    entry = (await store.audit())[0]
    assert (entry.actor, entry.action, entry.subject) == ("grace", "member.add", "user:ada")
    assert entry.detail["scope"] == "website"
    assert [row.subject for row in (await store.changes_after(before[0])).rows] == ["user:ada"]
    assert len(await store.audit()) == before[1] + 1
    await remove_member(store, "grace", "website", ADA)
    entry = (await store.audit())[0]
    assert (entry.action, entry.subject) == ("member.remove", "user:ada")
    assert [row.subject for row in (await store.changes_after(before[0])).rows] == ["user:ada"] * 2


async def test_members_are_listed_by_scope_and_by_who_they_are(store: Store) -> None:
    await website(store)
    await give(store, "website", ADA, TRAINERS)
    await give(store, "power-bi", ADA, SHOP)
    assert await listed(store) == [
        ("power-bi", "user", "ada"),
        ("power-bi", "client", "shop"),
        ("website", "user", "ada"),
        ("website", "role", "trainers"),
    ]
    assert await listed(store, "website") == [("website", "user", "ada"), ("website", "role", "trainers")]
    assert await listed(store, None, ADA) == [("power-bi", "user", "ada"), ("website", "user", "ada")]
    assert await listed(store, "website", TRAINERS, SHOP) == [("website", "role", "trainers")]
    assert await listed(store, "10001", ADA) == [("power-bi", "user", "ada")]


async def test_a_deny_scope_and_a_name_with_outer_spaces_are_warned_about(store: Store) -> None:
    await website(store, "no-courses", Mode.DENY)
    (change,) = await give(store, "no-courses", ADA)
    assert "may do everything that no scope denies" in change.warnings[0]
    (change,) = await give(store, "power-bi", MemberUse(MemberKind.USER, "ada "))
    assert "compared exactly" in change.warnings[0]
    (change,) = await give(store, "power-bi", TRAINERS)
    assert change.warnings == ()


async def test_a_refused_change_of_members_leaves_no_trace(store: Store) -> None:
    await website(store)
    before = (await store.latest_change(), len(await store.audit()))
    for attempt in (add_member(store, "ada", "nobody", ADA), remove_member(store, "ada", "website", ADA)):
        with pytest.raises(RefusedError):
            await attempt
    assert (await store.latest_change(), len(await store.audit())) == before


async def test_members_lose_what_a_deleted_scope_gave_and_full_access_is_for_keys_alone(store: Store) -> None:
    for fallback in Fallback:
        await website(store)
        await give(store, "website", ADA, TRAINERS, SHOP)
        await give(store, "power-bi", TRAINERS)
        gone = await delete_scope(store, "ada", "website", fallback)
        assert gone.use.members == (SHOP, TRAINERS, ADA)
        assert gone.warnings == ("The client shop has no scope now.", "The user ada has no scope now.")
        assert await listed(store) == [("power-bi", "role", "trainers")]
        assert await store.scopes_of_members([ADA, SHOP]) == ()
