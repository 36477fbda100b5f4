"""Opaque tokens, asked about at an authorization server that may be hostile, broken, slow, or away."""

import asyncio
import json
from base64 import b64decode
from urllib.parse import parse_qs, unquote_plus

import pytest
from feeds import Received, Script
from hypothesis import given
from hypothesis import strategies as some
from issuing import Issuer, answered, fields_of, running_issuer, saying
from waiting import until

from gateway.domain.ports import KeysUnavailableError
from gateway.issuers.fetching import LARGEST, Fetcher
from gateway.issuers.introspection import (
    MOST_UNDER_WAY,
    MOST_WAITING,
    TOO_MANY,
    Introspection,
    IntrospectionTerms,
    basic,
)

ASK = "/introspect"
SECRET = "s3cret: of+the gateway/100%&="
ACTIVE = {"active": True, "sub": "ada", "scope": "courses", "exp": 1_900_000_000, "aud": ["feeds"]}


def asking(issuer: Issuer, fetcher: Fetcher, within: float = 5.0) -> Introspection:
    return Introspection(IntrospectionTerms(issuer.url + ASK, "gateway:one", SECRET, within), fetcher)


@pytest.fixture
def introspection(issuer: Issuer, fetcher: Fetcher) -> Introspection:
    return asking(issuer, fetcher)


async def unavailable(introspection: Introspection, token: bytes = b"opaque") -> str:
    """Why nobody can tell; the token and the secret are not in it."""
    with pytest.raises(KeysUnavailableError) as caught:
        await introspection.of(token)
    sentence = str(caught.value)
    assert token.decode() not in sentence
    assert "s3cret" not in sentence
    assert caught.value.__cause__ is None
    return sentence


# What says nothing of a token


SAYS_NOTHING = [
    (answered("", 401, WWW_Authenticate="Basic"), "does not accept the client id and the secret"),
    (answered("", 403), "does not accept the client id and the secret"),
    (answered("", 400), "answered 400"),
    (answered("", 404), "answered 404"),
    (answered("", 429), "answered 429"),
    (answered("", 500), "answered 500"),
    (answered("", 503), "answered 503"),
    (answered(json.dumps(ACTIVE), 201), "answered 201"),
    (answered("", 302, Location="/elsewhere"), "answered 302: it redirects"),
    (answered("", 307, Location="/elsewhere"), "answered 307: it redirects"),
    (answered("<html></html>", kind="text/html"), "is 'text/html', not JSON"),
    (answered("e30.e30.", kind="application/token-introspection+jwt"), "not JSON"),
    (answered("<html></html>"), "is not JSON"),
    (answered(""), "is not JSON"),
    (answered("[]"), "is not a JSON object"),
    (answered("true"), "is not a JSON object"),
    (answered("{}"), "does not say whether the token is active"),
    (answered('{"Active": true}'), "does not say whether"),
    (answered('{"active": false, "active": true}'), "has a member twice"),
    (answered('{"active": true, "sub": "ada", "sub": "eve"}'), "has a member twice"),
    (answered('{"active": true, "exp": NaN}'), "is not JSON"),
    (answered('{"active": true, "exp": 1e999}'), "is not JSON"),
    (answered('{"active": true, "sub": "\\ud800"}'), "is not JSON"),
    (answered('{"active": true, "sub": %s}' % ("[" * 100_000)), "is not JSON"),
    (answered('{"active": true' + " " * LARGEST + "}"), "is longer than 256 KiB"),
    (answered('{"active": true}', Content_Encoding="gzip"), "is compressed"),
    (b"HTTP/1.1 200 OK\r\n\x00\r\n\r\n", "is not HTTP/1.1"),
]


@pytest.mark.parametrize(("answer", "why"), SAYS_NOTHING)
async def test_an_answer_that_says_nothing_is_an_outage_and_never_a_verdict(
    issuer: Issuer, introspection: Introspection, answer: bytes, why: str
) -> None:
    issuer.pages[ASK] = lambda _: answer
    issuer.page("/elsewhere", json.dumps(ACTIVE))
    assert why in await unavailable(introspection)
    assert introspection.trouble is not None
    assert why in introspection.trouble
    assert issuer.asked("/elsewhere") == 0
    issuer.page(ASK, '{"active": false}')
    assert await introspection.of(b"opaque") is None
    assert introspection.trouble is None


