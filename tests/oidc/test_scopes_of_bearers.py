"""Where the API Scopes of a bearer come from: memberships, the token, or both of them; and who has none."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from authorization_server import AuthorizationServer
from bearers import (
    DENIED,
    INVALID,
    NO_SCOPE,
    PERMITTED,
    bearing,
    believing,
    challenge_in,
    introspection_at,
    terms_for,
)
from feeds import Feed
from gateways import GatewayUnderTest
from operations import told

COURSES: Final = ("GET", "/v2/courses")
CHANGE: Final = ("PUT", "/v2/courses/1")
BOOKINGS: Final = ("GET", "/v2/bookings")
USERS: Final = ("GET", "/v2/users")


def token_of(issuer: AuthorizationServer, who: str, kind: str, names: str) -> str:
    """A token for a client, or for a user."""
    if who in {"sync", "reports"}:
        return issuer.for_client(who, kind, names)
    return issuer.for_user(who, kind, names)


# As the token says


@pytest.fixture(scope="module")
def by_token(issuer: AuthorizationServer, believer: Callable[..., Any]) -> Iterator[GatewayUnderTest]:
    rule = {"scopes_from": "token"}
    lines = believing(
        terms_for(issuer, **rule),
        introspection=introspection_at(issuer, **rule),
        without_scope="full-access",
    )
    with believer(lines) as (gateway, _):
        yield gateway


@pytest.mark.parametrize("kind", ["RS256", "opaque"])
@pytest.mark.parametrize(
    ("who", "names", "asked", "expected"),
    [
        ("sync", "", COURSES, NO_SCOPE),
        ("ada", "", COURSES, NO_SCOPE),
        ("bob", "", COURSES, NO_SCOPE),
        ("ada", "reads-bookings", COURSES, DENIED),
        ("reports", "reads-courses", COURSES, PERMITTED),
        ("reports", "reads-courses", CHANGE, DENIED),
        ("bob", "reads-courses writes-courses", CHANGE, PERMITTED),
        ("bob", "api-v2", USERS, PERMITTED),
    ],
)
def test_only_what_the_token_names_counts(
    issuer: AuthorizationServer,
    by_token: GatewayUnderTest,
    kind: str,
    who: str,
    names: str,
    asked: tuple[str, str],
    expected: tuple[int, str | None],
) -> None:
    assert told(bearing(by_token, token_of(issuer, who, kind, names), *asked)) == expected


def test_a_name_that_is_no_scope_counts_for_nothing_until_there_is_one(
    issuer: AuthorizationServer, by_token: GatewayUnderTest
) -> None:
    key = issuer.key()
    assert told(bearing(by_token, key.token(issuer.claims(scope="openid profile no-such-scope")))) == NO_SCOPE
    listed = key.token(issuer.claims(scope=["reads-courses", "openid"]))
    assert told(bearing(by_token, listed)) == PERMITTED
    assert told(bearing(by_token, key.token(issuer.claims(scope={"reads-courses": True})))) == INVALID


# As both say


@pytest.fixture(scope="module")
def by_both(issuer: AuthorizationServer, believer: Callable[..., Any]) -> Iterator[GatewayUnderTest]:
    with believer(believing(terms_for(issuer, scopes_from="both"))) as (gateway, _):
        yield gateway


@pytest.mark.parametrize(
    ("who", "names", "asked", "permitted"),
    [
        ("ada", "", COURSES, False),
        ("ada", "reads-bookings", COURSES, False),
        ("ada", "writes-courses", CHANGE, False),
        ("ada", "api-v2", USERS, False),
        ("reports", "api-v2", COURSES, False),
        ("bob", "api-v2", COURSES, False),
        ("ada", "api-v2", COURSES, True),
        ("ada", "reads-courses", COURSES, True),
        ("ada", "reads-courses reads-bookings", BOOKINGS, True),
        ("sync", "reads-courses", COURSES, True),
    ],
)
def test_each_side_must_permit(
    issuer: AuthorizationServer,
    by_both: GatewayUnderTest,
    who: str,
    names: str,
    asked: tuple[str, str],
    permitted: bool,  # noqa: FBT001 - a column of the table
) -> None:
    answered = bearing(by_both, token_of(issuer, who, "ES256", names), *asked)
    if permitted:
        assert told(answered) == PERMITTED
    else:
        assert told(answered) in {DENIED, NO_SCOPE}
        assert challenge_in(answered)["error"] == "insufficient_scope"


# As the operator names things, and as the reference product treats users


@pytest.fixture(scope="module")
def as_named(issuer: AuthorizationServer, believer: Callable[..., Any]) -> Iterator[GatewayUnderTest]:
    terms = terms_for(issuer, roles="realm_access.roles", prefix="id:", token_type="at+jwt")
    with believer(believing(terms, without_scope="full-access")) as (gateway, commands):
        commands.gets("members", "add", "reads-bookings", "--role", "id:teacher")
        commands.gets("members", "add", "reads-bookings", "--user", "id:ada")
        yield gateway


@pytest.mark.parametrize(
    ("who", "asked", "expected"),
    [
        ("reports", COURSES, NO_SCOPE),
        ("sync", COURSES, PERMITTED),
        ("ada", COURSES, DENIED),
        ("ada", BOOKINGS, PERMITTED),
        ("eve", COURSES, DENIED),
        ("eve", BOOKINGS, PERMITTED),
        ("bob", USERS, PERMITTED),
    ],
    ids=[
        "a client without a scope never has full access",
        "a client is not a user called alike: this one is, and a user without a scope",
        "the prefix tells this ada from the other",
        "and gives this one what is hers",
        "a role deep in the token gives what it has",
        "and what it gives",
        "a user without any scope may do all",
    ],
)
def test_names_are_read_where_the_operator_says(
    issuer: AuthorizationServer,
    as_named: GatewayUnderTest,
    who: str,
    asked: tuple[str, str],
    expected: tuple[int, str | None],
) -> None:
    token = issuer.for_user(who) if who == "sync" else token_of(issuer, who, "RS256", "")
    assert told(bearing(as_named, token, *asked)) == expected


def test_the_feed_is_told_the_name_with_its_prefix(
    issuer: AuthorizationServer, as_named: GatewayUnderTest, feed: Feed
) -> None:
    assert told(bearing(as_named, issuer.for_user("bob"), *USERS)) == PERMITTED
    seen = feed.requests[-1]
    assert seen.value("X-Gateway-Principal") == "user:id:bob"
    assert seen.value("X-Gateway-Scopes") == "api-v2"


@pytest.mark.parametrize(
    ("typ", "expected"),
    [("JWT", INVALID), (None, INVALID), ("at+jwt", PERMITTED), ("application/AT+JWT", PERMITTED)],
)
def test_only_access_tokens_are_taken_where_the_operator_says_so(
    issuer: AuthorizationServer,
    as_named: GatewayUnderTest,
    typ: str | None,
    expected: tuple[int, str | None],
) -> None:
    """RFC 9068 §2.1, with media types compared as RFC 7515 §4.1.9 has it."""
    token = issuer.key().token(issuer.claims(sub="bob"), **({} if typ is None else {"typ": typ}))
    if typ is None:
        token = issuer.key().token(issuer.claims(sub="bob"), typ="")
    assert told(bearing(as_named, token, *USERS)) == expected


def test_opaque_tokens_are_refused_where_nobody_can_be_asked(
    issuer: AuthorizationServer, as_named: GatewayUnderTest
) -> None:
    assert told(bearing(as_named, issuer.for_client(kind="opaque"))) == INVALID
