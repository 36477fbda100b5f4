"""`gateway explain`: what would become of a request, why, and the smallest change that flips it."""

from pathlib import Path
from typing import Any

import click

from gateway.cli import session
from gateway.cli.asked import asked_in, asking_options
from gateway.cli.output import DONE, REFUSED, json_option, show_json
from gateway.cli.session import Missing
from gateway.cli.trace import described, tell


@click.command()
@asking_options
@click.option("--host", default="", help="The Host it would name, where feeds are told apart by host.")
@click.argument("method")
@click.argument("path")
@json_option
@click.pass_obj
def explain(config: Path, /, host: str, method: str, path: str, *, as_json: bool, **asking: Any) -> None:  # noqa: ANN401 - asking_options
    """Trace a request, without anybody's secret; exit 0 when it would be permitted, 1 when refused.

    Who asks is a key (--key-id), or the bearer of a token: a user or a client with any roles, or whoever has
    the roles alone.
    """
    from gateway.control.explain import (  # noqa: PLC0415 - `--help` needs no store
        Question,
        explain_bearer,
        explain_key,
    )

    asked = asked_in(asking)
    settings, routes = session.configuration_of(config)
    relaxed, question = frozenset(settings.paths.allow), Question(method, session.path_of(path), host)

    url, bearer = settings.store.url, settings.authentication.bearer
    if isinstance(asked, int):
        trace = session.in_store(
            url, lambda store: explain_key(store, routes, relaxed, asked, question), Missing.REFUSE
        )
    else:
        facts, without = asked.facts(bearer), bearer.without_scope
        trace = session.in_store(
            url,
            lambda store: explain_bearer(store, routes, relaxed, facts, without, question),
            Missing.TELL,
        )
    if as_json:
        show_json(described(trace))
    else:
        tell(trace)
    raise SystemExit(DONE if trace.permitted else REFUSED)
