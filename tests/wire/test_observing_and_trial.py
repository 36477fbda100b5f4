"""What is let through and only watched: an observing feed, and a key's trial scopes."""

from collections.abc import AsyncIterator
from pathlib import Path
from time import time

import pytest
from conversations import ask, conversation
from feeds import Feed
from gateways import PlaneUnderTest, running_plane
from waiting import until, until_so

from gateway.control.keys import KeyEdit, adopt_trial, revoke_key, update_key
from gateway.control.scopes import Fallback, delete_scope

OBSERVE = "enforcement: observe"
ROUTES = """\
feed: test
modules: {courses: Courses, users: Users, notes: Notes}
routes:
  - {path: /v2/courses, module: courses}
  - {path: /v2/users, module: users, actions: {GET: read}, only: true}
  - {path: /v2/notes, module: notes, max_body: 10}
  - {path: /v2/status, public: true, actions: {GET: read}, only: true}
"""


@pytest.fixture
async def observing(tmp_path: Path, feed: Feed) -> AsyncIterator[PlaneUnderTest]:
    async with running_plane(
        tmp_path, feed.port, routes=ROUTES, feed=OBSERVE, main="limits: {body: 1KiB}"
    ) as plane:
        await plane.scope("website", read="courses")
        yield plane


async def keys_of_every_kind(plane: PlaneUnderTest) -> dict[str, str]:
    """A good key, and what may be wrong with one."""
    keys = {
        "good": await plane.key("website"),
        "expired": await plane.key("website", expires_at=time() - 1),
        "revoked": await plane.key("website"),
        "unknown": "imported-elsewhere",
    }
    await revoke_key(plane.store, "tests", 3)
    return keys


@pytest.mark.parametrize(
    ("kind", "method", "path", "would_deny"),
    [
        (None, "GET", "/v2/courses", "credential_missing"),
        ("unknown", "GET", "/v2/courses", "credential_invalid"),
        ("expired", "GET", "/v2/courses", "credential_expired"),
        ("revoked", "GET", "/v2/courses", "credential_revoked"),
        ("good", "GET", "/v2/nowhere", "route_unmapped"),
        (None, "GET", "/v2/nowhere", "credential_missing"),
        ("good", "DELETE", "/v2/users", "method_unmapped"),
        ("good", "POST", "/v2/courses", "scope_denied"),
        ("good", "GET", "/v2/users", "scope_denied"),
        ("good", "GET", "/v2/courses", None),
        (None, "GET", "/v2/status", None),
    ],
)
async def test_an_observing_feed_gets_what_would_be_refused_and_the_reason_is_on_record(
    observing: PlaneUnderTest, feed: Feed, kind: str | None, method: str, path: str, would_deny: str | None
) -> None:
    keys = await keys_of_every_kind(observing)
    header = "A: b" if kind is None else f"X-API-Key: {keys[kind]}"
    answer = await ask(observing.port, method, f"{path}?a=b", header)
    assert (answer.status, answer.body) == (200, b"hello")
    request = feed.requests[0]
    assert (request.method, request.target) == (method, f"{path}?a=b")
    kept = [keys[kind]] if kind and would_deny else []
    assert request.values("X-API-Key") == kept
    await observing.until_logged(1)
    record = (await observing.logged())[0]
    assert (record["outcome"], record["would_deny"], record["code"]) == ("permit", would_deny, None)
    counted = observing.counted("gateway_would_deny_total")
    assert [(labels[3], count) for labels, count in counted] == ([(would_deny, 1)] if would_deny else [])
    denied = observing.directory / "denied.log"
    if would_deny is not None:
        await until(lambda: record["request_id"] in denied.read_text())
    assert (record["request_id"] in denied.read_text()) is (would_deny is not None)
    assert observing.counted("gateway_denied_total") == []


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("GET", "/v2/../courses", [], 400, "path_ambiguous"),
        ("GET", "/v2/courses", ["X-HTTP-Method: PUT"], 400, "method_override"),
        ("GET", "/v2/courses", ["X-API-Key: a", "X-API-Key: b"], 400, "credential_ambiguous"),
        ("GET", "/v2/courses", ["Host: two.test"], 400, "request_malformed"),
        ("GET", "/v2/courses", ["Expect: a-miracle"], 417, "expectation_failed"),
        ("GET", "/v2/courses?" + "a" * 9000, [], 414, "uri_too_long"),
        ("GET", "/v2/courses", ["A: " + "a" * 40_000], 431, "headers_too_large"),
        ("POST", "/v2/courses", ["Content-Length: 1025"], 413, "body_too_large"),
        ("POST", "/v2/notes", ["Content-Length: 11"], 413, "body_too_large"),
        ("TRACE", "/v2/courses", [], 400, "request_malformed"),
    ],
)
async def test_framing_path_and_limits_are_refused_by_an_observing_feed_too(
    observing: PlaneUnderTest, feed: Feed, method: str, path: str, headers: list[str], status: int, code: str
) -> None:
    answer = await ask(observing.port, method, path, *headers)
    assert (answer.status, answer.code) == (status, code)
    assert feed.requests == []


