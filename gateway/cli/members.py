"""`gateway members`: the users, roles and OAuth2 clients that have API Scopes by a bearer token."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from gateway.cli import session
from gateway.cli.output import json_option, say, show_json, show_table, warn, widens_option
from gateway.cli.session import Missing
from gateway.domain.scope_use import MemberKind, MemberUse

if TYPE_CHECKING:
    from gateway.control.members import MemberChange

Command = TypeVar("Command")

HELP: Final[Mapping[MemberKind, str]] = {
    MemberKind.USER: "The user, named as by the claim of its tokens.",
    MemberKind.ROLE: "The role, and so everybody who has it.",
    MemberKind.CLIENT: "The OAuth2 client, by its id.",
}


@click.group()
def members() -> None:
    """Users, roles and OAuth2 clients that have scopes by a bearer token."""


def member_options(command: Any, *, multiple: bool = False) -> Any:  # noqa: ANN401 - whatever click decorates
    """The ways to name a member, the same on every command that takes one."""
    for kind in reversed(MemberKind):
        told = HELP[kind] + (" Repeatable." if multiple else "")
        command = click.option(f"--{kind}", multiple=multiple, help=told)(command)
    return command


def several_members(command: Any) -> Any:  # noqa: ANN401 - whatever click decorates
    """The same, each any number of times."""
    return member_options(command, multiple=True)


@members.command("list")
@click.option("--scope", help="Those of one scope, by name or id.")
@several_members
@json_option
@click.pass_obj
def list_them(config: Path, /, scope: str | None, *, as_json: bool, **named: tuple[str, ...]) -> None:
    """Show who has which scope: everybody, or those that are named."""
    from gateway.control.members import described, list_members  # noqa: PLC0415 - SQL only when it is needed

    wanted = [MemberUse(kind, name) for kind in MemberKind for name in named[kind]]
    rows = session.in_store(
        session.store_of(config), lambda store: list_members(store, scope, wanted), Missing.TELL
    )
    if as_json:
        show_json([described(row) for row in rows])
        return
    shown = [[row.scope.name, row.scope.mode, row.member.kind, row.member.name] for row in rows]
    show_table(["scope", "mode", "kind", "name"], shown, empty="no members")


@members.command("add")
@click.argument("scope")
@member_options
@json_option
@click.pass_obj
def add(config: Path, /, scope: str, *, as_json: bool, **named: str | None) -> None:
    """Give a scope to a user, a role or a client; who has it already keeps it."""
    from gateway.control.members import add_member  # noqa: PLC0415 - SQL only when it is needed

    member, who = _the_one(named), session.actor()
    done = session.in_store(session.store_of(config), lambda store: add_member(store, who, scope, member))
    _tell(done, "added", "has the scope", "had the scope already:", as_json=as_json)


@members.command("remove")
@click.argument("scope")
@member_options
@widens_option
@json_option
@click.pass_obj
def remove(config: Path, /, scope: str, *, widens: bool, as_json: bool, **named: str | None) -> None:
    """Take a scope from a user, a role or a client.

    Refused where somebody may do more without it, unless --widens says that this is meant.
    """
    from gateway.control.members import remove_member  # noqa: PLC0415 - SQL only when it is needed

    member, who = _the_one(named), session.actor()
    url, terms = session.store_and_terms_of(config)
    done = session.in_store(
        url,
        lambda store: remove_member(store, who, scope, member, widens=widens, terms=terms),
        Missing.REFUSE,
    )
    _tell(done, "removed", "no longer has the scope", "", as_json=as_json)


def _the_one(named: Mapping[str, str | None]) -> MemberUse:
    """The member that the options name. Ends the command as usage where they name none, or several."""
    given = [MemberUse(kind, name) for kind in MemberKind if (name := named[kind]) is not None]
    if len(given) != 1:
        raise click.UsageError("Name one: --user, --role or --client.")
    return given[0]


def _tell(done: "MemberChange", flag: str, news: str, old: str, *, as_json: bool) -> None:
    from gateway.control.members import described  # noqa: PLC0415 - SQL only when it is needed

    if as_json:
        show_json({**described(done.membership), flag: done.changed, "warnings": done.warnings})
    else:
        member = done.membership.member
        said = news if done.changed else old
        say(f"{member.kind} {member.name} {said} {done.membership.scope.name}")
    for warning in done.warnings:
        warn(warning)
