"""What a command needs before it can call a use case: the configuration, the store, and who is asking."""

import asyncio
import os
import pwd
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gateway.cli.output import fail, refuse_configuration, warn
from gateway.control.gain import Gain
from gateway.control.refused import InUseError, RefusedError, UnknownError, WideningError
from gateway.domain.ports import StoreUnavailableError
from gateway.domain.scope_use import ScopeUse

if TYPE_CHECKING:
    from gateway.configuration import Configuration
    from gateway.control.widening import BearerTerms
    from gateway.routing.table import RouteTable
    from gateway.settings.model import Settings
    from gateway.store.store import Store

T = TypeVar("T")


def actor() -> str:
    """Who runs the command, for the audit: the name of the operating system's user, else its number."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def settings_of(config: Path) -> "Settings":
    """The settings. Ends the command with every problem of a bad configuration."""
    from gateway.document.problem import SettingsError  # noqa: PLC0415 - `--help` needs no settings
    from gateway.settings.loading import load_settings  # noqa: PLC0415 - likewise

    try:
        return load_settings(config, os.environ)
    except SettingsError as error:
        refuse_configuration(error.problems)


def store_of(config: Path) -> str:
    """The URL of the configured store. Ends like `settings_of`."""
    return settings_of(config).store.url


def store_and_terms_of(config: Path) -> "tuple[str, BearerTerms]":
    """The store's URL, and what the settings say of those whom tokens speak for. Ends like `settings_of`."""
    from gateway.control.widening import BearerTerms  # noqa: PLC0415 - SQL only when it is needed
    from gateway.domain.token import ScopesFrom  # noqa: PLC0415 - likewise

    settings = settings_of(config)
    bearer = settings.authentication.bearer
    named = [one.scopes_from for one in bearer.issuers]
    if bearer.introspection is not None:
        named.append(bearer.introspection.scopes_from)
    by_tokens = any(scopes_from is not ScopesFrom.MEMBERS for scopes_from in named)
    return settings.store.url, BearerTerms(bearer.without_scope, by_tokens)


def configuration_of(config: Path) -> "Configuration":
    """The settings and the compiled routes. Ends like `settings_of`."""
    from gateway.configuration import load_everything  # noqa: PLC0415 - `--help` needs no routes
    from gateway.document.problem import SettingsError  # noqa: PLC0415 - likewise

    try:
        return load_everything(config, os.environ, certificates=False)
    except SettingsError as error:
        refuse_configuration(error.problems)


def store_and_routes_of(config: Path) -> "tuple[str, RouteTable]":
    """The store's URL and the compiled routes. Ends like `settings_of`."""
    settings, routes = configuration_of(config)
    return settings.store.url, routes


class Missing(StrEnum):
    """What becomes of an embedded store that is not there."""

    MAKE = "make"
    """It is made, folder and all: for commands that put something into it."""
    TELL = "tell"
    """It is made where its folder is there, and the reader is told: for what a new store has to show too."""
    REFUSE = "refuse"
    """The command ends: what it looks for cannot be in a new store."""


def in_store(url: str, work: "Callable[[Store], Awaitable[T]]", missing: Missing = Missing.MAKE) -> T:
    """Open the store and do the work. What may not or cannot be done ends the command with its sentence."""
    from gateway.store.opening import open_store  # noqa: PLC0415 - `--help` needs no database

    async def opened() -> T:
        absent = None if missing is Missing.MAKE else _absent(url, missing)
        async with open_store(url) as store:
            if absent is not None:
                warn(f"made a new store at {absent}")
            return await work(store)

    return answered(opened)


def _absent(url: str, missing: Missing) -> Path | None:
    """Where an embedded store should be that is not there; None for one that is. Raises UnknownError."""
    from gateway.store.address import StoreAddress  # noqa: PLC0415 - `--help` needs no database

    path = StoreAddress.parse(url).path
    if path is None or os.path.lexists(path):
        return None
    path = path.absolute()
    if missing is Missing.TELL and path.parent.is_dir():
        return path
    raise UnknownError(
        f"There is no store at {path}.",
        hint="check `store` in the configuration, or run `gateway db upgrade`",
    )


def answered(work: Callable[[], Awaitable[T]]) -> T:
    """Do the work to its end. What may not or cannot be done ends the command with its sentence."""

    async def run() -> T:
        return await work()

    try:
        return asyncio.run(run())
    except InUseError as error:
        fail("\n".join(error.sentences), error.hint, used_by=users(error.use))
    except WideningError as error:
        fail("\n".join(error.sentences), error.hint, widens=gained(error.gains))
    except RefusedError as error:
        fail("\n".join(error.sentences), error.hint)
    except StoreUnavailableError as error:
        fail(str(error))


def users(use: ScopeUse) -> list[dict[str, object]]:
    """Those who have a scope, for programs."""
    told: list[dict[str, object]] = []
    told += [{"kind": "key", "id": key.key_id, "label": key.label, "trial": key.trial} for key in use.keys]
    told += [{"kind": member.kind.value, "name": member.name} for member in use.members]
    return told


def gained(gains: Iterable[Gain]) -> list[dict[str, object]]:
    """Those who may do more, for programs; `pairs` is null for everything."""
    return [{"who": gain.who, "pairs": gain.pairs, "surely": gain.surely} for gain in gains]


def path_of(target: str) -> str:
    """The path of a request target as it is judged: without its query, but never without its fragment."""
    before, fragment, _ = target.partition("#")
    return before.partition("?")[0] + fragment


def moment(seconds: float | None) -> str | None:
    """A time as programs and people read it (RFC 3339, UTC, whole seconds); None stays None."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
