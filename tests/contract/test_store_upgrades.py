"""A store of an older release becomes one of this release, with everybody still in it."""

import asyncio
import sqlite3
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from postgresql import Server
from sqlalchemy import Connection, text

from gateway.domain.ports import StoreUnavailableError
from gateway.domain.scope_use import MemberKind, MemberUse
from gateway.store.address import StoreAddress
from gateway.store.connecting import BEGIN, make_engine
from gateway.store.opening import open_store, upgrade_store
from gateway.store.schema import REVISION

FIRST = "0001"
INSERT = "INSERT INTO members (scope_id, kind, name) VALUES "
MEMBERS = [(3, 10_000, "user", "ada"), (4, 10_000, "role", "ada"), (9, 10_001, "user", "role:'x'")]


def migrate_to(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", "gateway.store:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


async def prepare(url: str) -> None:
    """Leave a store as the first release had it, with members of each kind that there was."""
    engine = make_engine(StoreAddress.parse(url))
    async with engine.connect() as plain:
        connection = await plain.execution_options(**{BEGIN: "BEGIN IMMEDIATE"})
        async with connection.begin():
            await connection.run_sync(migrate_to, FIRST)
            for row_id, scope_id, kind, name in [*MEMBERS, (12, 10_002, "user", "gone")]:
                await connection.execute(
                    text("INSERT INTO members (id, scope_id, kind, name) VALUES (:i, :s, :k, :n)"),
                    {"i": row_id, "s": scope_id, "k": kind, "n": name},
                )
            await connection.execute(text("DELETE FROM members WHERE id = 12"))
            if connection.dialect.name == "postgresql":
                await connection.execute(text("SELECT setval('members_id_seq', 12)"))
            await connection.execute(
                text("INSERT INTO changes (seq, at, kind, subject) VALUES (1, 1.0, 'member', 'user:ada')")
            )
    await engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def older(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store that the first release left."""
    if request.param == "sqlite":
        (tmp_path / "older.db").touch()
        url = f"sqlite:///{tmp_path}/older.db"
    else:
        server: Server = request.getfixturevalue("server")
        name = f"older_{next(request.getfixturevalue('database_names'))}"
        server.run(f"CREATE DATABASE {name}")
        url = server.url(name)
    asyncio.run(prepare(url))
    return url


def test_everybody_is_still_a_member_after_the_upgrade_and_clients_can_be(older: str) -> None:
    done = asyncio.run(upgrade_store(older))
    assert (done.before, done.after) == (FIRST, REVISION)

    async def look() -> None:
        async with open_store(older) as store:
            kept = {
                (row.scope.id, row.member.kind.value, row.member.name) for row in await store.memberships()
            }
            assert kept == {row[1:] for row in MEMBERS}
            assert len(await store.scopes()) == 3
            assert (await store.changes_after(0)).latest == 1
            async with store.writing("ada") as writing:
                await writing.add_member(10_000, MemberUse(MemberKind.CLIENT, "ada"))
                await writing.record("member.add", "client:ada")
            assert len(await store.scopes_of_members([MemberUse(MemberKind.CLIENT, "ada")])) == 1

    asyncio.run(look())
    assert not asyncio.run(upgrade_store(older)).changed


def said_by(url: str, statement: str) -> list[tuple[object, ...]]:
    """What the database itself answers, past the house."""
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            rows = connection.execute(statement).fetchall()
        connection.close()
        return rows

    async def ask() -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(url)
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "row",
    [
        "(10000, 'group', 'ada')",
        "(10000, 'User', 'ada')",
        "(10000, '', 'ada')",
        "(10000, 'user', 'ada')",
        "(77, 'user', 'bob')",
        "(10000, NULL, 'bob')",
        "(10000, 'user', NULL)",
    ],
)
def test_the_rules_of_the_table_outlive_the_upgrade(older: str, row: str) -> None:
    asyncio.run(upgrade_store(older))

    async def insert() -> None:
        engine = make_engine(StoreAddress.parse(older))
        try:
            async with engine.connect() as connection:
                await connection.execute(text(INSERT + row))
        finally:
            await engine.dispose()

    with pytest.raises(Exception, match=r"(?i)constraint"):
        asyncio.run(insert())


def test_no_id_is_used_twice_across_the_upgrade_and_the_names_stay_indexed(older: str) -> None:
    asyncio.run(upgrade_store(older))
    assert said_by(older, f"{INSERT} (10001, 'client', 'c') RETURNING id") == [(13,)]
    catalogue = (
        "SELECT name FROM sqlite_master WHERE tbl_name = 'members' AND type = 'index' AND name LIKE 'ix%'"
        if older.startswith("sqlite")
        else "SELECT indexname FROM pg_indexes WHERE tablename = 'members' AND indexname LIKE 'ix%'"
    )
    assert said_by(older, catalogue) == [("ix_members_kind",)]


def test_a_store_without_any_member_ever_is_upgraded_too(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    url = f"sqlite:///{tmp_path}/empty.db"

    async def begin() -> None:
        engine = make_engine(StoreAddress.parse(url))
        async with engine.connect() as plain:
            connection = await plain.execution_options(**{BEGIN: "BEGIN IMMEDIATE"})
            async with connection.begin():
                await connection.run_sync(migrate_to, FIRST)
        await engine.dispose()

    asyncio.run(begin())
    assert asyncio.run(upgrade_store(url)).changed
    assert said_by(url, "SELECT count(*) FROM members") == [(0,)]


def test_who_only_reads_is_told_to_upgrade_a_store_of_an_older_release(older: str) -> None:
    async def read() -> None:
        async with open_store(older, create=False):
            pass

    with pytest.raises(StoreUnavailableError, match="older revision 0001; run `gateway db upgrade`"):
        asyncio.run(read())
