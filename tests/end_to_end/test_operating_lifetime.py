"""How a gateway begins and ends: every way to call it, several workers, a killed one, and a drain."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Commands
from conversations import CutShortError, conversation
from feeds import OK, Feed
from gateways import GatewayUnderTest, write_configuration
from operations import PATIENCE, counted, logged, readiness, said_by, serving, status, until


def relative_configuration(directory: Path, port: int) -> Path:
    """A configuration of relative paths only, in the folder `config`."""
    (directory / "config" / "maps").mkdir(parents=True)
    (directory / "config" / "maps" / "routes.yaml").write_text(
        "feed: test\nmodules: {courses: Courses}\nroutes:\n  - {path: /v2/courses, module: courses}\n"
    )
    file = directory / "config" / "gateway.yaml"
    file.write_text(
        f"listen: 127.0.0.1:0\nadmin: {{listen: '127.0.0.1:0'}}\nroutes: maps/routes.yaml\n"
        f"feeds: {{test: {{upstream: 'http://127.0.0.1:{port}'}}}}\n"
    )
    return file


CALLS: list[tuple[str, tuple[str, ...], dict[str, str]]] = [
    ("the default file", (), {}),
    ("an option", ("-c", "config/gateway.yaml"), {}),
    ("a variable", (), {"GATEWAY_CONFIG": "./config/gateway.yaml"}),
    ("an option over a variable", ("--config", "config/gateway.yaml"), {"GATEWAY_CONFIG": "nowhere.yaml"}),
]


@pytest.mark.parametrize(("options", "environment"), [call[1:] for call in CALLS], ids=[c[0] for c in CALLS])
def test_a_gateway_is_started_where_its_files_are(
    tmp_path: Path, feed: Feed, options: tuple[str, ...], environment: dict[str, str]
) -> None:
    file = relative_configuration(tmp_path, feed.port)
    program = Path(sys.executable).with_name("gateway")
    ways = [(str(program),), (sys.executable, "-m", "gateway")]
    made = subprocess.run(
        [*ways[1], *options, "keys", "create", "Web", "--scope", "api-v2", "--json"],
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, **environment},
        check=True,
    )
    key = json.loads(made.stdout)["key"]
    with serving(
        file, command=(*ways[0], *options, "serve"), directory=tmp_path, environment=environment
    ) as gateway:
        assert status(gateway, "GET", "/v2/courses", key) == 200
        assert gateway.stop() == 0
    assert {path.name for path in (tmp_path / "var").iterdir()} >= {
        "scopegate.db",
        "access.log",
        "denied.log",
    }
    (line,) = [json.loads(text) for text in (tmp_path / "var" / "access.log").read_text().splitlines()]
    assert line["status"] == 200
    assert (tmp_path / "var" / "scopegate.db").stat().st_mode & 0o077 == 0


def workers_of(gateway: GatewayUnderTest) -> list[int]:
    """The ids of the worker processes."""
    children = Path(f"/proc/{gateway.process.pid}/task/{gateway.process.pid}/children").read_text()
    return [int(number) for number in children.split()]


def served_by(worker: int) -> int:
    """How many connections a worker has open to its clients and feeds."""
    return sum(1 for link in Path(f"/proc/{worker}/fd").iterdir() if "socket:" in str(link.readlink()))


async def test_two_workers_both_serve_and_their_counts_add_up(
    tmp_path: Path, commands: Commands, feed: Feed
) -> None:
    run = commands.on(write_configuration(tmp_path, [feed.port], main="workers: 2"))
    _, key = run.key("api-v2")
    with serving(run.file) as gateway:
        workers = workers_of(gateway)
        assert len(workers) == 2
        before = [served_by(worker) for worker in workers]
        clients = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(24)]
        request = f"GET /v2/courses HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n".encode()
        for reader, writer in clients:
            writer.write(request)
            assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")
        after = [served_by(worker) for worker in workers]
        assert all(now > then for now, then in zip(after, before, strict=True))
        assert await asyncio.to_thread(counted, gateway, "gateway_connections") == 24
        assert await asyncio.to_thread(counted, gateway, "gateway_requests_total", status="200") == 24
        assert await asyncio.to_thread(counted, gateway, "gateway_workers") == 2
        for _, writer in clients:
            writer.close()
        await asyncio.to_thread(until, lambda: counted(gateway, "gateway_connections") == 0)


async def test_a_worker_killed_under_load_is_replaced_and_new_connections_are_served_all_the_while(
    tmp_path: Path, commands: Commands, feed: Feed
) -> None:
    run = commands.on(write_configuration(tmp_path, [feed.port], main="workers: 2"))
    _, key = run.key("api-v2")
    with serving(run.file) as gateway:
        over = asyncio.Event()
        answered = {"whole": 0, "cut": 0, "refused": 0}

        async def keep_asking() -> None:
            while not over.is_set():
                try:
                    async with conversation(gateway.port) as client:
                        answer = await client.ask("GET", "/v2/courses", f"X-API-Key: {key}")
                        assert (answer.status, answer.body) == (200, b"hello")
                        answered["whole"] += 1
                except ConnectionRefusedError:
                    answered["refused"] += 1
                except (CutShortError, ConnectionError):
                    answered["cut"] += 1

        asking = [asyncio.create_task(keep_asking()) for _ in range(4)]
        victim = workers_of(gateway)[0]
        await asyncio.to_thread(until, lambda: answered["whole"] > 50)
        os.kill(victim, signal.SIGKILL)
        await asyncio.to_thread(until, lambda: counted(gateway, "gateway_worker_restarts_total") == 1)
        await asyncio.to_thread(until, lambda: readiness(gateway)["status"] == "ready")
        sofar = answered["whole"]
        await asyncio.to_thread(until, lambda: answered["whole"] > sofar + 50)
        over.set()
        await asyncio.gather(*asking)
        assert answered["refused"] == 0
        assert answered["cut"] <= len(asking) * 2
        assert len(set(workers_of(gateway)) - {victim}) == 2
        assert await asyncio.to_thread(counted, gateway, "gateway_workers") == 2
        assert await asyncio.to_thread(gateway.stop) == 0


def held_back(feed: Feed) -> Callable[[], None]:
    """Have the feed wait in the middle of each answer; call the answer to let it go on."""
    released = threading.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await feed.read_request(reader, writer) is not None:
            writer.write(OK[:-2])
            while not released.is_set():  # noqa: ASYNC110 - another thread's event
                await asyncio.sleep(0.01)
            writer.write(OK[-2:])
            await writer.drain()

    feed.script = script
    return released.set


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_what_is_in_flight_is_finished_before_the_gateway_ends(
    tmp_path: Path, commands: Commands, feed: Feed, number: signal.Signals
) -> None:
    release = held_back(feed)
    run = commands.on(write_configuration(tmp_path, [feed.port], main="workers: 2"))
    key_id, key = run.key("api-v2")
    with serving(run.file) as gateway:
        async with conversation(gateway.port) as waiting, conversation(gateway.port) as idle:
            await waiting.send(
                f"GET /v2/courses HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n".encode(),
            )
            await asyncio.to_thread(until, lambda: feed.requests)
            gateway.process.send_signal(number)
            assert await idle.closed(within=10) == b""
            await asyncio.to_thread(until, lambda: no_one_listens(gateway))
            assert gateway.process.poll() is None
            release()
            answer = await waiting.answer(within=10)
            assert (answer.status, answer.body) == (200, b"hello")
            assert await waiting.closed(within=10) == b""
        assert await asyncio.to_thread(gateway.process.wait, 10) == 0
        assert [(line["status"], line["outcome"]) for line in logged(gateway)] == [(200, "permit")]
        assert run.gets("keys", "show", key_id)["last_used_at"] is not None
        assert "Traceback" not in said_by(gateway)


def no_one_listens(gateway: GatewayUnderTest) -> bool:
    """Whether a client cannot connect any more; it asks nothing, which might be forwarded and held back."""
    try:
        socket.create_connection(("127.0.0.1", gateway.port), PATIENCE).close()
    except ConnectionError:
        return True
    return False


async def test_a_second_signal_ends_at_once(tmp_path: Path, commands: Commands, feed: Feed) -> None:
    release = held_back(feed)
    run = commands.on(write_configuration(tmp_path, [feed.port]))
    _, key = run.key("api-v2")
    with serving(run.file) as gateway:
        async with conversation(gateway.port) as waiting:
            await waiting.send(f"GET /v2/courses HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n".encode())
            await asyncio.to_thread(until, lambda: feed.requests)
            gateway.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(until, lambda: "draining" in said_by(gateway))
            began = time.monotonic()
            gateway.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(gateway.process.wait, 10) == 1
            assert time.monotonic() - began < 5
        release()


def test_nothing_outlives_a_killed_parent(tmp_path: Path, commands: Commands, feed: Feed) -> None:
    run = commands.on(write_configuration(tmp_path, [feed.port], main="workers: 2"))
    with serving(run.file) as gateway:
        workers = workers_of(gateway)
        gateway.process.kill()
        gateway.process.wait(10)
        until(lambda: not [number for number in workers if alive(number)])


def alive(number: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{number}/status").read_text()
    except OSError:
        return False


@pytest.mark.parametrize("output", ["a full disk", "a closed pipe"])
def test_a_ready_line_that_nobody_can_read_is_no_reason_to_end(
    tmp_path: Path, feed: Feed, output: str
) -> None:
    file = write_configuration(tmp_path, [feed.port])
    reader, writer = os.pipe()
    os.close(reader)
    with Path("/dev/full").open("w") as full, (tmp_path / "serve.log").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "-c", str(file), "serve"],
            stdout=full if output == "a full disk" else writer,
            stderr=errors,
            start_new_session=True,
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        )
    os.close(writer)
    try:
        until((tmp_path / "access.log").exists)
        until(lambda: only_child_sleeps(process.pid))
        assert process.poll() is None
    finally:
        process.terminate()
        ended = process.wait(20)
    assert ended == 0
    assert "Traceback" not in (tmp_path / "serve.log").read_text()


def only_child_sleeps(parent: int) -> bool:
    """Whether parent and worker have nothing left to do: the ready line has been tried."""
    (child,) = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    states = (
        Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] for number in (parent, child)
    )
    return set(states) == {"S"}
