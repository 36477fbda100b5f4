"""Whom verified claims speak for: a user, a client, or nobody; and no name that could pass for another."""

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.domain.principal import PrincipalKind
from gateway.domain.rights import ModuleIndex
from gateway.domain.scope_use import LONGEST_MEMBER, MemberKind, MemberUse
from gateway.domain.token import ScopesFrom, TokenFacts, WithoutScope
from gateway.identity.bearers import members_of, principal_of_bearer, shown
from gateway.identity.claims import MOST_ROLES, ClaimNames, facts_in
from gateway.jose.flaw import Check, Flaw

ISSUER = "https://id.example.com"
PLAIN = ClaimNames(ISSUER)
BY_EMAIL = ClaimNames(ISSUER, user="email")
NESTED = ClaimNames(ISSUER, user="act.name", roles="realm_access.roles", client="app.id", scope="api.scope")
USER, CLIENT = PrincipalKind.USER, PrincipalKind.CLIENT
NOBODY = None


def facts(claims: dict[str, Any], names: ClaimNames = PLAIN) -> TokenFacts:
    found = facts_in(claims, names, 1.0)
    assert isinstance(found, TokenFacts), found
    return found


def flaw(claims: dict[str, Any], names: ClaimNames = PLAIN) -> Flaw:
    found = facts_in(claims, names, 1.0)
    assert isinstance(found, Flaw), found
    return found


# Refused


ODD_NAMES = {
    "empty": "",
    "a line feed": "ada\nX-Gateway-Scopes: api-v2",
    "a carriage return": "ada\r",
    "a NUL": "ada\0",
    "a tab": "ada\tlovelace",
    "an escape": "\x1b[2Jada",
    "a C1 control": "ada\x85",
    "a DEL": "ada\x7f",
    "a line separator": "ada\u2028",
    "another direction": "ada\u202egp",
    "an isolate": "\u2066ada\u2069",
    "a joiner nobody sees": "a\u200dda",
    "a byte order mark": "\ufeffada",
    "a soft hyphen": "a\u00adda",
    "a no-break space": "ada\u00a0",
    "a lone surrogate": "ada\ud800",
    "a private character": "ada\ue000",
    "no character": "ada\uffff",
    "too long": "a" * (LONGEST_MEMBER + 1),
    "a number": 7,
    "a fraction": 7.5,
    "true": True,
    "false": False,
    "zero": 0,
    "spaces": "  ",
    "a list": ["ada"],
    "an empty list": [],
    "an object": {"name": "ada"},
    "bytes": b"ada",
}


@pytest.mark.parametrize("odd", ODD_NAMES)
@pytest.mark.parametrize(
    ("claim", "names"), [("sub", PLAIN), ("email", BY_EMAIL), ("client_id", PLAIN), ("azp", PLAIN)]
)
def test_a_name_that_cannot_be_believed_names_nobody(claim: str, names: ClaimNames, odd: str) -> None:
    found = flaw({"sub": "ada", "email": "ada@example.com"} | {claim: ODD_NAMES[odd]}, names)
    assert found.check is Check.CLAIMS
    wanted = f"a name of printable characters, {LONGEST_MEMBER} at most"
    assert found.sentence == f"The token's claim '{claim}' is not {wanted}."


ODD_ROLES = [
    *({"admin": True}, 7, True, 0.5, b"admin"),
    *(["admin", 7], ["admin", None], ["admin", ["admin"]], [{"name": "admin"}], [""], [True]),
    *(["admin\n"], ["admin\0"], ["\u202eadmin"], ["\ud800"], ["r" * (LONGEST_MEMBER + 1)], "", "admin\n"),
]


@pytest.mark.parametrize("odd", ODD_ROLES, ids=ascii)
def test_roles_are_names_or_the_token_is_refused(odd: object) -> None:
    """For a role left out may be one that denies."""
    assert "claim 'roles' is not a list of names" in flaw({"sub": "ada", "roles": odd}).sentence


