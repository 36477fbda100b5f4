"""Where a credential may stand, what it is worth through its life, and that it is never told to anyone."""

from collections.abc import AsyncIterator
from pathlib import Path
from time import time
from urllib.parse import quote

import pytest
from conversations import Answered, ask, conversation
from feeds import Feed
from gateways import PlaneUnderTest, running_plane
from waiting import until_so

from gateway.control.keys import KeyEdit, disable_key, enable_key, revoke_key, rotate_key, update_key

QUERY = "authentication: {api_key: {query: api_key}}"
BEARER = "Authorization: Bearer abc.def"
BASIC = "Authorization: Basic eDp5"


@pytest.fixture
async def with_query(tmp_path: Path, feed: Feed) -> AsyncIterator[PlaneUnderTest]:
    """A gateway that takes the key from the query too."""
    async with running_plane(tmp_path, feed.port, main=QUERY) as plane:
        await plane.scope("website", read="courses")
        yield plane


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (["X-API-Key: <key>"], None),
        (["x-api-key: <key>"], None),
        (["X-aPi-KEY:<key>"], None),
        (["X-API-Key: \t <key> \t "], None),
        (["X-API-Key: <key>", BASIC], None),
        ([], "credential_missing"),
        ([BASIC], "credential_missing"),
        (["Authorization: Digest a=b"], "credential_missing"),
        (["Authorization:"], "credential_missing"),
        (["X_API_Key: <key>"], "credential_missing"),
        (["X-API-Keys: <key>"], "credential_missing"),
        (["Cookie: X-API-Key=<key>"], "credential_missing"),
        (["X-API-Key:"], "credential_invalid"),
        (["X-API-Key: <key"], "credential_invalid"),
        (["X-API-Key: <key>a"], "credential_invalid"),
        (["X-API-Key: <key>, <key>"], "credential_invalid"),
        (['X-API-Key: "<key>"'], "credential_invalid"),
        (["X-API-Key: Bearer <key>"], "credential_invalid"),
        (["X-API-Key: sg_1_"], "credential_invalid"),
        (["X-API-Key: sg_99999999999999999999_a"], "credential_invalid"),
        (["X-API-Key: \xe9"], "credential_invalid"),
        (["X-API-Key: ' OR 1=1 --"], "credential_invalid"),
        (["X-API-Key: " + "a" * 5000], "credential_invalid"),
        ([BEARER], "credential_invalid"),
        (["authorization: bEaReR abc"], "credential_invalid"),
        (["Authorization: Bearer"], "credential_invalid"),
        (["Authorization: Bearer <key>"], "credential_invalid"),
        (["X-API-Key: <key>", "X-API-Key: <key>"], "credential_ambiguous"),
        (["X-API-Key: <key>", "x-api-key: other"], "credential_ambiguous"),
        (["X-API-Key:", "X-API-Key: <key>"], "credential_ambiguous"),
        (["X-API-Key: <key>", BEARER], "credential_ambiguous"),
        ([BEARER, "X-API-Key: <key>"], "credential_ambiguous"),
        (["X-API-Key: <key>", "Authorization: Bearer"], "credential_ambiguous"),
        ([BEARER, BEARER], "credential_ambiguous"),
        ([BEARER, BASIC], "credential_ambiguous"),
        ([BASIC, BASIC, "X-API-Key: <key>"], "credential_ambiguous"),
    ],
)
async def test_one_credential_once_in_its_place(
    plane: PlaneUnderTest, feed: Feed, key: str, headers: list[str], code: str | None
) -> None:
    sent = [line.replace("<key>", key) for line in headers]
    for _ in range(2):  # the second time the header section is remembered
        answer = await ask(plane.port, "GET", "/v2/courses", *sent)
        assert (answer.code if answer.status >= 400 else None) == code
    assert len(feed.requests) == (0 if code else 2)


@pytest.mark.parametrize(
    ("query", "headers", "code"),
    [
        ("api_key=<key>", [], None),
        ("a=b&api_key=<key>&c=d", [], None),
        ("api%5Fkey=<key>", [], None),
        ("api_key=ESCAPED", [], None),
        ("api_key=", [], "credential_invalid"),
        ("api_key", [], "credential_invalid"),
        ("api_key=<key>x", [], "credential_invalid"),
        ("API_KEY=<key>", [], "credential_missing"),
        ("xapi_key=<key>", [], "credential_missing"),
        ("a=api_key=<key>", [], "credential_missing"),
        ("api_key=<key>&api_key=<key>", [], "credential_ambiguous"),
        ("api_key=<key>&%61pi_key=other", [], "credential_ambiguous"),
        ("api_key=<key>", ["X-API-Key: <key>"], "credential_ambiguous"),
        ("api_key=", ["X-API-Key: <key>"], "credential_ambiguous"),
        ("api_key=<key>", [BEARER], "credential_ambiguous"),
    ],
)
async def test_a_key_in_the_query_where_that_is_allowed(
    with_query: PlaneUnderTest, feed: Feed, query: str, headers: list[str], code: str | None
) -> None:
    key = await with_query.key("website")
    escaped = "".join(f"%{ord(char):02x}" for char in key)
    query = query.replace("<key>", key).replace("ESCAPED", escaped)
    sent = [line.replace("<key>", key) for line in headers]
    answer = await ask(with_query.port, "GET", f"/v2/courses?{query}", *sent)
    assert (answer.code if answer.status >= 400 else None) == code
    assert len(feed.requests) == (0 if code else 1)


async def test_a_key_in_the_query_is_none_where_that_is_not_allowed(
    plane: PlaneUnderTest, feed: Feed, key: str
) -> None:
    assert (await ask(plane.port, "GET", f"/v2/courses?api_key={key}")).code == "credential_missing"
    good = await ask(plane.port, "GET", "/v2/courses?api_key=theirs", f"X-API-Key: {key}")
    assert good.status == 200
    assert feed.requests[0].target == "/v2/courses?api_key=theirs"


