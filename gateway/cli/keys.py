"""`gateway keys`: the API keys, each with its scopes."""

import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import session
from gateway.cli.output import fail, json_option, say, show_fields, show_json, show_table, warn
from gateway.cli.session import Missing
from gateway.domain.key_entry import KeyEntry

if TYPE_CHECKING:
    from gateway.control.keys import IssuedKey
    from gateway.store.store import Store

KEY_ID = click.IntRange(min=1)
LARGEST_FILE = 64 << 20
"""Bytes of a file to import: room for half a million keys."""


def _readable(ctx: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """An expiry as it was typed, if it is one; whether it is past is for the store's clock to say."""
    from gateway.control.words import expiry_fault  # noqa: PLC0415 - only when it is needed

    fault = "" if text is None else expiry_fault(text)
    if text is not None and fault:
        raise click.BadParameter(f"{text[:40]!r} {fault}", ctx, parameter)
    return text


expires_option = click.option(
    "--expires", callback=_readable, help="When it ends: 90d, a date such as 2030-12-31, or never."
)


@click.group()
def keys() -> None:
    """What integrations prove themselves with."""


@keys.command("list")
@json_option
@click.pass_obj
def list_keys(config: Path, *, as_json: bool) -> None:
    """Show every key; secrets are nowhere to be shown from."""
    entries = session.in_store(session.store_of(config), lambda store: store.keys(), Missing.TELL)
    if as_json:
        show_json([_described(entry) for entry in entries])
        return
    columns = ["id", "label", "state", "scopes", "trial", "expires", "last used"]
    show_table(columns, [_row(entry) for entry in entries], empty="no keys yet")
    _warn(*entries)


@keys.command("show")
@click.argument("key_id", metavar="ID", type=KEY_ID)
@json_option
@click.pass_obj
def show(config: Path, key_id: int, *, as_json: bool) -> None:
    """Show one key."""
    from gateway.control.keys import key_numbered  # noqa: PLC0415 - SQL only when it is needed

    entry = session.in_store(
        session.store_of(config), lambda store: key_numbered(store, key_id), Missing.REFUSE
    )
    _show(entry, as_json=as_json)


@keys.command("create")
@click.argument("label")
@click.option("--scope", "scopes", multiple=True, help="A scope to give it, by name; repeatable, needed.")
@expires_option
@json_option
@click.pass_obj
def create(config: Path, label: str, scopes: tuple[str, ...], *, expires: str | None, as_json: bool) -> None:
    """Make a new key and show it, this once."""
    from gateway.control.keys import create_key  # noqa: PLC0415 - SQL only when it is needed
    from gateway.control.words import NEVER, expiry_of  # noqa: PLC0415 - likewise

    async def issue(store: "Store") -> "IssuedKey":
        ends = expiry_of(NEVER if expires is None else expires, store.now())
        return await create_key(store, session.actor(), label, _names(scopes), ends)

    issued = session.in_store(session.store_of(config), issue)
    _show_secret(issued, as_json=as_json)


@keys.command("rotate")
@click.argument("key_id", metavar="ID", type=KEY_ID)
@click.option(
    "--overlap",
    default="24h",
    show_default=True,
    help="How long the old secrets stay good; 0 ends them at once.",
)
@json_option
@click.pass_obj
def rotate(config: Path, key_id: int, *, overlap: str, as_json: bool) -> None:
    """Give a key a new secret and show it, this once."""
    from gateway.control.keys import rotate_key  # noqa: PLC0415 - SQL only when it is needed
    from gateway.document.quantities import duration  # noqa: PLC0415 - likewise

    try:
        seconds = 0.0 if overlap == "0" else duration(overlap)
    except ValueError as error:
        raise click.BadParameter(f"{overlap[:40]!r} {error}", param_hint="--overlap") from None
    issued = session.in_store(
        session.store_of(config),
        lambda store: rotate_key(store, session.actor(), key_id, seconds),
        Missing.REFUSE,
    )
    _show_secret(issued, as_json=as_json)
    if not as_json:
        say(
            f"The old ones are good for {overlap} more."
            if seconds
            else "The old ones are refused from now on."
        )


@keys.command("update")
@click.argument("key_id", metavar="ID", type=KEY_ID)
@click.option("--label", help="What people call it.")
@click.option("--scope", "scopes", multiple=True, help="Its scopes from now on; repeatable, replaces all.")
@click.option("--trial", multiple=True, help="The trial set from now on; repeatable, replaces all.")
@click.option("--no-trial", is_flag=True, help="End the trial.")
@expires_option
@json_option
@click.pass_obj
def update(  # noqa: PLR0913 - an argument an option
    config: Path,
    key_id: int,
    *,
    label: str | None,
    scopes: tuple[str, ...],
    trial: tuple[str, ...],
    no_trial: bool,
    expires: str | None,
    as_json: bool,
) -> None:
    """Change a key: its label, scopes, trial set or expiry."""
    from gateway.control.keys import KeyEdit, update_key  # noqa: PLC0415 - SQL only when it is needed
    from gateway.control.words import expiry_of  # noqa: PLC0415 - likewise

    if trial and no_trial:
        raise click.UsageError("--trial sets a trial and --no-trial ends it; give one of them.")
    if not (scopes or trial or no_trial) and (label, expires) == (None, None):
        raise click.UsageError("Nothing to change was given; name at least one option.")

    async def change(store: "Store") -> KeyEntry:
        edit = KeyEdit(
            label=label,
            scopes=_names(scopes) if scopes else None,
            trial=_names(trial) if trial else None,
            ends_trial=no_trial,
            expires=None if expires is None else (expiry_of(expires, store.now()),),
        )
        return await update_key(store, session.actor(), key_id, edit)

    _change(config, change, as_json=as_json)


@keys.command("adopt")
@click.argument("key_id", metavar="ID", type=KEY_ID)
@json_option
@click.pass_obj
def adopt(config: Path, key_id: int, *, as_json: bool) -> None:
    """Make the trial set the key's scopes."""
    from gateway.control.keys import adopt_trial  # noqa: PLC0415 - SQL only when it is needed

    _change(config, lambda store: adopt_trial(store, session.actor(), key_id), as_json=as_json)


@keys.command("disable")
@click.argument("key_id", metavar="ID", type=KEY_ID)
@json_option
@click.pass_obj
def disable(config: Path, key_id: int, *, as_json: bool) -> None:
    """Refuse a key until it is enabled again."""
    from gateway.control.keys import disable_key  # noqa: PLC0415 - SQL only when it is needed

    _change(config, lambda store: disable_key(store, session.actor(), key_id), as_json=as_json)


@keys.command("enable")
@click.argument("key_id", metavar="ID", type=KEY_ID)
@json_option
@click.pass_obj
def enable(config: Path, key_id: int, *, as_json: bool) -> None:
    """Accept a disabled key again."""
    from gateway.control.keys import enable_key  # noqa: PLC0415 - SQL only when it is needed

    _change(config, lambda store: enable_key(store, session.actor(), key_id), as_json=as_json)


@keys.command("revoke")
@click.argument("key_id", metavar="ID", type=KEY_ID)
@json_option
@click.pass_obj
def revoke(config: Path, key_id: int, *, as_json: bool) -> None:
    """Refuse a key for good; nothing brings it back."""
    from gateway.control.keys import revoke_key  # noqa: PLC0415 - SQL only when it is needed

    _change(config, lambda store: revoke_key(store, session.actor(), key_id), as_json=as_json)


@keys.command("import")
@click.argument("file", metavar="FILE.csv")
@json_option
@click.pass_obj
def import_file(config: Path, file: str, *, as_json: bool) -> None:
    """Bring in existing keys from a CSV file (- for standard input): all of them or none.

    Columns: label; key or sha256; scopes, separated by spaces or semicolons; expires, if any does.
    """
    from gateway.control.key_import import import_keys  # noqa: PLC0415 - SQL only when it is needed

    content = _content(file)
    done = session.in_store(
        session.store_of(config), lambda store: import_keys(store, session.actor(), content)
    )
    if as_json:
        show_json({"imported": len(done.ids), "ids": done.ids, "warnings": done.warnings})
    else:
        span = f"key {done.ids[0]}" if len(done.ids) == 1 else f"keys {done.ids[0]} to {done.ids[-1]}"
        say(f"{len(done.ids)} imported: {span}")
    for warning in done.warnings:
        warn(warning)


def _content(file: str) -> bytes:
    try:
        if file == "-":
            content = sys.stdin.buffer.read(LARGEST_FILE + 1)
        else:
            with Path(file).open("rb") as opened:
                content = opened.read(LARGEST_FILE + 1)
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}.")
    if len(content) > LARGEST_FILE:
        fail(f"{file} is larger than {LARGEST_FILE >> 20} MiB.", "split it into several files")
    return content


