"""`gateway routes`: what the route maps say, what they say to one request, and what in them may surprise."""

import os
from pathlib import Path
from typing import Final

import click

from gateway.cli.output import (
    REFUSED,
    fail,
    json_option,
    refuse_configuration,
    say,
    show_fields,
    show_json,
    show_table,
)
from gateway.cli.session import path_of
from gateway.configuration import Configuration, load_everything
from gateway.document.problem import SettingsError
from gateway.domain.target import Target, Unmapped
from gateway.domain.verdict import Refusal
from gateway.routing.canonical import canonical_path
from gateway.routing.lint import findings
from gateway.routing.routemap import MappedRoute

COLUMNS: Final = ("feed", "path", "module", "actions", "where")


@click.group()
def routes() -> None:
    """List, match and lint the route maps."""


@routes.command("list")
@click.option("--feed", "feed_name", help="Only the routes of this feed.")
@click.option("--module", "module_name", help="Only the routes of this module.")
@json_option
@click.pass_obj
def list_routes(config: Path, *, feed_name: str | None, module_name: str | None, as_json: bool) -> None:
    """Print every route with its module and actions."""
    _, table = _configuration(config)
    if feed_name is not None and feed_name not in table.feeds:
        fail(f"There is no feed {feed_name!r}.", f"feeds: {', '.join(sorted(table.feeds))}")
    if module_name is not None and module_name not in table.modules.bits:
        fail(f"There is no module {module_name!r}.", f"modules: {', '.join(sorted(table.modules.bits))}")
    listed = [
        route
        for route in table.routes
        if feed_name in {None, route.feed.name} and module_name in {None, route.module}
    ]
    if as_json:
        show_json([_described(route) for route in listed])
    else:
        show_table(COLUMNS, map(_row, listed), empty="no route")


@routes.command("match")
@click.argument("method")
@click.argument("path")
@click.option("--host", default="", help="The Host the request names, where feeds are told apart by it.")
@json_option
@click.pass_obj
def match_route(config: Path, *, method: str, path: str, host: str, as_json: bool) -> None:
    """Print what METHOD PATH is mapped to, or why it is refused. A query in PATH is left out."""
    settings, table = _configuration(config)
    raw = path_of(path).encode("utf-8", "surrogateescape")
    canonical = canonical_path(raw, frozenset(settings.paths.allow))
    if isinstance(canonical, Refusal):
        answer = _refused(canonical)
    else:
        placed = table.place(method, host.encode("utf-8", "surrogateescape"), canonical)
        answer = _mapped(placed) if isinstance(placed, Target) else _unmapped(placed)
        answer = {"path": canonical.decode(), **answer}
        if isinstance(placed, Unmapped) and method.upper() in placed.allow:
            answer["hint"] = f"method names are case-sensitive (RFC 9110 §9.1); {method.upper()} is mapped"
    answer = {"method": method, **answer}
    if as_json:
        show_json(answer)
    else:
        show_fields(answer)
    if "code" in answer:
        raise SystemExit(REFUSED)


@routes.command("lint")
@json_option
@click.pass_obj
def lint_routes(config: Path, *, as_json: bool) -> None:
    """Print overlaps, unreachable templates, writes that only need read, and modules never used."""
    _, table = _configuration(config)
    found = findings(table)
    if as_json:
        show_json(found)
    elif found:
        for finding in found:
            say(str(finding))
    else:
        say("nothing to remark")
    if found:
        raise SystemExit(REFUSED)


def _configuration(config: Path) -> Configuration:
    """The configuration, or the end of the command with everything that is wrong with it."""
    try:
        return load_everything(config, os.environ, certificates=False)
    except SettingsError as error:
        refuse_configuration(error.problems)


def _row(route: MappedRoute) -> tuple[object, ...]:
    actions = " ".join(f"{method}:{action.word}" for method, action in route.actions.items())
    module = f"{route.module or ''} (public)".strip() if route.route.public else route.module
    return route.feed.name, route.template.text, module, actions, route.route.where


def _described(route: MappedRoute) -> dict[str, object]:
    """A route for programs."""
    return {
        "feed": route.feed.name,
        "path": route.template.text,
        "module": route.module,
        "public": route.route.public,
        "actions": {method: action.word for method, action in route.actions.items()},
        "max_body": route.route.max_body,
        "where": route.route.where,
    }


def _mapped(target: Target) -> dict[str, object]:
    return {
        "feed": target.feed.name,
        "route": target.route.template,
        "where": target.route.where,
        "public": target.route.public,
        "module": target.module,
        "action": None if target.action is None else target.action.word,
    }


def _unmapped(answer: Unmapped) -> dict[str, object]:
    return {
        "feed": answer.feed.name if answer.feed else None,
        "route": answer.route.template if answer.route else None,
        "where": answer.route.where if answer.route else None,
        "allow": list(answer.allow),
        **_refused(Refusal(answer.reason)),
    }


def _refused(refusal: Refusal) -> dict[str, object]:
    return {
        "code": refusal.reason.value,
        "status": refusal.answer.status,
        "detail": refusal.detail or refusal.answer.detail,
    }
