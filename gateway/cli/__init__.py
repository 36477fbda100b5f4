"""The `gateway` command: one file per command group; a command calls a use case and prints.

Exit status: 0 done, 1 refused or found wrong, 2 usage. Commands are imported when they are run, so that
`gateway --help` and the quick ones stay quick.
"""

import errno
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

from gateway import __version__
from gateway.collector import collecting_later

COMMANDS: Final[dict[str, str]] = {
    "serve": "gateway.cli.serve:serve",
    "check": "gateway.cli.check:check",
    "demo": "gateway.cli.demo:demo",
    "scopes": "gateway.cli.scopes:scopes",
    "keys": "gateway.cli.keys:keys",
    "members": "gateway.cli.members:members",
    "explain": "gateway.cli.explain:explain",
    "routes": "gateway.cli.routes:routes",
    "db": "gateway.cli.db:db",
}
DEFAULT_CONFIG: Final = Path("config/gateway.yaml")
UNWRITABLE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""How the system says that what was printed could not be kept."""


class LazyGroup(click.Group):
    """A group whose commands are imported when one of them is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order a newcomer needs them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; None if there is none."""
        del ctx
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, name = place.split(":")
        with collecting_later():
            command = getattr(import_module(module), name)
        return command if isinstance(command, click.Command) else None

    def main(self, *args: Any, **extra: Any) -> Any:  # noqa: ANN401 - click's own signature
        """Run a command. Output that cannot be written, as to a full disk, is told in a sentence too."""
        try:
            return super().main(*args, **extra)
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            give_up_output()
            click.echo(f"error: the output cannot be written: {error.strerror}", err=True)
            sys.exit(1)


def give_up_output() -> None:
    """Print to nowhere from now on, so that what nobody could be told does not spoil the exit status too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.command(cls=LazyGroup)
@click.version_option(__version__, prog_name="gateway")
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    envvar="GATEWAY_CONFIG",
    default=DEFAULT_CONFIG,
    show_default=True,
    show_envvar=True,
    help="The main configuration file.",
)
@click.pass_context
def main(ctx: click.Context, config: Path) -> None:
    """Let each integration do only what its API Scopes allow."""
    ctx.obj = config
