"""Which header fields cross to a feed, and under whose name."""

from pathlib import Path

import pytest
from conversations import ask, conversation
from feeds import Feed, Received
from gateways import PlaneUnderTest, running_plane

TRUSTED = "trusted_proxies: [127.0.0.0/8]"
OURS = {
    "X-Gateway-Principal",
    "X-Gateway-Key-Id",
    "X-Gateway-Scopes",
    "X-Gateway-Module",
    "X-Gateway-Action",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "Forwarded",
    "Via",
    "X-Request-Id",
}
"""What the gateway says itself, last."""


async def crossed(directory: Path, feed: Feed, *headers: str, main: str = "", settings: str = "") -> Received:
    """What the feed gets of a public request with these headers."""
    async with running_plane(directory, feed.port, main=main, feed=settings) as plane:
        answer = await ask(plane.port, "GET", "/v2/status", *headers)
    assert answer.status == 200, answer.body
    return feed.requests[-1]


def theirs(request: Received) -> list[tuple[str, str]]:
    """The fields that are not the gateway's own, in order."""
    return [(name, value) for name, value in request.headers if name not in OURS]


async def test_end_to_end_fields_cross_unchanged_in_order_and_repeated(
    plane: PlaneUnderTest, feed: Feed, key: str
) -> None:
    sent = [
        "Accept: text/html",
        "accept: application/json",
        "Cookie: a=b; c=d",
        "X-Custom: \xe9",
        "x-CUSTOM: second, third",
        "X-Empty:",
        "Accept-Encoding: gzip",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "Range: bytes=0-9",
        'If-None-Match: W/"1"',
        "Accept: again",
        "Via: 1.0 old-proxy",
    ]
    await ask(plane.port, "GET", "/v2/courses", *sent, f"X-API-Key: {key}")
    expected = [(name, value.strip(" ")) for name, _, value in (line.partition(":") for line in sent)]
    ours = feed.requests[0].headers.index(("X-Gateway-Principal", "key:1"))
    assert feed.requests[0].headers[:ours] == [("Host", "feeds.test"), *expected]


async def test_the_gateways_own_fields_say_who_asks_for_what(
    plane: PlaneUnderTest, feed: Feed, key: str
) -> None:
    answer = await ask(plane.port, "GET", "/v2/courses/17", f"X-API-Key: {key}")
    own = dict(feed.requests[0].headers[1:])
    assert own == {
        "X-Gateway-Principal": "key:1",
        "X-Gateway-Key-Id": "1",
        "X-Gateway-Scopes": "website",
        "X-Gateway-Module": "courses",
        "X-Gateway-Action": "read",
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "feeds.test",
        "Forwarded": "for=127.0.0.1;host=feeds.test;proto=http",
        "Via": "1.1 scopegate",
        "X-Request-Id": answer.value("X-Request-Id"),
    }


SPOOFS = [
    "X-Gateway-Principal: key:1",
    "x-gateway-principal: key:1",
    "X-GATEWAY-SCOPES: api-v2",
    "X_Gateway_Scopes: api-v2",
    "x_gateway-key_id: 1",
    "X-Gateway_Module: users",
    "X-Gateway-Action: delete",
    "X-Gateway-Anything: at all",
    "X-Gateway-: a",
    "X.Gateway.Scopes: api-v2",
    "X-Forwarded-For: 192.0.2.66",
    "X_Forwarded_For: 192.0.2.66",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: evil.test",
    "X-Forwarded-Port: 443",
    "X-Forwarded-Prefix: /evil",
    "X-Forwarded-Server: evil",
    "X-Real-IP: 192.0.2.66",
    "Forwarded: for=192.0.2.66;proto=https",
    "X-Request-Id: chosen-by-the-client",
    "X_Request_Id: chosen-by-the-client",
    "X-Original-URL: /v2/users",
    "X-Rewrite-URL: /v2/users",
]


@pytest.mark.parametrize("underscores", ["drop", "allow"])
@pytest.mark.parametrize("path", ["/v2/status", "/v2/courses"])
async def test_nobody_speaks_in_the_gateways_name(
    tmp_path: Path, feed: Feed, path: str, underscores: str
) -> None:
    async with running_plane(
        tmp_path, feed.port, main=f"limits: {{underscore_headers: {underscores}}}"
    ) as plane:
        await plane.scope("website", read="courses")
        key = await plane.key("website")
        for spoof in SPOOFS:
            async with conversation(plane.port) as client:
                await client.ask("GET", path, f"X-API-Key: {key}")
                assert (await client.ask("GET", path, spoof, f"X-API-Key: {key}")).status == 200, spoof
            plain, spoofed = feed.requests[-2:]
            ids = {plain.value("X-Request-Id"), spoofed.value("X-Request-Id")}
            assert len(ids) == 2
            assert "chosen-by-the-client" not in ids
            assert without_id(spoofed) == without_id(plain), spoof


