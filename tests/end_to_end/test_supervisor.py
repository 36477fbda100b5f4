"""The parent process with real workers, real signals and real sockets; only the protocol served is a toy."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
PATIENCE = 20.0
"""How long a condition may take before a test calls it false, in seconds."""


def until(holds: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever the condition is
    deadline = time.monotonic() + PATIENCE
    while not (value := holds()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return value


class Gateway:
    """A gateway that a test started, in a process group of its own."""

    def __init__(self, folder: Path, listen: str, admin: str, workers: int, *options: str) -> None:
        self.config = folder / "toy.conf"
        self.errors = folder / "errors.txt"
        if not self.config.exists():
            self.config.write_text("first")
        with self.errors.open("a") as errors:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "toy_gateway",
                    str(self.config),
                    listen,
                    admin,
                    str(workers),
                    *options,
                ],
                env={**os.environ, "PYTHONPATH": str(HERE)},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )

    def ready(self) -> "Gateway":
        """Wait for the ready line."""
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        told = re.fullmatch(r"ready: gateway http://(.*):(\d+), admin (http://.*:\d+)\n", self.line)
        assert told, f"{self.line!r} {self.errors.read_text()}"
        self.address = (told[1].strip("[]"), int(told[2]))
        self.admin = told[3]
        return self

    def connect(self) -> socket.socket:
        """A client's connection."""
        return socket.create_connection(self.address, timeout=PATIENCE)

    def ask(self, word: str) -> str:
        """What a worker says to a word."""
        with self.connect() as sock:
            sock.sendall(f"{word}\n".encode())
            return sock.makefile().readline().strip()

    def pids(self, count: int) -> set[int]:
        """The workers that answer, once there are that many."""
        seen: set[int] = set()

        def asked() -> bool:
            with contextlib.suppress(OSError, ValueError):
                seen.add(int(self.ask("pid")))
            return len(seen) >= count

        until(asked)
        return seen

    def fetch(self, path: str) -> tuple[int, str]:
        """Status and body from the admin listener."""
        try:
            with urllib.request.urlopen(self.admin + path, timeout=PATIENCE) as answer:  # noqa: S310 - our own
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.status, refused.read().decode()

    def readiness(self) -> dict[str, Any]:
        """What /readyz tells."""
        told: dict[str, Any] = json.loads(self.fetch("/readyz")[1])
        return told

    def counted(self, name: str) -> float:
        """The sum of a metric over its labels."""
        text = self.fetch("/metrics")[1]
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))

    def signal(self, number: int) -> None:
        """Send the parent a signal."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for the parent's end; its exit status."""
        return self.process.wait(PATIENCE)

    def told(self, text: str) -> bool:
        """Whether standard error holds a text."""
        return text in self.errors.read_text()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    started: list[Gateway] = []

    def starting(
        *options: str, listen: str = "127.0.0.1:0", admin: str = "127.0.0.1:0", workers: int = 1
    ) -> Gateway:
        gateway = Gateway(tmp_path, listen, admin, workers, *options)
        started.append(gateway)
        return gateway

    yield starting
    for gateway in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(gateway.process.pid, signal.SIGKILL)
        gateway.process.wait()
        if gateway.process.stdout:
            gateway.process.stdout.close()


Start = Callable[..., Gateway]


def test_one_line_tells_both_addresses_and_sigterm_ends_with_status_0(start: Start) -> None:
    gateway = start().ready()
    assert gateway.ask("config") == "first"
    assert gateway.fetch("/livez") == (200, "alive\n")
    gateway.signal(signal.SIGTERM)
    assert gateway.end() == 0
    assert gateway.process.stdout is not None
    assert gateway.process.stdout.read() == ""
    assert gateway.told("warning gateway: toys")
    assert not gateway.told("Traceback")


def test_workers_are_processes_apart_from_the_parent_and_share_the_port(start: Start) -> None:
    gateway = start(workers=3).ready()
    pids = gateway.pids(3)
    assert len(pids) == 3
    assert gateway.process.pid not in pids


def test_ipv6_addresses_are_listened_on(start: Start) -> None:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
    gateway = start(listen="[::1]:0", admin="[::1]:0").ready()
    assert "http://[::1]:" in gateway.line
    assert gateway.ask("config") == "first"


