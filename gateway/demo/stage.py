"""The demo's stage: a directory with configuration and store, the feed and the gateway as real processes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

import yaml

from gateway.demo.issuer import ALGORITHM, AUDIENCE, ISSUER, DemoIssuer

HOST: Final = "127.0.0.1"
READY_WITHIN: Final = 60.0
ENDED_WITHIN: Final = 45.0
"""Longer than the gateway's own drain, in seconds."""

KEY_SET: Final = "jwks.json"
TRUSTED: Final = {"issuer": ISSUER, "audience": AUDIENCE, "algorithms": [ALGORITHM], "jwks": KEY_SET}


class StageError(Exception):
    """A process of the demo did not start, or ended by itself; says which, for people."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the demo listens; 0 takes any port that is free."""

    gateway: int
    admin: int
    feed: int


@dataclass(frozen=True, slots=True)
class Stage:
    """The directory everything is kept in."""

    directory: Path

    @property
    def config(self) -> Path:
        """The main configuration file."""
        return self.directory / "gateway.yaml"

    @property
    def denied_log(self) -> Path:
        """Where refused requests are written."""
        return self.directory / "denied.log"

    @property
    def store(self) -> str:
        """The URL of the store."""
        return f"sqlite:///{self.directory / 'scopegate.db'}"

    def write(self, ports: Ports, feed: str, issuer: DemoIssuer) -> None:
        """Write the configuration, the issuer's key set, and the route map that comes with the package."""
        told = {
            "listen": f"{HOST}:{ports.gateway}",
            "admin": {"listen": f"{HOST}:{ports.admin}"},
            "store": self.store,
            "routes": ["routes.yaml"],
            "feeds": {"training": {"upstream": feed}},
            "authentication": {"bearer": {"issuers": [TRUSTED]}},
            "logs": {"access": str(self.directory / "access.log"), "denied": str(self.denied_log)},
        }
        routes = files("gateway.demo").joinpath("routes.yaml").read_text(encoding="utf-8")
        self.config.write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")
        (self.directory / "routes.yaml").write_text(routes, encoding="utf-8")
        issuer.publish(self.directory / KEY_SET)

    @asynccontextmanager
    async def feed(self, port: int) -> AsyncIterator["Actor"]:
        """The sample feed, running. It ends by itself should this process be killed. Raises StageError."""
        arguments = ["-m", "gateway.demo.feed", "--port", str(port), "--until-input-ends"]
        async with _running("the sample feed", arguments) as actor:
            yield actor

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator["Actor"]:
        """The gateway, ready for requests. It too ends with this process. Raises StageError."""
        async with _running(
            "the gateway", ["-m", "gateway.demo.tied", "-c", str(self.config), "serve"]
        ) as actor:
            yield actor


@dataclass(frozen=True, slots=True)
class Actor:
    """A process that has said it is ready. `addresses` are those of its ready line."""

    name: str
    process: asyncio.subprocess.Process
    addresses: tuple[str, ...]

    async def ended(self) -> str:
        """Wait for the process to end; how it did."""
        return f"{self.name} ended by itself with status {await self.process.wait()}"


@asynccontextmanager
async def _running(name: str, arguments: Sequence[str]) -> AsyncIterator[Actor]:
    """A process of ours, in a session of its own so that Ctrl-C reaches it through us alone."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield Actor(name, process, await _ready(name, process))
    finally:
        await _end(process)


async def _ready(name: str, process: asyncio.subprocess.Process) -> tuple[str, ...]:
    """The addresses in the process's ready line."""
    if process.stdout is None:
        raise StageError(f"{name} has no output to read")
    try:
        async with asyncio.timeout(READY_WITHIN):
            async for line in process.stdout:
                if line.startswith(b"ready"):
                    words = line.decode(errors="replace").replace(",", " ").split()
                    return tuple(word for word in words if word.startswith("http://"))
    except TimeoutError:
        raise StageError(f"{name} was not ready within {READY_WITHIN:.0f} seconds") from None
    raise StageError(f"{name} did not start; what it said about it is above")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask the process to end and wait for it; kill it when asked twice or when it takes too long."""
    try:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), ENDED_WITHIN)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
