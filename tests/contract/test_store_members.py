"""Users, roles and OAuth2 clients that have scopes, whichever database remembers them."""

import pytest

from gateway.domain.change import ChangeKind
from gateway.domain.scope import Scope
from gateway.domain.scope_use import MemberKind, MemberUse
from gateway.store.store import Store

API, POWER_BI, MAILCHIMP = 10_000, 10_001, 10_002

ODD_NAMES = [
    "role:admin",
    "'; DROP TABLE members; --",
    '" OR 1=1 --',
    "%",
    "_",
    "*",
    "a b",
    "ada ",
    " ada",
    "Ada",
    "ada",
    "\u00c5",  # one character
    "A\u030a",  # the same to the eye, two characters
    "ñandú@exámple.org",
    "山田太郎",
    "🌍" * 200,
    "https://id.example.com/users/7|x",
    ":bind",
    "%(name)s",
    "{}",
    "\\",
]


def user(name: str) -> MemberUse:
    return MemberUse(MemberKind.USER, name)


def role(name: str) -> MemberUse:
    return MemberUse(MemberKind.ROLE, name)


def client(name: str) -> MemberUse:
    return MemberUse(MemberKind.CLIENT, name)


async def give(store: Store, *given: tuple[MemberUse, int]) -> None:
    async with store.writing("ada") as writing:
        for member, scope_id in given:
            await writing.add_member(scope_id, member)
        await writing.record("member.add", "user:*")


def ids(scopes: tuple[Scope, ...]) -> list[int]:
    return [scope.id for scope in scopes]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "\0",
        "ada\0",
        "\udcff",
        "ada\ud800",
        "x" * 201,
        "x" * 10_240,
        "a\nb",
        "\x1b[2J",
        "\u202eada",
        "' OR ''='",
    ],
    ids=ascii,
)
async def test_a_name_that_a_token_made_up_is_nobodys(store: Store, name: str) -> None:
    await give(store, (user("ada"), API), (role("x" * 200), API))
    for kind in MemberKind:
        assert await store.scopes_of_members([MemberUse(kind, name)]) == ()
        assert await store.memberships([MemberUse(kind, name)]) == []
        assert not await store.has_scope(MemberUse(kind, name), API)
    assert await store.scopes_named([name]) == ()


async def test_names_are_compared_exactly_whatever_is_in_them(store: Store) -> None:
    assert len(set(ODD_NAMES)) == len(ODD_NAMES)
    await give(store, *((user(name), API) for name in ODD_NAMES[::2]))
    for place, name in enumerate(ODD_NAMES):
        assert ids(await store.scopes_of_members([user(name)])) == ([API] if place % 2 == 0 else [])
        assert await store.has_scope(user(name), API) is (place % 2 == 0)
        assert await store.scopes_of_members([role(name), client(name)]) == ()
    assert {row.member.name for row in await store.memberships()} == set(ODD_NAMES[::2])


async def test_a_user_a_role_and_a_client_of_one_name_are_never_one(store: Store) -> None:
    await give(store, (user("ada"), API), (role("ada"), POWER_BI), (client("ada"), MAILCHIMP))
    assert ids(await store.scopes_of_members([user("ada")])) == [API]
    assert ids(await store.scopes_of_members([role("ada")])) == [POWER_BI]
    assert ids(await store.scopes_of_members([client("ada")])) == [MAILCHIMP]
    assert await store.scopes_of_members([user("role:ada"), user("client:ada")]) == ()


async def test_scopes_come_each_once_in_the_order_of_their_ids(store: Store) -> None:
    await give(
        store,
        *((user("ada"), POWER_BI), (role("trainers"), MAILCHIMP), (role("trainers"), POWER_BI)),
        *((role("staff"), API), (client("ada"), API)),
    )
    bearer = [role("staff"), user("ada"), role("trainers"), role("nobody"), user("ada")]
    found = await store.scopes_of_members(bearer)
    assert ids(found) == [API, POWER_BI, MAILCHIMP]
    assert list(found) == sorted(await store.scopes(), key=lambda scope: scope.id)
    assert await store.scopes_of_members([]) == ()


