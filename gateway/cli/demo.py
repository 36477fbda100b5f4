"""`gateway demo`: a sample feed, the gateway in front of it, scopes and keys, and requests to try."""

import asyncio
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import aiohttp
import click

from gateway.cli.output import DONE, REFUSED, fail, say, show_table
from gateway.configuration import load_everything
from gateway.demo.integrations import BEARERS, INTEGRATIONS, WEBSITE, introduce
from gateway.demo.issuer import DemoIssuer
from gateway.demo.stage import HOST, Actor, Ports, Stage, StageError
from gateway.demo.tour import DAMAGED, FORGED, TOUR, Outcome, damaged, forged, take
from gateway.domain.ports import StoreUnavailableError
from gateway.settings.address import Address
from gateway.store.opening import open_store
from gateway.supervisor.sockets import CannotListenError, listen_once

PORT: Final = click.IntRange(0, 65535)
STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command()
@click.option("--port", type=PORT, default=8080, show_default=True, help="The gateway's port; 0 for any.")
@click.option("--admin-port", type=PORT, default=8081, show_default=True, help="Port of metrics and health.")
@click.option("--feed-port", type=PORT, default=9000, show_default=True, help="The sample feed's port.")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep configuration, store and logs here: a new or empty directory. Else they are temporary.",
)
@click.option(
    "--check", is_flag=True, help="Make the requests, print what came back, and stop; 0 if as told."
)
def demo(*, port: int, admin_port: int, feed_port: int, directory: Path | None, check: bool) -> None:
    """Try the gateway: sample feed, scopes, keys, and curl lines with the answers to expect.

    It asks for no configuration and leaves nothing behind. Ctrl-C ends it.
    """
    ports = Ports(port, admin_port, feed_port)
    _refuse_taken(ports)
    with _kept_in(directory) as place:
        try:
            status = asyncio.run(_until_stopped(Stage(place), ports, check=check))
        except (StageError, StoreUnavailableError) as error:
            fail(str(error))
        except (aiohttp.ClientError, TimeoutError) as error:
            fail(f"the gateway did not answer: {str(error) or type(error).__name__}")
    sys.exit(status)


def _refuse_taken(ports: Ports) -> None:
    """End with the option to change when a port cannot be had."""
    chosen = {"--port": ports.gateway, "--admin-port": ports.admin, "--feed-port": ports.feed}
    for option, port in chosen.items():
        same = [other for other, number in chosen.items() if number == port != 0]
        if len(same) > 1:
            raise click.UsageError(f"{' and '.join(same)} are both {port}; choose different ports")
        try:
            listen_once(Address(HOST, port), option).close()
        except CannotListenError as error:
            fail(str(error), f"choose another with {option}, or let the system choose: {option} 0")


@contextmanager
def _kept_in(directory: Path | None) -> Iterator[Path]:
    """The directory to keep things in: the one asked for, or a temporary one."""
    if directory is None:
        with tempfile.TemporaryDirectory(prefix="scopegate-demo-") as temporary:
            yield Path(temporary)
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        full = any(directory.iterdir())
    except OSError as error:
        fail(f"{directory}: {error.strerror}", "name a directory that can be written with --dir")
    if full:
        fail(f"{directory} is not empty", "name a new directory with --dir, so that nothing is overwritten")
    yield directory.absolute()


async def _until_stopped(stage: Stage, ports: Ports, *, check: bool) -> int:
    """Run the demo until it is done or a signal ends it; the exit status."""
    demo = asyncio.ensure_future(_run(stage, ports, check=check))
    loop = asyncio.get_running_loop()
    for number in STOPPING:
        loop.add_signal_handler(number, demo.cancel)
    try:
        return await demo
    except asyncio.CancelledError:
        return REFUSED if check else DONE


async def _run(stage: Stage, ports: Ports, *, check: bool) -> int:
    async with _playing(stage, ports) as (feed, gateway, secrets):
        if check:
            return _told(await take(gateway.addresses[0], secrets))
        _introduce(stage, feed, gateway, secrets)
        await _first_to_end(feed, gateway)
    return REFUSED


