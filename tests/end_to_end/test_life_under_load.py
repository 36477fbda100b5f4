"""Reloads, replaced workers and killed ones, each under load: what was sent is answered, and counted."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from authorities import Authority
from commands import Commands
from feeds import Feed
from gateways import GatewayUnderTest, write_configuration
from load import Load, load_on
from operations import counted, readiness, said_by, serving, until
from outages import files_of, read_only, removed

RATE = 120.0

EVERY_WORKER: Final = 20
"""Connections at once of which each of two workers has some; so both know the key, whatever comes."""


@asynccontextmanager
async def under_load(
    directory: Path, commands: Commands, feed: Feed, edit: Callable[[str], str] = str
) -> AsyncIterator[tuple[GatewayUnderTest, Load]]:
    """Two workers that have answered for a while, and whose counts never go down until the end.

    `edit` has the configuration's text before they begin.
    """
    run = commands.on(write_configuration(directory, [feed.port], main="workers: 2"))
    run.file.write_text(edit(run.file.read_text()))
    _, key = run.key("api-v2")
    with serving(run.file) as gateway:
        async with load_on(gateway.port, key, RATE) as load:
            over = asyncio.Event()
            rising = asyncio.create_task(counts_rise(gateway, over))
            await later(lambda: load.answered > RATE)
            await asyncio.gather(*(load.ask() for _ in range(EVERY_WORKER)))
            yield gateway, load
            over.set()
            await rising
        assert load.sent == load.answered + load.refused + load.lost
        assert "Traceback" not in said_by(gateway)


async def counts_rise(gateway: GatewayUnderTest, over: asyncio.Event) -> None:
    before = 0.0
    while not over.is_set():
        now = await asyncio.to_thread(counted, gateway, "gateway_requests_total")
        assert now >= before
        before = now
        await asyncio.sleep(0.1)


async def later(holds: Callable[[], Any]) -> None:
    """Wait for a condition beside the load."""
    await asyncio.to_thread(until, holds)


def workers_of(gateway: GatewayUnderTest) -> set[int]:
    children = Path(f"/proc/{gateway.process.pid}/task/{gateway.process.pid}/children").read_text()
    return {int(number) for number in children.split()}


@pytest.mark.parametrize("times", [1, 10])
async def test_a_reload_costs_no_request_and_no_connection(
    tmp_path: Path, commands: Commands, feed: Feed, times: int
) -> None:
    async with under_load(tmp_path, commands, feed) as (gateway, load):
        workers, text = workers_of(gateway), gateway.file.read_text()
        for time in range(1, times + 1):
            gateway.file.write_text(f"{text}cache: {{ttl: {time}s}}\n")
            gateway.process.send_signal(signal.SIGHUP)
            await later(lambda time=time: said_by(gateway).count("is in force") == time)
        sofar = load.answered
        await later(lambda: load.answered > sofar + RATE / 2)
        assert workers_of(gateway) == workers
    assert (load.lost, load.refused, load.cut) == (0, 0, 0)


async def test_a_rolling_replacement_of_the_workers_costs_no_request(
    tmp_path: Path, commands: Commands, feed: Feed
) -> None:
    async with under_load(tmp_path, commands, feed) as (gateway, load):
        workers = workers_of(gateway)
        gateway.process.send_signal(signal.SIGUSR2)
        await later(lambda: "every worker has been replaced" in said_by(gateway))
        await later(lambda: not workers_of(gateway) & workers)
        assert len(workers_of(gateway)) == 2
        sofar = load.answered
        await later(lambda: load.answered > sofar + RATE / 2)
        assert await asyncio.to_thread(counted, gateway, "gateway_worker_restarts_total") == 0
    assert (load.lost, load.refused) == (0, 0)


OTHER: Final = """
  other: {{upstream: 'https://127.0.0.1:9', host: other.test, tls: {{ca: {directory}/authority.pem}}}}"""


def with_another_feed(directory: Path) -> Callable[[str], str]:
    """Put a feed that speaks TLS beside the one under load."""
    Authority(directory)
    (directory / "other.yaml").write_text(
        "feed: other\nmodules: {any: Any}\nroutes: [{path: /**, module: any}]\n"
    )
    feed = OTHER.format(directory=directory)
    return lambda text: text.replace("[routes.yaml]", "[routes.yaml, other.yaml]").replace(
        "\nfeeds:", f"\nfeeds:{feed}"
    )


@contextmanager
def without_a_certificate(directory: Path) -> Iterator[None]:
    file = directory / "authority.pem"
    file.rename(directory / "authority.away")
    yield
    (directory / "authority.away").rename(file)


@contextmanager
def without_the_store(directory: Path) -> Iterator[None]:
    away = removed(directory / "scopegate.db")
    yield
    for file in reversed(files_of(away / "scopegate.db")):  # its log first, or it would be given another
        file.rename(directory / file.name)


@pytest.mark.parametrize(
    ("without", "why"),
    [(without_a_certificate, "authority.pem"), (without_the_store, "is not there")],
    ids=["no certificate", "no store"],
)
async def test_workers_that_cannot_start_take_nobodys_place_and_it_is_told_until_they_can(
    tmp_path: Path,
    commands: Commands,
    feed: Feed,
    without: Callable[[Path], AbstractContextManager[None]],
    why: str,
) -> None:
    refused = "was not replaced and serves on"
    edit = with_another_feed(tmp_path)
    async with under_load(tmp_path, commands, feed, edit) as (gateway, load):
        workers = workers_of(gateway)
        with without(tmp_path):
            gateway.process.send_signal(signal.SIGUSR2)
            await later(lambda: refused in said_by(gateway))
            sofar = load.answered
            await later(lambda: load.answered > sofar + RATE / 2)
            told = await asyncio.to_thread(lambda: [*readiness(gateway)["warnings"], said_by(gateway)])
            assert all(any(word in one for one in told[:-1]) and word in told[-1] for word in (refused, why))
            await later(lambda: workers_of(gateway) == workers)
        gateway.process.send_signal(signal.SIGUSR2)
        await later(lambda: "every worker has been replaced" in said_by(gateway))
        await later(lambda: not workers_of(gateway) & workers)
        await later(lambda: not any(refused in warning for warning in readiness(gateway)["warnings"]))
        sofar = load.answered
        await later(lambda: load.answered > sofar + RATE / 2)
    assert (load.lost, load.refused) == (0, 0)


@contextmanager
def broken_files(directory: Path) -> Iterator[None]:
    (directory / "gateway.yaml").write_text("listen: [what")
    (directory / "routes.yaml").write_text("routes: {}")
    yield


@contextmanager
def unwritable_logs(directory: Path) -> Iterator[None]:
    with read_only(directory / "logs" / "any"):
        yield


@pytest.mark.parametrize(
    "trouble", [broken_files, unwritable_logs], ids=["broken files", "logs that cannot be written"]
)
async def test_what_a_fresh_worker_can_do_without_keeps_it_from_nothing(
    tmp_path: Path, commands: Commands, feed: Feed, trouble: Callable[[Path], AbstractContextManager[None]]
) -> None:
    (tmp_path / "logs").mkdir()
    edit = partial(re.sub, r"(access|denied)\.log", r"logs/\1.log")
    async with under_load(tmp_path, commands, feed, edit) as (gateway, load):
        workers = workers_of(gateway)
        with trouble(tmp_path):
            gateway.process.send_signal(signal.SIGUSR2)
            await later(lambda: "every worker has been replaced" in said_by(gateway))
            await later(lambda: not workers_of(gateway) & workers)
            sofar = load.answered
            await later(lambda: load.answered > sofar + RATE / 2)
            if trouble is unwritable_logs:
                await later(lambda: any("access.log" in one for one in readiness(gateway)["warnings"]))
        await later(lambda: not readiness(gateway)["warnings"])
        assert await asyncio.to_thread(lambda: readiness(gateway)["status"]) == "ready"
    assert (load.lost, load.refused) == (0, 0)


async def test_a_worker_killed_under_load_fails_what_was_in_flight_on_it_and_nothing_else(
    tmp_path: Path, commands: Commands, feed: Feed
) -> None:
    async with under_load(tmp_path, commands, feed) as (gateway, load):
        victim = min(workers_of(gateway))
        await asyncio.sleep(1.5)  # longer than counts may be late
        certain, in_flight = load.answered - 1.5 * RATE, load.under_way
        os.kill(victim, signal.SIGKILL)
        await later(lambda: counted(gateway, "gateway_worker_restarts_total") == 1)
        await later(lambda: readiness(gateway)["status"] == "ready")
        assert await asyncio.to_thread(counted, gateway, "gateway_requests_total") >= certain
        sofar = load.answered
        await later(lambda: load.answered > sofar + RATE / 2)
    assert (load.lost, load.refused) == (0, 0)
    assert load.cut <= in_flight + RATE / 10
