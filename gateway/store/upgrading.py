"""Migrations: which revision a store is at, and bringing it to this release's."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.domain.ports import StoreUnavailableError
from gateway.store.address import StoreAddress
from gateway.store.connecting import BEGIN
from gateway.store.schema import REVISION

UPGRADE_LOCK: Final = 0x5C09E6A7E
"""The PostgreSQL advisory lock that upgrading processes queue for."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What an upgrade did: the revision before (None for an empty store) and after."""

    before: str | None
    after: str

    @property
    def changed(self) -> bool:
        """Whether anything was run."""
        return self.before != self.after


async def revision_of(engine: AsyncEngine, address: StoreAddress) -> str | None:
    """The revision a store is at, read from its own table; None for a store that nobody has prepared."""
    async with engine.connect() as connection:
        return await _revision(connection, address)


async def upgrade(engine: AsyncEngine, address: StoreAddress) -> Upgrade:
    """Bring a store to this release's revision; processes that try at the same time queue.

    Raises StoreUnavailableError where the store belongs to a newer release, or to something else.
    """
    if address.path is not None:
        return await _upgrade_sqlite(engine, address)
    async with engine.begin() as connection:
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({UPGRADE_LOCK})"))
        return await _run(connection, address)


async def _upgrade_sqlite(engine: AsyncEngine, address: StoreAddress) -> Upgrade:
    """Write-ahead logging belongs to the file: set before its first table is made, and in no other's."""
    async with engine.connect() as plain:
        refuse_foreign(await _revision(plain, address), address)
        await plain.execute(text("PRAGMA journal_mode = WAL"))
        await plain.commit()
        connection = await plain.execution_options(**{BEGIN: "BEGIN IMMEDIATE"})
        async with connection.begin():
            return await _run(connection, address)


async def _run(connection: AsyncConnection, address: StoreAddress) -> Upgrade:
    before = await _revision(connection, address)
    refuse_foreign(before, address)
    if before != REVISION:
        await connection.run_sync(_migrate)
    return Upgrade(before, REVISION)


def refuse_foreign(revision: str | None, address: StoreAddress) -> None:
    """Raise StoreUnavailableError for a store that only a newer release can read."""
    if revision is not None and revision > REVISION:
        raise StoreUnavailableError(
            f"The store {address.shown} is at revision {revision}, made by a newer release; "
            f"this one reads {REVISION}. Upgrade the gateway, or restore a backup of the store."
        )


async def _revision(connection: AsyncConnection, address: StoreAddress) -> str | None:
    if address.path is not None:
        tables = set(await connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table'")))
        if tables and "alembic_version" not in tables:
            raise StoreUnavailableError(
                f"The store {address.shown} is a database of something else; "
                "give the store a file of its own."
            )
        prepared = bool(tables)
    else:
        found = await connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL"))
        prepared = bool(found)
    if not prepared:
        return None
    revision = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    return None if revision is None else str(revision)


def _migrate(connection: Connection) -> None:
    """Run Alembic on the open transaction; imported here, since most openings have nothing to migrate."""
    from alembic import command  # noqa: PLC0415 - a third of a second that a prepared store need not wait
    from alembic.config import Config  # noqa: PLC0415 - likewise

    config = Config()
    config.set_main_option("script_location", "gateway.store:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