@pytest.mark.parametrize("copies", [1, MOST_ROLES + 1])
def test_roles_beyond_the_bound_are_refused_even_if_one_is_repeated(copies: int) -> None:
    roles = ["r"] * copies + [f"r{number}" for number in range(MOST_ROLES)]
    assert flaw({"sub": "ada", "roles": roles}).sentence == (
        f"The token's claim 'roles' is not a list of at most {MOST_ROLES} names."
    )


@pytest.mark.parametrize("odd", [7, True, {"courses": 1}, ["courses", 7], [None], [["courses"]]], ids=ascii)
def test_a_scope_claim_is_a_text_or_a_list_of_them_or_the_token_is_refused(odd: object) -> None:
    assert "claim 'scope' is not a text of scopes" in flaw({"sub": "ada", "scope": odd}).sentence


@pytest.mark.parametrize("confirmation", [{"jkt": "x"}, {}, None, "x"])
@pytest.mark.parametrize("bearer", [{"sub": "ada"}, {"client_id": "sync"}])
def test_a_token_bound_to_a_key_is_no_bearer_token(bearer: dict[str, str], confirmation: object) -> None:
    assert flaw({**bearer, "cnf": confirmation}).check is Check.CONFIRMATION


@pytest.mark.parametrize("astray", ["admin", 7, True, ["admin"], [{"roles": ["admin"]}]], ids=ascii)
@pytest.mark.parametrize(
    ("claim", "path"),
    [("act", "act.name"), ("realm_access", "realm_access.roles"), ("app", "app.id"), ("api", "api.scope")],
)
def test_a_path_that_leads_through_no_object_is_refused(claim: str, path: str, astray: object) -> None:
    """It was laid out otherwise than the operator said: what is not found there may be what denies."""
    whole = {"sub": "a7", "act": {"name": "ada"}, claim: astray}
    assert f"claim '{path}' is not" in flaw(whole, NESTED).sentence


@given(some.dictionaries(some.text(max_size=8), some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=8), inner, max_size=3),
), max_size=6))  # fmt: skip
def test_a_flaw_tells_nothing_of_what_the_token_says(said: dict[str, Any]) -> None:
    marked = {"sub": {"SECRET": said}, "roles": "SECRET\n", "scope": ["SECRET"], **said}
    for names in (PLAIN, BY_EMAIL, NESTED):
        found = facts_in(marked, names, 1.0)
        assert not isinstance(found, Flaw) or "SECRET" not in found.sentence


# Users and clients