@pytest.mark.parametrize(("setting", "place"), [("listen", 0), ("admin.listen", 1)])
@pytest.mark.parametrize("shared", [False, True])
def test_a_port_in_use_is_told_with_its_setting(
    start: Start, setting: str, place: int, *, shared: bool
) -> None:
    with socket.socket() as other:
        if shared:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        places = ["127.0.0.1:0", "127.0.0.1:0"]
        places[place] = taken
        gateway = start(listen=places[0], admin=places[1])
        assert gateway.end() == 1
    assert gateway.told(f"error: {setting}: cannot listen on {taken}: the address is in use")
    assert not gateway.told("Traceback")


def test_two_gateways_never_share_a_port(start: Start) -> None:
    first = start(workers=2).ready()
    second = start(listen=f"127.0.0.1:{first.address[1]}")
    assert second.end() == 1
    assert second.told("is in use")
    assert first.ask("config") == "first"


@pytest.mark.parametrize(
    ("listen", "told"),
    [("192.0.2.1:0", "this machine has no such address"), ("no.such.host.invalid:0", "cannot be found")],
)
def test_an_address_that_cannot_be_had_is_told(start: Start, listen: str, told: str) -> None:
    gateway = start(listen=listen)
    assert gateway.end() == 1
    assert gateway.told(told)
    assert not gateway.told("Traceback")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_cannot_start_ends_serve_with_its_reason(
    start: Start, tmp_path: Path, workers: int
) -> None:
    (tmp_path / "toy.conf").write_text("unwanted toy")
    gateway = start(workers=workers)
    assert gateway.end() == 1
    assert gateway.told("cannot start: ")
    assert gateway.told("unwanted toy")
    assert not gateway.told("Traceback")


def test_a_crashed_worker_is_replaced_and_nobody_is_refused_meanwhile(start: Start) -> None:
    gateway = start().ready()
    (before,) = gateway.pids(1)
    with contextlib.suppress(OSError):
        gateway.ask("die")
    for _ in range(20):
        assert int(gateway.ask("pid")) != before
    assert gateway.told("ended by SIGKILL")
    until(lambda: gateway.readiness()["status"] == "ready")
    assert gateway.counted("gateway_worker_restarts_total") == 1


def test_counts_of_a_crashed_worker_stay_in_the_sum(start: Start) -> None:
    gateway = start(workers=2).ready()
    for _ in range(10):
        gateway.ask("config")
    before = gateway.counted("gateway_requests_total")
    assert before == 10
    for pid in gateway.pids(2):
        os.kill(pid, signal.SIGKILL)
    until(lambda: gateway.counted("gateway_worker_restarts_total") == 2)
    gateway.ask("config")
    assert gateway.counted("gateway_requests_total") >= before + 1


def test_a_worker_that_keeps_dying_is_replaced_at_a_measured_pace(start: Start) -> None:
    gateway = start().ready()
    began = time.monotonic()
    for _ in range(4):
        with contextlib.suppress(OSError):
            gateway.ask("die")
    gateway.ask("pid")
    assert time.monotonic() - began > 0.1 + 0.2 + 0.4


def test_what_is_in_flight_is_finished_before_the_end(start: Start) -> None:
    gateway = start(workers=2).ready()
    with gateway.connect() as sock:
        sock.sendall(b"slow\n")
        until(lambda: _reached(sock))
        gateway.signal(signal.SIGTERM)
        until(lambda: gateway.fetch("/readyz")[0] == 503)
        until(lambda: _refused(gateway))
        gateway.config.with_suffix(".go").touch()
        assert sock.makefile().readline() == "done\n"
    assert gateway.end() == 0


def _reached(sock: socket.socket) -> bool:
    """Whether a worker has accepted the connection and read everything that was sent on it."""
    port = f"{sock.getsockname()[1]:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[2].endswith(f":{port}") and fields[3] == "01":
            unread, inode = fields[4].split(":")[1], fields[9]
            return unread == "00000000" and inode != "0"
    return False


def _refused(gateway: Gateway) -> bool:
    try:
        gateway.connect().close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_whole_group_drains_too(start: Start, number: signal.Signals) -> None:
    gateway = start(workers=2).ready()
    workers = gateway.pids(2)
    os.killpg(gateway.process.pid, number)
    assert gateway.end() == 0
    assert not any(map(_alive, workers))
    assert not gateway.told("Traceback")


