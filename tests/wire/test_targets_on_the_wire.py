"""The path that was judged is the path that crosses; the query crosses as it came; methods are plain."""

from pathlib import Path

import pytest
from conversations import ask, conversation
from feeds import Feed
from gateways import PlaneUnderTest, running_plane


@pytest.mark.parametrize(
    ("target", "crosses"),
    [
        ("/v2/courses", "/v2/courses"),
        ("/v2/courses/", "/v2/courses/"),
        ("/v2/%63ourses", "/v2/courses"),
        ("/v2/courses/%7e%2D", "/v2/courses/~-"),
        ("/v2/courses/caf%c3%a9", "/v2/courses/caf%C3%A9"),
        ("/v2/courses/a%20b", "/v2/courses/a%20b"),
        ("/v2/courses/100%25", "/v2/courses/100%25"),
        ("/v2/courses/a:b@c!$&'()*+,=", "/v2/courses/a:b@c!$&'()*+,="),
        ("/v2/courses/...", "/v2/courses/..."),
        ("/v2/courses?", "/v2/courses?"),
        ("/v2/courses??", "/v2/courses??"),
        ("/v2/courses?a=b&a=c&&=&%zz", "/v2/courses?a=b&a=c&&=&%zz"),
        ("/v2/courses?a=/../%2e%2e/;//\\", "/v2/courses?a=/../%2e%2e/;//\\"),
        ("/v2/courses?%63=%2F+%20", "/v2/courses?%63=%2F+%20"),
        ('/v2/courses?a="<>^`{|}', '/v2/courses?a="<>^`{|}'),
        ("http://feeds.test/v2/%63ourses?%63", "/v2/courses?%63"),
    ],
)
async def test_what_was_matched_crosses_and_the_query_untouched(
    plane: PlaneUnderTest, feed: Feed, key: str, target: str, crosses: str
) -> None:
    assert (await ask(plane.port, "GET", target, f"X-API-Key: {key}")).status == 200
    assert [request.target for request in feed.requests] == [crosses]


@pytest.mark.parametrize(
    "target",
    [
        "/v2/./courses",
        "/v2/courses/..",
        "/v2/users/../courses",
        "/v2/courses/%2e%2e/users",
        "/v2/courses/.%2E/users",
        "/v2/courses/..;/users",
        "/v2/courses/%252e%252e/users",
        "/v2/courses%2f17",
        "/v2/courses%252f17",
        "/v2/courses%5c17",
        "/v2/courses\\17",
        "/v2//courses",
        "//v2/courses",
        "/v2/courses//",
        "/v2/courses;a=b",
        "/v2/courses%3ba",
        "/v2/courses%00",
        "/v2/courses%0d%0a",
        "/v2/courses%7f",
        "/v2/courses\x01",
        "/v2/courses/caf\xe9",
        "/v2/courses/%c0%ae",
        "/v2/courses%",
        "/v2/courses%2",
        "/v2/courses%zz",
        "/v2/courses#top",
        "/v2/courses%23top",
        "http://feeds.test/v2/../courses",
        "http://feeds.test/v2/courses#top",
    ],
)
async def test_what_may_be_read_in_two_ways_is_refused(
    plane: PlaneUnderTest, feed: Feed, key: str, target: str
) -> None:
    async with conversation(plane.port) as client:
        answer = await client.ask("GET", target, f"X-API-Key: {key}")
        assert (answer.status, answer.code) == (400, "path_ambiguous")
        assert (await client.ask("GET", "/v2/courses", f"X-API-Key: {key}")).status == 200
    assert [request.target for request in feed.requests] == ["/v2/courses"]


async def test_a_fragment_behind_a_query_is_refused(plane: PlaneUnderTest, feed: Feed, key: str) -> None:
    answer = await ask(plane.port, "GET", "/v2/courses?a#top", f"X-API-Key: {key}")
    assert (answer.status, answer.code) == (400, "path_ambiguous")
    assert feed.requests == []


async def test_a_relaxed_path_crosses_as_it_was_matched(tmp_path: Path, feed: Feed) -> None:
    main = "paths: {allow: [encoded-slash, semicolon, empty-segments]}"
    targets = ["/v2/courses/a%2Fb", "/v2/courses/a;b=c", "/v2/courses/a%3Bb", "/v2/files//a"]
    async with running_plane(tmp_path, feed.port, main=main) as plane:
        await plane.scope("reader", read="courses,files")
        key = await plane.key("reader")
        for target in targets:
            assert (await ask(plane.port, "GET", target, f"X-API-Key: {key}")).status == 200
        outside = await ask(plane.port, "GET", "/v2/courses/%2E%2E%2Fusers", f"X-API-Key: {key}")
        assert outside.code == "path_ambiguous"
    assert [request.target for request in feed.requests] == targets


