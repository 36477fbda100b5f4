"""`gateway serve`: run the gateway."""

import asyncio
import os
import sys
from pathlib import Path

import click

from gateway.cli import give_up_output
from gateway.cli.output import fail, show_problems
from gateway.configuration import load_everything
from gateway.document.files import Files
from gateway.document.problem import SettingsError
from gateway.domain.ports import StoreUnavailableError
from gateway.observe.process_log import LogFormat, log_to_standard_error
from gateway.store.opening import open_store
from gateway.supervisor.crew import CannotStartError
from gateway.supervisor.plan import Plan
from gateway.supervisor.planning import plan_of
from gateway.supervisor.sockets import CannotListenError
from gateway.supervisor.supervising import supervise


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
        status = asyncio.run(_serve(config, watch=watch, log_format=log_format))
    except SettingsError as bad:
        show_problems(bad.problems)
        fail(f"the configuration has {len(bad.problems)} problem{'s'[: len(bad.problems) != 1]}; not started")
    except (StoreUnavailableError, CannotListenError, CannotStartError) as cannot:
        fail(str(cannot))
    sys.exit(status)


async def _serve(config: Path, *, watch: bool, log_format: str) -> int:
    plan = _load(config)
    async with open_store(plan.store):
        """An embedded store is made and upgraded by opening it, once, before N workers would try."""
    return await supervise(
        plan, lambda: _load(config), say_ready=_say_ready, watch=watch, log_format=log_format
    )


def _load(config: Path) -> Plan:
    """Read and check the configuration and its route maps. Raises SettingsError."""
    files = Files()
    return plan_of(config, load_everything(config, os.environ, files=files).settings, files)


def _say_ready(addresses: str) -> None:
    """The one line on standard output; nobody reading it is no reason to end."""
    try:
        click.echo(f"ready: {addresses}")
    except OSError:
        give_up_output()
