"""Engines: how connections to a store behave, whichever database it is."""

from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from gateway.store.address import WAIT_S, StoreAddress
from gateway.store.sqlite_driver import connect_sqlite

CONNECTIONS: Final = 5
"""Connections a process holds at most; a look-up takes well under a millisecond."""

BEGIN: Final = "gateway_begin"
"""Execution option: the statement a SQLite transaction opens with. Without it each statement stands alone."""


def make_engine(address: StoreAddress) -> AsyncEngine:
    """An engine for the place; nothing is connected yet."""
    engine = create_async_engine(
        _driver_url(address),
        connect_args=_connect_args(address),
        hide_parameters=True,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=WAIT_S,
    )
    if address.path is not None:
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def for_reading(engine: AsyncEngine) -> AsyncEngine:
    """The engine for questions of one statement, which need no transaction and so one round trip.

    SQLite's connections are that way from the start; see `_begin_sqlite`.
    """
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="AUTOCOMMIT")


async def begin_writing(engine: AsyncEngine) -> AsyncConnection:
    """A connection whose transaction holds the store's write lock from its first moment.

    One writer at a time, so what a use case has checked stays true until it commits, and the change feed is
    numbered in the order of the commits. Closed without a commit, everything is rolled back.
    """
    connection = await engine.connect()
    try:
        if engine.dialect.name == "sqlite":
            connection = await connection.execution_options(**{BEGIN: "BEGIN IMMEDIATE"})
            await connection.begin()
        else:
            await connection.execute(text("LOCK TABLE changes IN EXCLUSIVE MODE"))
    except BaseException:
        await connection.close()
        raise
    return connection


def _driver_url(address: StoreAddress) -> URL:
    """The URL as the driver wants it; `mode=rw` keeps SQLite from making an empty file where none is."""
    if address.path is None:
        return address.url
    return address.url.set(database=f"file:{quote(str(address.path))}", query={"mode": "rw", "uri": "true"})


def _connect_args(address: StoreAddress) -> dict[str, Any]:
    if address.path is None:
        return address.connect_args
    return {**address.connect_args, "async_creator_fn": connect_sqlite}


def _prepare_sqlite(connection: Any, entry: ConnectionPoolEntry) -> None:  # noqa: ANN401 - the driver's own
    """What a new SQLite connection is told.

    `synchronous=FULL`, since with NORMAL the last commits of a write-ahead log may be lost when the power
    fails: a key that was shown once, or its revocation, must not be.
    """
    del entry
    try:
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.close()
    except BaseException:
        connection.close()
        raise


def _begin_sqlite(connection: Connection) -> None:
    """Open a transaction only where one was asked for; Python's sqlite3 is told to leave that to us."""
    statement = connection.get_execution_options().get(BEGIN)
    if statement is not None:
        connection.exec_driver_sql(statement)
