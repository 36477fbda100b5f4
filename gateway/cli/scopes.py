"""`gateway scopes`: the API Scopes, and who uses them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import session
from gateway.cli.output import json_option, say, show_fields, show_json, show_table, warn, widens_option
from gateway.cli.session import Missing
from gateway.domain.action import Action
from gateway.domain.scope import Mode, Scope
from gateway.domain.scope_use import ScopeUse

if TYPE_CHECKING:
    from gateway.control.scopes import SavedScope, ScopeEdit


@click.group()
def scopes() -> None:
    """Named sets of permissions that keys are given."""


def edit_options(command: Any) -> Any:  # noqa: ANN401 - whatever click decorates
    """The parts of a scope that can be chosen, the same on every command that chooses them."""
    sets = "Modules to select for {}, separated by commas; * for every module, '' for none."
    options = [
        click.option("--label", help="What people call the scope."),
        click.option("--mode", type=click.Choice([mode.value for mode in Mode]), help="Allow or deny."),
        *(click.option(f"--{action.word}", help=sets.format(action.word)) for action in Action),
        click.option(
            "--bypass-enabled-flag/--no-bypass-enabled-flag",
            default=None,
            help="Whether its keys are served while a feed is switched off.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@scopes.command("list")
@json_option
@click.pass_obj
def list_scopes(config: Path, *, as_json: bool) -> None:
    """Show every scope."""
    found = session.in_store(session.store_of(config), lambda store: store.scopes(), Missing.TELL)
    if as_json:
        show_json([_described(scope) for scope in found])
        return
    columns = ["id", "name", "label", "mode", *(action.word for action in Action), "bypass", "locked"]
    rows = [[s.id, s.name, s.label, s.mode, *_sets(s), s.bypass_enabled_flag, s.locked] for s in found]
    show_table(columns, rows, empty="no scopes")


@scopes.command("show")
@click.argument("name")
@json_option
@click.pass_obj
def show_scope(config: Path, name: str, *, as_json: bool) -> None:
    """Show one scope, by name or id, and who uses it."""
    from gateway.control.scopes import scope_called  # noqa: PLC0415 - SQL only when it is needed
    from gateway.store.store import Store  # noqa: PLC0415 - likewise

    async def look(store: Store) -> tuple[Scope, ScopeUse]:
        scope = await scope_called(store, name)
        return scope, await store.use_of(scope.id)

    scope, use = session.in_store(session.store_of(config), look, Missing.TELL)
    if as_json:
        show_json({**_described(scope), **_used_by(use)})
        return
    _show(scope)
    rows = [["key", key.key_id, key.label, key.trial] for key in use.keys]
    rows += [[member.kind.value, "-", member.name, False] for member in use.members]
    say("")
    show_table(["used by", "id", "label", "trial"], rows, empty="used by nobody")


@scopes.command("create")
@click.argument("name")
@edit_options
@json_option
@click.pass_obj
def create(config: Path, /, name: str, *, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - edit_options
    """Make a new scope."""
    from gateway.control.scopes import create_scope  # noqa: PLC0415 - SQL only when it is needed

    url, routes = session.store_and_routes_of(config)
    edit, who = _edit(options), session.actor()
    _saved(
        session.in_store(url, lambda store: create_scope(store, who, name, edit, routes.modules.bits)),
        "created",
        as_json=as_json,
    )


@scopes.command("update")
@click.argument("name")
@edit_options
@json_option
@click.pass_obj
def update(config: Path, /, name: str, *, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - edit_options
    """Change a scope for everyone who has it; each module option replaces that set."""
    from gateway.control.scopes import update_scope  # noqa: PLC0415 - SQL only when it is needed

    edit, who = _edit(options), session.actor()
    if not edit:
        raise click.UsageError("Nothing to change was given; name at least one option.")
    url, routes = session.store_and_routes_of(config)
    _saved(
        session.in_store(
            url,
            lambda store: update_scope(store, who, name, edit, routes.modules.bits),
            Missing.REFUSE,
        ),
        "updated",
        as_json=as_json,
    )


@scopes.command("clone")
@click.argument("source")
@click.argument("name")
@click.option("--label", help="What people call the copy.")
@json_option
@click.pass_obj
def clone(config: Path, source: str, name: str, *, label: str | None, as_json: bool) -> None:
    """Copy a scope under a new name; the copy of a standard scope can be edited."""
    from gateway.control.scopes import clone_scope  # noqa: PLC0415 - SQL only when it is needed

    who = session.actor()
    saved = session.in_store(
        session.store_of(config), lambda store: clone_scope(store, who, source, name, label)
    )
    _saved(saved, "created", as_json=as_json)


@scopes.command("delete")
@click.argument("name")
@click.option(
    "--fallback",
    type=click.Choice(["deny", "full-access"]),
    help="What becomes of those who use it: they lose what it gave, or a key left without scope "
    "may do everything. Users, roles and clients lose what it gave either way.",
)
@widens_option
@json_option
@click.pass_obj
def delete(config: Path, name: str, *, fallback: str | None, widens: bool, as_json: bool) -> None:
    """Delete a scope; refused while it is in use, unless --fallback says what becomes of its users.

    Refused, too, where somebody may do more without it, as by losing what a deny scope denies, unless
    --widens says that this is meant.
    """
    from gateway.control.scopes import Fallback, delete_scope  # noqa: PLC0415 - SQL only when it is needed

    who, chosen = session.actor(), None if fallback is None else Fallback(fallback)
    url, terms = session.store_and_terms_of(config)
    gone = session.in_store(
        url,
        lambda store: delete_scope(store, who, name, chosen, widens=widens, terms=terms),
        Missing.REFUSE,
    )
    if as_json:
        told = {"deleted": _described(gone.scope), "full_access": list(gone.given_full_access)}
        show_json({**told, "widens": session.gained(gone.gains), **_used_by(gone.use)})
    else:
        say(f"scope {gone.scope.name} deleted")
    for warning in gone.warnings:
        warn(warning)


def _edit(options: dict[str, Any]) -> "ScopeEdit":
    from gateway.control.scopes import ScopeEdit  # noqa: PLC0415 - SQL only when it is needed

    modules = {action: _names(options[action.word]) for action in Action if options[action.word] is not None}
    mode = None if options["mode"] is None else Mode(options["mode"])
    return ScopeEdit(options["label"], mode, modules, options["bypass_enabled_flag"])


def _names(listed: str) -> list[str]:
    """The names in a list separated by commas; spaces around them do not count."""
    return [name.strip() for name in listed.split(",") if name.strip()]


def _saved(saved: "SavedScope", done: str, *, as_json: bool) -> None:
    if as_json:
        show_json(_described(saved.scope))
    else:
        say(f"scope {saved.scope.name} {done}")
        _show(saved.scope)
    for warning in saved.warnings:
        warn(warning)


def _show(scope: Scope) -> None:
    show_fields({name.replace("_", " "): value for name, value in _described(scope).items()})


def _described(scope: Scope) -> dict[str, object]:
    from gateway.control.scopes import described  # noqa: PLC0415 - SQL only when it is needed

    return described(scope)


def _sets(scope: Scope) -> list[list[str]]:
    return [scope.selection(action).listed() for action in Action]


def _used_by(use: ScopeUse) -> dict[str, object]:
    return {
        "keys": [{"id": key.key_id, "label": key.label, "trial": key.trial} for key in use.keys],
        "members": [{"kind": member.kind.value, "name": member.name} for member in use.members],
    }