OVERRIDES = ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "x-http-method-OVERRIDE"]
ODD_OVERRIDES = ["X_HTTP_Method", "X_HTTP_METHOD_OVERRIDE", "X-Method_Override"]


@pytest.mark.parametrize("underscores", ["drop", "allow"])
@pytest.mark.parametrize("name", OVERRIDES + ODD_OVERRIDES)
async def test_a_method_override_is_refused_however_it_is_spelt(
    tmp_path: Path, feed: Feed, name: str, underscores: str
) -> None:
    async with running_plane(
        tmp_path, feed.port, main=f"limits: {{underscore_headers: {underscores}}}"
    ) as plane:
        for path in ("/v2/status", "/v2/courses"):
            answer = await ask(plane.port, "GET", path, f"{name}: GET")
            assert (answer.status, answer.code) == (400, "method_override")
    assert feed.requests == []


@pytest.mark.parametrize("underscores", ["drop", "allow"])
async def test_a_method_override_that_is_stripped_does_not_cross_and_changes_nothing(
    tmp_path: Path, feed: Feed, underscores: str
) -> None:
    main = f"method_override: strip\nlimits: {{underscore_headers: {underscores}}}"
    async with running_plane(tmp_path, feed.port, main=main) as plane:
        await plane.scope("reader", read="courses")
        key = await plane.key("reader")
        for name in OVERRIDES + ODD_OVERRIDES:
            answer = await ask(plane.port, "GET", "/v2/courses", f"{name}: DELETE", f"X-API-Key: {key}")
            assert answer.status == 200
            assert "DELETE" not in feed.requests[-1].head.decode()
            assert feed.requests[-1].value("X-Gateway-Action") == "read"


@pytest.mark.parametrize("underscores", ["drop", "allow"])
@pytest.mark.parametrize("name", OVERRIDES)
async def test_a_method_override_that_is_honoured_is_the_method_judged(
    tmp_path: Path, feed: Feed, name: str, underscores: str
) -> None:
    main = f"method_override: honour\nlimits: {{underscore_headers: {underscores}}}"
    async with running_plane(tmp_path, feed.port, main=main) as plane:
        await plane.scope("author", create="bookings")
        await plane.scope("eraser", delete="bookings")
        author, eraser = await plane.key("author"), await plane.key("eraser")
        asked = [
            (author, "DELETE", 403),
            (author, "POST", 200),
            (eraser, "DELETE", 200),
            (eraser, "delete", 200),
            (eraser, "POST", 403),
            (eraser, "TRACE", 405),
            (eraser, "CONNECT", 405),
            (eraser, "BREW", 405),
            (eraser, "DE LETE", 400),
            (eraser, "", 400),
        ]
        for key, method, status in asked:
            answer = await ask(
                plane.port, "POST", "/v2/bookings/1", f"{name}: {method}", f"X-API-Key: {key}", body=b"x"
            )
            assert answer.status == status, method
        assert [request.value("X-Gateway-Action") for request in feed.requests] == [
            "create",
            "delete",
            "delete",
        ]
        twice = await ask(
            plane.port,
            "POST",
            "/v2/bookings/1",
            f"{name}: DELETE",
            "X-HTTP-Method: GET",
            f"X-API-Key: {eraser}",
        )
        assert twice.code == "method_override"


@pytest.mark.parametrize("underscores", ["drop", "allow"])
@pytest.mark.parametrize("name", ODD_OVERRIDES)
async def test_an_override_that_the_feed_might_not_see_is_never_honoured(
    tmp_path: Path, feed: Feed, name: str, underscores: str
) -> None:
    """Judged as a DELETE and carried out as a POST, it would let those create who may only delete."""
    main = f"method_override: honour\nlimits: {{underscore_headers: {underscores}}}"
    async with running_plane(tmp_path, feed.port, main=main) as plane:
        await plane.scope("eraser", delete="bookings")
        key = await plane.key("eraser")
        for headers in ([f"{name}: DELETE"], ["X-HTTP-Method: DELETE", "Connection: x-http-method"]):
            answer = await ask(plane.port, "POST", "/v2/bookings/1", *headers, f"X-API-Key: {key}", body=b"x")
            assert answer.status in {400, 403}
    assert feed.requests == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
async def test_methods_cross_as_they_are(tmp_path: Path, feed: Feed, method: str) -> None:
    feed.answer = lambda _: b"HTTP/1.1 204 No Content\r\n\r\n"
    async with running_plane(tmp_path, feed.port) as plane:
        await plane.scope("everything", "deny")
        key = await plane.key("everything")
        assert (await ask(plane.port, method, "/v2/courses", f"X-API-Key: {key}")).status == 204
        lower = await ask(plane.port, method.lower(), "/v2/courses", f"X-API-Key: {key}")
        assert lower.status == 405  # methods are case-sensitive, RFC 9110 section 9.1
    assert [request.method for request in feed.requests] == [method]