@pytest.mark.parametrize(
    ("names", "claims", "bearer"),
    [
        (PLAIN, {"sub": "ada"}, (USER, "ada")),
        (PLAIN, {"sub": "ada", "client_id": "sync"}, (USER, "ada")),
        (PLAIN, {"sub": "ada", "azp": "sync"}, (USER, "ada")),
        (PLAIN, {"sub": "sync", "client_id": "sync"}, (CLIENT, "sync")),
        (PLAIN, {"sub": "sync", "azp": "sync"}, (CLIENT, "sync")),
        (PLAIN, {"client_id": "sync"}, (CLIENT, "sync")),
        (PLAIN, {"azp": "sync"}, (CLIENT, "sync")),
        (PLAIN, {"sub": None, "client_id": "sync"}, (CLIENT, "sync")),
        (PLAIN, {"sub": "other", "client_id": "sync", "azp": "other"}, (USER, "other")),
        (PLAIN, {"client_id": "sync", "azp": 7}, (CLIENT, "sync")),
        (PLAIN, {"sub": "Sync", "client_id": "sync"}, (USER, "Sync")),
        (PLAIN, {"sub": "sync ", "client_id": "sync"}, (USER, "sync ")),
        (PLAIN, {}, NOBODY),
        (PLAIN, {"sub": None, "client_id": None}, NOBODY),
        (PLAIN, {"name": "ada", "email": "ada@example.com", "username": "ada"}, NOBODY),
        (BY_EMAIL, {"sub": "a7", "email": "ada@example.com"}, (USER, "ada@example.com")),
        (BY_EMAIL, {"sub": "a7", "client_id": "sync", "email": "ada@example.com"}, (USER, "ada@example.com")),
        (BY_EMAIL, {"client_id": "sync", "email": "ada@example.com"}, (USER, "ada@example.com")),
        (BY_EMAIL, {"azp": "sync", "email": "sync"}, (USER, "sync")),
        (BY_EMAIL, {"email": "ada@example.com"}, (USER, "ada@example.com")),
        (BY_EMAIL, {"sub": "sync", "client_id": "sync"}, (CLIENT, "sync")),
        (BY_EMAIL, {"sub": "sync", "client_id": "sync", "email": "ada@example.com"}, (CLIENT, "sync")),
        (BY_EMAIL, {"client_id": "sync"}, (CLIENT, "sync")),
        (BY_EMAIL, {"sub": "a7", "client_id": "sync"}, NOBODY),
        (BY_EMAIL, {"sub": "a7", "azp": "sync"}, NOBODY),
        (BY_EMAIL, {"sub": "a7", "email": None, "client_id": "sync"}, NOBODY),
        (BY_EMAIL, {"sub": "a7"}, NOBODY),
        (NESTED, {"act": {"name": "ada"}, "sub": "a7"}, (USER, "ada")),
        (NESTED, {"app": {"id": "sync"}}, (CLIENT, "sync")),
        (NESTED, {"app": {"id": "sync"}, "sub": "sync"}, (CLIENT, "sync")),
        (NESTED, {"app": {"id": "sync"}, "sub": "a7"}, NOBODY),
        (NESTED, {"client_id": "sync", "azp": "sync"}, NOBODY),
        (NESTED, {"client_id": "sync", "sub": "sync"}, NOBODY),
        (NESTED, {"act": {"name": None}, "sub": "a7"}, NOBODY),
        (NESTED, {"act": None, "sub": "a7"}, NOBODY),
        (NESTED, {"act": {"name.first": "ada"}, "sub": "a7"}, NOBODY),
    ],
)
def test_a_token_speaks_for_a_user_for_a_client_or_for_nobody(
    names: ClaimNames, claims: dict[str, Any], bearer: tuple[PrincipalKind, str] | None
) -> None:
    found = facts_in(claims, names, 1.0)
    if bearer is None:
        assert isinstance(found, Flaw)
        assert found.sentence == f"The token has no claim '{names.user}', which names the user."
    else:
        assert isinstance(found, TokenFacts)
        assert (found.kind, found.name, found.issuer) == (*bearer, ISSUER)


def test_a_claim_whose_name_has_dots_goes_before_a_path() -> None:
    names = ClaimNames(ISSUER, user="https://example.com/name", roles="https://example.com/roles")
    claims = {
        "https://example.com/name": "ada",
        "https://example.com/roles": ["teacher"],
        "https://example": {"com/name": "bob", "com/roles": ["admin"]},
    }
    assert (facts(claims, names).name, facts(claims, names).roles) == ("ada", ("teacher",))
    del claims["https://example.com/name"], claims["https://example.com/roles"]
    assert (facts(claims, names).name, facts(claims, names).roles) == ("bob", ("admin",))


def test_a_prefix_leaves_a_name_the_less_room() -> None:
    names = ClaimNames("i", prefix="partner:")
    longest = LONGEST_MEMBER - len(names.prefix)
    assert len(facts({"sub": "a" * longest, "roles": ["r" * longest]}, names).name) == LONGEST_MEMBER
    assert flaw({"sub": "a" * (longest + 1)}, names).check is Check.CLAIMS
    assert flaw({"sub": "a", "roles": ["r" * (longest + 1)]}, names).check is Check.CLAIMS


