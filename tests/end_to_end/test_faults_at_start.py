"""A gateway that cannot start says why in a sentence, leaves nothing behind, and ends with status 1."""

import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Commands
from feeds import Feed
from gateways import write_configuration
from operations import fetched, readiness, serving, status, until


def is_told(done: subprocess.CompletedProcess[str], said: str) -> None:
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout == ""
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("place", "setting"), [(0, "listen"), (1, "admin.listen")])
def test_a_port_in_use_is_named_with_its_setting(
    tmp_path: Path, commands: Commands, place: int, setting: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file = write_configuration(tmp_path, [9], ports=(port, 0) if place == 0 else (0, port))
        done = commands.on(file)("serve")
    is_told(done, f"error: {setting}: cannot listen on 127.0.0.1:{port}: the address is in use")


def corrupt(store: Path) -> None:
    store.write_bytes(b"this is no database" * 500)


def truncated(store: Path) -> None:
    store.write_bytes(store.read_bytes()[: store.stat().st_size // 2])


def foreign(store: Path) -> None:
    store.unlink()
    with sqlite3.connect(store) as other:
        other.execute("CREATE TABLE somebody_elses (x)")
        other.execute("PRAGMA user_version = 7")
    other.close()


def newer(store: Path) -> None:
    with sqlite3.connect(store) as same:
        same.execute("UPDATE alembic_version SET version_num = '9999'")
    same.close()


def directory(store: Path) -> None:
    store.unlink()
    store.mkdir()


def device(store: Path) -> None:
    store.unlink()
    store.symlink_to("/dev/full")


@pytest.mark.parametrize("spoil", [corrupt, truncated, newer, directory, device], ids=lambda f: f.__name__)
def test_a_store_that_cannot_be_used_ends_every_command_that_needs_it(
    tmp_path: Path, commands: Commands, spoil: Callable[[Path], None]
) -> None:
    run = commands.on(write_configuration(tmp_path, [9]))
    run.key("api-v2")
    store = tmp_path / "scopegate.db"
    for beside in ("-wal", "-shm"):
        store.with_name(store.name + beside).unlink(missing_ok=True)
    spoil(store)
    for command in (
        ("serve",),
        ("keys", "list"),
        ("keys", "create", "x", "--scope", "api-v2"),
        ("db", "upgrade"),
    ):
        is_told(run(*command), "scopegate.db")


def test_a_database_of_somebody_else_is_not_taken_over(tmp_path: Path, commands: Commands) -> None:
    run = commands.on(write_configuration(tmp_path, [9]))
    run.key("api-v2")
    store = tmp_path / "scopegate.db"
    foreign(store)
    before = store.read_bytes()
    is_told(run("serve"), "scopegate.db")
    is_told(run("db", "upgrade"), "scopegate.db")
    assert store.read_bytes() == before


@pytest.mark.parametrize("place", ["/proc/scopegate.db", "/dev/null/scopegate.db", "/sys/scopegate.db"])
def test_a_store_that_cannot_be_made_is_told(tmp_path: Path, commands: Commands, place: str) -> None:
    file = write_configuration(tmp_path, [9])
    file.write_text(file.read_text().replace(f"sqlite:///{tmp_path}/scopegate.db", f"sqlite:///{place}"))
    is_told(commands.on(file)("keys", "list"), place)
    is_told(commands.on(file)("serve"), place)


def test_no_server_behind_a_postgresql_url_is_told_without_its_password(
    tmp_path: Path, commands: Commands
) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        url = f"postgresql://scopegate:hush-hush@127.0.0.1:{port}/scopegate"
        file = write_configuration(tmp_path, [9])
        file.write_text(file.read_text().replace(f"sqlite:///{tmp_path}/scopegate.db", url))
        for command in (("serve",), ("keys", "list"), ("db", "upgrade")):
            done = commands.on(file)(*command)
            is_told(done, f"127.0.0.1:{port}")
            assert "hush-hush" not in done.stderr


@pytest.mark.skipif(shutil.which("mount") is None, reason="needs a file system of its own")
def test_a_store_that_may_only_be_read_is_told(tmp_path: Path, commands: Commands) -> None:
    run = commands.on(write_configuration(tmp_path, [9]))
    run.key("api-v2")
    place = tmp_path / "read only"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("this user may not mount")
    try:
        shutil.copy(tmp_path / "scopegate.db", place / "scopegate.db")
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        run.file.write_text(run.file.read_text().replace(f"{tmp_path}/scopegate.db", f"{place}/scopegate.db"))
        is_told(run("keys", "create", "x", "--scope", "api-v2"), "scopegate.db")
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("log", ["access", "denied"])
def test_a_log_that_cannot_be_opened_is_told_while_requests_are_served(
    tmp_path: Path, commands: Commands, feed: Feed, log: str
) -> None:
    file = write_configuration(tmp_path, [feed.port])
    (tmp_path / f"{log}.log").mkdir()
    _, key = commands.on(file).key("api-v2")
    with serving(file) as gateway:
        assert status(gateway, "GET", "/v2/courses", key) == 200
        assert status(gateway, "GET", "/v2/courses") == 401
        until(lambda: any(f"{log}.log" in warning for warning in readiness(gateway)["warnings"]))
        assert fetched(gateway, "/readyz")[0] == 200
        other = "denied" if log == "access" else "access"
        until(lambda: "credential_missing" in (tmp_path / f"{other}.log").read_text())