@asynccontextmanager
async def _playing(stage: Stage, ports: Ports) -> AsyncIterator[tuple[Actor, Actor, Mapping[str, str]]]:
    """The feed and the gateway, running, and the keys and tokens by name. Raises StageError."""
    async with stage.feed(ports.feed) as feed:
        issuer = DemoIssuer()
        stage.write(ports, feed.addresses[0], issuer)
        modules = load_everything(stage.config, os.environ, certificates=False).routes.modules.bits
        async with open_store(stage.store) as store:
            issued = await introduce(store, modules)
        async with stage.gateway() as gateway:
            yield feed, gateway, _secrets({name: key.secret for name, key in issued.items()}, issuer)


def _secrets(keys: Mapping[str, str], issuer: DemoIssuer) -> dict[str, str]:
    """Everything that the tour presents, good and bad, by name."""
    tokens = {bearer.name: bearer.token(issuer) for bearer in BEARERS}
    spoilt = {DAMAGED: damaged(keys[WEBSITE.name]), FORGED: forged(*(tokens[one.name] for one in BEARERS))}
    return {**keys, **tokens, **spoilt}


async def _first_to_end(*actors: Actor) -> None:
    """Wait until one of the processes has ended, which none should. Raises StageError."""
    endings = [asyncio.ensure_future(actor.ended()) for actor in actors]
    try:
        done, _ = await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for ending in endings:
            ending.cancel()
    raise StageError(next(iter(done)).result())


def _introduce(stage: Stage, feed: Actor, gateway: Actor, secrets: Mapping[str, str]) -> None:
    """Tell a newcomer what is there, what to try, and where to look."""
    address, admin = gateway.addresses
    say(f"The gateway is at {address}, in front of the sample feed at {feed.addresses[0]}.\n")
    for number, each in enumerate(INTEGRATIONS, 1):
        say(f"{each.label} (key {number}) {each.may}:\n  {secrets[each.name]}")
    for bearer in BEARERS:
        say(f"{bearer.says}:\n  {secrets[bearer.name]}")
    say("\nTry these in another terminal; the number is the status to expect.\n")
    for stop in TOUR:
        say(f"# {stop.status}  {stop.says}\n{stop.curl(address, secrets)}\n")
    command = f"{_command()} -c {shlex.quote(str(stage.config))}"
    say(
        "Watch what is refused, see why, and change it: a change is in force within a second.\n\n"
        f"tail -f {shlex.quote(str(stage.denied_log))}\n"
        f"curl -s {admin}/metrics | grep gateway_denied_total\n"
        f"{command} explain --key-id 1 PATCH /v2/courses/1\n"
        f"{command} explain --user ada --role hr-staff GET /v2/invoices\n"
        f"{command} scopes update website --update courses\n"
        f"{command} keys list\n\n"
        "Ctrl-C ends the demo."
    )


def _command() -> str:
    """How this very command is run from the reader's shell."""
    called = Path(sys.argv[0])
    if called.name != "gateway":
        return f"{shlex.quote(sys.executable)} -m gateway"
    found = shutil.which("gateway")
    return "gateway" if found and Path(found).samefile(called) else shlex.quote(str(called))


def _told(outcomes: list[Outcome]) -> int:
    """Print what came back; the exit status."""
    show_table(
        ["", "status", "expected", "code", "request", "what it shows"],
        [
            (
                "ok" if outcome.as_told else "WRONG",
                outcome.status,
                outcome.stop.status,
                outcome.code,
                f"{outcome.stop.method} {outcome.stop.path}",
                outcome.stop.says,
            )
            for outcome in outcomes
        ],
    )
    wrong = sum(not outcome.as_told for outcome in outcomes)
    say(f"\n{len(outcomes) - wrong} of {len(outcomes)} answers were as told.")
    return REFUSED if wrong else DONE