CUT = [
    (saying(b""), 2, "closed the connection before it had answered"),
    (saying(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"active": true}'), 1, "cut its answer short"),
]


@pytest.mark.parametrize(("script", "times", "why"), CUT)
async def test_an_answer_that_is_cut_off_is_an_outage(
    issuer: Issuer, introspection: Introspection, script: Script, times: int, why: str
) -> None:
    issuer.speak(script)
    assert why in await unavailable(introspection)
    assert issuer.server.connections == times


async def test_a_server_that_is_slow_or_away_is_an_outage(issuer: Issuer, fetcher: Fetcher) -> None:
    introspection = asking(issuer, fetcher, within=0.2)
    issuer.hold()
    assert "has not answered whole within 0.2 s" in await unavailable(introspection)
    issuer.let_go()
    async with running_issuer() as gone:
        away = asking(gone, fetcher)
    assert "cannot be reached: connection refused" in await unavailable(away)


# What is asked


async def test_a_question_is_asked_as_the_standard_says(issuer: Issuer, introspection: Introspection) -> None:
    issuer.page(ASK, json.dumps(ACTIVE))
    token = b"opaque+/=&token=other \xff%41"
    await introspection.of(token)
    [request] = issuer.server.requests
    assert request.method == "POST"
    form = parse_qs(request.body.decode(), strict_parsing=True, encoding="latin-1")
    assert form == {"token": [token.decode("latin-1")], "token_type_hint": ["access_token"]}
    fields = fields_of(request)
    assert fields["content-type"] == "application/x-www-form-urlencoded"
    assert fields["accept-encoding"] == "identity"
    assert fields["authorization"] == basic("gateway:one", SECRET)


@given(
    some.text(some.characters(exclude_categories=["Cs"])),
    some.text(some.characters(exclude_categories=["Cs"])),
)
def test_client_and_secret_are_encoded_apart_so_that_they_come_back_whole(client: str, secret: str) -> None:
    # RFC 6749 §2.3.1 and appendix B
    told = b64decode(basic(client, secret).removeprefix("Basic ")).decode("ascii")
    one, _, other = told.partition(":")
    assert (unquote_plus(one), unquote_plus(other)) == (client, secret)


def test_the_secret_does_not_print() -> None:
    terms = IntrospectionTerms("https://id.test/introspect", "gateway", SECRET)
    assert "s3cret" not in repr(terms)


async def test_the_secret_is_sent_to_no_place_that_may_not_have_it(fetcher: Fetcher) -> None:
    terms = IntrospectionTerms("http://id.test/introspect", "gateway", SECRET)
    assert "is not https" in await unavailable(Introspection(terms, fetcher))


# What is answered


async def test_an_active_token_has_the_claims_that_the_server_tells(
    issuer: Issuer, introspection: Introspection
) -> None:
    issuer.page(ASK, json.dumps(ACTIVE))
    assert await introspection.of(b"opaque") == ACTIVE
    assert introspection.trouble is None


@pytest.mark.parametrize("active", [False, None, 0, 1, "true", "", [True], {"active": True}])
async def test_a_token_that_is_not_exactly_active_has_none_whatever_else_is_said(
    issuer: Issuer, introspection: Introspection, active: object
) -> None:
    issuer.page(ASK, json.dumps({**ACTIVE, "active": active}))
    assert await introspection.of(b"opaque") is None
    assert introspection.trouble is None


async def test_each_caller_has_the_answer_about_its_own_token(
    issuer: Issuer, introspection: Introspection
) -> None:
    def answer(request: Received) -> bytes:
        [token] = parse_qs(request.body.decode())["token"]
        return answered(json.dumps({"active": not token.endswith("7"), "sub": token}))

    issuer.pages[ASK] = answer
    found = await asyncio.gather(*(introspection.of(b"token %d" % number) for number in range(200)))
    for number, claims in enumerate(found):
        assert claims is None if number % 10 == 7 else claims == {"active": True, "sub": f"token {number}"}


async def test_a_connection_that_rested_too_long_is_no_outage(
    issuer: Issuer, introspection: Introspection
) -> None:
    """The server ends each connection when a second request comes on it, as after a restart."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await issuer.server.read_request(reader, writer) is not None:
            writer.write(answered(json.dumps(ACTIVE)))
            await writer.drain()
            await reader.readuntil(b"\r\n\r\n")

    issuer.speak(once)
    for _ in range(5):
        assert await introspection.of(b"opaque") == ACTIVE


# Crowds


async def test_so_many_questions_are_put_at_a_time_and_no_more(
    issuer: Issuer, introspection: Introspection
) -> None:
    issuer.page(ASK, json.dumps(ACTIVE))
    issuer.hold()
    crowd = [asyncio.create_task(introspection.of(b"token %d" % number)) for number in range(300)]
    await until(lambda: issuer.asked(ASK) == MOST_UNDER_WAY)
    assert issuer.open == MOST_UNDER_WAY
    issuer.let_go()
    assert await asyncio.gather(*crowd) == [ACTIVE] * 300
    assert issuer.open <= MOST_UNDER_WAY


async def test_who_waits_too_long_for_a_turn_is_told_of_an_outage(issuer: Issuer, fetcher: Fetcher) -> None:
    introspection = asking(issuer, fetcher, within=0.5)
    issuer.hold()
    await asyncio.gather(*(unavailable(introspection) for _ in range(10 * MOST_UNDER_WAY)))
    assert issuer.asked(ASK) <= 3 * MOST_UNDER_WAY
    issuer.let_go()
    issuer.page(ASK, json.dumps(ACTIVE))
    assert await introspection.of(b"opaque") == ACTIVE


async def test_who_comes_when_too_many_wait_is_told_at_once(
    issuer: Issuer, introspection: Introspection
) -> None:
    issuer.page(ASK, json.dumps(ACTIVE))
    issuer.hold()
    crowd = [asyncio.create_task(introspection.of(b"token")) for _ in range(MOST_UNDER_WAY + MOST_WAITING)]
    await until(lambda: issuer.asked(ASK) == MOST_UNDER_WAY)
    assert await unavailable(introspection) == TOO_MANY
    assert introspection.trouble is None
    for one in crowd:
        one.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)
    issuer.let_go()
    assert await introspection.of(b"opaque") == ACTIVE


async def test_who_leaves_gives_the_turn_back(issuer: Issuer, introspection: Introspection) -> None:
    issuer.page(ASK, json.dumps(ACTIVE))
    issuer.hold()
    crowd = [asyncio.create_task(introspection.of(b"token")) for _ in range(2 * MOST_UNDER_WAY)]
    await until(lambda: issuer.asked(ASK) == MOST_UNDER_WAY)
    for one in crowd:
        one.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)
    issuer.let_go()
    assert await asyncio.gather(*(introspection.of(b"token") for _ in range(100))) == [ACTIVE] * 100
