"""SQLite's driver. It gives each connection a thread, and none of them may outlive the loop it answers."""

import asyncio
import sqlite3
from functools import partial
from typing import Any, Final

import aiosqlite

ROWS_AT_ONCE: Final = 64
"""Rows that a cursor fetches in one go, where it is iterated over."""


class SqliteConnection(aiosqlite.Connection):
    """A connection; `stopped` is done when its thread has nothing more to do, None as long as it has."""

    stopped: asyncio.Future[Any] | None = None

    def stop(self) -> asyncio.Future[Any] | None:
        """Let the thread end."""
        self.stopped = super().stop()
        return self.stopped


async def connect_sqlite(database: str, **options: Any) -> SqliteConnection:  # noqa: ANN401 - sqlite3.connect's
    """Connect. Where that fails, the thread has ended before the caller hears why.

    The driver alone would leave it running: were the loop closed first, as at a command's end, the thread
    would break on telling it. Raises what sqlite3.connect raises.
    """
    connection = SqliteConnection(partial(sqlite3.connect, database, **options), ROWS_AT_ONCE)
    connection._thread.daemon = True  # noqa: SLF001 - no end of a process waits for it; there is no other way
    try:
        return await connection  # type: ignore[return-value] # the driver's own type is that of its base
    except BaseException:
        if connection.stopped is not None:
            await asyncio.shield(connection.stopped)
        raise
