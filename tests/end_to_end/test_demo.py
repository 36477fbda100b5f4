"""`gateway demo` as a newcomer runs it: real processes, real sockets, every printed line tried."""

import asyncio
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

ANY_PORTS = ("--port", "0", "--admin-port", "0", "--feed-port", "0")
WITHIN = 60


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gateway", "demo", *arguments]


def processes_with(marker: str) -> list[int]:
    """The ids of running processes whose environment holds a marker."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            alive = b"State:\tZ" not in (place / "status").read_bytes()
            if alive and marker.encode() in (place / "environ").read_bytes():
                found.append(int(place.name))
        except OSError:
            continue
    return found


def left_in(directory: str) -> list[Path]:
    return list(Path(directory).iterdir())


def the_feed_among(processes: list[int]) -> int:
    return next(
        number for number in processes if b"gateway.demo.feed" in Path(f"/proc/{number}/cmdline").read_bytes()
    )


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment of this test's own: temporary files go to its directory, and mark its processes."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    return {**os.environ, "TMPDIR": str(temporary)}


@asynccontextmanager
async def running_demo(
    environment: dict[str, str], *arguments: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The demo, once it has told everything, and what it told."""
    process = await asyncio.create_subprocess_exec(
        *command(*ANY_PORTS, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(WITHIN):
            told = await process.stdout.readuntil(b"Ctrl-C ends the demo.")
        yield process, told.decode()
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(WITHIN):
            await process.communicate()


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=WITHIN, env=environment, check=False
    )


@pytest.fixture
def taken_port() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


def test_check_makes_every_request_and_finds_every_answer_as_told(environment: dict[str, str]) -> None:
    ended = run(environment, *ANY_PORTS, "--check")
    assert ended.returncode == 0, ended.stderr
    rows = re.findall(r"^(ok|WRONG)\s", ended.stdout, re.MULTILINE)
    assert len(rows) >= 12
    assert set(rows) == {"ok"}
    assert f"{len(rows)} of {len(rows)} answers were as told." in ended.stdout
    assert not left_in(environment["TMPDIR"])
    assert not processes_with(environment["TMPDIR"])


@pytest.mark.skipif(shutil.which("curl") is None, reason="the printed lines are for curl")
async def test_every_printed_curl_line_is_answered_as_it_says(environment: dict[str, str]) -> None:
    async with running_demo(environment) as (_, told):
        lines = re.findall(r"^# (\d{3}) .*\n(curl .*)$", told, re.MULTILINE)
        assert len(lines) >= 12
        for status, line in lines:
            curl = await asyncio.create_subprocess_exec(*shlex.split(line), stdout=subprocess.PIPE)
            answer, _ = await curl.communicate()
            assert answer.split(b" ", 2)[1].decode() == status, line


async def test_the_feed_learns_who_calls_and_never_sees_the_key(environment: dict[str, str]) -> None:
    async with running_demo(environment) as (_, told), aiohttp.ClientSession() as session:
        key, url = re.findall(r"'X-API-Key: (\S+)' (\S+/v2/whoami)", told)[0]
        async with session.get(url, headers={"X-API-Key": key, "X-Gateway-Principal": "forged"}) as answer:
            seen = await answer.json()
        assert seen["credentials"] == []
        assert seen["headers"]["X-Gateway-Principal"] == "key:3"
        assert seen["headers"]["X-Gateway-Scopes"] == "read-only"
        assert key not in str(seen)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_everything_and_leaves_nothing_behind(
    environment: dict[str, str], number: signal.Signals
) -> None:
    async with running_demo(environment) as (process, _):
        assert len(processes_with(environment["TMPDIR"])) >= 4
        process.send_signal(number)
        async with asyncio.timeout(WITHIN):
            assert await process.wait() == 0
    assert not processes_with(environment["TMPDIR"])
    assert not left_in(environment["TMPDIR"])


async def test_a_directory_keeps_what_the_demo_made_but_no_key(
    environment: dict[str, str], tmp_path: Path
) -> None:
    kept = tmp_path / "kept here"
    async with running_demo(environment, "--dir", str(kept)) as (_, told):
        keys = re.findall(r"^  (sg_\S+)$", told, re.MULTILINE)
    assert len(keys) == 3
    assert {"gateway.yaml", "routes.yaml", "scopegate.db"} <= {path.name for path in kept.iterdir()}
    content = b"".join(path.read_bytes() for path in kept.iterdir())
    assert not [key for key in keys if key.encode() in content]
    again = run(environment, *ANY_PORTS, "--dir", str(kept))
    assert (again.returncode, "is not empty" in again.stderr) == (1, True)


@pytest.mark.parametrize("option", ["--port", "--admin-port", "--feed-port"])
def test_a_port_that_is_taken_is_told_with_the_option_that_changes_it(
    environment: dict[str, str], taken_port: str, option: str
) -> None:
    ended = run(environment, *ANY_PORTS, option, taken_port)
    assert ended.returncode == 1
    assert f"127.0.0.1:{taken_port}" in ended.stderr
    assert f"choose another with {option}" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--port", "70000"), "70000"),
        (("--port", "8123", "--admin-port", "8123"), "--port and --admin-port are both 8123"),
        (("--nonsense",), "No such option"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(
    environment: dict[str, str], arguments: tuple[str, ...], told: str
) -> None:
    ended = run(environment, *arguments)
    assert (ended.returncode, told in ended.stderr) == (2, True)


def test_a_directory_that_cannot_be_made_is_told(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = run(environment, *ANY_PORTS, "--dir", str(tmp_path / "file" / "below"))
    assert (ended.returncode, "Traceback" in ended.stderr) == (1, False)
    assert "--dir" in ended.stderr


async def test_the_demo_ends_with_a_fault_when_the_feed_does(environment: dict[str, str]) -> None:
    async with running_demo(environment) as (process, _):
        os.kill(the_feed_among(processes_with(environment["TMPDIR"])), signal.SIGKILL)
        async with asyncio.timeout(WITHIN):
            assert await process.wait() == 1
        assert process.stderr is not None
        assert b"the sample feed ended by itself" in await process.stderr.read()
    assert not processes_with(environment["TMPDIR"])


async def test_nothing_outlives_a_demo_that_is_killed(environment: dict[str, str]) -> None:
    async with running_demo(environment) as (process, _):
        process.kill()
        async with asyncio.timeout(WITHIN):
            while processes_with(environment["TMPDIR"]):  # noqa: ASYNC110 - a stranger's end has no event
                await asyncio.sleep(0.05)


def test_the_feed_tells_of_a_port_that_is_taken(taken_port: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "gateway.demo.feed", "--port", taken_port],
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    assert (ended.returncode, "Traceback" in ended.stderr) == (1, False)
    assert "choose another with --port" in ended.stderr
