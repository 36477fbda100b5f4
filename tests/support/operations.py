"""What operators do to a gateway that runs as processes of its own: start it, look at it, wait for it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from conversations import Answered, conversation
from feeds import Feed, running_feed
from gateways import READY, GatewayUnderTest
from prometheus_client.parser import text_string_to_metric_families
from stopwatch import Stopwatch
from waiting import AT_MOST

PATIENCE = 20.0
"""How long a condition may take before a test calls it false, in seconds."""

IN_FORCE_WITHIN = 1.0
"""How soon a change has to be in force everywhere, in seconds (CONTRACT 8)."""


def until(holds: Callable[[], Any], within: float = PATIENCE) -> Any:  # noqa: ANN401 - whatever the condition is
    """Wait for a condition; what it came to."""
    watch, at_most = Stopwatch(), time.monotonic() + AT_MOST
    while not (value := holds()):
        assert not watch.is_past(within), "waited in vain"
        assert time.monotonic() < at_most, "waited in vain, whatever held it up"
        time.sleep(0.02)
    return value


@contextmanager
def feed_beside() -> Iterator[Feed]:
    """A feed that answers from a thread of its own, whatever the test waits for."""
    begun: Future[tuple[Feed, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        async with running_feed() as feed:
            over = asyncio.Event()
            begun.set_result((feed, asyncio.get_running_loop(), over))
            await over.wait()

    thread = Thread(target=lambda: asyncio.run(run()))
    thread.start()
    feed, loop, over = begun.result(PATIENCE)
    try:
        yield feed
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(PATIENCE)


@contextmanager
def serving(
    file: Path,
    *options: str,
    command: tuple[str, ...] | None = None,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[GatewayUnderTest]:
    """`gateway serve` on a configuration file as a process group of its own, ready, and ended with the block.

    What it says on standard error is added to `serve.log` beside the file; `command` stands for another way
    to call it.
    """
    said = file.parent / "serve.log"
    with said.open("a") as errors:
        process = subprocess.Popen(
            [*(command or (sys.executable, "-m", "gateway", "-c", str(file), "serve")), *options],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=directory,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        ready = READY.fullmatch(line.rstrip("\n"))
        assert ready, f"not ready: {line!r}\n{said.read_text()}"
        yield GatewayUnderTest(file, process, int(ready[1]), int(ready[2]))
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)
        process.stdout.close()


def said_by(gateway: GatewayUnderTest) -> str:
    """What the gateway said on standard error so far."""
    return (gateway.file.parent / "serve.log").read_text()


def ask(
    gateway: GatewayUnderTest,
    method: str,
    path: str,
    *headers: str,
    key: str | None = None,
    body: bytes | None = None,
    host: str = "feeds.test",
    within: float = PATIENCE,
) -> Answered:
    """One request on a connection of its own, with an API key if one is given."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    if key is not None:
        lines.append(f"X-API-Key: {key}")
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")

    async def spoken() -> Answered:
        async with conversation(gateway.port) as client:
            await client.send("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""))
            return await client.answer(method, within)

    return asyncio.run(spoken())


def status(gateway: GatewayUnderTest, method: str, path: str, key: str | None = None) -> int:
    """The status of the answer to one request."""
    return ask(gateway, method, path, key=key).status


def told(answered: Answered) -> tuple[int, str | None]:
    """Status and code of an answer; no code for one that is the feed's."""
    ours = answered.value("Content-Type") == "application/problem+json"
    return answered.status, answered.code if ours else None


def fetched(gateway: GatewayUnderTest, path: str) -> tuple[int, str]:
    """Status and body from the admin listener."""
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{gateway.admin_port}{path}", timeout=PATIENCE
        ) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.status, refused.read().decode()


def readiness(gateway: GatewayUnderTest) -> dict[str, Any]:
    """What /readyz tells."""
    document: dict[str, Any] = json.loads(fetched(gateway, "/readyz")[1])
    return document


def samples(gateway: GatewayUnderTest) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Every sample of /metrics by its name: labels and value, read by a parser that is not ours."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(fetched(gateway, "/metrics")[1]):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found


def counted(gateway: GatewayUnderTest, name: str, **labels: str) -> float:
    """The sum of a metric over all samples that have these labels."""
    rows = samples(gateway).get(name, [])
    return sum(value for row, value in rows if labels.items() <= row.items())


def logged(gateway: GatewayUnderTest, name: str = "access.log") -> list[dict[str, Any]]:
    """The lines of a log, each read as JSON."""
    file = gateway.file.parent / name
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def logged_by(gateway: GatewayUnderTest, request_id: str | None, name: str = "access.log") -> dict[str, Any]:
    """The one line of a log about a request, once it is there."""

    def lines() -> list[dict[str, Any]]:
        return [line for line in logged(gateway, name) if line["request_id"] == request_id]

    found = until(lines)
    assert len(found) == 1
    line: dict[str, Any] = found[0]
    return line


def printed(done: subprocess.CompletedProcess[str], status: int = 0) -> Any:  # noqa: ANN401 - whatever JSON holds
    """What a command printed with `--json`, after checking how it ended."""
    assert done.returncode == status, done.stdout + done.stderr
    return json.loads(done.stdout)