def without_id(request: Received) -> list[tuple[str, str]]:
    return [(name, value) for name, value in request.headers if name != "X-Request-Id"]


async def test_public_requests_say_nothing_of_a_caller(tmp_path: Path, feed: Feed) -> None:
    request = await crossed(tmp_path, feed, *SPOOFS, "X-API-Key: whatever", "Authorization: Bearer x")
    assert [name for name, _ in request.headers if name.lower().startswith("x-gateway")] == [
        "X-Gateway-Action"
    ]
    assert theirs(request) == [("Host", "feeds.test")]


HOP_BY_HOP = [
    "Connection: keep-alive",
    "Keep-Alive: timeout=5",
    "Proxy-Connection: keep-alive",
    "Proxy-Authorization: Basic eDp5",
    "Proxy-Authenticate: Basic",
    "TE: trailers",
    "Trailer: X-Checksum",
    "Upgrade: h2c",
    "HTTP2-Settings: AAMAAABkAAQAAP__",
]


@pytest.mark.parametrize("header", HOP_BY_HOP)
async def test_what_is_for_one_hop_stays_here(tmp_path: Path, feed: Feed, header: str) -> None:
    request = await crossed(tmp_path, feed, header, "Accept: a")
    assert theirs(request) == [("Host", "feeds.test"), ("Accept", "a")]


@pytest.mark.parametrize(
    "connection",
    [
        ["Connection: X-One, x-two"],
        ["Connection: x-one", "Connection: x-two"],
        ["connection: ,x-two ,, X-ONE,"],
        ["Connection: close, x-one, x-two"],
    ],
)
async def test_what_connection_names_stays_here(tmp_path: Path, feed: Feed, connection: list[str]) -> None:
    request = await crossed(tmp_path, feed, "X-One: 1", "X-Two: 2", *connection, "X-Three: 3", "X-ONE: again")
    assert theirs(request) == [("Host", "feeds.test"), ("X-Three", "3")]


async def test_connection_takes_nothing_away_that_the_gateway_says(
    plane: PlaneUnderTest, feed: Feed, key: str
) -> None:
    named = "Connection: X-Gateway-Scopes, X-Gateway-Principal, X-Forwarded-For, Via, X-Request-Id, X-API-Key"
    assert (await ask(plane.port, "GET", "/v2/courses", named, f"X-API-Key: {key}")).status == 200
    request = feed.requests[0]
    assert {name for name, _ in request.headers} == OURS | {"Host"}
    assert request.value("X-Gateway-Scopes") == "website"


@pytest.mark.parametrize(
    ("rule", "status", "kept"),
    [("drop", 200, []), ("allow", 200, [("X_Custom", "a"), ("_", "b")]), ("reject", 400, None)],
)
async def test_underscores_in_names_are_ruled(
    tmp_path: Path, feed: Feed, rule: str, status: int, kept: list[tuple[str, str]] | None
) -> None:
    async with running_plane(tmp_path, feed.port, main=f"limits: {{underscore_headers: {rule}}}") as plane:
        answer = await ask(plane.port, "GET", "/v2/status", "X_Custom: a", "_: b")
    assert answer.status == status
    if kept is None:
        assert (answer.code, feed.requests) == ("request_malformed", [])
    else:
        assert theirs(feed.requests[0]) == [("Host", "feeds.test"), *kept]


@pytest.mark.parametrize("rule", ["drop", "allow", "reject"])
async def test_a_credential_header_may_have_underscores_and_is_stripped(
    tmp_path: Path, feed: Feed, rule: str
) -> None:
    main = f"limits: {{underscore_headers: {rule}}}\nauthentication: {{api_key: {{header: api_key}}}}"
    async with running_plane(tmp_path, feed.port, main=main) as plane:
        await plane.scope("website", read="courses")
        key = await plane.key("website")
        assert (await ask(plane.port, "GET", "/v2/courses", f"API_Key: {key}")).status == 200
    assert key not in repr(feed.requests[0].headers)


