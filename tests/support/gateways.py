"""Gateways under test: the data plane in this process, or the whole of it as the processes users run.

Both read real configuration files, use a real SQLite store, and listen on real sockets.
"""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stores import put_new_store
from waiting import until

from gateway.configuration import load_everything
from gateway.control.keys import create_key
from gateway.control.scopes import ScopeEdit, create_scope
from gateway.domain.action import Action
from gateway.domain.scope import Mode
from gateway.forward.names import LookUp, system_look_up
from gateway.observe.logs import LogPlaces, open_logs
from gateway.store.opening import open_store
from gateway.store.store import Store
from gateway.wiring.worker import Worker

ROUTES = """\
feed: test
modules: {courses: Courses, course-dates: Course Dates, bookings: Bookings, users: Users, files: Files}
routes:
  - {path: /v2/courses, module: courses}
  - {path: "/v2/courses/{id}", module: courses}
  - {path: /v2/courses/search, module: courses, actions: {POST: read}}
  - {path: /v2/bookings, module: bookings}
  - {path: "/v2/bookings/{id}", module: bookings}
  - {path: /v2/users, module: users}
  - {path: "/v2/files/**", module: files, max_body: 64MiB}
  - {path: /v2/status, public: true, actions: {GET: read}, only: true}
"""


def write_configuration(
    directory: Path,
    upstreams: Sequence[int | str],
    *,
    routes: str = ROUTES,
    feed: str = "",
    main: str = "",
    stale_for: str = "5m",
    ports: tuple[int, int] = (0, 0),
) -> Path:
    """Write configuration files, beside a store; `feed` and `main` are further lines of YAML.

    Upstreams are ports on loopback, or URLs. Returns the main file's path.
    """
    put_new_store(directory / "scopegate.db")
    (directory / "routes.yaml").write_text(routes)
    file = directory / "gateway.yaml"
    place = f"sqlite:///{directory}/scopegate.db"
    addresses = ", ".join(one if isinstance(one, str) else f"http://127.0.0.1:{one}" for one in upstreams)
    lines = [
        f"listen: 127.0.0.1:{ports[0]}",
        f"admin: {{listen: '127.0.0.1:{ports[1]}'}}",
        f"store: {place}" if stale_for == "5m" else f"store: {{url: '{place}', stale_for: {stale_for}}}",
        "routes: [routes.yaml]",
        "feeds:",
        "  test:",
        f"    upstream: [{addresses}]",
        *(f"    {line}" for line in feed.splitlines()),
        f"logs: {{access: {directory}/access.log, denied: {directory}/denied.log}}",
        main,
    ]
    file.write_text("\n".join(lines) + "\n")
    return file


@dataclass
class PlaneUnderTest:
    """The data plane of one worker, in this process."""

    port: int
    store: Store
    worker: Worker
    directory: Path
    modules: tuple[str, ...]

    async def scope(self, name: str, mode: str = "allow", *, bypass: bool = False, **sets: str) -> None:
        """Make a scope; module sets are comma separated, as on the command line."""
        edit = ScopeEdit(
            label=name.title(),
            mode=Mode(mode),
            modules={Action[action.upper()]: names.split(",") for action, names in sets.items()},
            bypass_enabled_flag=bypass,
        )
        await create_scope(self.store, "tests", name, edit, self.modules)

    async def key(self, *scopes: str, label: str = "an integration", expires_at: float | None = None) -> str:
        """Make a key with scopes; the secret."""
        return (await create_key(self.store, "tests", label, scopes, expires_at)).secret

    async def until_heard(self) -> None:
        """Wait until the worker has heard of every change so far, and forgets nobody for them later."""
        latest = await self.store.latest_change()
        await until(lambda: self.worker.follower.seen >= latest)

    async def until_logged(self, count: int, within: float = 5.0) -> None:
        """Wait until that many exchanges are in the access log."""
        async with asyncio.timeout(within):
            while len(await self.logged()) < count:  # noqa: ASYNC110 - a file announces nothing
                await asyncio.sleep(0.02)

    def counted(self, family: str) -> list[tuple[list[str], float]]:
        """The counts of one metric family: label values in the family's order, and the count."""
        return self.worker.snapshot()["values"].get(family, [])

    async def logged(self) -> list[dict[str, Any]]:
        """The access log so far, after what waits was written."""
        return [json.loads(line) for line in (self.directory / "access.log").read_text().splitlines()]


@asynccontextmanager
async def running_plane(
    directory: Path,
    *upstreams: int | str,
    routes: str = ROUTES,
    feed: str = "",
    main: str = "",
    stale_for: str = "5m",
    look_up: LookUp = system_look_up,
) -> AsyncIterator[PlaneUnderTest]:
    """The data plane of one worker, listening on loopback in this process."""
    file = write_configuration(directory, upstreams, routes=routes, feed=feed, main=main, stale_for=stale_for)
    configuration = load_everything(file, os.environ)
    settings = configuration.settings
    places = LogPlaces(settings.logs.access, settings.logs.denied)
    url = settings.store.url
    async with open_store(url) as store, open_logs(places) as logs:
        worker = Worker(file, configuration, store, logs, look_up)
        bound = socket.create_server(("127.0.0.1", 0), backlog=1024)
        async with worker.following(url):
            await worker.listen(bound)
            try:
                modules = tuple(configuration.routes.labels)
                yield PlaneUnderTest(bound.getsockname()[1], store, worker, directory, modules)
            finally:
                await worker.drain(patience=0.5)


@dataclass
class GatewayUnderTest:
    """The gateway as users run it: `gateway serve` and the other commands as processes of their own."""

    file: Path
    process: subprocess.Popen[str]
    port: int
    admin_port: int

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command against the same configuration."""
        return run_cli(self.file, *arguments)

    def scope(self, name: str, mode: str = "allow", **sets: str) -> None:
        """Make a scope; module sets are comma separated."""
        options = [part for action, names in sets.items() for part in (f"--{action}", names)]
        done = self.cli("scopes", "create", name, "--label", name.title(), "--mode", mode, *options)
        assert done.returncode == 0, done.stderr

    def key(self, *scopes: str, label: str = "an integration") -> dict[str, Any]:
        """Make a key with scopes: `id`, `key` and the rest of what the command prints."""
        options = [part for scope in scopes for part in ("--scope", scope)]
        done = self.cli("keys", "create", label, *options, "--json")
        assert done.returncode == 0, done.stderr
        made: dict[str, Any] = json.loads(done.stdout)
        return made

    def stop(self, number: int = signal.SIGTERM, within: float = 40.0) -> int:
        """End the gateway; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(within)


def run_cli(file: Path, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run `gateway -c FILE ARGUMENTS…` as a process of its own."""
    command = [sys.executable, "-m", "gateway", "-c", str(file), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, input=stdin)


READY = re.compile(r"ready: gateway https?://127\.0\.0\.1:(\d+), admin http://127\.0\.0\.1:(\d+)")


@contextmanager
def running_gateway(
    directory: Path, *upstreams: int, routes: str = ROUTES, feed: str = "", main: str = ""
) -> Iterator[GatewayUnderTest]:
    """`gateway serve` as a process group of its own, ready, and ended with the block."""
    file = write_configuration(directory, list(upstreams), routes=routes, feed=feed, main=main)
    errors = (directory / "serve.log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "-c", str(file), "serve"],
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        ready = READY.search(line)
        assert ready, f"not ready: {line!r}\n{(directory / 'serve.log').read_text()}"
        yield GatewayUnderTest(file, process, int(ready[1]), int(ready[2]))
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)
        errors.close()
        if process.stdout is not None:
            process.stdout.close()
