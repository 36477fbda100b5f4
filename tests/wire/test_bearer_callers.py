"""Who comes with a bearer token: where it may stand, what a feed is told, and who never sees it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from time import time
from typing import Any, Final
from urllib.parse import quote

import pytest
from conversations import Answered, ask, conversation
from feeds import Feed
from gateways import PlaneUnderTest, running_plane
from tokens import SigningKey, bearer_settings
from waiting import until

from gateway.control.members import add_member
from gateway.domain.scope_use import MemberKind, MemberUse

KEY: Final = SigningKey()
STRANGER: Final = SigningKey(kid=KEY.kid)
COURSES: Final = "/v2/courses"
ODD_BUT_PRINTABLE: Final = 'O\'Brien "Ada" <ada@example.com>, 100%; a=b \\ юзер 学生 عمر é'


async def with_members(plane: PlaneUnderTest, *members: tuple[MemberKind, str]) -> None:
    """Make the scope `website`, and these its members."""
    await plane.scope("website", read="courses,course-dates")
    for kind, name in members:
        await add_member(plane.store, "tests", "website", MemberUse(kind, name))


@pytest.fixture
async def plane(tmp_path: Path, feed: Feed) -> AsyncIterator[PlaneUnderTest]:
    main = bearer_settings(tmp_path, KEY)
    async with running_plane(tmp_path, feed.port, main=main) as plane:
        await with_members(plane, (MemberKind.USER, "ada"), (MemberKind.CLIENT, "sync"))
        yield plane


def said(answer: Answered) -> tuple[int, str | None]:
    """Status, and the code of what the gateway refused."""
    ours = answer.value("Content-Type") == "application/problem+json"
    return answer.status, answer.code if ours else None


def bearing(token: str) -> str:
    return f"Authorization: Bearer {token}"


INVALID: Final = (401, "credential_invalid")
MISSING: Final = (401, "credential_missing")
AMBIGUOUS: Final = (400, "credential_ambiguous")
SERVED: Final = (200, None)


# Where a token may stand


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Authorization: Bearer <token>"], SERVED),
        (["authorization: bEaReR <token>"], SERVED),
        (["AUTHORIZATION:Bearer <token>"], SERVED),
        (["Authorization:  \t Bearer   <token>  \t"], SERVED),
        (["Authorization: Bearer\t<token>"], MISSING),
        (["Authorization: Bearer<token>"], MISSING),
        (["Authorization: <token>"], MISSING),
        (["Authorization: Token <token>"], MISSING),
        (["Authorization: JWT <token>"], MISSING),
        (["Authorization: DPoP <token>"], MISSING),
        (["Authorization: Basic <token>"], MISSING),
        (['Authorization: "Bearer" <token>'], MISSING),
        (["Proxy-Authorization: Bearer <token>"], MISSING),
        (["X-Authorization: Bearer <token>"], MISSING),
        (["Authorization_: Bearer <token>"], MISSING),
        (["Cookie: access_token=<token>"], MISSING),
        (["Authorization: Bearer"], INVALID),
        (["Authorization: Bearer "], INVALID),
        (["Authorization: Bearer Bearer <token>"], INVALID),
        (["Authorization: Bearer <token> <token>"], INVALID),
        (["Authorization: Bearer <token>, Bearer <token>"], INVALID),
        (["Authorization: Bearer <token>,"], INVALID),
        (['Authorization: Bearer "<token>"'], INVALID),
        (["Authorization: Bearer <<token>>"], INVALID),
        (["Authorization: Bearer <token>=="], INVALID),
        (["Authorization: Bearer token=<token>"], INVALID),
        (["Authorization: Bearer <token>%00"], INVALID),
        (["Authorization: Bearer <token>\xa0"], INVALID),
        (["Authorization: Bearer \xe9"], INVALID),
        (["Authorization: Bearer ="], INVALID),
        (["Authorization: Bearer .."], INVALID),
        (["Authorization: Bearer ..."], INVALID),
        (["Authorization: Bearer ' OR 1=1 --"], INVALID),
        (["Authorization: Bearer <token>", "Authorization: Bearer <token>"], AMBIGUOUS),
        (["Authorization: Bearer <token>", "authorization: Basic eDp5"], AMBIGUOUS),
        (["Authorization: Basic eDp5", "Authorization: Bearer <token>"], AMBIGUOUS),
        (["Authorization: Bearer <token>", "Authorization:"], AMBIGUOUS),
        (["Authorization: Bearer <token>", "X-API-Key: <key>"], AMBIGUOUS),
        (["X-API-Key: <key>", "Authorization: Bearer <token>"], AMBIGUOUS),
        (["X-API-Key: ", "Authorization: Bearer <token>"], AMBIGUOUS),
        (["X-API-Key: <token>"], INVALID),
        (["Authorization: Bearer <key>"], INVALID),
    ],
)
async def test_one_token_once_in_its_place(
    plane: PlaneUnderTest, feed: Feed, lines: list[str], expected: tuple[int, str | None]
) -> None:
    token, key = KEY.token(), await plane.key("website")
    sent = [line.replace("<token>", token).replace("<key>", key) for line in lines]
    for _ in range(2):  # the second time the header section is remembered
        assert said(await ask(plane.port, "GET", COURSES, *sent)) == expected
    assert len(feed.requests) == (2 if expected == SERVED else 0)


@pytest.mark.parametrize("size", [8192, 8193, 20_000])
async def test_a_token_of_any_size_that_a_header_has_room_for_is_refused_as_such(
    plane: PlaneUnderTest, feed: Feed, size: int
) -> None:
    good = KEY.token()
    head, _, signature = good.split(".")
    for token in (
        "a" * size,
        good + "A" * (size - len(good)),
        f"{head}.{'A' * size}.{signature}",
        "." * size,
    ):
        answer = await ask(plane.port, "GET", COURSES, bearing(token))
        assert said(answer) == INVALID
        assert (" 8 KiB " in answer.problem["detail"]) == (len(token) > 8192)
    assert said(await ask(plane.port, "GET", COURSES, bearing(good))) == SERVED
    assert len(feed.requests) == 1


async def test_a_token_of_a_mebibyte_is_too_large_a_header(plane: PlaneUnderTest, feed: Feed) -> None:
    async with conversation(plane.port) as client:
        client.writer.write(
            f"GET {COURSES} HTTP/1.1\r\nHost: a\r\n{bearing('a' * (1 << 20))}\r\n\r\n".encode()
        )
        assert (await client.answer()).status == 431
    assert feed.requests == []


@pytest.mark.parametrize("parameter", ["access_token", "token", "bearer", "authorization", "Authorization"])
async def test_a_token_in_the_query_or_a_form_is_none(
    plane: PlaneUnderTest, feed: Feed, parameter: str
) -> None:
    """RFC 6750 §2.2 and §2.3 are ways this gateway does not have."""
    said_so = f"{parameter}={KEY.token()}"
    assert said(await ask(plane.port, "GET", f"{COURSES}?{said_so}")) == MISSING
    form = "Content-Type: application/x-www-form-urlencoded"
    assert said(await ask(plane.port, "POST", COURSES, form, body=said_so.encode())) == MISSING
    assert feed.requests == []


async def test_where_no_token_is_served_none_is_good(tmp_path: Path, feed: Feed) -> None:
    async with running_plane(tmp_path, feed.port) as plane:
        answer = await ask(plane.port, "GET", COURSES, bearing(KEY.token()))
    assert said(answer) == INVALID
    assert answer.problem["detail"] == "Bearer tokens are not accepted here; send an API key."


# Order of checks


@pytest.mark.parametrize("path", ["/v2/nowhere", "/", "/v2/courses/1/2"])
async def test_what_is_not_mapped_is_told_to_proven_bearers_alone(plane: PlaneUnderTest, path: str) -> None:
    expired = KEY.token(iat=int(time()) - 900, exp=int(time()) - 60)
    for token, expected in (
        (STRANGER.token(), INVALID),
        ("opaque", INVALID),
        (expired, (401, "credential_expired")),
        (KEY.token("nobody"), (404, "route_unmapped")),
        (KEY.token(), (404, "route_unmapped")),
    ):
        assert said(await ask(plane.port, "GET", path, bearing(token))) == expected


async def test_framing_and_path_are_refused_before_a_token_is_looked_at(plane: PlaneUnderTest) -> None:
    bad = bearing(STRANGER.token())
    assert said(await ask(plane.port, "GET", "/v2//courses", bad)) == (400, "path_ambiguous")
    assert said(await ask(plane.port, "GET", COURSES, bad, "X-HTTP-Method: PUT")) == (400, "method_override")
    assert said(await ask(plane.port, "GET", "/v2/status", bad)) == SERVED


async def test_a_user_may_what_its_scopes_allow_and_nothing_else(plane: PlaneUnderTest, feed: Feed) -> None:
    async with conversation(plane.port) as client:
        for subject, method, path, expected in (
            ("ada", "GET", COURSES, SERVED),
            ("ada", "POST", COURSES, (403, "scope_denied")),
            ("ada", "GET", "/v2/users", (403, "scope_denied")),
            ("bob", "GET", COURSES, (403, "scope_none")),
            ("Ada", "GET", COURSES, (403, "scope_none")),
            ("ada ", "GET", COURSES, (403, "scope_none")),
            ("sync", "GET", COURSES, (403, "scope_none")),
        ):
            assert said(await client.ask(method, path, bearing(KEY.token(subject)))) == expected
    assert len(feed.requests) == 1


# What a feed is told


@pytest.mark.parametrize(
    ("claims", "principal", "scopes"),
    [
        ({"sub": "ada"}, "user:ada", "website"),
        ({"sub": "ada", "client_id": "sync"}, "user:ada", "website"),
        ({"sub": "sync", "client_id": "sync"}, "client:sync", "website"),
        ({"sub": None, "azp": "sync"}, "client:sync", "website"),
    ],
)
async def test_a_feed_is_told_who_calls_by_the_gateway_alone(
    plane: PlaneUnderTest, feed: Feed, claims: dict[str, Any], principal: str, scopes: str
) -> None:
    told_by_the_client = [f"X-Gateway-{name}: admin" for name in ("Principal", "Scopes", "Key-Id", "Module")]
    token = KEY.token(**{"subject": None, **claims})
    assert said(await ask(plane.port, "GET", COURSES, bearing(token), *told_by_the_client)) == SERVED
    [request] = feed.requests
    assert request.value("X-Gateway-Principal") == principal
    assert request.value("X-Gateway-Scopes") == scopes
    assert request.value("X-Gateway-Module") == "courses"
    assert request.value("X-Gateway-Action") == "read"
    assert request.values("X-Gateway-Key-Id") == []
    assert request.values("Authorization") == []
    await plane.until_logged(1)
    [line] = await plane.logged()
    assert (line["principal"], line["key_id"], line["outcome"]) == (principal, None, "permit")


INJECTIONS: Final = [
    "ada\r\nX-Gateway-Scopes: api-v2",
    "ada\nX-Gateway-Principal: key:1",
    "ada\r\n\r\nGET /v2/users HTTP/1.1\r\nHost: a\r\n\r\n",
    "ada\x00",
    "ada\x0b",
    "ada\u2028",
    "ada\u0085",
    '", "outcome": "permit\n',
]


@pytest.mark.parametrize("subject", INJECTIONS, ids=ascii)
@pytest.mark.parametrize("claim", ["sub", "client_id", "roles"])
async def test_no_name_writes_a_line_of_its_own(
    plane: PlaneUnderTest, feed: Feed, claim: str, subject: str
) -> None:
    token = KEY.token(**{"subject": "ada", claim: [subject] if claim == "roles" else subject})
    assert said(await ask(plane.port, "GET", COURSES, bearing(token))) == INVALID
    assert feed.requests == []
    await plane.until_logged(1)
    [line] = await plane.logged()
    assert (line["principal"], line["outcome"], line["code"]) == (None, "refuse", "credential_invalid")


async def test_an_odd_but_printable_name_is_told_in_visible_ascii(tmp_path: Path, feed: Feed) -> None:
    main = bearer_settings(tmp_path, KEY)
    async with running_plane(tmp_path, feed.port, main=main) as plane:
        await with_members(plane, (MemberKind.USER, ODD_BUT_PRINTABLE))
        answer = await ask(plane.port, "GET", COURSES, bearing(KEY.token(ODD_BUT_PRINTABLE)))
        assert said(answer) == SERVED
        told = feed.requests[0].value("X-Gateway-Principal")
        await plane.until_logged(1)
        [line] = await plane.logged()
    assert told is not None
    assert told == line["principal"]
    assert told.startswith("user:O'Brien%20%22Ada%22%20%3Cada@example.com%3E,%20100%25;%20a=b%20%5C%20")
    assert told.removeprefix("user:").endswith(quote("юзер 学生 عمر é"))


async def test_a_prefix_is_part_of_the_name_everywhere(tmp_path: Path, feed: Feed) -> None:
    main = bearer_settings(tmp_path, KEY, issuer="prefix: 'partner:'")
    async with running_plane(tmp_path, feed.port, main=main) as plane:
        await with_members(plane, (MemberKind.USER, "partner:ada"), (MemberKind.USER, "bob"))
        assert said(await ask(plane.port, "GET", COURSES, bearing(KEY.token()))) == SERVED
        assert said(await ask(plane.port, "GET", COURSES, bearing(KEY.token("bob")))) == (403, "scope_none")
    assert feed.requests[0].value("X-Gateway-Principal") == "user:partner:ada"


# Who sees the token


@pytest.mark.parametrize(
    ("rule", "crosses"),
    [
        ("credentials: strip", []),
        ("credentials: pass", ["Bearer <token>"]),
        ("credentials: {header: Authorization, value: Basic eDp5}", ["Basic eDp5"]),
        ("credentials: {header: X-Feed-Key, value: abc}", []),
    ],
)
@pytest.mark.parametrize("path", [COURSES, "/v2/status"])
async def test_a_token_crosses_only_where_the_feed_is_to_have_it(
    tmp_path: Path, feed: Feed, rule: str, crosses: list[str], path: str
) -> None:
    async with running_plane(tmp_path, feed.port, feed=rule, main=bearer_settings(tmp_path, KEY)) as plane:
        await with_members(plane, (MemberKind.USER, "ada"))
        token = KEY.token()
        for spelling in ("Authorization", "aUTHORIZATION"):
            assert said(await ask(plane.port, "GET", path, f"{spelling}: Bearer {token}")) == SERVED
    for request in feed.requests:
        assert request.values("Authorization") == [value.replace("<token>", token) for value in crosses]
        assert (token in repr(request.headers) + request.head.decode()) is ("Bearer <token>" in crosses)


@pytest.mark.parametrize(
    ("token", "path", "would_deny"),
    [
        (KEY.token(), COURSES, None),
        (KEY.token(), "/v2/users", "scope_denied"),
        (KEY.token("bob"), COURSES, "scope_none"),
        (KEY.token(), "/v2/nowhere", "route_unmapped"),
        (STRANGER.token(), COURSES, "credential_invalid"),
        (KEY.token(iat=1, exp=2), COURSES, "credential_expired"),
        ("not a token", COURSES, "credential_invalid"),
    ],
    ids=["good", "denied", "no scope", "unmapped", "forged", "expired", "odd"],
)
async def test_an_observing_feed_has_the_token_of_whoever_would_be_refused_and_no_claim_of_ours(
    tmp_path: Path, feed: Feed, token: str, path: str, would_deny: str | None
) -> None:
    main = bearer_settings(tmp_path, KEY)
    async with running_plane(tmp_path, feed.port, feed="enforcement: observe", main=main) as plane:
        await with_members(plane, (MemberKind.USER, "ada"))
        admin = "X-Gateway-Principal: user:admin"
        assert said(await ask(plane.port, "GET", path, bearing(token), admin)) == SERVED
        await plane.until_logged(1)
        [line] = await plane.logged()
    [request] = feed.requests
    assert line["would_deny"] == would_deny
    assert request.values("Authorization") == ([f"Bearer {token}"] if would_deny else [])
    assert request.values("X-Gateway-Principal") == ([] if would_deny else ["user:ada"])
    assert token not in json.dumps(line)


async def test_an_observing_feed_still_refuses_two_credentials(tmp_path: Path, feed: Feed) -> None:
    main = bearer_settings(tmp_path, KEY)
    async with running_plane(tmp_path, feed.port, feed="enforcement: observe", main=main) as plane:
        both = (bearing(KEY.token()), "X-API-Key: a")
        assert said(await ask(plane.port, "GET", COURSES, *both)) == AMBIGUOUS
    assert feed.requests == []


async def test_a_token_is_told_to_nobody(plane: PlaneUnderTest, feed: Feed, tmp_path: Path) -> None:
    tokens = [
        KEY.token(),
        KEY.token("bob"),
        STRANGER.token(),
        KEY.token(iat=1, exp=2),
        KEY.token(exp=None),
        KEY.sign({"alg": "none", "kid": "SECRETKID"}, {"iss": "SECRETISSUER"}),
        KEY.sign({"alg": "ES256", "crit": ["SECRETCRIT"]}, {}),
        KEY.token(roles={"SECRETROLE": 1}),
        KEY.token("SECRETSUBJECT\n"),
        "opaque-SECRETTOKEN",
        "a.SECRETTOKEN.c",
        "SECRETTOKEN" * 900,
    ]
    answers = []
    async with conversation(plane.port) as client:
        for token in tokens:
            for path in (COURSES, "/v2/users", "/v2/nowhere", "/v2/status"):
                answers.append(await client.ask("GET", path, bearing(token)))  # noqa: PERF401 - one by one
            answers.append(await client.ask("GET", f"{COURSES}?access_token={token[:2000]}"))
            answers.append(await client.ask("OPTIONS", COURSES, bearing(token), "X-API-Key: a"))
            answers.append(await ask(plane.port, "GET", COURSES, bearing(token), bearing(token)))
    await plane.until_logged(len(answers))
    written = "".join((tmp_path / name).read_text() for name in ("access.log", "denied.log"))
    told = "".join(repr(answer.headers) + answer.body.decode() for answer in answers)
    counted = repr(plane.worker.snapshot()) + repr(plane.worker.health())
    crossed = "".join(request.head.decode() for request in feed.requests)
    for token in tokens:
        for part in [token, *(part for part in token.split(".") if len(part) > 10)]:
            assert part not in written + told + counted + crossed
    assert "SECRET" not in written + told + counted + crossed


async def test_a_crowd_of_bearers_on_one_connection_are_never_taken_for_each_other(
    tmp_path: Path, feed: Feed
) -> None:
    async with running_plane(tmp_path, feed.port, main=bearer_settings(tmp_path, KEY)) as plane:
        names = [f"user-{number}" for number in range(20)]
        await with_members(plane, *((MemberKind.USER, name) for name in names))
        tokens = [(name, KEY.token(name)) for name in names] * 3
        async with conversation(plane.port) as client:
            for _name, token in tokens:
                client.writer.write(f"GET {COURSES} HTTP/1.1\r\nHost: a\r\n{bearing(token)}\r\n\r\n".encode())
            assert [(await client.answer()).status for _ in tokens] == [200] * len(tokens)
        await until(lambda: len(feed.requests) == len(tokens))
    assert [request.value("X-Gateway-Principal") for request in feed.requests] == [
        f"user:{name}" for name, _ in tokens
    ]
