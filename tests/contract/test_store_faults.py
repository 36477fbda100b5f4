"""Whatever is wrong with a database, the caller hears one sentence, and never a password."""

import asyncio
import os
import pwd
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from gateway.domain.ports import StoreUnavailableError
from gateway.store.address import StoreAddress
from gateway.store.connecting import make_engine
from gateway.store.opening import open_store, upgrade_store
from gateway.store.schema import REVISION, metadata
from gateway.store.store import Store

PATIENCE = 10.0


class Server(Protocol):
    """The test run's own PostgreSQL (conftest)."""

    def url(self, database: str, password: str = ...) -> str:
        """The URL an operator would configure."""
        ...

    def run(self, statement: str) -> None:
        """Have the administrator say something to the server."""
        ...


async def opened(url: str, *, create: bool = True) -> None:
    async with open_store(url, create=create) as store:
        await store.scopes()


async def refusal(url: str, *, create: bool = True) -> str:
    with pytest.raises(StoreUnavailableError) as refused:
        await opened(url, create=create)
    return str(refused.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "cannot be read"),
        ("var/scopegate.db", "cannot be read"),
        ("postgresql://user:hunter2@host:port/db", "cannot be read"),
        ("mysql://user:hunter2@host/db", "mysql://"),
        ("sqlite+aiosqlite:///x.db", "sqlite+aiosqlite://"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///file:x.db", "names no file"),
        ("sqlite://host/x.db", "names no file"),
        ("sqlite:///x.db?mode=ro", "parameters"),
        ("postgresql://user:hunter2@host/db?server_side=1", "'server_side'"),
    ],
)
async def test_a_url_that_means_no_store_is_refused_without_telling_its_password(url: str, said: str) -> None:
    sentence = await refusal(url)
    assert said in sentence
    assert "hunter2" not in sentence


