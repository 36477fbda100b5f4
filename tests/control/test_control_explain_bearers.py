"""The whole trace of a request by a token's bearer: who, every vote and its source, and what flips it."""

from pathlib import Path

import pytest

from gateway.control.explain import Question, Trace, explain_bearer
from gateway.control.keys import create_key
from gateway.control.members import add_member
from gateway.control.scopes import ScopeEdit, create_scope
from gateway.decision.holding import Side
from gateway.domain.action import Action
from gateway.domain.feed import Feed
from gateway.domain.principal import PrincipalKind
from gateway.domain.scope import Mode
from gateway.domain.scope_use import MemberKind, MemberUse
from gateway.domain.token import ScopesFrom, TokenFacts, WithoutScope
from gateway.domain.verdict import Reason, Refusal
from gateway.routing.loading import load_routes
from gateway.routing.routemap import FeedPlace
from gateway.routing.table import RouteTable
from gateway.store.store import Store

ROUTES = """\
feed: demo
modules: {courses: Courses, bookings: Bookings, users: Users}
routes:
  - {path: /v2/courses, module: courses}
  - {path: /v2/bookings, module: bookings}
  - {path: /v2/users, module: users}
  - {path: /v2/status, public: true, actions: {GET: read}, only: true}
"""
USER, CLIENT = PrincipalKind.USER, PrincipalKind.CLIENT
MEMBERS, TOKEN, BOTH = ScopesFrom.MEMBERS, ScopesFrom.TOKEN, ScopesFrom.BOTH
DENY, FULL = WithoutScope.DENY, WithoutScope.FULL_ACCESS


@pytest.fixture
def routes(tmp_path: Path) -> RouteTable:
    (tmp_path / "routes.yaml").write_text(ROUTES)
    return load_routes([tmp_path / "routes.yaml"], [FeedPlace(Feed("demo"))], frozenset())


@pytest.fixture
async def peopled(store: Store) -> Store:
    """A store with scopes that read one module each, one that denies it, and members of some."""
    for name in ("courses", "bookings", "users"):
        edit = ScopeEdit(modules={Action.READ: [name]})
        await create_scope(store, "ada", f"reads-{name}", edit, {name})
    edit = ScopeEdit(mode=Mode.DENY, modules={Action.READ: ["users"]})
    await create_scope(store, "ada", "no-users", edit, {"users"})
    given = [
        ("reads-courses", MemberKind.USER, "ada"),
        ("reads-bookings", MemberKind.ROLE, "trainers"),
        ("reads-users", MemberKind.ROLE, "staff"),
        ("no-users", MemberKind.ROLE, "guests"),
        ("reads-courses", MemberKind.ROLE, "guests"),
        ("reads-users", MemberKind.CLIENT, "ada"),
        ("power-bi", MemberKind.CLIENT, "shop"),
    ]
    for scope, kind, name in given:
        await add_member(store, "ada", scope, MemberUse(kind, name))
    return store


def bearer(
    name: str,
    *roles: str,
    kind: PrincipalKind = USER,
    names: str = "",
    scopes_from: ScopesFrom = MEMBERS,
) -> TokenFacts:
    return TokenFacts(kind, name, "https://id.example.com", roles, tuple(names.split()), scopes_from)


async def traced(
    store: Store, routes: RouteTable, facts: TokenFacts, request: str, without: WithoutScope = DENY
) -> Trace:
    method, path = request.split(" ", 1)
    return await explain_bearer(store, routes, frozenset(), facts, without, Question(method, path))


def reason(trace: Trace) -> Reason | None:
    return trace.verdict.reason if isinstance(trace.verdict, Refusal) else None


def commands(trace: Trace) -> list[str]:
    return [command for way in trace.ways for command in way.commands]


def told(trace: Trace) -> str:
    return " ".join(sentence for way in trace.ways for sentence in (*way.sentences, *way.shared))


