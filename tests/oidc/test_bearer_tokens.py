"""Bearer tokens of a real authorization server, at a gateway of two workers: who is served, who is not."""

import asyncio
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any, Final

import pytest
from authorization_server import ALGORITHMS, OTHER_AUDIENCE, AuthorizationServer
from bearers import (
    DENIED,
    EXPIRED,
    INVALID,
    NO_SCOPE,
    PERMITTED,
    bearing,
    bearing_on,
    believing,
    challenge_in,
    introspection_at,
    terms_for,
)
from commands import Commands
from conversations import Conversation, conversation
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from feeds import Feed
from gateways import GatewayUnderTest
from operations import IN_FORCE_WITHIN, ask, logged_by, said_by, told
from signing_keys import SigningKey, encoded, parts_of
from stopwatch import Stopwatch

WORKERS: Final = 2
CALLERS: Final = 8
"""Connections held open: so many that both workers have some of them, but for one time in a hundred."""

METADATA: Final = "https://feeds.test/.well-known/oauth-protected-resource"


@pytest.fixture(scope="module")
def running(
    issuer: AuthorizationServer, believer: Callable[..., Any]
) -> Iterator[tuple[GatewayUnderTest, Commands]]:
    resource = {"identifier": "https://feeds.test", "scopes": ["reads-courses"]}
    authentication = believing(
        terms_for(issuer, leeway="1s"), introspection=introspection_at(issuer), resource=resource
    )
    with believer(f"workers: {WORKERS}", "cache: {ttl: 1h, negative_ttl: 1h}", authentication) as both:
        yield both


@pytest.fixture(scope="module")
def gateway(running: tuple[GatewayUnderTest, Commands]) -> GatewayUnderTest:
    return running[0]


@pytest.fixture(scope="module")
def commands(running: tuple[GatewayUnderTest, Commands]) -> Commands:
    return running[1]


# Refused


def forged(server: AuthorizationServer, **header: object) -> str:
    """A token that a stranger signed, under the id of a key that the server has."""
    stranger = SigningKey.made("RS256")
    return stranger.token(server.claims(), **{"kid": server.key("RS256").kid, **header})


def unsigned(server: AuthorizationServer, algorithm: str) -> str:
    signed = server.key("RS256").token(server.claims(), alg=algorithm)
    return signed.rpartition(".")[0] + "."


def by_hmac_with_the_public_key(server: AuthorizationServer) -> str:
    """RFC 8725 §2.1: the verifier's own public key taken for a secret."""
    key = server.key("RS256")
    public = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = key.token(server.claims(), alg="HS256").rpartition(".")[0]
    return f"{signed}.{encoded(hmac.digest(public, signed.encode(), 'sha256'))}"


def honest(server: AuthorizationServer, *without: str, **own: object) -> str:
    """What the server would have signed, with claims it would not have made."""
    claims = {name: value for name, value in server.claims(**own).items() if name not in without}
    return server.key("RS256").token(claims)


def promoted(server: AuthorizationServer) -> str:
    """A token of bob's that says it were ada's."""
    token = server.for_user("bob")
    header, _, signature = token.split(".")
    claims = parts_of(token)[1] | {"sub": "ada"}
    return f"{header}.{encoded(json.dumps(claims).encode())}.{signature}"