async def test_an_observing_feed_that_is_off_observes_only_who_bypasses_the_flag(
    tmp_path: Path, feed: Feed
) -> None:
    settings = f"{OBSERVE}\nenabled: false"
    async with running_plane(tmp_path, feed.port, routes=ROUTES, feed=settings) as plane:
        await plane.scope("website", read="courses")
        await plane.scope("insider", read="courses", bypass=True)
        key, insider = await plane.key("website"), await plane.key("insider")
        for path in ("/v2/courses", "/v2/users", "/v2/status"):
            for header in ("A: b", f"X-API-Key: {key}"):
                answer = await ask(plane.port, "GET", path, header)
                assert (answer.status, answer.code) == (403, "feed_disabled")
        assert feed.requests == []
        for path in ("/v2/courses", "/v2/users", "/v2/nowhere"):
            assert (await ask(plane.port, "GET", path, f"X-API-Key: {insider}")).status == 200
        await plane.until_logged(9)
        watched = [record["would_deny"] for record in (await plane.logged())[6:]]
        assert watched == [None, "scope_denied", "route_unmapped"]


async def test_an_observed_request_says_nothing_of_a_principal(observing: PlaneUnderTest, feed: Feed) -> None:
    good = await observing.key("website")
    spoof = "X-Gateway-Principal: key:1"
    assert (await ask(observing.port, "GET", "/v2/users", f"X-API-Key: {good}", spoof)).status == 200
    assert feed.requests[0].values("X-Gateway-Principal") == []
    assert feed.requests[0].values("X-Gateway-Scopes") == []


async def test_a_key_without_scope_is_let_through_by_an_observing_feed(
    observing: PlaneUnderTest, feed: Feed
) -> None:
    key = await observing.key("website")
    await delete_scope(observing.store, "tests", "website", Fallback.DENY)
    assert (await ask(observing.port, "GET", "/v2/courses", f"X-API-Key: {key}")).status == 200
    assert feed.requests[0].value("X-API-Key") == key
    await observing.until_logged(1)
    assert (await observing.logged())[0]["would_deny"] == "scope_none"


async def test_the_clients_own_credentials_reach_an_observing_feed_whatever_the_rule(
    tmp_path: Path, feed: Feed
) -> None:
    """In front of a running feed, clients go on as before: with the credentials that feed knows."""
    main = "authentication: {api_key: {query: api_key}}"
    for number, rule in enumerate(("strip", "pass", "{header: X-API-Key, value: ours}")):
        place = tmp_path / str(number)
        place.mkdir()
        settings = f"{OBSERVE}\ncredentials: {rule}"
        async with running_plane(place, feed.port, routes=ROUTES, feed=settings, main=main) as plane:
            headers = ["X-API-Key: the-feeds-own", "Authorization: Basic eDp5"]
            assert (await ask(plane.port, "GET", "/v2/courses", *headers)).status == 200
            assert (await ask(plane.port, "GET", "/v2/courses?a=b&api_key=the-feeds-own")).status == 200
        by_header, by_query = feed.requests[-2:]
        assert by_header.value("X-API-Key") == "the-feeds-own", rule
        assert by_header.value("Authorization") == "Basic eDp5"
        assert by_query.target == "/v2/courses?a=b&api_key=the-feeds-own"
        assert by_query.values("X-API-Key") == []


