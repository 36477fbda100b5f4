"""The whole trace of a request, from the evaluator that the gateway runs."""

from pathlib import Path
from typing import Protocol

import pytest

from gateway.control.explain import Question, Trace, explain_key
from gateway.control.keys import KeyEdit, create_key, disable_key, revoke_key, rotate_key, update_key
from gateway.control.refused import UnknownError
from gateway.control.scopes import ScopeEdit, create_scope, update_scope
from gateway.domain.action import Action
from gateway.domain.feed import Enforcement, Feed
from gateway.domain.permit import Permit
from gateway.domain.scope import Mode
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
  - {path: "/v2/courses/{id}", module: courses}
  - {path: /v2/courses/search, module: courses, actions: {POST: read}}
  - {path: /v2/bookings, module: bookings}
  - {path: /v2/users, module: users}
  - {path: /v2/files/**, module: courses}
  - {path: /v2/status, public: true, actions: {GET: read}, only: true}
"""


class Clock(Protocol):
    """The test's clock (conftest)."""

    time: float


def table(tmp_path: Path, feed: Feed) -> RouteTable:
    (tmp_path / "routes.yaml").write_text(ROUTES)
    return load_routes([tmp_path / "routes.yaml"], [FeedPlace(feed)], frozenset())


@pytest.fixture
def routes(tmp_path: Path) -> RouteTable:
    return table(tmp_path, Feed("demo"))


@pytest.fixture
async def website(store: Store, routes: RouteTable) -> int:
    """A key that may read courses."""
    known = routes.modules.bits
    await create_scope(store, "ada", "website", ScopeEdit(modules={Action.READ: ["courses"]}), known)
    return (await create_key(store, "ada", "Website", ["website"])).entry.record.id


async def traced(store: Store, routes: RouteTable, key_id: int, request: str) -> Trace:
    method, path = request.split(" ", 1)
    return await explain_key(store, routes, frozenset(), key_id, Question(method, path))


def reason(trace: Trace) -> Reason | None:
    return trace.verdict.reason if isinstance(trace.verdict, Refusal) else None


async def test_a_permit_names_route_line_votes_and_deciding_scope(
    store: Store, routes: RouteTable, website: int
) -> None:
    trace = await traced(store, routes, website, "POST /v2/%63ourses/search")
    assert trace.permitted
    assert trace.canonical_path == "/v2/courses/search"
    assert trace.place is not None
    assert trace.place.route is not None
    assert trace.place.route.where.endswith("routes.yaml:6")
    (votes,) = trace.votes
    assert [(ballot.scope.name, ballot.vote) for ballot in votes] == [("website", "allow")]
    assert trace.deciding == ("website",)


async def test_the_first_way_flips_the_answer_when_it_is_gone(
    store: Store, routes: RouteTable, website: int
) -> None:
    trace = await traced(store, routes, website, "GET /v2/users")
    assert reason(trace) is Reason.SCOPE_DENIED
    assert trace.ways[0].commands == ("gateway scopes update website --read courses,users",)
    edit = ScopeEdit(modules={Action.READ: ["courses", "users"]})
    await update_scope(store, "ada", "website", edit, routes.modules.bits)
    flipped = await traced(store, routes, website, "GET /v2/users")
    assert flipped.permitted
    assert flipped.ways[0].commands == ("gateway scopes update website --read courses",)


async def test_who_else_has_an_edited_scope_is_told(store: Store, routes: RouteTable, website: int) -> None:
    await create_key(store, "ada", "Shop", ["website"])
    trace = await traced(store, routes, website, "GET /v2/users")
    editing = [way for way in trace.ways if way.commands[0].startswith("gateway scopes update website ")]
    assert editing[0].shared == ("The scope 'website' is shared by key 2 (Shop).",)
    assert "Clone the shared scope 'website'" in trace.ways[0].sentences[0]


async def test_a_permit_is_never_taken_away_by_opening_the_feed(
    store: Store, routes: RouteTable, website: int
) -> None:
    edit = ScopeEdit(mode=Mode.DENY, modules={Action.READ: ["courses"]})
    await create_scope(store, "ada", "no-courses", edit, routes.modules.bits)
    await create_scope(
        store, "ada", "shop", ScopeEdit(modules={Action.READ: ["courses"]}), routes.modules.bits
    )
    await update_key(store, "ada", website, KeyEdit(scopes=["website", "shop"]))
    trace = await traced(store, routes, website, "GET /v2/courses")
    assert trace.ways
    assert [way.gained for way in trace.ways] == [0] * len(trace.ways)
    assert "deny" not in str(trace.ways)


async def test_what_a_way_does_besides_is_told(store: Store, routes: RouteTable, website: int) -> None:
    hr = ScopeEdit(modules={action: ["users"] for action in Action})
    await create_scope(store, "ada", "hr", hr, routes.modules.bits)
    reports = ScopeEdit(modules={Action.READ: ["users", "bookings"]})
    await create_scope(store, "ada", "reports", reports, routes.modules.bits)
    trace = await traced(store, routes, website, "GET /v2/users")
    also = {way.commands[-1]: way.also for way in trace.ways}
    assert also["gateway scopes update website --read courses,users"] == ()
    give = f"gateway keys update {website} --scope website --scope "
    assert also[give + "reports"] == ("also permits read bookings",)
    trace = await traced(store, routes, website, "DELETE /v2/users")
    also = {way.commands[-1]: way.also for way in trace.ways}
    assert also[give + "hr"] == ("also permits 3 other pairs: update users, create users, read users",)
    assert not any("api-v2" in command for command in also)
    key_id = (await create_key(store, "ada", "All", ["api-v2"])).entry.record.id
    trace = await traced(store, routes, key_id, "GET /v2/users")
    assert any(way.also == ("also refuses read whatever is mapped later",) for way in trace.ways)


async def test_a_method_is_judged_as_typed_and_the_one_that_was_meant_is_named(
    store: Store, routes: RouteTable, website: int
) -> None:
    trace = await traced(store, routes, website, "get /v2/courses")
    assert (reason(trace), trace.module) == (Reason.METHOD_UNMAPPED, "courses")
    assert "Send the method as GET" in trace.ways[0].sentences[0]
    also_scopes = await traced(store, routes, website, "get /v2/users")
    assert also_scopes.ways[0].commands == ("gateway scopes update website --read courses,users",)
    assert "Send the method as GET" in also_scopes.ways[0].sentences[0]
    unmapped = await traced(store, routes, website, "purge /v2/courses")
    assert "purge is no method" in unmapped.ways[0].sentences[0]


@pytest.mark.parametrize(
    ("path", "rules"),
    [
        ("/v2/courses/a%2Fb", "paths.allow: [encoded-slash]"),
        ("/v2/courses/7;v=1", "paths.allow: [semicolon]"),
        ("/v2/courses/a%2Fb;v=1", "paths.allow: [encoded-slash, semicolon]"),
        ("/v2/files//x", "paths.allow: [empty-segments]"),
    ],
)
async def test_a_path_that_a_relaxed_rule_would_let_through_is_told_which(
    store: Store, routes: RouteTable, website: int, path: str, rules: str
) -> None:
    trace = await traced(store, routes, website, f"GET {path}")
    assert reason(trace) is Reason.PATH_AMBIGUOUS
    assert rules in trace.ways[0].sentences[0]
    denied = await traced(store, routes, website, f"DELETE {path}")
    assert rules in denied.ways[0].sentences[0]
    assert denied.ways[0].commands


async def test_a_standard_scope_is_never_edited(store: Store, routes: RouteTable) -> None:
    key_id = (await create_key(store, "ada", "All", ["api-v2"])).entry.record.id
    trace = await traced(store, routes, key_id, "DELETE /v2/courses/7")
    commands = [command for way in trace.ways for command in way.commands]
    assert commands
    assert not any("update api-v2 " in command for command in commands)


async def test_a_trial_set_votes_beside_the_scopes(store: Store, routes: RouteTable, website: int) -> None:
    await update_key(store, "ada", website, KeyEdit(trial=["mailchimp"]))
    trace = await traced(store, routes, website, "GET /v2/courses")
    assert isinstance(trace.verdict, Permit)
    assert trace.verdict.would_deny is Reason.SCOPE_DENIED
    assert [(ballot.scope.name, ballot.vote) for ballot in trace.trial_votes] == [("mailchimp", "abstain")]


async def test_what_stands_before_the_scopes_is_mended_first(
    store: Store, routes: RouteTable, website: int
) -> None:
    await disable_key(store, "ada", website)
    trace = await traced(store, routes, website, "GET /v2/courses")
    assert reason(trace) is Reason.CREDENTIAL_REVOKED
    assert trace.ways[0].commands == (f"gateway keys enable {website}",)
    both = await traced(store, routes, website, "GET /v2/users")
    assert both.ways[0].commands == (
        f"gateway keys enable {website}",
        "gateway scopes update website --read courses,users",
    )
    await revoke_key(store, "ada", website)
    assert "new key" in (await traced(store, routes, website, "GET /v2/courses")).ways[0].sentences[0]


async def test_expiry_of_the_key_and_of_its_secrets_are_told_apart(
    store: Store, routes: RouteTable, clock: Clock
) -> None:
    key = await create_key(store, "ada", "Short", ["api-v2"], clock.time + 10)
    await rotate_key(store, "ada", key.entry.record.id, 5)
    assert (await traced(store, routes, 1, "GET /v2/courses")).permitted
    clock.time += 10
    trace = await traced(store, routes, 1, "GET /v2/courses")
    assert reason(trace) is Reason.CREDENTIAL_EXPIRED
    assert trace.ways[0].commands == ("gateway keys update 1 --expires 90d",)


@pytest.mark.parametrize(
    ("request_line", "why", "way"),
    [
        ("GET /v2/nothing", Reason.ROUTE_UNMAPPED, "Map the path"),
        ("PROPFIND /v2/users", Reason.METHOD_UNMAPPED, "routes.yaml:8"),
        ("GET /v2/../users", Reason.PATH_AMBIGUOUS, None),
        ("GET /v2/users%2f", Reason.PATH_AMBIGUOUS, None),
        ("GET v2", Reason.PATH_AMBIGUOUS, None),
        ("GET /v2/\udcff", Reason.PATH_AMBIGUOUS, None),
    ],
)
async def test_what_is_not_mapped_is_told_as_such(
    store: Store, routes: RouteTable, website: int, request_line: str, why: Reason, way: str | None
) -> None:
    trace = await traced(store, routes, website, request_line)
    assert reason(trace) is why
    told = [sentence for each in trace.ways for sentence in each.sentences]
    assert told == [] if way is None else way in told[0]


async def test_a_public_route_asks_nobody(store: Store, routes: RouteTable, website: int) -> None:
    await disable_key(store, "ada", website)
    trace = await traced(store, routes, website, "GET /v2/status")
    assert (trace.permitted, trace.ways) == (True, ())


async def test_a_feed_that_is_off_is_switched_on_first(store: Store, tmp_path: Path, website: int) -> None:
    routes = table(tmp_path, Feed("demo", enabled=False))
    trace = await traced(store, routes, website, "GET /v2/courses")
    assert reason(trace) is Reason.FEED_DISABLED
    assert trace.ways[0].sentences == ("Switch the feed on: feeds.demo.enabled: true.",)


async def test_an_observing_feed_permits_and_records(store: Store, tmp_path: Path, website: int) -> None:
    routes = table(tmp_path, Feed("demo", enforcement=Enforcement.OBSERVE))
    trace = await traced(store, routes, website, "GET /v2/users")
    assert isinstance(trace.verdict, Permit)
    assert trace.verdict.would_deny is Reason.SCOPE_DENIED


async def test_a_denial_decides(store: Store, routes: RouteTable, website: int) -> None:
    edit = ScopeEdit(mode=Mode.DENY, modules={Action.READ: ["courses"]})
    await create_scope(store, "ada", "no-courses", edit, routes.modules.bits)
    await update_key(store, "ada", website, KeyEdit(scopes=["website", "no-courses"]))
    trace = await traced(store, routes, website, "GET /v2/courses")
    assert (trace.permitted, trace.deciding) == (False, ("no-courses",))
    assert {ballot.scope.name: ballot.vote.value for ballot in trace.votes[0]} == {
        "website": "allow",
        "no-courses": "deny",
    }


async def test_a_key_that_is_not_there_is_refused(store: Store, routes: RouteTable) -> None:
    with pytest.raises(UnknownError):
        await traced(store, routes, 99, "GET /v2/courses")
