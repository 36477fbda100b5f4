"""`gateway db`: the store itself."""

from pathlib import Path

import click

from gateway.cli import session
from gateway.cli.output import json_option, say, show_json


@click.group()
def db() -> None:
    """The store that keeps scopes and keys."""


@db.command("upgrade")
@json_option
@click.pass_obj
def upgrade(config: Path, *, as_json: bool) -> None:
    """Bring the store to this release's revision, making it if it is an embedded one."""
    from gateway.store.opening import upgrade_store  # noqa: PLC0415 - SQL only when it is needed

    url = session.store_of(config)
    done = session.answered(lambda: upgrade_store(url))
    if as_json:
        show_json({"from": done.before, "to": done.after, "changed": done.changed})
    elif done.changed:
        say(f"store upgraded from {done.before or 'nothing'} to revision {done.after}")
    else:
        say(f"store is at revision {done.after} already")