@pytest.mark.parametrize(
    ("claims", "roles"),
    [
        ({}, ()),
        ({"roles": None}, ()),
        ({"roles": []}, ()),
        ({"roles": "teacher"}, ("teacher",)),
        ({"roles": "teacher admin"}, ("teacher admin",)),
        ({"roles": "teacher,admin"}, ("teacher,admin",)),
        ({"roles": ["teacher", "admin", "teacher"]}, ("teacher", "admin")),
        ({"roles": ["Teacher", "teacher "]}, ("Teacher", "teacher ")),
        ({"roles": ["ученик", "学生", "معلم"]}, ("ученик", "学生", "معلم")),
        ({"realm_access": {"roles": ["admin"]}}, ()),
        ({"roles": ["r" * LONGEST_MEMBER]}, ("r" * LONGEST_MEMBER,)),
        ({"roles": [f"r{n}" for n in range(MOST_ROLES)]}, tuple(f"r{n}" for n in range(MOST_ROLES))),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_roles_are_a_list_or_one_name_and_never_split(claims: dict[str, Any], roles: tuple[str, ...]) -> None:
    assert facts({"sub": "ada", **claims}).roles == roles


@pytest.mark.parametrize(
    ("scope", "values"),
    [
        (None, ()),
        ("", ()),
        (" ", ()),
        ("courses", ("courses",)),
        (" courses  users courses ", ("courses", "users")),
        ("courses,users", ("courses,users",)),
        ("courses\tusers", ("courses\tusers",)),
        ("courses\nusers", ("courses\nusers",)),
        (["courses", "users", ""], ("courses", "users")),
        (["courses users"], ("courses users",)),
        ([], ()),
    ],
)
def test_the_scope_claim_is_split_at_spaces_and_nowhere_else(scope: object, values: tuple[str, ...]) -> None:
    assert facts({"sub": "ada", "scope": scope}).scopes == values


@pytest.mark.parametrize("claims", [{"sub": "ada"}, {"client_id": "ada"}])
def test_a_prefix_stands_before_every_name_and_never_before_a_scope(claims: dict[str, Any]) -> None:
    found = facts({**claims, "roles": ["admin"], "scope": "api-v2"}, ClaimNames(ISSUER, prefix="partner:"))
    assert (found.name, found.roles, found.scopes) == ("partner:ada", ("partner:admin",), ("api-v2",))


# One of a name


NAMES = some.text(
    some.characters(exclude_categories=["C", "Z"], include_characters=" "), min_size=1, max_size=12
).filter(str.strip)


def told_of(found: TokenFacts) -> str:
    index = ModuleIndex.of([])
    return principal_of_bearer(found, (), (), index, WithoutScope.DENY, None).name


@given(NAMES, some.lists(NAMES, max_size=4))
def test_a_user_a_client_and_a_role_of_one_name_are_three(name: str, roles: list[str]) -> None:
    user = facts({"sub": name, "client_id": f"{name}.", "roles": [name, *roles]})
    client = facts({"sub": name, "client_id": name, "roles": [name, *roles]})
    as_roles = {MemberUse(MemberKind.ROLE, role) for role in (name, *roles)}
    assert set(members_of(user)) == {MemberUse(MemberKind.USER, name)} | as_roles
    assert set(members_of(client)) == {MemberUse(MemberKind.CLIENT, name)} | as_roles
    assert told_of(user) != told_of(client)


@given(NAMES, NAMES)
def test_two_names_are_never_told_alike_and_each_can_be_read_back(one: str, other: str) -> None:
    assert unquote(shown(one), errors="strict") == one
    assert (shown(one) == shown(other)) is (one == other)


@given(NAMES)
def test_what_logs_and_feeds_are_told_of_a_name_is_visible_ascii_without_quotes_and_brackets(
    name: str,
) -> None:
    told = shown(name)
    assert all("!" <= character <= "~" for character in told)
    assert not set(told) & set('"<>\\ ')


def test_what_a_token_says_is_kept_with_where_its_scopes_come_from() -> None:
    found = facts_in({"sub": "ada"}, ClaimNames(ISSUER, scopes_from=ScopesFrom.BOTH), 1234.5)
    assert found == TokenFacts(USER, "ada", ISSUER, (), (), ScopesFrom.BOTH, 1234.5)


@pytest.mark.parametrize("names", [PLAIN, ClaimNames("https://id.example.com", prefix="acme:")])
def test_tokens_that_name_the_same_roles_and_scopes_hold_them_once(names: ClaimNames) -> None:
    first, second = (
        facts({"sub": user, "roles": ["staff", "trainer"], "scope": "openid courses"}, names)
        for user in ("ada", "bob")
    )
    pairs = zip((*first.roles, *first.scopes), (*second.roles, *second.scopes), strict=True)
    assert all(one is other for one, other in pairs)