@pytest.mark.parametrize(
    ("facts", "request_line", "why"),
    [
        (bearer("ada"), "GET /v2/courses", None),
        (bearer("ada"), "GET /v2/users", Reason.SCOPE_DENIED),
        (bearer("ada", "staff"), "GET /v2/users", None),
        (bearer("ada", "staff", "guests"), "GET /v2/users", Reason.SCOPE_DENIED),
        (bearer("role:staff"), "GET /v2/users", Reason.SCOPE_NONE),
        (bearer("'; --"), "GET /v2/users", Reason.SCOPE_NONE),
        (bearer("ada", kind=CLIENT), "GET /v2/users", None),
        (bearer("ada", kind=CLIENT), "GET /v2/courses", Reason.SCOPE_DENIED),
        (bearer("ada", "trainers", kind=CLIENT), "GET /v2/bookings", None),
        (bearer("", "trainers"), "GET /v2/bookings", None),
        (bearer("", "nobody"), "GET /v2/bookings", Reason.SCOPE_NONE),
        (bearer("bob", names="power-bi"), "GET /v2/users", Reason.SCOPE_NONE),
        (bearer("bob", names="openid power-bi", scopes_from=TOKEN), "GET /v2/users", None),
        (bearer("ada", names="openid", scopes_from=TOKEN), "GET /v2/courses", Reason.SCOPE_NONE),
        (bearer("ada", names="power-bi", scopes_from=BOTH), "GET /v2/courses", None),
        (bearer("ada", names="power-bi", scopes_from=BOTH), "GET /v2/users", Reason.SCOPE_DENIED),
        (bearer("ada", names="reads-users", scopes_from=BOTH), "GET /v2/courses", Reason.SCOPE_DENIED),
        (bearer("bob", names="power-bi", scopes_from=BOTH), "GET /v2/users", Reason.SCOPE_NONE),
        (bearer("ada", scopes_from=BOTH), "GET /v2/courses", Reason.SCOPE_NONE),
    ],
)
async def test_a_bearer_is_judged_by_its_members_its_token_or_both(
    peopled: Store, routes: RouteTable, facts: TokenFacts, request_line: str, why: Reason | None
) -> None:
    trace = await traced(peopled, routes, facts, request_line)
    assert reason(trace) is why
    assert trace.ways


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (bearer("bob"), None),
        (bearer("", "nobody"), None),
        (bearer("ada"), Reason.SCOPE_DENIED),
        (bearer("bob", "trainers"), Reason.SCOPE_DENIED),
        (bearer("nobody", kind=CLIENT), Reason.SCOPE_NONE),
        (bearer("bob", scopes_from=TOKEN), Reason.SCOPE_NONE),
        (bearer("bob", scopes_from=BOTH), Reason.SCOPE_NONE),
        (bearer("bob", names="power-bi", scopes_from=BOTH), None),
        (bearer("bob", names="openid", scopes_from=TOKEN), Reason.SCOPE_NONE),
    ],
)
async def test_full_access_for_want_of_a_scope_is_for_users_and_on_the_members_side_alone(
    peopled: Store, routes: RouteTable, facts: TokenFacts, why: Reason | None
) -> None:
    assert reason(await traced(peopled, routes, facts, "GET /v2/users", FULL)) is why


async def test_every_vote_says_where_the_scope_comes_from(peopled: Store, routes: RouteTable) -> None:
    await add_member(peopled, "ada", "reads-bookings", MemberUse(MemberKind.USER, "ada"))
    facts = bearer("ada", "trainers", "guests", names="power-bi openid", scopes_from=BOTH)
    trace = await traced(peopled, routes, facts, "GET /v2/users")
    given, named = trace.votes
    assert [(b.scope.name, b.vote.value, trace.asker.sources(b.scope, Side.GIVEN)) for b in given] == [
        ("reads-courses", "abstain", ("user ada", "role guests")),
        ("reads-bookings", "abstain", ("user ada", "role trainers")),
        ("no-users", "deny", ("role guests",)),
    ]
    assert [(b.scope.name, trace.asker.sources(b.scope, Side.NAMED)) for b in named] == [
        ("power-bi", ("token",))
    ]
    assert trace.deciding == ("no-users",)
    everything = await traced(peopled, routes, bearer("bob"), "GET /v2/users", FULL)
    (ballot,) = everything.votes[0]
    assert (ballot.scope.name, everything.asker.sources(ballot.scope, Side.GIVEN)) == (
        "api-v2",
        ("without_scope: full-access",),
    )


async def test_the_smallest_change_gives_the_user_what_it_lacks_and_no_role(
    peopled: Store, routes: RouteTable
) -> None:
    trace = await traced(peopled, routes, bearer("Ada Lovelace"), "GET /v2/users")
    assert trace.ways[0].commands == ("gateway members add reads-users --user 'Ada Lovelace'",)
    assert not [command for command in commands(trace) if "members add reads-users --role" in command]
    client = await traced(peopled, routes, bearer("new", kind=CLIENT), "GET /v2/users")
    assert client.ways[0].commands == ("gateway members add reads-users --client new",)
    role = await traced(peopled, routes, bearer("", "newcomers"), "GET /v2/users")
    assert role.ways[0].commands == ("gateway members add reads-users --role newcomers",)
    assert "Give role newcomers" in role.ways[0].sentences[0]


