"""Framing, path, route, public, credential, feed, scopes: the first that refuses answers."""

from collections.abc import AsyncIterator
from pathlib import Path
from time import time

import pytest
from conversations import ask, conversation
from feeds import Feed
from gateways import PlaneUnderTest, running_plane

WRONG = "X-API-Key: sg_1_wrong"
SMALL = "limits: {body: 1KiB}"
ROUTES = """\
feed: test
modules: {courses: Courses, bookings: Bookings}
routes:
  - {path: /v2/courses, module: courses}
  - {path: /v2/bookings, module: bookings, actions: {GET: read}, only: true}
  - {path: /v2/notes, module: bookings, max_body: 10}
  - {path: /v2/status, public: true, actions: {GET: read}, only: true}
"""


@pytest.fixture
async def mapped(tmp_path: Path, feed: Feed) -> AsyncIterator[PlaneUnderTest]:
    async with running_plane(tmp_path, feed.port, routes=ROUTES, main=SMALL) as plane:
        await plane.scope("website", read="courses")
        await plane.scope("insider", create="bookings", bypass=True)
        yield plane


@pytest.fixture
async def website(mapped: PlaneUnderTest) -> str:
    return f"X-API-Key: {await mapped.key('website')}"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/nowhere"),
        ("GET", "/"),
        ("POST", "/v2/bookings"),
        ("OPTIONS", "/v2/courses"),
        ("POST", "/v2/status"),
        ("BREW", "/v2/nowhere"),
    ],
)
async def test_what_is_not_mapped_is_told_to_proven_callers_alone(
    mapped: PlaneUnderTest, feed: Feed, website: str, method: str, path: str
) -> None:
    mapped_answer = await ask(mapped.port, "GET", "/v2/courses")
    async with conversation(mapped.port) as client:
        for header, code in (("A: b", "credential_missing"), (WRONG, "credential_invalid")):
            answer = await client.ask(method, path, header)
            assert (answer.status, answer.code) == (401, code)
            assert answer.values("Allow") == []
            if code == "credential_missing":
                assert [name for name, _ in answer.headers] == [name for name, _ in mapped_answer.headers]
        answer = await client.ask(method, path, website)
    unmapped_path = path in {"/v2/nowhere", "/"}
    assert answer.status == (404 if unmapped_path else 405)
    assert bool(answer.values("Allow")) is not unmapped_path
    assert feed.requests == []


async def test_a_refused_scope_is_told_to_proven_callers_alone(mapped: PlaneUnderTest, website: str) -> None:
    assert (await ask(mapped.port, "POST", "/v2/courses", WRONG)).status == 401
    assert (await ask(mapped.port, "POST", "/v2/courses", website)).status == 403


async def test_a_public_route_asks_for_no_credential_and_minds_no_bad_one(
    mapped: PlaneUnderTest, feed: Feed
) -> None:
    async with conversation(mapped.port) as client:
        for headers in ((), (WRONG,), (WRONG, "X-API-Key: another"), ("Authorization: Bearer x",)):
            assert (await client.ask("GET", "/v2/status", *headers)).status == 200
    assert len(feed.requests) == 4
    assert not any(request.values("X-API-Key") + request.values("Authorization") for request in feed.requests)


EARLIER = [
    # what is wrong, and with what that only a later check would find
    ("GET", "/v2/../courses", ["X-API-Key: a", "X-API-Key: b"], "path_ambiguous"),
    ("GET", "/v2/../courses", ["X-HTTP-Method: PUT"], "path_ambiguous"),
    ("GET", "/v2//courses", [], "path_ambiguous"),
    ("GET", "/v2/%2e%2e/nowhere", [WRONG], "path_ambiguous"),
    ("GET", "/v2/courses", ["X-HTTP-Method: PUT", "X-API-Key: a", "X-API-Key: b"], "method_override"),
    ("GET", "/v2/nowhere", ["X-API-Key: a", "X-API-Key: b"], "credential_ambiguous"),
    ("POST", "/v2/courses", ["X-API-Key: a", "Authorization: Bearer b"], "credential_ambiguous"),
    ("POST", "/v2/../courses", ["Content-Length: 1025"], "body_too_large"),
    ("POST", "/v2/courses", ["Content-Length: 1025", WRONG], "body_too_large"),
    ("POST", "/v2/courses", ["Expect: a-miracle", WRONG], "expectation_failed"),
    ("GET", "/v2/../courses", ["Content-Length: x"], "request_malformed"),
    ("POST", "/v2/notes", ["Content-Length: 100"], "credential_missing"),
]


@pytest.mark.parametrize(("method", "path", "headers", "code"), EARLIER)
async def test_the_earlier_check_answers(
    mapped: PlaneUnderTest, feed: Feed, method: str, path: str, headers: list[str], code: str
) -> None:
    async with conversation(mapped.port) as client:
        assert (await client.ask(method, path, *headers)).code == code
    assert feed.requests == []


async def test_a_body_too_large_for_its_route_is_told_after_the_scopes(
    mapped: PlaneUnderTest, feed: Feed, website: str
) -> None:
    insider = f"X-API-Key: {await mapped.key('insider')}"
    assert (await ask(mapped.port, "POST", "/v2/notes", website, body=b"a" * 11)).status == 403
    assert (await ask(mapped.port, "POST", "/v2/notes", insider, body=b"a" * 11)).status == 413
    assert (await ask(mapped.port, "POST", "/v2/notes", insider, body=b"a" * 10)).status == 200
    assert len(feed.requests) == 1


async def test_a_feed_that_is_off_serves_those_who_bypass_the_flag_and_judges_them(
    tmp_path: Path, feed: Feed
) -> None:
    async with running_plane(tmp_path, feed.port, routes=ROUTES, feed="enabled: false") as plane:
        await plane.scope("website", read="courses")
        await plane.scope("insider", read="bookings", bypass=True)
        outsider = f"X-API-Key: {await plane.key('website')}"
        insider = f"X-API-Key: {await plane.key('insider')}"
        both = f"X-API-Key: {await plane.key('website', 'insider')}"
        asked = [
            ("/v2/courses", "A: b", 401, "credential_missing"),
            ("/v2/courses", WRONG, 401, "credential_invalid"),
            ("/v2/courses", outsider, 403, "feed_disabled"),
            ("/v2/bookings", outsider, 403, "feed_disabled"),
            ("/v2/status", outsider, 403, "feed_disabled"),
            ("/v2/bookings", insider, 200, None),
            ("/v2/courses", insider, 403, "scope_denied"),
            ("/v2/courses", both, 200, None),
            ("/v2/nowhere", "A: b", 401, "credential_missing"),
        ]
        for path, header, status, code in asked:
            answer = await ask(plane.port, "GET", path, header)
            assert (answer.status, answer.code if code else None) == (status, code), (path, header)
    assert [request.target for request in feed.requests] == ["/v2/bookings", "/v2/courses"]


async def test_an_expired_key_is_told_so_before_what_it_may_do(mapped: PlaneUnderTest) -> None:
    expired = await mapped.key("website", expires_at=time() - 1)
    for path in ("/v2/courses", "/v2/bookings", "/v2/nowhere"):
        answer = await ask(mapped.port, "GET", path, f"X-API-Key: {expired}")
        assert (answer.status, answer.code) == (401, "credential_expired")