@pytest.mark.parametrize(
    ("query", "crosses"),
    [
        ("api_key=<key>", ""),
        ("api_key=<key>&a=b", "?a=b"),
        ("a=b&api_key=<key>", "?a=b"),
        ("a=%2f&&b&api%5fkey=<key>&c=+&d=%zz", "?a=%2f&&b&c=+&d=%zz"),
    ],
)
async def test_a_key_in_the_query_does_not_cross_and_the_rest_does_untouched(
    with_query: PlaneUnderTest, feed: Feed, query: str, crosses: str
) -> None:
    key = await with_query.key("website")
    query = query.replace("<key>", key)
    assert (await ask(with_query.port, "GET", f"/v2/courses?{query}")).status == 200
    assert feed.requests[0].target == f"/v2/courses{crosses}"


async def test_a_key_in_a_public_requests_query_does_not_cross_either(
    with_query: PlaneUnderTest, feed: Feed
) -> None:
    assert (await ask(with_query.port, "GET", "/v2/status?api_key=secret&a=b")).status == 200
    assert feed.requests[0].target == "/v2/status?a=b"


async def test_no_secret_is_told_to_anyone_but_the_gateway(
    with_query: PlaneUnderTest, feed: Feed, tmp_path: Path
) -> None:
    good, bad = await with_query.key("website"), "imported-and-forgotten"
    answers: list[Answered] = []
    async with conversation(with_query.port) as client:
        for secret in (good, bad):
            for path in ("/v2/courses", "/v2/users", "/v2/nowhere", "/v2//x", "/v2/status"):
                headers = (
                    [f"X-API-Key: {secret}"],
                    [f"X-API-Key: {secret}"] * 2,
                    [f"Authorization: Bearer {secret}"],
                )
                answers.extend([await client.ask("GET", path, *sent) for sent in headers])
                answers.append(await client.ask("GET", f"{path}?api_key={quote(secret)}&a=query-value"))
                answers.append(await client.ask("OPTIONS", f"{path}?api_key={secret}"))
    async with conversation(with_query.port) as client:
        answers.append(await client.ask("GET", "/v2/courses", f"X-API-Key: {good}", "Host: twice.test"))
    await with_query.until_logged(len(answers))
    written = "".join((tmp_path / name).read_text() for name in ("access.log", "denied.log"))
    counted = repr(with_query.worker.snapshot())
    told = "".join(repr(answer) for answer in answers)
    crossed = "".join(repr(request) + request.head.decode() for request in feed.requests)
    for secret in (good, good.split("_")[2], bad):
        assert secret not in written + counted + told + crossed
    assert "query-value" not in written + counted + told


async def becomes(client_port: int, key: str, code: str | None) -> None:
    """Wait, for the second that a change may take, until a key is answered so."""

    async def so() -> bool:
        answer = await ask(client_port, "GET", "/v2/courses", f"X-API-Key: {key}")
        return (answer.code if answer.status >= 400 else None) == code

    await until_so(so, within=1.0)


async def test_a_key_through_its_life(plane: PlaneUnderTest, key: str) -> None:
    await becomes(plane.port, key, None)
    await disable_key(plane.store, "tests", 1)
    await becomes(plane.port, key, "credential_revoked")
    await enable_key(plane.store, "tests", 1)
    await becomes(plane.port, key, None)
    await update_key(plane.store, "tests", 1, KeyEdit(expires=(time() - 1,)))
    await becomes(plane.port, key, "credential_expired")
    await update_key(plane.store, "tests", 1, KeyEdit(expires=(None,)))
    await becomes(plane.port, key, None)
    await revoke_key(plane.store, "tests", 1)
    await becomes(plane.port, key, "credential_revoked")


async def test_a_rotated_key_has_two_secrets_while_they_overlap(plane: PlaneUnderTest, key: str) -> None:
    await becomes(plane.port, key, None)
    new = (await rotate_key(plane.store, "tests", 1, overlap=0.8)).secret
    await becomes(plane.port, new, None)
    await becomes(plane.port, key, None)
    await becomes(plane.port, key, "credential_expired")
    await becomes(plane.port, new, None)


async def test_a_key_rotated_without_overlap_loses_its_old_secret_within_a_second(
    plane: PlaneUnderTest, key: str
) -> None:
    await becomes(plane.port, key, None)
    new = (await rotate_key(plane.store, "tests", 1, overlap=0)).secret
    await becomes(plane.port, key, "credential_expired")
    await becomes(plane.port, new, None)


async def test_a_key_expires_in_the_middle_of_a_connection(plane: PlaneUnderTest) -> None:
    key = await plane.key("website", expires_at=time() + 0.6)
    async with conversation(plane.port) as client:
        assert (await client.ask("GET", "/v2/courses", f"X-API-Key: {key}")).status == 200

        async def expired() -> bool:
            answer = await client.ask("GET", "/v2/courses", f"X-API-Key: {key}")
            return answer.status == 401 and answer.code == "credential_expired"

        await until_so(expired, within=2)


async def test_an_unknown_key_that_is_made_is_known_within_a_second(plane: PlaneUnderTest) -> None:
    """What was remembered as unknown is forgotten when keys change."""
    await plane.scope("other", read="users")
    next_key = await plane.key("other")
    assert (await ask(plane.port, "GET", "/v2/courses", "X-API-Key: imported")).code == "credential_invalid"
    await becomes(plane.port, next_key, "scope_denied")
    await update_key(plane.store, "tests", 1, KeyEdit(scopes=["website"]))
    await becomes(plane.port, next_key, None)
