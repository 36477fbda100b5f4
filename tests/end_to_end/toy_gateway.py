"""The real parent process over the tests' own worker: `python -m toy_gateway CONFIG LISTEN ADMIN WORKERS`."""

import asyncio
import sys
from pathlib import Path

import click

from gateway.document.problem import Problem, SettingsError
from gateway.observe.process_log import log_to_standard_error
from gateway.settings.address import Address, address
from gateway.supervisor.crew import CannotStartError
from gateway.supervisor.plan import Plan
from gateway.supervisor.sockets import CannotListenError
from gateway.supervisor.supervising import supervise


def main() -> int:
    config, listen, admin, workers = sys.argv[1:5]

    def load() -> Plan:
        text = Path(config).read_text()
        if text.startswith("bad"):
            raise SettingsError([Problem(config, 1, "toy", text)])
        count = 7 if text.startswith("seven") else int(workers)
        places = [place for text in (listen, admin) if isinstance(place := address(text), Address)]
        return Plan(Path(config), places[0], places[1], count, "sqlite:///toy.db", (Path(config),), ("toys",))

    log_to_standard_error("gateway")
    try:
        return asyncio.run(
            supervise(
                load(),
                load,
                say_ready=lambda told: click.echo(f"ready: {told}"),
                watch="--watch" in sys.argv,
                worker_module="toy_worker",
            )
        )
    except (CannotListenError, CannotStartError) as cannot:
        click.echo(f"error: {cannot}", err=True)
        return 1


if __name__ == "__main__":
    sys.exit(main())