def _change(config: Path, work: "Callable[[Store], Awaitable[KeyEntry]]", *, as_json: bool) -> None:
    _show(session.in_store(session.store_of(config), work, Missing.REFUSE), as_json=as_json)


def _names(given: tuple[str, ...]) -> list[str]:
    """The names given; several may stand in one option, separated by commas."""
    return [name.strip() for listed in given for name in listed.split(",") if name.strip()]


def _show_secret(issued: "IssuedKey", *, as_json: bool) -> None:
    """Print a key with its secret: the one place where that is done, and the one time."""
    described = _described(issued.entry)
    if as_json:
        show_json({**described, "key": issued.secret})
        return
    shown = {name: described[name] for name in ("id", "label", "scopes", "expires_at")}
    show_fields({**{name.replace("_", " "): value for name, value in shown.items()}, "key": issued.secret})
    say("Keep the key now: it is shown this once, and cannot be shown again.")


def _show(entry: KeyEntry, *, as_json: bool) -> None:
    if as_json:
        show_json(_described(entry))
        return
    described = _described(entry)
    secrets = [
        f"made {session.moment(s.created_at)}, ends {session.moment(s.expires_at) or 'never'}"
        for s in entry.secrets
    ]
    described |= {"secrets": "; ".join(secrets)}
    del described["warnings"]
    show_fields({name.replace("_", " "): value for name, value in described.items()})
    _warn(entry)