async def test_host_crosses_as_it_came(tmp_path: Path, feed: Feed) -> None:
    async with running_plane(tmp_path, feed.port) as plane, conversation(plane.port) as client:
        for host in (b"feeds.test", b"FEEDS.test:8080", b"192.0.2.1", b"[2001:db8::1]:80"):
            await client.send(b"GET /v2/status HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
            assert (await client.answer()).status == 200
            request = feed.requests[-1]
            assert (request.value("Host"), request.value("X-Forwarded-Host")) == (host.decode(),) * 2
            quoted = f'"{host.decode()}"' if b":" in host else host.decode()
            assert request.value("Forwarded") == f"for=127.0.0.1;host={quoted};proto=http"


async def test_a_trusted_proxys_words_are_extended(tmp_path: Path, feed: Feed) -> None:
    request = await crossed(
        tmp_path,
        feed,
        "X-Forwarded-For: 192.0.2.7",
        "X-Forwarded-For: 198.51.100.9",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: outside.test",
        "Forwarded: for=192.0.2.7;proto=https",
        "Via: 1.1 front",
        "X-Request-Id: from-the-front.1",
        main=TRUSTED,
    )
    assert request.value("X-Forwarded-For") == "192.0.2.7, 198.51.100.9, 127.0.0.1"
    assert request.value("X-Forwarded-Proto") == "https"
    assert request.value("X-Forwarded-Host") == "outside.test"
    assert request.value("Forwarded") == (
        "for=192.0.2.7;proto=https, for=127.0.0.1;host=feeds.test;proto=http"
    )
    assert request.values("Via") == ["1.1 front", "1.1 scopegate"]
    assert request.value("X-Request-Id") == "from-the-front.1"


@pytest.mark.parametrize("given", ["", "a b", "a" * 129, "a\xe9", "<script>", "a, b"])
async def test_a_request_id_of_another_shape_is_not_kept_even_from_a_trusted_proxy(
    tmp_path: Path, feed: Feed, given: str
) -> None:
    request = await crossed(tmp_path, feed, f"X-Request-Id: {given}", main=TRUSTED)
    assert len(request.value("X-Request-Id") or "") == 32


async def test_a_trusted_proxys_client_is_the_one_on_record(tmp_path: Path, feed: Feed) -> None:
    main = "trusted_proxies: [127.0.0.1, 10.0.0.0/8]"
    async with running_plane(tmp_path, feed.port, main=main) as plane, conversation(plane.port) as client:
        said = ["203.0.113.9, 192.0.2.7, 10.1.2.3", "unknown", "10.0.0.1", ""]
        for chain in said:
            await client.ask("GET", "/v2/status", f"X-Forwarded-For: {chain}")
        await plane.until_logged(len(said))
        records = await plane.logged()
    assert [record["client"] for record in records] == ["192.0.2.7", "127.0.0.1", "127.0.0.1", "127.0.0.1"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("strip", {}),
        ("pass", {"X-API-Key": "KEY", "Authorization": "Basic eDp5"}),
        ("{header: X-Feed-Key, value: theirs}", {"X-Feed-Key": "theirs"}),
        ("{header: X-API-Key, value: theirs}", {"X-API-Key": "theirs"}),
        ("{header: Authorization, value: Bearer theirs}", {"Authorization": "Bearer theirs"}),
    ],
)
async def test_a_feed_gets_the_credential_its_rule_says(
    tmp_path: Path, feed: Feed, rule: str, expected: dict[str, str]
) -> None:
    async with running_plane(tmp_path, feed.port, feed=f"credentials: {rule}") as plane:
        await plane.scope("website", read="courses")
        key = await plane.key("website")
        answer = await ask(
            plane.port,
            "GET",
            "/v2/courses",
            f"X-API-Key: {key}",
            "Authorization: Basic eDp5",
            "X-Feed-Key: mine" if "X-Feed-Key" in rule else "Accept: a",
        )
    assert answer.status == 200
    request = feed.requests[0]
    credentials = {
        name: value
        for name, value in request.headers
        if name.lower() in {"x-api-key", "authorization", "x-feed-key"}
    }
    assert credentials == {name: value.replace("KEY", key) for name, value in expected.items()}


async def test_the_same_headers_from_two_callers_are_never_mixed_up(
    plane: PlaneUnderTest, feed: Feed, key: str
) -> None:
    """What was prepared for one header section is not used for another's principal, module or route."""
    await plane.scope("hr", read="users,courses")
    other = await plane.key("hr")
    async with conversation(plane.port) as one, conversation(plane.port) as two:
        for _ in range(3):
            assert (await one.ask("GET", "/v2/courses", f"X-API-Key: {key}")).status == 200
            assert (await two.ask("GET", "/v2/users", f"X-API-Key: {other}")).status == 200
            assert (await two.ask("GET", "/v2/courses", f"X-API-Key: {other}")).status == 200
            assert (await one.ask("GET", "/v2/status", f"X-API-Key: {key}")).status == 200
    said = [
        tuple(request.value(f"X-Gateway-{name}") for name in ("Principal", "Scopes", "Module", "Action"))
        for request in feed.requests
    ]
    assert (
        said
        == [
            ("key:1", "website", "courses", "read"),
            ("key:2", "hr", "users", "read"),
            ("key:2", "hr", "courses", "read"),
            (None, None, None, "read"),
        ]
        * 3
    )