async def test_a_token_that_must_name_a_scope_is_said_so_and_no_command_pretends_to(
    peopled: Store, routes: RouteTable
) -> None:
    trace = await traced(peopled, routes, bearer("ada", scopes_from=TOKEN), "GET /v2/users")
    assert trace.ways[0].sentences == ("Have the token name the scope 'reads-users' too.",)
    assert trace.ways[0].commands == ()
    assert "members" not in str(commands(trace))
    two = await traced(peopled, routes, bearer("bob", scopes_from=BOTH), "GET /v2/users")
    assert two.ways[0].sentences == (
        "Give user bob the scope 'reads-users' too.",
        "Have the token name the scope 'reads-users' too.",
    )
    assert two.ways[0].commands == ("gateway members add reads-users --user bob",)
    new = next(way for way in two.ways if any("a new allow scope" in told for told in way.sentences))
    assert [command for command in new.commands if "scopes create" in command] == [
        "gateway scopes create users-read --read users"
    ]


async def test_what_would_be_taken_from_a_role_is_told_with_who_loses_it(
    peopled: Store, routes: RouteTable
) -> None:
    trace = await traced(peopled, routes, bearer("ada", "guests", "staff"), "GET /v2/users")
    assert "gateway members remove no-users --role guests --widens" in commands(trace)
    assert "Whoever has the role guests loses 'no-users', too." in told(trace)
    taken = await traced(peopled, routes, bearer("ada", "staff"), "GET /v2/users")
    assert "gateway members remove reads-users --role staff" in commands(taken)
    assert "Whoever has the role staff loses 'reads-users', too." in told(taken)
    assert "--widens" not in str(commands(taken))


async def test_who_else_has_an_edited_scope_counts_keys_roles_and_tokens(
    peopled: Store, routes: RouteTable
) -> None:
    await create_key(peopled, "ada", "Shop", ["reads-courses"])
    trace = await traced(peopled, routes, bearer("ada"), "GET /v2/users")
    editing = [way for way in trace.ways if way.commands[0].startswith("gateway scopes update reads-courses")]
    assert editing[0].shared == ("The scope 'reads-courses' is shared by key 1 (Shop), role guests.",)
    named = bearer("ada", names="reads-courses", scopes_from=TOKEN)
    trace = await traced(peopled, routes, named, "GET /v2/users")
    assert "Any token may name the scope 'reads-courses'." in told(trace)


async def test_no_advice_leaves_a_user_without_scope_where_that_is_everything(
    peopled: Store, routes: RouteTable
) -> None:
    facts, taken = bearer("ada", "trainers"), ("gateway members remove reads-courses --user ada",)
    trace = await traced(peopled, routes, facts, "GET /v2/courses")
    assert taken in [way.commands for way in trace.ways]
    trace = await traced(peopled, routes, facts, "GET /v2/courses", FULL)
    for way in trace.ways:
        assert way.commands != taken
        removed = [place for place, command in enumerate(way.commands) if "members remove" in command]
        added = [place for place, command in enumerate(way.commands) if "members add" in command]
        assert not removed or (added and max(added) < min(removed))


async def test_full_access_by_default_is_narrowed_by_a_scope_of_ones_own(
    peopled: Store, routes: RouteTable
) -> None:
    trace = await traced(peopled, routes, bearer("bob"), "GET /v2/users", FULL)
    assert trace.permitted
    assert trace.ways
    assert "members remove" not in str(commands(trace))
    assert [way.gained for way in trace.ways] == [0] * len(trace.ways)
    await add_member(peopled, "ada", "no-users", MemberUse(MemberKind.USER, "bob"))
    assert "gateway members add no-users --user bob" in commands(trace)
    assert reason(await traced(peopled, routes, bearer("bob"), "GET /v2/users", FULL)) is Reason.SCOPE_DENIED


async def test_a_deny_scope_is_not_advised_that_opens_the_feed_to_other_tokens_of_a_user(
    peopled: Store, routes: RouteTable
) -> None:
    await add_member(peopled, "ada", "api-v2", MemberUse(MemberKind.ROLE, "bosses"))
    trace = await traced(peopled, routes, bearer("ada", "bosses"), "GET /v2/users")
    assert trace.permitted
    assert "members add no-users --user" not in str(commands(trace))
    assert "--mode deny" not in str(commands(trace))


async def test_what_is_asked_of_a_bearer_before_its_scopes_is_told_as_for_keys(
    peopled: Store, routes: RouteTable
) -> None:
    public = await traced(peopled, routes, bearer("nobody"), "GET /v2/status")
    assert (public.permitted, public.ways) == (True, ())
    unmapped = await traced(peopled, routes, bearer("ada"), "GET /v2/nothing")
    assert reason(unmapped) is Reason.ROUTE_UNMAPPED
    lower = await traced(peopled, routes, bearer("ada"), "get /v2/users")
    assert "Send the method as GET" in lower.ways[0].sentences[0]
    assert lower.ways[0].commands