async def test_an_embedded_store_is_made_with_its_folder_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "var" / "deep" / "store.db"
    await opened(f"sqlite:///{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_path_with_odd_characters_is_just_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a b%20c?#ü" / "store 100%.db"
    async with open_store(f"sqlite:///{str(path).replace('%', '%25').replace('?', '%3F')}") as store:
        assert len(await store.scopes()) == 3
    assert path.exists()


async def test_a_missing_store_is_not_made_by_those_who_only_read(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    sentence = await refusal(f"sqlite:///{path}", create=False)
    assert "gateway db upgrade" in sentence
    assert not path.exists()


async def test_a_store_deleted_under_us_is_not_made_again_empty(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with open_store(f"sqlite:///{path}") as store:
        await asyncio.gather(*(store.scopes() for _ in range(2)))
        path.unlink()
        answers = await asyncio.gather(*(store.scopes() for _ in range(20)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {StoreUnavailableError}
        assert "is not there" in str(answers[0])
    assert not path.exists()


def test_a_file_that_cannot_be_opened_leaves_no_thread_to_break_when_the_loop_has_ended(
    tmp_path: Path,
) -> None:
    before = set(threading.enumerate())
    for number in range(40):
        (tmp_path / str(number)).mkdir()
        assert "cannot be opened" in asyncio.run(refusal(f"sqlite:///{tmp_path}/{number}"))
        for left in set(threading.enumerate()) - before:
            left.join(PATIENCE)
            assert not left.is_alive()


@pytest.mark.parametrize(
    "content", [b"not a database at all, but quite long " * 40, b"SQLite format 3\0" * 99]
)
async def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(content)
    sentence = await refusal(f"sqlite:///{path}")
    assert str(path) in sentence
    assert path.read_bytes() == content


async def test_a_damaged_store_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await opened(f"sqlite:///{path}")
    path.write_bytes(path.read_bytes()[:4096] + os.urandom(path.stat().st_size - 4096))
    assert "damaged" in await refusal(f"sqlite:///{path}")


async def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "accounts.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE payments (id INTEGER)")
    other.close()
    assert "something else" in await refusal(f"sqlite:///{path}")


async def test_a_store_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await opened(f"sqlite:///{path}")
    with sqlite3.connect(path) as newer:
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
    newer.close()
    assert "newer release" in await refusal(f"sqlite:///{path}")


async def test_a_folder_in_the_place_of_the_file_is_a_sentence(tmp_path: Path) -> None:
    assert "cannot be opened" in await refusal(f"sqlite:///{tmp_path}")


async def test_a_file_in_the_place_of_the_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "var").touch()
    assert "The store" in await refusal(f"sqlite:///{tmp_path}/var/store.db")


@pytest.fixture
def writable_by_no_one() -> Iterator[Path]:
    """A folder with a store in it that this test may read and not write; root becomes nobody for it."""
    folder = Path(tempfile.mkdtemp(prefix="store-"))
    asyncio.run(opened(f"sqlite:///{folder}/store.db"))
    (folder / "store.db").chmod(0o444)
    folder.chmod(0o555)
    was = os.geteuid()
    if was == 0:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield folder / "store.db"
    finally:
        os.seteuid(was)
        folder.chmod(0o755)
        shutil.rmtree(folder)


async def test_a_store_that_may_not_be_written_says_so(writable_by_no_one: Path) -> None:
    async def write() -> None:
        async with open_store(f"sqlite:///{writable_by_no_one}") as store:
            await store.record_last_use({1: 1.0})

    with pytest.raises(StoreUnavailableError, match=r"cannot be (written|opened)"):
        await write()


@pytest.mark.slow
async def test_a_store_that_stays_locked_is_a_sentence_after_the_wait(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with open_store(f"sqlite:///{path}") as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="locked by another process"):
            await store.record_last_use({1: 1.0})
        other.close()
        await store.record_last_use({1: 1.0})


@pytest.fixture
def nobody_listens() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


async def test_a_server_that_is_down_is_a_sentence(nobody_listens: str) -> None:
    sentence = await refusal(f"postgresql://gateway:hunter2@{nobody_listens}/db")
    assert "refuses connections" in sentence
    assert nobody_listens in sentence
    assert "hunter2" not in sentence


def test_a_wrong_password_is_a_sentence_without_it(server: Server) -> None:
    sentence = asyncio.run(refusal(server.url("prepared", password="hunter2")))
    assert "password" in sentence
    assert "hunter2" not in sentence


def test_a_missing_database_is_a_sentence(server: Server) -> None:
    assert "no such database" in asyncio.run(refusal(server.url("nowhere")))


def test_a_server_store_is_prepared_by_its_command_alone(server: Server) -> None:
    server.run("CREATE DATABASE unprepared")
    url = server.url("unprepared")
    assert "gateway db upgrade" in asyncio.run(refusal(url))
    done = asyncio.run(upgrade_store(url))
    assert (done.before, done.after, done.changed) == (None, REVISION, True)
    asyncio.run(opened(url))
    again = asyncio.run(upgrade_store(url))
    assert (again.before, again.changed) == (REVISION, False)


async def test_a_connection_that_died_while_idle_is_made_again(store: Store, url: str) -> None:
    await store.scopes()
    if url.startswith("postgresql"):
        import asyncpg  # noqa: PLC0415 - the server's administrator, for this test alone

        administrator = await asyncpg.connect(url)
        await administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await administrator.close()
    assert len(await store.scopes()) == 3


async def test_the_tables_are_what_the_newest_migration_leaves(store: Store, url: str) -> None:
    del store

    def differences(connection: Connection) -> object:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, metadata)

    engine = make_engine(StoreAddress.parse(url))
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


def test_the_revision_this_release_reads_is_the_newest_there_is() -> None:
    config = Config()
    config.set_main_option("script_location", "gateway.store:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION


OPEN_AND_WRITE = """
import asyncio, sys
from gateway.store.opening import open_store

async def main():
    async with open_store(sys.argv[1]) as store:
        async with store.writing("first") as writing:
            await writing.record("store.open", "store")

asyncio.run(main())
"""


def test_processes_that_open_a_new_store_at_the_same_time_all_succeed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/var/store.db"
    command = [sys.executable, "-c", OPEN_AND_WRITE, url]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    said = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0] * 6, said

    async def entries() -> int:
        async with open_store(url) as store:
            return len(await store.audit())

    assert asyncio.run(entries()) == 6


def test_processes_that_upgrade_a_server_at_the_same_time_all_succeed(server: Server) -> None:
    server.run("CREATE DATABASE contested")
    script = (
        "import asyncio, sys; from gateway.store.opening import upgrade_store;"
        "asyncio.run(upgrade_store(sys.argv[1]))"
    )
    command = [sys.executable, "-c", script, server.url("contested")]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0] * 3, said
