"""What befalls an authorization server, and what callers notice of it: as little as can be, never a lie."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from authorization_server import AuthorizationServer
from bearers import (
    HASTY,
    INVALID,
    NO_KEYS,
    PERMITTED,
    bearing,
    bearing_on,
    believing,
    fresh,
    introspection_at,
    terms_for,
)
from conversations import conversation
from gateways import GatewayUnderTest
from load import Load, load_on
from operations import ask, fetched, readiness, told, until
from signing_keys import SigningKey
from stopwatch import Stopwatch

Believer = Callable[..., Any]

WORKERS: Final = 2
TWO_WORKERS: Final = f"workers: {WORKERS}"
DISCOVERY: Final = "/.well-known/openid-configuration"


def answers(
    gateway: GatewayUnderTest, server: AuthorizationServer, possible: set[tuple[int, str | None]]
) -> set[tuple[int, str | None]]:
    """What every worker says of new tokens, which is one of these."""
    heard = {told(bearing(gateway, fresh(server))) for _ in range(8)}
    assert heard <= possible
    return heard


# Keys are rotated


@asynccontextmanager
async def users_of(gateway: GatewayUnderTest, server: AuthorizationServer) -> AsyncIterator[Load]:
    """Load by tokens that the server makes all the while: each is used for a moment, on every worker."""
    line = "GET /v2/courses HTTP/1.1\r\nHost: feeds.test\r\nAuthorization: Bearer {}\r\n\r\n"

    async def keep_fetching(load: Load) -> None:
        while True:
            token = await asyncio.to_thread(server.for_client, "sync", "ES256")
            load.head = line.format(token).encode()
            await asyncio.sleep(0.03)

    first = await asyncio.to_thread(server.for_client, "sync", "ES256")
    async with load_on(gateway.port, f"Bearer {first}", header="Authorization") as load:
        fetching = asyncio.create_task(keep_fetching(load))
        try:
            yield load
        finally:
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)


async def more(load: Load, requests: int = 60) -> None:
    """Wait until so many more were answered."""
    wanted = load.answered + requests
    async with asyncio.timeout(30):
        while load.answered < wanted:  # noqa: ASYNC110 - the load announces nothing
            await asyncio.sleep(0.02)


async def test_no_request_is_refused_while_keys_are_rotated_again_and_again(
    breakable: AuthorizationServer, believer: Believer
) -> None:
    """New keys sign at once, unannounced, and the second rotation follows upon the first."""
    with believer(TWO_WORKERS, believing(terms_for(breakable))) as (gateway, _):
        async with users_of(gateway, breakable) as load:
            await more(load)
            for _ in range(3):
                breakable.rotate()
                await more(load)
        assert (load.refusals, load.lost, load.cut) == ({}, 0, 0)
        assert load.answered == load.sent


def test_tokens_of_a_key_that_was_withdrawn_are_refused_soon(
    breakable: AuthorizationServer, believer: Believer
) -> None:
    lines = (TWO_WORKERS, "cache: {ttl: 1s}", believing(terms_for(breakable), key_sets=HASTY))
    with believer(*lines) as (gateway, _):
        known = fresh(breakable)
        assert told(bearing(gateway, known)) == PERMITTED
        withdrawn = {key.algorithm: key for key in breakable.rotate(keep=False)}["ES256"]
        until(lambda: told(bearing(gateway, fresh(breakable, withdrawn))) == INVALID)
        until(lambda: {told(bearing(gateway, known)) for _ in range(8)} == {INVALID}, within=5)
        assert told(bearing(gateway, fresh(breakable))) == PERMITTED


# Strangers come in crowds


async def test_a_crowd_of_forged_tokens_causes_one_fetch_a_worker_and_disturbs_nobody(
    breakable: AuthorizationServer, believer: Believer
) -> None:
    with believer(TWO_WORKERS, believing(terms_for(breakable))) as (gateway, _):
        good = breakable.for_client()
        until(lambda: breakable.asked("/jwks") == WORKERS)
        before = breakable.asked("/jwks"), breakable.asked(DISCOVERY)
        stranger = SigningKey.made("ES256")
        forged = [stranger.token(breakable.claims(), kid=f"forged-{number}") for number in range(400)]
        heard: list[tuple[int, str | None]] = []

        async def crowd(tokens: list[str]) -> None:
            async with conversation(gateway.port) as client:
                for token in tokens:
                    heard.append(told(await bearing_on(client, token)))
                    assert told(await bearing_on(client, good)) == PERMITTED

        await asyncio.gather(*(crowd(forged[first::20]) for first in range(20)))
        assert set(heard) == {INVALID}
        assert len(heard) == len(forged)
        assert breakable.asked("/jwks") - before[0] <= WORKERS
        assert breakable.asked(DISCOVERY) - before[1] <= WORKERS


def test_forged_tokens_keep_a_rotation_waiting_for_the_stated_pause_at_most(
    breakable: AuthorizationServer, believer: Believer
) -> None:
    """And one that was announced not at all: whoever publishes a key before it signs has no such wait."""
    pause = 1.0
    lines = ("cache: {negative_ttl: 1s}", believing(terms_for(breakable), key_sets={"refetch": "1s"}))
    with believer(*lines) as (gateway, _):
        stranger = SigningKey.made("ES256")
        assert told(bearing(gateway, fresh(breakable))) == PERMITTED
        assert told(bearing(gateway, fresh(breakable, stranger))) == INVALID
        breakable.rotate()
        rotated = Stopwatch()
        until(lambda: told(bearing(gateway, fresh(breakable))) == PERMITTED)
        assert rotated.seconds < pause + 1.0


# The server is away


def test_known_keys_serve_for_a_while_then_nobody_can_tell_and_the_servers_return_is_enough(
    breakable: AuthorizationServer, believer: Believer
) -> None:
    lines = (TWO_WORKERS, "cache: {negative_ttl: 1s}", believing(terms_for(breakable), key_sets=HASTY))
    with believer(*lines) as (gateway, commands):
        _, key = commands.key("reads-courses")
        assert told(bearing(gateway, fresh(breakable))) == PERMITTED
        known = fresh(breakable)
        assert {told(bearing(gateway, known)) for _ in range(20)} == {PERMITTED}  # on every worker
        breakable.kill()
        assert told(bearing(gateway, fresh(breakable))) == PERMITTED
        until(lambda: "keys" in str(readiness(gateway)))
        until(lambda: answers(gateway, breakable, {PERMITTED, NO_KEYS}) == {NO_KEYS})
        away = bearing(gateway, fresh(breakable))
        assert told(away) == NO_KEYS
        assert int(str(away.value("Retry-After"))) > 0
        assert away.value("WWW-Authenticate") is None
        assert told(bearing(gateway, known)) == PERMITTED
        assert told(ask(gateway, "GET", "/v2/courses", key=key)) == PERMITTED
        breakable.start()
        until(lambda: {told(bearing(gateway, fresh(breakable))) for _ in range(8)} == {PERMITTED})
        until(lambda: breakable.issuer not in str(readiness(gateway)))


def test_a_gateway_that_starts_without_the_server_serves_keys_and_then_tokens(
    breakable: AuthorizationServer, believer: Believer
) -> None:
    breakable.kill()
    with believer(believing(terms_for(breakable), key_sets=HASTY)) as (gateway, commands):
        _, key = commands.key("reads-courses")
        assert told(ask(gateway, "GET", "/v2/courses", key=key)) == PERMITTED
        assert told(bearing(gateway, fresh(breakable))) == NO_KEYS
        assert fetched(gateway, "/livez")[0] == 200
        breakable.start()
        until(lambda: told(bearing(gateway, fresh(breakable))) == PERMITTED)


def test_a_server_that_hangs_delays_nobody_whose_key_is_known(
    breakable: AuthorizationServer, believer: Believer
) -> None:
    with believer(believing(terms_for(breakable), key_sets=HASTY | {"stale_for": "1h"})) as (gateway, _):
        assert told(bearing(gateway, fresh(breakable))) == PERMITTED
        breakable.freeze()
        slowest = 0.0
        stranger = SigningKey.made("ES256")
        over = time.monotonic() + 2.5
        while time.monotonic() < over:
            watch = Stopwatch()
            assert told(bearing(gateway, fresh(breakable))) == PERMITTED
            slowest = max(slowest, watch.seconds)
        assert slowest < 1.0
        watch = Stopwatch()
        assert told(bearing(gateway, fresh(breakable, stranger))) == NO_KEYS
        assert watch.seconds < 4.0
        breakable.thaw()
        until(lambda: told(bearing(gateway, fresh(breakable, stranger))) == INVALID)


def test_one_servers_outage_is_not_anothers(
    breakable: AuthorizationServer, issuer: AuthorizationServer, believer: Believer
) -> None:
    breakable.kill()
    with believer(believing(terms_for(breakable), terms_for(issuer), key_sets=HASTY)) as (gateway, _):
        assert told(bearing(gateway, fresh(breakable))) == NO_KEYS
        assert told(bearing(gateway, fresh(issuer))) == PERMITTED
        pretender = issuer.key("ES256").token(breakable.claims())
        assert told(bearing(gateway, pretender)) in {NO_KEYS, INVALID}
        breakable.start()
        until(lambda: told(bearing(gateway, fresh(breakable))) == PERMITTED)
        mixed = issuer.key("ES256").token(breakable.claims())
        until(lambda: told(bearing(gateway, mixed)) == INVALID)


# Opaque tokens


def test_an_opaque_token_that_was_taken_back_is_refused_once_it_is_forgotten(
    issuer: AuthorizationServer, believer: Believer
) -> None:
    lines = (TWO_WORKERS, "cache: {ttl: 2s}", believing(introspection=introspection_at(issuer)))
    with believer(*lines) as (gateway, _):
        token = issuer.for_client(kind="opaque")
        assert {told(bearing(gateway, token)) for _ in range(8)} == {PERMITTED}
        issuer.revoke(token)
        revoked = Stopwatch()
        until(lambda: {told(bearing(gateway, token)) for _ in range(8)} == {INVALID}, within=5)
        assert revoked.seconds < 4


@pytest.mark.parametrize("what", ["is killed", "hangs", "knows the gateway no more"])
def test_nobody_is_called_bad_while_opaque_tokens_cannot_be_asked_about(
    breakable: AuthorizationServer, believer: Believer, what: str
) -> None:
    wrong = {"client_secret": "another"} if what == "knows the gateway no more" else {}
    known, new = (breakable.for_client(kind="opaque") for _ in range(2))
    endpoint = introspection_at(breakable, timeout="1s", **wrong)
    with believer("cache: {ttl: 1h}", believing(introspection=endpoint)) as (gateway, commands):
        _, key = commands.key("reads-courses")
        if not wrong:
            assert told(bearing(gateway, known)) == PERMITTED
        if what == "is killed":
            breakable.kill()
        elif what == "hangs":
            breakable.freeze()
        for token in (new, "never-issued"):
            away = bearing(gateway, token)
            assert told(away) == NO_KEYS
            assert int(str(away.value("Retry-After"))) > 0
        assert told(ask(gateway, "GET", "/v2/courses", key=key)) == PERMITTED
        told_of = str(readiness(gateway))
        assert "introspect" in told_of
        assert "another" not in told_of
        if not wrong:
            assert told(bearing(gateway, known)) == PERMITTED
        if what == "hangs":
            breakable.thaw()
            until(lambda: told(bearing(gateway, new)) == PERMITTED)
            assert told(bearing(gateway, "never-issued")) == INVALID
