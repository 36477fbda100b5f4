"""What a command needs before it can call a use case: the configuration, the store, and who is asking."""

import asyncio
import os
import pwd
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gateway.cli.output import REFUSED, fail, show_problems
from gateway.control.refused import RefusedError
from gateway.domain.ports import StoreUnavailableError

if TYPE_CHECKING:
    from gateway.routing.table import RouteTable
    from gateway.store.store import Store

T = TypeVar("T")


def actor() -> str:
    """Who runs the command, for the audit: the name of the operating system's user, else its number."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def store_of(config: Path) -> str:
    """The URL of the configured store. Ends the command with every problem of a bad configuration."""
    from gateway.document.problem import SettingsError  # noqa: PLC0415 - `--help` needs no settings
    from gateway.settings.loading import load_settings  # noqa: PLC0415 - likewise

    try:
        return load_settings(config, os.environ).store.url
    except SettingsError as error:
        show_problems(error.problems)
        raise SystemExit(REFUSED) from None


def store_and_routes_of(config: Path) -> "tuple[str, RouteTable, frozenset[str]]":
    """The store's URL, the compiled routes and the relaxed path rules. Ends like `store_of`."""
    from gateway.configuration import load_everything  # noqa: PLC0415 - `--help` needs no routes
    from gateway.document.problem import SettingsError  # noqa: PLC0415 - likewise

    try:
        settings, routes = load_everything(config, os.environ, certificates=False)
    except SettingsError as error:
        show_problems(error.problems)
        raise SystemExit(REFUSED) from None
    return settings.store.url, routes, frozenset(settings.paths.allow)


def in_store(url: str, work: "Callable[[Store], Awaitable[T]]") -> T:
    """Open the store and do the work. What may not or cannot be done ends the command with its sentence."""
    from gateway.store.opening import open_store  # noqa: PLC0415 - `--help` needs no database

    async def opened() -> T:
        async with open_store(url) as store:
            return await work(store)

    return answered(opened)


def answered(work: Callable[[], Awaitable[T]]) -> T:
    """Do the work to its end. What may not or cannot be done ends the command with its sentence."""

    async def run() -> T:
        return await work()

    try:
        return asyncio.run(run())
    except RefusedError as error:
        fail("\n".join(error.sentences), error.hint)
    except StoreUnavailableError as error:
        fail(str(error))


def path_of(target: str) -> str:
    """The path of a request target as it is judged: without its query, but never without its fragment."""
    before, fragment, _ = target.partition("#")
    return before.partition("?")[0] + fragment


def moment(seconds: float | None) -> str | None:
    """A time as programs and people read it (RFC 3339, UTC, whole seconds); None stays None."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