NOW: Final = int(time.time())
REFUSED: Final[dict[str, tuple[Callable[[AuthorizationServer], str], tuple[int, str]]]] = {
    "that is over": (lambda s: honest(s, iat=NOW - 1200, exp=NOW - 600), EXPIRED),
    "that is not yet good": (lambda s: honest(s, nbf=NOW + 900), INVALID),
    "from the future": (lambda s: honest(s, iat=NOW + 900, exp=NOW + 1200), INVALID),
    "that never ends": (lambda s: honest(s, "exp"), INVALID),
    "that ends at infinity": (lambda s: honest(s, exp=float("inf")), INVALID),
    "for another audience": (lambda s: s.for_client(kind="elsewhere"), INVALID),
    "for nobody": (lambda s: honest(s, "aud"), INVALID),
    "for an empty list": (lambda s: honest(s, aud=[]), INVALID),
    "of another issuer": (lambda s: honest(s, iss="https://id.example.com"), INVALID),
    "of nobody": (lambda s: honest(s, "iss"), INVALID),
    "of the issuer with a slash": (lambda s: honest(s, iss=f"{s.issuer}/"), INVALID),
    "of somebody without a name": (lambda s: honest(s, "sub", "client_id"), INVALID),
    "that is a login, not an access": (lambda s: str(s.logged_in("ada").id_token), INVALID),
    "bound to its holder's key": (lambda s: honest(s, cnf={"jkt": "x"}), INVALID),
    "by a stranger under a known key's id": (forged, INVALID),
    "by a stranger under no id": (lambda s: forged(s, kid="nobody's"), INVALID),
    "by a stranger who sends the key along": (
        lambda s: forged(s, jwk=SigningKey.made("RS256").public_jwk),
        INVALID,
    ),
    "with an id that is a path": (lambda s: forged(s, kid="../../../../dev/null"), INVALID),
    "that nobody signed": (lambda s: unsigned(s, "none"), INVALID),
    "whose signature was cut off": (lambda s: unsigned(s, "RS256"), INVALID),
    "whose signature was cut": (lambda s: s.for_client()[:-12], INVALID),
    "by HMAC with the public key": (by_hmac_with_the_public_key, INVALID),
    "whose claims were changed": (promoted, INVALID),
    "with a critical extension": (
        lambda s: s.key("RS256").token(s.claims(), crit=["exp"], exp=NOW + 600),
        INVALID,
    ),
    "of another type": (lambda s: s.key("RS256").token(s.claims(), typ="logout+jwt"), INVALID),
    "too long to be looked at": (lambda s: honest(s, padding="x" * 9000), INVALID),
    "that is opaque and unheard of": (lambda _s: "never-issued", INVALID),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_token_is_refused(issuer: AuthorizationServer, gateway: GatewayUnderTest, what: str) -> None:
    make, expected = REFUSED[what]
    token = make(issuer)
    answered = bearing(gateway, token)
    assert told(answered) == expected
    challenge = challenge_in(answered)
    assert (challenge["realm"], challenge["error"]) == ("feeds", "invalid_token")
    said = challenge["error_description"]
    assert said == answered.problem["detail"].replace("§", "section ")
    assert challenge["resource_metadata"] == METADATA
    parts = [part for part in token.split(".") if len(part) > 8]
    assert not [part for part in parts if part.encode() in answered.body or part in str(answered.headers)]


def test_an_opaque_token_that_was_taken_back_is_refused(
    issuer: AuthorizationServer, gateway: GatewayUnderTest
) -> None:
    token = issuer.for_client(kind="opaque")
    issuer.revoke(token)
    assert told(bearing(gateway, token)) == INVALID


def test_a_token_that_was_good_is_refused_once_it_is_over_although_it_is_remembered(
    issuer: AuthorizationServer, gateway: GatewayUnderTest
) -> None:
    token = issuer.for_client(kind="brief")
    assert told(bearing(gateway, token)) == PERMITTED
    over = parts_of(token)[1]["exp"] + 1  # the leeway
    while time.time() < over + IN_FORCE_WITHIN:
        answer = told(bearing(gateway, token))
        assert answer in ({PERMITTED} if time.time() < over else {PERMITTED, EXPIRED})
        time.sleep(0.05)
    assert [told(bearing(gateway, token)) for _ in range(CALLERS)] == [EXPIRED] * CALLERS


def test_a_token_in_the_query_or_the_body_is_no_credential(
    issuer: AuthorizationServer, gateway: GatewayUnderTest
) -> None:
    """RFC 6750 §2.2 and §2.3 are ways that this gateway does not have, and says so (RFC 9728)."""
    token = issuer.for_client()
    assert told(ask(gateway, "GET", f"/v2/courses?access_token={token}")) == (401, "credential_missing")
    form = ask(
        gateway,
        "POST",
        "/v2/courses",
        "Content-Type: application/x-www-form-urlencoded",
        body=f"access_token={token}".encode(),
    )
    assert told(form) == (401, "credential_missing")


def test_a_token_beside_another_credential_is_ambiguous(
    issuer: AuthorizationServer, gateway: GatewayUnderTest, commands: Commands
) -> None:
    _, key = commands.key("reads-courses")
    token = f"Authorization: Bearer {issuer.for_client()}"
    assert told(ask(gateway, "GET", "/v2/courses", token, key=key)) == (400, "credential_ambiguous")
    assert told(ask(gateway, "GET", "/v2/courses", token, token)) == (400, "credential_ambiguous")


# Challenges and metadata


def test_who_sends_nothing_is_told_where_to_read_on_and_of_no_error(gateway: GatewayUnderTest) -> None:
    """RFC 6750 §3.1: no error code for who sent no credential; RFC 9728 §5.1."""
    answered = ask(gateway, "GET", "/v2/courses")
    assert told(answered) == (401, "credential_missing")
    assert challenge_in(answered) == {"realm": "feeds", "resource_metadata": METADATA}


def test_who_may_not_is_told_what_would_have_to_be_allowed(
    issuer: AuthorizationServer, gateway: GatewayUnderTest
) -> None:
    answered = bearing(gateway, issuer.for_client(), "PUT", "/v2/courses/1")
    assert told(answered) == DENIED
    challenge = challenge_in(answered)
    assert (challenge["error"], challenge["scope"]) == ("insufficient_scope", "courses:update")
    assert (answered.problem["module"], answered.problem["action"]) == ("courses", "update")


def test_the_metadata_leads_to_the_authorization_server(
    issuer: AuthorizationServer, gateway: GatewayUnderTest
) -> None:
    """RFC 9728 §3.2; and the server it names is the one whose tokens are taken."""
    answered = ask(gateway, "GET", "/.well-known/oauth-protected-resource")
    assert (answered.status, answered.value("Content-Type")) == (200, "application/json")
    document = json.loads(answered.body)
    assert document["resource"] == "https://feeds.test"
    assert document["authorization_servers"] == [issuer.issuer]
    assert document["bearer_methods_supported"] == ["header"]
    assert document["scopes_supported"] == ["reads-courses"]


# Served


@pytest.mark.parametrize("kind", [*ALGORITHMS, "opaque"])
def test_a_client_is_served_by_its_own_token(
    issuer: AuthorizationServer, gateway: GatewayUnderTest, feed: Feed, kind: str
) -> None:
    token = issuer.for_client(kind=kind)
    assert told(bearing(gateway, token)) == PERMITTED
    seen = feed.requests[-1]
    assert seen.value("X-Gateway-Principal") == "client:sync"
    assert seen.value("X-Gateway-Scopes") == "reads-courses"
    assert seen.value("Authorization") is None
    assert told(bearing(gateway, token, path="/v2/users")) == DENIED


@pytest.mark.parametrize("kind", ["ES256", "opaque"])
@pytest.mark.parametrize("path", ["/v2/courses", "/v2/bookings"], ids=["by membership", "by role"])
def test_a_user_is_served(
    issuer: AuthorizationServer, gateway: GatewayUnderTest, feed: Feed, kind: str, path: str
) -> None:
    assert told(bearing(gateway, issuer.for_user("ada", kind), path=path)) == PERMITTED
    seen = feed.requests[-1]
    assert seen.value("X-Gateway-Principal") == "user:ada"
    assert set(str(seen.value("X-Gateway-Scopes")).split(",")) == {"reads-courses", "reads-bookings"}
    assert seen.value("Authorization") is None


@pytest.mark.parametrize("kind", ["RS256", "opaque"])
@pytest.mark.parametrize("user", ["bob", "sync"])
def test_a_user_without_a_scope_is_refused_even_if_called_like_a_client_that_has_one(
    issuer: AuthorizationServer, gateway: GatewayUnderTest, user: str, kind: str
) -> None:
    assert told(bearing(gateway, issuer.for_user(user, kind))) == NO_SCOPE


def test_what_a_token_names_counts_for_nothing_where_members_count(
    issuer: AuthorizationServer, gateway: GatewayUnderTest
) -> None:
    token = issuer.for_user("bob", scope="reads-courses api-v2")
    assert "api-v2" in parts_of(token)[1]["scope"]
    assert told(bearing(gateway, token)) == NO_SCOPE


def test_an_opaque_token_is_asked_about_once_a_worker_however_often_it_is_used(
    issuer: AuthorizationServer, gateway: GatewayUnderTest
) -> None:
    token = issuer.for_client(kind="opaque")
    before = issuer.asked("/token/introspection")
    assert {told(bearing(gateway, token)) for _ in range(20)} == {PERMITTED}
    assert 1 <= issuer.asked("/token/introspection") - before <= WORKERS


@pytest.mark.parametrize("good", [True, False], ids=["a good token", "a bad one"])
async def test_a_crowd_with_one_token_asks_about_it_once_a_worker(
    issuer: AuthorizationServer, gateway: GatewayUnderTest, *, good: bool
) -> None:
    token = issuer.for_client(kind="opaque") if good else "never-issued-to-a-crowd"
    before = issuer.asked("/token/introspection")

    async def asked() -> tuple[int, str | None]:
        async with conversation(gateway.port) as client:
            return told(await bearing_on(client, token))

    heard = await asyncio.gather(*(asked() for _ in range(60)))
    assert set(heard) == {PERMITTED if good else INVALID}
    assert issuer.asked("/token/introspection") - before <= WORKERS


def test_a_role_that_denies_outweighs_what_the_user_is_allowed(
    issuer: AuthorizationServer, gateway: GatewayUnderTest, commands: Commands
) -> None:
    commands.scope("no-courses", "deny", read="courses")
    commands.gets("members", "add", "no-courses", "--role", "guest")
    claims = issuer.claims(sub="ada", roles=["teacher", "guest"])
    assert told(bearing(gateway, issuer.key().token(claims))) == DENIED
    assert told(bearing(gateway, issuer.key().token(claims | {"roles": ["teacher"]}))) == PERMITTED
    assert told(bearing(gateway, issuer.key().token(claims | {"roles": {"guest": True}}))) == INVALID


def test_the_log_names_the_bearer_and_never_holds_a_token(
    issuer: AuthorizationServer, gateway: GatewayUnderTest
) -> None:
    tokens = {kind: issuer.for_user("ada", kind) for kind in ("RS256", "opaque")}
    refused = forged(issuer)
    for token in tokens.values():
        line = logged_by(gateway, bearing(gateway, token).value("X-Request-Id"))
        assert (line["principal"], line["key_id"], line["outcome"]) == ("user:ada", None, "permit")
    logged_by(gateway, bearing(gateway, refused).value("X-Request-Id"), "denied.log")
    written = said_by(gateway) + "".join(
        (gateway.file.parent / name).read_text() for name in ("access.log", "denied.log")
    )
    for token in (*tokens.values(), refused):
        assert not [part for part in token.split(".") if part in written]
    assert OTHER_AUDIENCE not in written


# Changes


@pytest.fixture
async def callers(gateway: GatewayUnderTest) -> AsyncIterator[list[Conversation]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(conversation(gateway.port)) for _ in range(CALLERS)]


async def are_told(callers: list[Conversation], token: str, expected: tuple[int, str | None]) -> None:
    """Ask on every connection until all are told that, which has to be so within a second from now."""
    watch = Stopwatch()
    while (heard := {told(await bearing_on(client, token, "/v2/users")) for client in callers}) != {expected}:
        assert not watch.is_past(IN_FORCE_WITHIN), heard
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("kind", ["EdDSA", "opaque"])
@pytest.mark.parametrize("member", [("--user", "eve"), ("--role", "author"), ("--client", "reports")])
async def test_a_membership_is_in_force_in_every_worker_within_a_second(
    issuer: AuthorizationServer,
    commands: Commands,
    callers: list[Conversation],
    kind: str,
    member: tuple[str, str],
) -> None:
    """Although the token is remembered for an hour; and it costs the authorization server nothing."""
    bearers = {
        "--user": lambda: issuer.for_user("eve", kind),
        "--role": lambda: issuer.for_user("ada", kind),
        "--client": lambda: issuer.for_client("reports", kind),
    }
    token = bearers[member[0]]()
    without = DENIED if member[0] == "--role" else NO_SCOPE
    await are_told(callers, token, without)
    asked = issuer.asked()
    commands.gets("members", "add", "reads-users", *member)
    await are_told(callers, token, PERMITTED)
    commands.gets("members", "remove", "reads-users", *member)
    await are_told(callers, token, without)
    assert issuer.asked() == asked
