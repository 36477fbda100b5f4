"""Workers come and go while the authorization server is away: who was served is served on, and no longer."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from authorization_server import AuthorizationServer
from bearers import HASTY, INVALID, NO_KEYS, PERMITTED, bearing, believing, fresh, terms_for
from gateways import GatewayUnderTest
from load import Load, load_on
from operations import fetched, readiness, said_by, told, until
from signing_keys import SigningKey

Believer = Callable[..., Any]

TWO_WORKERS: Final = "workers: 2"


def workers_of(gateway: GatewayUnderTest) -> set[int]:
    children = Path(f"/proc/{gateway.process.pid}/task/{gateway.process.pid}/children").read_text()
    return {int(number) for number in children.split()}


def put_fresh_ones(gateway: GatewayUnderTest) -> None:
    """Have every worker replaced, one after the other, and wait until those before are gone."""
    before, sofar = workers_of(gateway), said_by(gateway).count("every worker has been replaced")
    gateway.process.send_signal(signal.SIGUSR2)
    until(lambda: said_by(gateway).count("every worker has been replaced") > sofar)
    until(lambda: not workers_of(gateway) & before)


def kill_all(gateway: GatewayUnderTest) -> None:
    """Kill every worker, and wait until others serve in their places."""
    before = workers_of(gateway)
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    until(lambda: len(workers_of(gateway) - before) == len(before))
    until(lambda: not workers_of(gateway) & before and fetched(gateway, "/readyz")[0] == 200)


def heard_by_every_worker(
    gateway: GatewayUnderTest, server: AuthorizationServer
) -> set[tuple[int, str | None]]:
    """What new tokens are answered on so many connections that each worker has some, and has keys then."""
    return {told(bearing(gateway, fresh(server))) for _ in range(20)}


ENDS: Final = pytest.mark.parametrize("end", [put_fresh_ones, kill_all], ids=["SIGUSR2", "SIGKILL"])


@ENDS
def test_a_worker_that_begins_does_not_make_keys_any_younger(
    breakable: AuthorizationServer, believer: Believer, end: Callable[[GatewayUnderTest], None]
) -> None:
    with believer(TWO_WORKERS, believing(terms_for(breakable), key_sets=HASTY)) as (gateway, _):
        assert told(bearing(gateway, fresh(breakable))) == PERMITTED
        breakable.kill()
        until(lambda: heard_by_every_worker(gateway, breakable) == {NO_KEYS})
        end(gateway)
        assert heard_by_every_worker(gateway, breakable) == {NO_KEYS}
        breakable.start()
        until(lambda: heard_by_every_worker(gateway, breakable) == {PERMITTED})


def test_keys_that_were_withdrawn_are_not_brought_back_by_a_worker_that_begins(
    breakable: AuthorizationServer, believer: Believer
) -> None:
    lines = (TWO_WORKERS, "cache: {ttl: 1s}", believing(terms_for(breakable), key_sets=HASTY))
    with believer(*lines) as (gateway, _):
        assert told(bearing(gateway, fresh(breakable))) == PERMITTED
        withdrawn = {key.algorithm: key for key in breakable.rotate(keep=False)}["ES256"]
        until(lambda: {told(bearing(gateway, fresh(breakable, withdrawn))) for _ in range(8)} == {INVALID})
        put_fresh_ones(gateway)
        assert {told(bearing(gateway, fresh(breakable, withdrawn))) for _ in range(8)} == {INVALID}
        breakable.kill()
        put_fresh_ones(gateway)
        answers = {told(bearing(gateway, fresh(breakable, withdrawn))) for _ in range(8)}
        assert answers <= {INVALID, NO_KEYS}


@asynccontextmanager
async def users_of(gateway: GatewayUnderTest, server: AuthorizationServer) -> AsyncIterator[Load]:
    """Load by tokens that no worker has seen for long, signed with a key that its server had published."""

    async def keep_signing(load: Load) -> None:
        while True:
            await asyncio.sleep(0.03)
            line = f"Authorization: Bearer {fresh(server)}"
            load.head = f"GET /v2/courses HTTP/1.1\r\nHost: feeds.test\r\n{line}\r\n\r\n".encode()

    async with load_on(gateway.port, f"Bearer {fresh(server)}", header="Authorization") as load:
        signing = asyncio.create_task(keep_signing(load))
        try:
            yield load
        finally:
            signing.cancel()
            await asyncio.gather(signing, return_exceptions=True)


async def more(load: Load, requests: int = 60) -> None:
    """Wait until so many more were answered."""
    wanted = load.answered + requests
    async with asyncio.timeout(30):
        while load.answered < wanted:  # noqa: ASYNC110 - the load announces nothing
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("away", ["killed", "hanging"])
@ENDS
async def test_no_token_is_refused_when_workers_are_replaced_while_its_server_is_away(
    breakable: AuthorizationServer,
    believer: Believer,
    end: Callable[[GatewayUnderTest], None],
    away: str,
) -> None:
    """Twice: those that never reached the server hand on what they were handed."""
    with believer(TWO_WORKERS, believing(terms_for(breakable))) as (gateway, _):
        assert told(await asyncio.to_thread(bearing, gateway, breakable.for_client())) == PERMITTED
        await asyncio.to_thread(until, lambda: breakable.asked("/jwks") == 2)
        assert await asyncio.to_thread(heard_by_every_worker, gateway, breakable) == {PERMITTED}
        if away == "killed":
            breakable.kill()
        else:
            breakable.freeze()
        async with users_of(gateway, breakable) as load:
            await more(load)
            for _ in range(2):
                await asyncio.to_thread(end, gateway)
                await more(load)
        assert load.refusals == {}
        if end is put_fresh_ones:
            assert load.lost == 0
        if away == "killed":
            await asyncio.to_thread(until, lambda: "the last good ones serve" in str(readiness(gateway)))
            breakable.start()
        else:
            breakable.thaw()
        new = SigningKey.made("ES256")
        breakable.publish(new, *breakable.keys)
        await asyncio.to_thread(until, lambda: told(bearing(gateway, fresh(breakable, new))) == PERMITTED)
