"""The authorization server of the tests is what they take it for; bare `cryptography` checks its tokens."""

import socket
import time
from pathlib import Path
from typing import Any

import pytest
from authorization_server import (
    ALGORITHMS,
    AUDIENCE,
    INTROSPECTOR,
    OTHER_AUDIENCE,
    PORTAL,
    REPORTS,
    SYNC,
    AuthorizationServer,
    TokenRefusedError,
    running_authorization_server,
)
from cryptography.exceptions import InvalidSignature
from signing_keys import SigningKey, parts_of

LOCK = Path(__file__).parent / "package-lock.json"

ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri", "introspection_endpoint")


def published(server: AuthorizationServer) -> list[dict[str, str]]:
    keys: list[dict[str, str]] = server.fetched("/jwks")["keys"]
    return keys


def kid_of(token: str) -> Any:  # noqa: ANN401 - whatever the header holds
    return parts_of(token)[0]["kid"]


def test_the_lock_names_packages_versions_and_hashes_and_no_place() -> None:
    text = LOCK.read_text()
    assert '"integrity": "sha512-' in text
    assert "://" not in text


# It refuses what it should


@pytest.mark.parametrize(
    ("client", "kind", "error"),
    [(SYNC, "unheard-of", "invalid_target"), (INTROSPECTOR, "RS256", "grant type is not allowed")],
)
def test_a_token_is_refused_for_the_reason(
    issuer: AuthorizationServer, client: str, kind: str, error: str
) -> None:
    with pytest.raises(TokenRefusedError, match=error):
        issuer.for_client(client, kind)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_another_key_of_the_same_kind_did_not_sign(issuer: AuthorizationServer, algorithm: str) -> None:
    token = issuer.for_client(kind=algorithm)
    with pytest.raises(InvalidSignature):
        SigningKey.made(algorithm).check(token)


def test_only_the_gateway_is_told_of_opaque_tokens_and_only_of_living_ones(
    issuer: AuthorizationServer,
) -> None:
    token = issuer.for_client(kind="opaque", scope="reads-courses")
    assert issuer.introspected(token)["active"] is True
    assert issuer.introspected(token, by=REPORTS) == {"active": False}
    assert issuer.introspected(f"{token}x") == {"active": False}
    issuer.revoke(token)
    assert issuer.introspected(token) == {"active": False}


# What it hands out


@pytest.mark.parametrize("path", ["", "/tenants/7"])
def test_discovery_names_the_issuer_and_every_endpoint_wherever_it_is_asked_for(path: str) -> None:
    with running_authorization_server(path) as server:
        openid = server.fetched("/.well-known/openid-configuration")
        oauth = server.fetched("/.well-known/oauth-authorization-server", inserted=True)
    assert openid == oauth
    assert openid["issuer"] == server.issuer
    assert server.issuer.endswith(path)
    for endpoint in ENDPOINTS:
        assert openid[endpoint].startswith(f"{server.issuer}/")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_client_gets_an_access_token_of_its_own(issuer: AuthorizationServer, algorithm: str) -> None:
    token = issuer.for_client(SYNC, algorithm, "reads-courses reads-bookings")
    header, claims = parts_of(token)
    key = issuer.key(algorithm)
    key.check(token)
    assert header == {"typ": "at+jwt", "alg": algorithm, "kid": key.kid}
    assert (claims["iss"], claims["aud"], claims["sub"]) == (issuer.issuer, AUDIENCE, SYNC)
    assert claims["client_id"] == SYNC
    assert claims["scope"] == "reads-courses reads-bookings"
    assert abs(claims["exp"] - claims["iat"] - 600) <= 1
    assert key.public_jwk in published(issuer)