def test_a_second_signal_ends_at_once(start: Start) -> None:
    gateway = start().ready()
    with gateway.connect() as sock:
        sock.sendall(b"slow\n")
        until(lambda: _reached(sock))
        gateway.signal(signal.SIGTERM)
        until(lambda: gateway.told("draining"))
        gateway.signal(signal.SIGTERM)
        assert gateway.end() == 1


def test_a_signal_ends_the_start_in_order_from_the_first_word_on(start: Start) -> None:
    gateway = start()
    until(lambda: gateway.told("toys"))
    gateway.signal(signal.SIGTERM)
    assert gateway.end() == 0
    assert gateway.told("draining")
    assert not gateway.told("Traceback")


def test_signals_without_end_do_not_change_the_status_of_an_end_in_order(start: Start) -> None:
    gateway = start().ready()
    gateway.signal(signal.SIGHUP)
    until(lambda: gateway.told("is in force"))
    gateway.signal(signal.SIGTERM)
    until(lambda: gateway.told("draining"))
    until(lambda: _refused(gateway))
    while gateway.process.poll() is None:
        gateway.signal(signal.SIGUSR2)
        gateway.signal(signal.SIGHUP)
    assert gateway.end() == 0


def test_a_signal_before_the_workers_are_ready_ends_the_start(start: Start, tmp_path: Path) -> None:
    (tmp_path / "toy.conf").write_text("stuck")
    gateway = start()
    until(lambda: gateway.told("toys"))
    gateway.signal(signal.SIGTERM)
    until(lambda: gateway.told("draining"))
    gateway.signal(signal.SIGTERM)
    assert gateway.end() in {0, 1}
    assert not gateway.told("Traceback")


def test_no_worker_outlives_its_parent(start: Start) -> None:
    gateway = start(workers=2).ready()
    workers = gateway.pids(2)
    gateway.signal(signal.SIGKILL)
    until(lambda: not any(map(_alive, workers)))


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_sighup_swaps_the_configuration_in_every_worker(start: Start) -> None:
    gateway = start(workers=2).ready()
    workers = gateway.pids(2)
    gateway.config.write_text("second")
    gateway.signal(signal.SIGHUP)
    until(lambda: gateway.told("is in force"))
    assert {gateway.ask("config") for _ in range(20)} == {"second"}
    assert gateway.pids(2) == workers


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("bad words", "reload refused, the configuration before stays in force"),
        ("unwanted words", "stays in force there: worker 0"),
        ("broken words", "stays in force there: worker 0: broken words"),
    ],
)
def test_a_bad_configuration_is_told_and_the_last_good_one_stays(start: Start, text: str, told: str) -> None:
    gateway = start().ready()
    gateway.config.write_text(text)
    gateway.signal(signal.SIGHUP)
    until(lambda: gateway.told(told))
    assert gateway.ask("config") == "first"
    status, document = gateway.fetch("/readyz")
    assert status == 200
    assert any(told in warning for warning in json.loads(document)["warnings"])
    gateway.config.write_text("third")
    gateway.signal(signal.SIGHUP)
    until(lambda: gateway.ask("config") == "third")
    until(lambda: not any(told in warning for warning in gateway.readiness()["warnings"]))


def test_what_takes_a_restart_is_refused_whole(start: Start) -> None:
    gateway = start().ready()
    gateway.config.write_text("seven workers")
    gateway.signal(signal.SIGHUP)
    until(lambda: gateway.told("`workers` cannot change while the gateway runs"))
    assert gateway.ask("config") == "first"
    assert gateway.counted("gateway_workers") == 1


def test_a_changed_file_is_reloaded_when_watched(start: Start) -> None:
    gateway = start("--watch").ready()
    replacement = gateway.config.with_suffix(".new")
    replacement.write_text("watched")
    replacement.rename(gateway.config)
    until(lambda: gateway.ask("config") == "watched")


def test_readiness_tells_checks_and_warnings(start: Start) -> None:
    gateway = start().ready()
    assert gateway.readiness() == {
        "status": "ready",
        "checks": {"workers": "ok", "configuration": "ok", "store": "ok"},
        "warnings": ["toys", "a toy is at work"],
    }
