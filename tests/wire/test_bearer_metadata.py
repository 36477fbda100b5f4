"""The resource's metadata on the wire (RFC 9728 §3), and challenges as clients without a token meet them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from conversations import ask, conversation
from feeds import Feed
from gateways import PlaneUnderTest, running_plane
from tokens import ISSUER, SigningKey, bearer_settings

KEY: Final = SigningKey()
WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
HOME: Final = "https://feeds.example.com"
EVERY_PATH: Final = """\
feed: test
modules: {files: Files}
routes:
  - {path: "/**", module: files}
"""


def resource(identifier: str = HOME, more: str = "") -> str:
    return f"resource: {{identifier: '{identifier}'{more}}}"


@pytest.fixture
async def plane(tmp_path: Path, feed: Feed) -> AsyncIterator[PlaneUnderTest]:
    """A gateway with metadata, and a route that maps every path."""
    main = bearer_settings(tmp_path, KEY, bearer=resource(more=", scopes: [power-bi], name: Fäden"))
    async with running_plane(tmp_path, feed.port, routes=EVERY_PATH, main=main) as plane:
        yield plane


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("Authorization: Bearer not.a.token",),
        ("X-API-Key: a", "Authorization: Bearer b"),
        ("Origin: https://app.example.com",),
        ("Host: other.example.com",),
    ],
)
async def test_everybody_may_read_it_before_any_route_and_whatever_the_credential(
    plane: PlaneUnderTest, feed: Feed, lines: tuple[str, ...]
) -> None:
    async with conversation(plane.port) as client:
        host = [] if any(line.startswith("Host") for line in lines) else ["Host: feeds.test"]
        asked = "\r\n".join([f"GET {WELL_KNOWN} HTTP/1.1", *host, *lines, "", ""]).encode()
        for _ in range(2):
            await client.send(asked)
            answer = await client.answer()
            assert (answer.status, answer.value("Content-Type")) == (200, "application/json")
            assert answer.value("Access-Control-Allow-Origin") == "*"
            assert json.loads(answer.body) == {
                "resource": HOME,
                "authorization_servers": [ISSUER],
                "scopes_supported": ["power-bi"],
                "bearer_methods_supported": ["header"],
                "resource_name": "Fäden",
            }
    assert feed.requests == []


async def test_it_is_told_without_a_body_to_head_and_the_connection_goes_on(
    plane: PlaneUnderTest, feed: Feed
) -> None:
    async with conversation(plane.port) as client:
        whole = await client.ask("GET", f"{WELL_KNOWN}?a=b&access_token=c")
        head = await client.ask("HEAD", WELL_KNOWN)
        assert (head.status, head.body) == (200, b"")
        assert head.value("Content-Length") == str(len(whole.body)) == whole.value("Content-Length")
        await client.send(f"GET {WELL_KNOWN} HTTP/1.1\r\nHost: a\r\n\r\n".encode() * 3)
        assert [(await client.answer()).body for _ in range(3)] == [whole.body] * 3
        await client.send(f"GET {WELL_KNOWN} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        assert (await client.answer()).value("Connection") == "close"
        assert await client.closed() == b""
    await plane.until_logged(6)
    outcomes = {(line["outcome"], line["code"], line["principal"]) for line in await plane.logged()}
    assert outcomes == {("metadata", None, None)}
    assert feed.requests == []


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"])
async def test_it_can_be_read_and_nothing_else(plane: PlaneUnderTest, feed: Feed, method: str) -> None:
    async with conversation(plane.port) as client:
        answer = await client.ask(method, WELL_KNOWN, body=b"a=b" if method == "POST" else None)
        assert (answer.status, answer.code) == (405, "method_unmapped")
        assert answer.value("Allow") == "GET, HEAD"
        assert (await client.ask("GET", WELL_KNOWN)).status == 200
    assert feed.requests == []


@pytest.mark.parametrize(
    "path",
    [
        f"{WELL_KNOWN}/v2",
        f"{WELL_KNOWN}x",
        "/.well-known",
        "/.well-known/openid-configuration",
        f"/v2{WELL_KNOWN}",
    ],
)
async def test_paths_beside_it_are_routes_as_ever(plane: PlaneUnderTest, feed: Feed, path: str) -> None:
    answer = await ask(plane.port, "GET", path)
    assert (answer.status, answer.code) == (401, "credential_missing")
    assert feed.requests == []


@pytest.mark.parametrize("path", [WELL_KNOWN.replace("o", "%6f"), WELL_KNOWN.replace("well", "%77ell")])
async def test_it_is_found_however_its_path_is_escaped(plane: PlaneUnderTest, path: str) -> None:
    """The canonical path is what counts (CONTRACT 3); no spelling leads past it to the feed."""
    assert (await ask(plane.port, "GET", path)).status == 200


@pytest.mark.parametrize(
    "path", [f"/{WELL_KNOWN}", f"{WELL_KNOWN}/../a", f"{WELL_KNOWN};a", f"{WELL_KNOWN}%00"]
)
async def test_an_ambiguous_path_is_refused_before_it(plane: PlaneUnderTest, path: str) -> None:
    answer = await ask(plane.port, "GET", path)
    assert (answer.status, answer.code) == (400, "path_ambiguous")


@pytest.mark.parametrize("identifier", [f"{HOME}/v2/training", f"{HOME}:8443/v2/training"])
async def test_with_a_path_of_its_own_the_resource_has_it_at_the_end(
    tmp_path: Path, feed: Feed, identifier: str
) -> None:
    main = bearer_settings(tmp_path, KEY, bearer=resource(identifier))
    async with running_plane(tmp_path, feed.port, main=main) as plane:
        there = await ask(plane.port, "GET", f"{WELL_KNOWN}/v2/training")
        assert (there.status, json.loads(there.body)["resource"]) == (200, identifier)
        bare = await ask(plane.port, "GET", WELL_KNOWN)
        assert (bare.status, bare.code) == (401, "credential_missing")
        [challenge] = [told for told in bare.values("WWW-Authenticate") if told.startswith("Bearer")]
    origin = identifier.removesuffix("/v2/training")
    assert f'resource_metadata="{origin}{WELL_KNOWN}/v2/training"' in challenge


async def test_where_none_is_configured_there_is_none(tmp_path: Path, feed: Feed) -> None:
    main = bearer_settings(tmp_path, KEY)
    async with running_plane(tmp_path, feed.port, main=main) as plane:
        answer = await ask(plane.port, "GET", WELL_KNOWN)
        assert (answer.status, answer.code) == (401, "credential_missing")
        assert answer.values("WWW-Authenticate") == ['Bearer realm="feeds"', 'ApiKey realm="feeds"']
    assert feed.requests == []


async def test_a_switched_off_feed_and_an_observing_one_change_nothing_of_it(
    tmp_path: Path, feed: Feed
) -> None:
    main = bearer_settings(tmp_path, KEY, bearer=resource())
    rules = "enabled: false\nenforcement: observe"
    async with running_plane(tmp_path, feed.port, routes=EVERY_PATH, feed=rules, main=main) as plane:
        assert (await ask(plane.port, "GET", WELL_KNOWN)).status == 200
        assert (await ask(plane.port, "POST", WELL_KNOWN)).status == 405
    assert feed.requests == []


@pytest.mark.parametrize("addressed", [True, False])
async def test_an_issuer_that_has_no_address_is_not_told_of(
    tmp_path: Path, feed: Feed, *, addressed: bool
) -> None:
    """RFC 9728 §2: authorization servers are told by their issuer identifiers, which are URLs."""
    main = bearer_settings(tmp_path, KEY, bearer=resource())
    if not addressed:
        main = main.replace(f"issuer: {ISSUER}", "issuer: legacy-login")
    async with running_plane(tmp_path, feed.port, main=main) as plane:
        told = json.loads((await ask(plane.port, "GET", WELL_KNOWN)).body)
    assert told.get("authorization_servers") == ([ISSUER] if addressed else None)


# Challenges on the wire


FORGED: Final = SigningKey(kid=KEY.kid)


@pytest.mark.parametrize(
    ("lines", "status", "error"),
    [
        ((), 401, None),
        (("Authorization: Basic eDp5",), 401, None),
        ((f"Authorization: Bearer {FORGED.token()}",), 401, "invalid_token"),
        (("Authorization: Bearer opaque",), 401, "invalid_token"),
        (("Authorization: Bearer",), 401, "invalid_token"),
        ((f"Authorization: Bearer {KEY.token(iat=1, exp=2)}",), 401, "invalid_token"),
        ((f"Authorization: Bearer {KEY.token()}",), 403, "insufficient_scope"),
        (("X-API-Key: unknown",), 401, "invalid_token"),
    ],
    ids=["nothing", "basic", "forged", "opaque", "empty", "expired", "no scope", "a key"],
)
async def test_a_challenge_tells_what_is_wrong_and_where_to_read_on(
    plane: PlaneUnderTest, lines: tuple[str, ...], status: int, error: str | None
) -> None:
    answer = await ask(plane.port, "GET", "/a", *lines)
    assert answer.status == status
    told, of_keys = answer.values("WWW-Authenticate")
    assert of_keys == 'ApiKey realm="feeds"'
    where = f'resource_metadata="{HOME}{WELL_KNOWN}"'
    if error is None:
        assert told == f'Bearer realm="feeds", {where}'
    else:
        scope = ', scope="files:read"' if status == 403 else ""
        said = str(answer.problem["detail"]).replace("§", "section ").replace('"', "'")
        assert told == f'Bearer realm="feeds", error="{error}"{scope}, error_description="{said}", {where}'
    assert answer.value("Cache-Control") == "no-store"
