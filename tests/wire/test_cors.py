"""What browsers are told of requests from other origins: by the gateway's policy, and by nobody else."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from conversations import Answered, ask, conversation
from feeds import Feed
from gateways import PlaneUnderTest, running_plane
from scripts import records

APP = "https://app.example.com"
OTHER = "https://evil.example.com"
POLICY = f"""\
cors:
  origins: [{APP}, "http://localhost:3000"]
  methods: [GET, POST, DELETE]
  headers: [X-API-Key, Content-Type]
  expose: [X-Total]
  credentials: true
  max_age: 5m
"""
ROUTES = """\
feed: test
modules: {courses: Courses, users: Users}
routes:
  - {path: /v2/courses, module: courses}
  - {path: /v2/users, module: users}
  - {path: /v2/report, module: courses, actions: {GET: read}, only: true}
  - {path: /v2/options, module: courses, actions: {OPTIONS: read}}
  - {path: /v2/status, public: true, actions: {GET: read}, only: true}
"""


@pytest.fixture
async def plane(tmp_path: Path, feed: Feed) -> AsyncIterator[PlaneUnderTest]:
    async with running_plane(tmp_path, feed.port, routes=ROUTES, feed=POLICY) as plane:
        await plane.scope("website", read="courses")
        yield plane


async def preflight(
    plane: PlaneUnderTest, path: str, method: str = "GET", origin: str = APP, *headers: str
) -> Answered:
    asked = (f"Origin: {origin}", f"Access-Control-Request-Method: {method}", *headers)
    return await ask(plane.port, "OPTIONS", path, *asked)


def said(answer: Answered) -> dict[str, str]:
    """What an answer says of origins, without the prefix."""
    return {
        name.lower().removeprefix("access-control-"): value
        for name, value in answer.headers
        if name.lower().startswith("access-control-")
    }


async def test_a_preflight_is_answered_from_the_policy_and_never_forwarded(
    plane: PlaneUnderTest, feed: Feed
) -> None:
    answer = await preflight(plane, "/v2/courses", "POST")
    assert (answer.status, answer.body) == (204, b"")
    assert said(answer) == {
        "allow-origin": APP,
        "allow-credentials": "true",
        "allow-methods": "GET, POST, DELETE",
        "allow-headers": "X-API-Key, Content-Type",
        "max-age": "300",
    }
    assert answer.values("Vary") == ["Origin"]
    assert answer.value("Content-Length") is None
    assert feed.connections == 0


async def test_a_preflight_has_a_record_with_an_outcome_of_its_own(plane: PlaneUnderTest) -> None:
    await preflight(plane, "/v2/courses")
    (record,) = await records(plane, 1)
    told = {name: record[name] for name in ("method", "path", "feed", "route", "module", "outcome", "status")}
    assert told == {
        "method": "OPTIONS",
        "path": "/v2/courses",
        "feed": "test",
        "route": "/v2/courses",
        "module": "courses",
        "outcome": "preflight",
        "status": 204,
    }
    assert record["code"] is None
    assert plane.counted("gateway_denied_total") == []


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v2/courses", "GET, POST, DELETE"),
        ("/v2/report", "GET"),
        ("/v2/status", "GET"),
        ("/v2/nowhere", "GET, POST, DELETE"),
    ],
)
async def test_only_methods_that_policy_and_route_map_both_have_are_offered(
    plane: PlaneUnderTest, path: str, methods: str
) -> None:
    """A path that nobody maps is spoken of by the policy alone: what would be refused is not told apart."""
    assert said(await preflight(plane, path, "DELETE"))["allow-methods"] == methods


async def test_a_route_with_no_method_of_the_policys_offers_none(plane: PlaneUnderTest) -> None:
    routes = ROUTES.replace(
        "{GET: read}, only: true}\n  - {path: /v2/op", "{PUT: update}, only: true}\n  - {path: /v2/op"
    )
    assert routes != ROUTES
    (plane.directory / "routes.yaml").write_text(routes)
    await plane.worker.reload()
    answer = await preflight(plane, "/v2/report", "PUT")
    assert (answer.status, said(answer).get("allow-methods")) == (204, None)


@pytest.mark.parametrize(
    "origin",
    [
        OTHER,
        "null",
        "",
        "https://app.example.com.evil.example",
        "https://app.example.com:444",
        "http://app.example.com",
        "HTTPS://APP.EXAMPLE.COM",
        "https://app.example.com/",
        f"{APP} {OTHER}",
        f"{APP}, {OTHER}",
        "*",
    ],
)
async def test_other_origins_are_told_nothing(plane: PlaneUnderTest, feed: Feed, origin: str) -> None:
    for path in ("/v2/courses", "/v2/nowhere"):
        answer = await preflight(plane, path, "GET", origin)
        assert (answer.status, answer.code, said(answer)) == (401, "credential_missing", {})
    key = await plane.key("website")
    answer = await ask(plane.port, "GET", "/v2/courses", f"Origin: {origin}", f"X-API-Key: {key}")
    assert (answer.status, said(answer)) == (200, {})
    assert [request.method for request in feed.requests] == ["GET"]


async def test_two_origins_are_none(plane: PlaneUnderTest) -> None:
    answer = await preflight(plane, "/v2/courses", "GET", APP, f"Origin: {APP}")
    assert (answer.status, said(answer)) == (401, {})


@pytest.mark.parametrize(
    "asked",
    [
        (f"Origin: {APP}",),
        ("Access-Control-Request-Method: GET",),
        (f"Origin: {APP}", "Access-Control-Request-Method: GET", "Access-Control-Request-Method: PUT"),
    ],
)
async def test_an_options_request_that_is_no_preflight_is_judged_like_any_other(
    plane: PlaneUnderTest, feed: Feed, asked: tuple[str, ...]
) -> None:
    assert (await ask(plane.port, "OPTIONS", "/v2/options", *asked)).status == 401
    key = f"X-API-Key: {await plane.key('website')}"
    assert (await ask(plane.port, "OPTIONS", "/v2/options", key, *asked)).status == 200
    assert [request.method for request in feed.requests] == ["OPTIONS"]


@pytest.mark.parametrize("path", ["/v2//courses", "/v2/%2e%2e/x", "/v2/x;y"])
async def test_a_preflight_for_an_ambiguous_path_is_refused_and_the_page_can_read_why(
    plane: PlaneUnderTest, path: str
) -> None:
    answer = await preflight(plane, path)
    assert (answer.status, answer.code) == (400, "path_ambiguous")
    assert said(answer)["allow-origin"] == APP


async def test_a_preflight_with_a_body_leaves_the_connection_in_order(plane: PlaneUnderTest) -> None:
    async with conversation(plane.port) as client:
        asked = (f"Origin: {APP}", "Access-Control-Request-Method: GET")
        assert (
            await client.ask("OPTIONS", "/v2/courses", *asked, body=b"GET / HTTP/1.1\r\n\r\n")
        ).status == 204
        assert (await client.ask("GET", "/v2/courses")).status == 401


REFUSED = {
    401: ("GET", "/v2/courses", ()),
    403: ("GET", "/v2/users", ("X-API-Key: {key}",)),
    404: ("GET", "/v2/nowhere", ("X-API-Key: {key}",)),
    405: ("POST", "/v2/report", ("X-API-Key: {key}",)),
    400: ("GET", "/v2//courses", ()),
    413: ("POST", "/v2/courses", ("Content-Length: 999999999",)),
}


@pytest.mark.parametrize("status", sorted(REFUSED))
async def test_a_page_may_read_why_it_was_refused(plane: PlaneUnderTest, status: int) -> None:
    method, path, headers = REFUSED[status]
    key = await plane.key("website")
    asked = [header.format(key=key) for header in headers]
    answer = await ask(plane.port, method, path, f"Origin: {APP}", *asked)
    assert (answer.status, answer.problem["status"]) == (status, status)
    assert said(answer) == {
        "allow-origin": APP,
        "allow-credentials": "true",
        "expose-headers": "X-Request-Id, Proxy-Status, Retry-After, WWW-Authenticate, Allow, X-Total",
    }
    assert said(await ask(plane.port, method, path, f"Origin: {OTHER}", *asked)) == {}


@pytest.mark.parametrize("status", [502, 504])
async def test_a_page_may_read_that_the_feed_failed(tmp_path: Path, feed: Feed, status: int) -> None:
    feed.answer = lambda _asked: None if status == 502 else b""
    timeouts = POLICY + "timeouts: {response: 200ms}\n"
    async with running_plane(tmp_path, feed.port, feed=timeouts) as plane:
        key = await plane.key("api-v2")
        answer = await ask(plane.port, "GET", "/v2/courses", f"Origin: {APP}", f"X-API-Key: {key}")
        assert (answer.status, said(answer)["allow-origin"]) == (status, APP)


FEEDS_OWN = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nVary: Accept-Encoding\r\n"
    b"Access-Control-Allow-Origin: *\r\naccess-control-allow-credentials: true\r\n"
    b"Access-Control-Expose-Headers: X-Secret\r\nX-Total: 9\r\n\r\nok"
)


async def test_the_gateways_policy_stands_in_place_of_the_feeds(plane: PlaneUnderTest, feed: Feed) -> None:
    feed.answer = lambda _asked: FEEDS_OWN
    key = f"X-API-Key: {await plane.key('website')}"
    async with conversation(plane.port) as client:
        for _ in range(2):  # the second head is known
            answer = await client.ask("GET", "/v2/courses", key, f"Origin: {APP}")
            assert (answer.status, answer.body, answer.value("X-Total")) == (200, b"ok", "9")
            assert said(answer) == {
                "allow-origin": APP,
                "allow-credentials": "true",
                "expose-headers": "X-Request-Id, Proxy-Status, Retry-After, WWW-Authenticate, Allow, X-Total",
            }
            assert answer.values("Access-Control-Allow-Origin") == [APP]
        for origin in ((), (f"Origin: {OTHER}",)):
            answer = await client.ask("GET", "/v2/courses", key, *origin)
            assert said(answer) == {}
            assert answer.values("Vary") == ["Accept-Encoding", "Origin"]
    assert [request.value("Origin") for request in feed.requests] == [APP, APP, None, OTHER]


async def test_a_feed_without_a_policy_speaks_for_itself(tmp_path: Path, feed: Feed) -> None:
    feed.answer = lambda _asked: FEEDS_OWN
    async with running_plane(tmp_path, feed.port) as plane:
        key = f"X-API-Key: {await plane.key('api-v2')}"
        answer = await ask(plane.port, "GET", "/v2/courses", key, f"Origin: {APP}")
        assert said(answer)["expose-headers"] == "X-Secret"
        assert answer.values("Vary") == ["Accept-Encoding"]
        assert (await preflight(plane, "/v2/courses")).status == 401


async def test_every_origin_is_told_the_same_when_all_may_ask(tmp_path: Path, feed: Feed) -> None:
    async with running_plane(tmp_path, feed.port, feed='cors: {origins: "*"}') as plane:
        for origin in (APP, OTHER, "null"):
            answer = await preflight(plane, "/v2/courses", "PUT", origin)
            assert said(answer) == {
                "allow-origin": "*",
                "allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
                "allow-headers": "Authorization, Content-Type, X-API-Key",
                "max-age": "600",
            }


async def test_each_feed_has_its_own_policy(tmp_path: Path, feed: Feed) -> None:
    more = (
        f"  other:\n    upstream: http://127.0.0.1:{feed.port}\n    host: other.test\n"
        f"    cors: {{origins: [{OTHER}]}}\n"
    )
    routes = "feed: other\nmodules: {courses: Courses}\nroutes:\n  - {path: /v2/courses, module: courses}\n"
    (tmp_path / "other.yaml").write_text(routes)
    async with running_plane(tmp_path, feed.port, routes=ROUTES, feed=POLICY) as plane:
        file = tmp_path / "gateway.yaml"
        text = file.read_text().replace("[routes.yaml]", "[routes.yaml, other.yaml]")
        file.write_text(
            text.replace("feeds:\n", f"feeds:\n{more}").replace(
                "  test:\n", "  test:\n    host: feeds.test\n"
            )
        )
        await plane.worker.reload()

        async def at(host: str, origin: str) -> Answered:
            async with conversation(plane.port) as client:
                await client.send(
                    f"OPTIONS /v2/courses HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n"
                    "Access-Control-Request-Method: GET\r\n\r\n".encode()
                )
                return await client.answer("OPTIONS")

        told = {
            (host, origin): said(await at(host, origin)).get("allow-origin")
            for host in ("feeds.test", "other.test", "nobody.test")
            for origin in (APP, OTHER)
        }
        assert told == {
            ("feeds.test", APP): APP,
            ("feeds.test", OTHER): None,
            ("other.test", APP): None,
            ("other.test", OTHER): OTHER,
            ("nobody.test", APP): None,
            ("nobody.test", OTHER): None,
        }