def test_a_user_who_logs_in_gets_a_token_with_their_roles_and_an_identity_beside_it(
    issuer: AuthorizationServer,
) -> None:
    tokens = issuer.logged_in("ada", "ES256", "reads-courses")
    issuer.key("ES256").check(tokens.access_token)
    claims = parts_of(tokens.access_token)[1]
    assert (claims["sub"], claims["client_id"]) == ("ada", PORTAL)
    assert claims["roles"] == ["teacher", "author"]
    assert claims["scope"] == "reads-courses"
    assert tokens.id_token is not None
    assert parts_of(tokens.id_token)[1]["aud"] == PORTAL


def test_an_opaque_token_of_a_user_tells_its_roles_when_asked_about(issuer: AuthorizationServer) -> None:
    token = issuer.for_user("ada", "opaque", "reads-courses")
    assert "." not in token
    told = issuer.introspected(token)
    assert told["active"] is True
    assert (told["sub"], told["roles"], told["aud"]) == ("ada", ["teacher", "author"], AUDIENCE)
    assert told["exp"] > time.time()


def test_other_tokens_are_for_others_or_soon_over(issuer: AuthorizationServer) -> None:
    assert parts_of(issuer.for_client(kind="elsewhere"))[1]["aud"] == OTHER_AUDIENCE
    brief = parts_of(issuer.for_client(kind="brief"))[1]
    assert brief["exp"] - brief["iat"] == 2


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_a_test_signs_with_a_servers_key_is_as_good_as_the_servers(
    issuer: AuthorizationServer, algorithm: str
) -> None:
    key = issuer.key(algorithm)
    made = key.token(issuer.claims())
    key.check(made)
    honest = parts_of(issuer.for_user("bob", algorithm))
    assert parts_of(made)[0] == honest[0]
    assert parts_of(made)[1].keys() >= honest[1].keys() - {"roles"}


# What befalls it


@pytest.mark.parametrize("keep", [True, False], ids=["old ones kept", "old ones dropped"])
def test_new_keys_sign_at_once_and_old_ones_are_published_only_if_kept(
    breakable: AuthorizationServer, *, keep: bool
) -> None:
    before = breakable.for_client()
    old = breakable.rotate(keep=keep)
    after = breakable.for_client()
    assert kid_of(before) != kid_of(after)
    breakable.key("RS256").check(after)
    shown = [key["kid"] for key in published(breakable)]
    assert shown == [key.kid for key in breakable.keys]
    assert {key.kid for key in old} <= set(shown) if keep else not {key.kid for key in old} & set(shown)


def test_a_frozen_server_takes_connections_and_answers_once_it_goes_on(
    breakable: AuthorizationServer,
) -> None:
    breakable.freeze()
    with socket.create_connection(("127.0.0.1", breakable.port), timeout=2) as client:
        client.sendall(b"GET /jwks HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)
        breakable.thaw()
        client.settimeout(10)
        assert client.recv(12) == b"HTTP/1.1 200"


def test_a_killed_server_refuses_connections_and_comes_back_where_it_was_with_its_keys(
    breakable: AuthorizationServer,
) -> None:
    before = breakable.issuer, published(breakable)
    breakable.kill()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", breakable.port), timeout=2)
    breakable.start()
    assert (breakable.issuer, published(breakable)) == before


def test_it_counts_what_it_was_asked(breakable: AuthorizationServer) -> None:
    assert breakable.asked() == 0
    published(breakable)
    published(breakable)
    breakable.for_client()
    assert (breakable.asked("/jwks"), breakable.asked("/token"), breakable.asked()) == (2, 1, 3)


def test_nothing_of_it_outlives_the_tests(breakable: AuthorizationServer) -> None:
    """Whoever started it may have been killed: the end of what it is told ends it."""
    assert breakable._process is not None
    assert breakable._process.stdin is not None
    breakable._process.stdin.close()
    assert breakable._process.wait(10) == 0
    breakable.kill()


def test_a_server_that_cannot_start_says_why(issuer: AuthorizationServer) -> None:
    second = AuthorizationServer(port=issuer.port)
    with pytest.raises(AssertionError, match="ended") as refused:
        second.start()
    assert any("EADDRINUSE" in note for note in refused.value.__notes__)