def _described(entry: KeyEntry) -> dict[str, object]:
    """A key for programs, its times as RFC 3339 has them."""
    from gateway.control.keys import described, warnings_about  # noqa: PLC0415 - SQL only when it is needed

    whole = described(entry)
    whole |= {
        "expired": _expired(entry),
        "created_at": session.moment(entry.created_at),
        "expires_at": session.moment(entry.record.expires_at),
        "last_used_at": session.moment(entry.last_used_at),
        "secrets": [
            {
                "id": secret.id,
                "created_at": session.moment(secret.created_at),
                "expires_at": session.moment(secret.expires_at),
            }
            for secret in entry.secrets
        ],
        "warnings": warnings_about(entry),
    }
    return whole


def _row(entry: KeyEntry) -> list[object]:
    record = entry.record
    trial = None if record.trial is None else [scope.name for scope in record.trial] or "nothing"
    return [
        record.id,
        record.label,
        "expired" if _expired(entry) and record.state == "active" else record.state,
        [scope.name for scope in record.scopes],
        trial,
        session.moment(record.expires_at) or "never",
        session.moment(entry.last_used_at) or "never",
    ]


def _expired(entry: KeyEntry) -> bool:
    now, ends = time.time(), entry.record.expires_at
    return (ends is not None and ends <= now) or not entry.has_live_secret(now)


def _warn(*entries: KeyEntry) -> None:
    from gateway.control.keys import warnings_about  # noqa: PLC0415 - SQL only when it is needed

    for entry in entries:
        for warning in warnings_about(entry):
            warn(warning)
