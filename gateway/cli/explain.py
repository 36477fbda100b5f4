"""`gateway explain`: what would become of a request, why, and the smallest change that flips it."""

from pathlib import Path
from typing import Any

import click

from gateway.cli import session
from gateway.cli.asked import AskedToken, asked_in, asking_options
from gateway.cli.given_token import NO_REQUEST, show_facts
from gateway.cli.output import DONE, REFUSED, json_option, show_json
from gateway.cli.session import Missing
from gateway.cli.trace import described, tell


@click.command()
@asking_options
@click.option("--host", default="", help="The Host it would name, where feeds are told apart by host.")
@click.argument("method", required=False)
@click.argument("path", required=False)
@json_option
@click.pass_obj
def explain(
    config: Path,
    /,
    host: str,
    method: str | None,
    path: str | None,
    *,
    as_json: bool,
    **asking: Any,  # noqa: ANN401 - asking_options
) -> None:
    """Trace a request, without anybody's secret; exit 0 when it would be permitted, 1 when refused.

    Who asks is a key (--key-id), or the bearer of a token: a user or a client with any roles, or whoever has
    the roles alone. A real token is read from standard input (--token -), and never shown: the check that it
    fails is told, or what it says, and the request is traced if one is given.
    """
    from gateway.control.explain import (  # noqa: PLC0415 - `--help` needs no store
        Question,
        explain_bearer,
        explain_key,
    )

    asked = asked_in(asking)
    if (method is None and not isinstance(asked, AskedToken)) or (method is not None and path is None):
        raise click.UsageError(NO_REQUEST)
    settings, routes = session.configuration_of(config)
    url, bearer = settings.store.url, settings.authentication.bearer
    who = asked if isinstance(asked, int) else asked.facts(bearer)
    if method is None or path is None:
        show_facts(who)
    relaxed, question = frozenset(settings.paths.allow), Question(method, session.path_of(path), host)
    if isinstance(who, int):
        trace = session.in_store(
            url, lambda store: explain_key(store, routes, relaxed, who, question), Missing.REFUSE
        )
    else:
        without = bearer.without_scope
        trace = session.in_store(
            url,
            lambda store: explain_bearer(store, routes, relaxed, who, without, question),
            Missing.TELL,
        )
    if as_json:
        show_json(described(trace))
    else:
        tell(trace)
    raise SystemExit(DONE if trace.permitted else REFUSED)
