"""`gateway serve`: run the gateway."""

import asyncio
import os
import sys
from functools import partial
from pathlib import Path

import click

from gateway import worker
from gateway.cli import give_up_output
from gateway.cli.output import fail, show_problems
from gateway.configuration import Configuration, load_everything
from gateway.document.files import Files
from gateway.document.problem import SettingsError
from gateway.domain.ports import StoreUnavailableError
from gateway.observe.process_log import LogFormat, log_to_standard_error
from gateway.store.opening import open_store
from gateway.supervisor.crew import CannotStartError
from gateway.supervisor.forked import LAST_STANDARD, Forked, fork_workers
from gateway.supervisor.plan import Plan
from gateway.supervisor.planning import plan_of
from gateway.supervisor.sockets import CannotListenError
from gateway.supervisor.supervising import Listening, supervise
from gateway.wiring.worker import run_worker


@click.command()
@click.option("--watch", is_flag=True, help="Reload when the configuration or a route map changes.")
@click.option(
    "--log-format",
    type=click.Choice([format_.value for format_ in LogFormat]),
    default=LogFormat.TEXT.value,
    show_default=True,
    help="How messages of the processes are written to standard error.",
)
@click.pass_obj
def serve(config: Path, *, watch: bool, log_format: str) -> None:
    """Run the gateway; print one `ready` line with both addresses.

    SIGHUP reloads the configuration and reopens the logs. SIGUSR2 replaces the workers by fresh ones, one
    after the other; no request fails for it. SIGTERM and SIGINT finish what is in flight, 30 s at most; a
    second one ends at once.
    """
    log_to_standard_error("gateway", LogFormat(log_format))
    try:
        status = _serve(config, watch=watch, log_format=log_format)
    except SettingsError as bad:
        show_problems(bad.problems)
        fail(f"the configuration has {len(bad.problems)} problem{'s'[: len(bad.problems) != 1]}; not started")
    except (StoreUnavailableError, CannotListenError, CannotStartError) as cannot:
        fail(str(cannot))
    sys.exit(status)


def _serve(config: Path, *, watch: bool, log_format: str) -> int:
    plan, listening, forked = _begin(config)
    return asyncio.run(
        supervise(
            plan,
            lambda: _load(config)[0],
            say_ready=_say_ready,
            listening=listening,
            forked=forked,
            watch=watch,
            log_format=log_format,
        )
    )


def _begin(config: Path) -> tuple[Plan, Listening, list[Forked]]:
    """Check the configuration, prepare the store, take the ports, and only then fork the first workers."""
    _hold_standard_descriptors()
    plan, configuration = _load(config)
    asyncio.run(_prepare(plan.store))
    listening = Listening.by(plan)
    run = partial(run_worker, configuration=configuration)
    return plan, listening, fork_workers(listening.data, [listening.admin], partial(worker.serve, run))


def _hold_standard_descriptors() -> None:
    """Put the null device where a standard stream was closed, so that no socket of ours is taken for one."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= LAST_STANDARD:
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - the only way to say it
    os.close(descriptor)


def _load(config: Path) -> tuple[Plan, Configuration]:
    """Read and check the configuration and its route maps. Raises SettingsError."""
    files = Files()
    configuration = load_everything(config, os.environ, files=files)
    return plan_of(config, configuration.settings, files), configuration


async def _prepare(store: str) -> None:
    """Make and upgrade an embedded store by opening it, once, before N workers would try."""
    async with open_store(store):
        pass


def _say_ready(addresses: str) -> None:
    """The one line on standard output; nobody reading it is no reason to end."""
    try:
        click.echo(f"ready: {addresses}")
    except OSError:
        give_up_output()