async def test_what_an_observing_feed_permits_is_forwarded_as_ever(tmp_path: Path, feed: Feed) -> None:
    settings = f"{OBSERVE}\ncredentials: {{header: X-Feed-Key, value: ours}}"
    async with running_plane(tmp_path, feed.port, routes=ROUTES, feed=settings) as plane:
        await plane.scope("website", read="courses")
        key = await plane.key("website")
        async with conversation(plane.port) as client:
            for path in ("/v2/courses", "/v2/users", "/v2/courses"):
                assert (await client.ask("GET", path, f"X-API-Key: {key}")).status == 200
    said = [
        (r.value("X-API-Key"), r.value("X-Feed-Key"), r.value("X-Gateway-Principal")) for r in feed.requests
    ]
    assert said == [(None, "ours", "key:1"), (key, None, None), (None, "ours", "key:1")]


async def test_an_outage_of_the_store_is_no_reason_to_let_anything_through(
    tmp_path: Path, feed: Feed
) -> None:
    async with running_plane(tmp_path, feed.port, routes=ROUTES, feed=OBSERVE) as plane:
        (tmp_path / "scopegate.db").rename(tmp_path / "elsewhere.db")
        answer = await ask(plane.port, "GET", "/v2/courses", "X-API-Key: imported")
    assert (answer.status, answer.code) == (503, "store_unavailable")
    assert feed.requests == []


@pytest.fixture
async def on_trial(plane: PlaneUnderTest) -> str:
    """A key that may read and create bookings and courses, and is on trial for reading courses alone."""
    await plane.scope("wide", read="courses,bookings", create="bookings")
    key = await plane.key("wide")
    await update_key(plane.store, "tests", 1, KeyEdit(trial=["website"]))
    return key


async def test_a_trial_lets_through_what_the_scopes_permit_and_says_what_it_would_have_refused(
    plane: PlaneUnderTest, feed: Feed, on_trial: str
) -> None:
    asked = [
        ("GET", "/v2/courses", 200, None),
        ("GET", "/v2/bookings", 200, "scope_denied"),
        ("POST", "/v2/bookings", 200, "scope_denied"),
        ("GET", "/v2/users", 403, None),
        ("GET", "/v2/nowhere", 404, None),
        ("GET", "/v2/status", 200, None),
    ]
    async with conversation(plane.port) as client:
        for method, path, status, _ in asked:
            assert (await client.ask(method, path, f"X-API-Key: {on_trial}")).status == status
    await plane.until_logged(len(asked))
    assert [record["would_deny"] for record in await plane.logged()] == [row[3] for row in asked]
    counted = plane.counted("gateway_would_deny_total")
    assert sorted((*labels, count) for labels, count in counted) == [
        ("test", "bookings", "create", "scope_denied", 1),
        ("test", "bookings", "read", "scope_denied", 1),
    ]
    assert all(request.values("X-API-Key") == [] for request in feed.requests)
    assert {request.value("X-Gateway-Scopes") for request in feed.requests[:3]} == {"wide"}


async def test_a_trial_that_is_wider_gives_nothing(plane: PlaneUnderTest, feed: Feed, key: str) -> None:
    await update_key(plane.store, "tests", 1, KeyEdit(trial=["api-v2"]))
    assert (await ask(plane.port, "GET", "/v2/users", f"X-API-Key: {key}")).status == 403
    assert feed.requests == []


async def test_an_adopted_trial_refuses_within_a_second(plane: PlaneUnderTest, on_trial: str) -> None:
    async with conversation(plane.port) as client:
        assert (await client.ask("GET", "/v2/bookings", f"X-API-Key: {on_trial}")).status == 200
        await adopt_trial(plane.store, "tests", 1)

        async def refused() -> bool:
            return (await client.ask("GET", "/v2/bookings", f"X-API-Key: {on_trial}")).status == 403

        await until_so(refused, within=1.0)
        assert (await client.ask("GET", "/v2/courses", f"X-API-Key: {on_trial}")).status == 200


async def test_a_trial_whose_scopes_are_gone_would_deny_everything(
    plane: PlaneUnderTest, on_trial: str
) -> None:
    await delete_scope(plane.store, "tests", "website", Fallback.DENY)
    assert (await ask(plane.port, "GET", "/v2/courses", f"X-API-Key: {on_trial}")).status == 200
    await plane.until_logged(1)
    assert (await plane.logged())[0]["would_deny"] == "scope_none"