async def test_thousands_of_roles_are_looked_up(store: Store) -> None:
    await give(store, (role("role 2999"), API), (role("role 1"), MAILCHIMP), (role("role 700"), MAILCHIMP))
    bearer = [user("ada"), *(role(f"role {number}") for number in range(3_000))]
    assert ids(await store.scopes_of_members(bearer)) == [API, MAILCHIMP]
    names = [*(f"scope-{number}" for number in range(3_000)), "mailchimp", "api-v2", "mailchimp"]
    assert ids(await store.scopes_named(names)) == [API, MAILCHIMP]


async def test_names_in_a_token_that_are_no_scopes_are_left_out(store: Store) -> None:
    names = ["openid", "email", "power-bi", "POWER-BI", "power-bi ", "10000", "%", "api-v2", "x" * 9_999]
    assert ids(await store.scopes_named(names)) == [API, POWER_BI]
    assert await store.scopes_named([]) == ()


async def test_members_are_listed_by_scope_kind_and_name(store: Store) -> None:
    await give(
        store,
        *((client("z"), API), (user("b"), API), (role("a"), API), (user("a"), API), (user("a"), POWER_BI)),
    )
    listed = [(row.scope.name, row.member.kind.value, row.member.name) for row in await store.memberships()]
    assert listed == [
        ("api-v2", "user", "a"),
        ("api-v2", "user", "b"),
        ("api-v2", "role", "a"),
        ("api-v2", "client", "z"),
        ("power-bi", "user", "a"),
    ]
    of_two = await store.memberships([user("a"), client("z")])
    assert [(row.scope.name, row.member) for row in of_two] == [
        ("api-v2", user("a")),
        ("api-v2", client("z")),
        ("power-bi", user("a")),
    ]


async def test_a_member_that_is_removed_has_its_other_scopes_still(store: Store) -> None:
    await give(store, (user("ada"), API), (user("ada"), POWER_BI), (role("ada"), API), (user("bob"), API))
    async with store.writing("ada") as writing:
        await writing.remove_member(API, user("ada"))
        await writing.record("member.remove", "user:ada")
    assert ids(await store.scopes_of_members([user("ada")])) == [POWER_BI]
    assert ids(await store.scopes_of_members([role("ada")])) == [API]
    assert ids(await store.scopes_of_members([user("bob")])) == [API]


async def test_each_change_of_a_member_has_its_row_in_the_feed(store: Store) -> None:
    longest = "x" * 200
    await give(store, (client(longest), API), (user("role:admin"), API), (role("admin"), API))
    async with store.writing("ada") as writing:
        await writing.remove_member(API, role("admin"))
        await writing.record("member.remove", "role:admin")
    rows = (await store.changes_after(0)).rows
    assert [(row.kind, row.subject) for row in rows] == [
        (ChangeKind.MEMBER, f"client:{longest}"),
        (ChangeKind.MEMBER, "user:role:admin"),
        (ChangeKind.MEMBER, "role:admin"),
        (ChangeKind.MEMBER, "role:admin"),
    ]


async def test_a_scope_that_is_deleted_tells_of_everyone_who_had_it(store: Store) -> None:
    async with store.writing("ada") as writing:
        scope = await writing.add_scope(Scope(0, "s", "s", (await store.scopes())[0].mode))
        await writing.record("scope.create", "scope:s")
    await give(store, (client("c"), scope.id), (role("r"), scope.id), (user("u"), scope.id))
    seen = await store.latest_change()
    async with store.writing("ada") as writing:
        await writing.remove_scope(scope.id)
        await writing.record("scope.delete", "scope:s")
    told = {(row.kind, row.subject) for row in (await store.changes_after(seen)).rows}
    assert told == {
        (ChangeKind.MEMBER, "client:c"),
        (ChangeKind.MEMBER, "role:r"),
        (ChangeKind.MEMBER, "user:u"),
        (ChangeKind.SCOPE, str(scope.id)),
    }
    assert await store.memberships() == []
