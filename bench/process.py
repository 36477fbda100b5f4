"""Processes of the benchmark's own: pinned to a core, dying with it, and stopped family and all."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.machine import CoreSet
from bench.measure import family
from bench.peer import Command

KEEP_NO_BYTECODE: Final = "PYTHONDONTWRITEBYTECODE"
READY_SECONDS: Final = 60
STOP_SECONDS: Final = 10
BENCH: Final = Path(__file__).parent
ROOT: Final = BENCH.parent


def pinned(cores: CoreSet) -> tuple[str, ...]:
    """The words before a command's own that keep it on these cores, and let it not outlive the benchmark."""
    return ("setpriv", "--pdeathsig", "TERM", "taskset", "-c", ",".join(map(str, cores)))


def keep_bytecode(place: Path) -> None:
    """Have every Python that is started from now on compile what it imports once, and keep it below `place`.

    An installed gateway has its bytecode beside its sources; so that none is measured without, whatever this
    shell's habits are, all are given this. What is measured was started before, to be proven.
    """
    os.environ.pop(KEEP_NO_BYTECODE, None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(place)


class PeerFailedError(Exception):
    """A peer did not start, answered wrongly, or died. Says which and how."""


@dataclass(frozen=True, slots=True)
class Running:
    """A started program."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes it consists of by now."""
        return family(self.popen.pid)

    def demand_alive(self) -> None:
        """Raise PeerFailedError with the end of its log if it is gone."""
        if self.popen.poll() is not None:
            said = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["nothing"]
            raise PeerFailedError(
                f"{self.name} ended with {self.popen.returncode}, saying: {said[-1][-300:]}"
            )


@contextmanager
def running(command: Command, cores: CoreSet, directory: Path) -> Iterator[Running]:
    """Run a program on some cores until the block ends; it dies with the benchmark, however that ends."""
    log = command.output or directory / f"{Path(command.argv[0]).name}.out"
    argv = [*pinned(cores), *command.argv]
    with log.open("ab") as output:
        popen = subprocess.Popen(
            argv,
            cwd=ROOT,
            env={**os.environ, **command.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output if command.output is None else subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield Running(Path(command.argv[0]).name, popen, log)
    finally:
        _stop(popen)


@contextmanager
def all_running(
    commands: tuple[Command, ...], cores: CoreSet, directory: Path
) -> Iterator[tuple[Running, ...]]:
    """Run several programs until the block ends."""
    with ExitStack() as stack:
        yield tuple(stack.enter_context(running(command, cores, directory)) for command in commands)


def wait_for_port(port: int, program: Running) -> None:
    """Wait until something accepts connections there. Raises PeerFailedError."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        program.demand_alive()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise PeerFailedError(f"{program.name} did not listen on port {port} within {READY_SECONDS} s")


def free_port() -> int:
    """A port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert isinstance(port, int)  # noqa: S101 - tells the type checker what AF_INET addresses hold
    return port


def _stop(popen: subprocess.Popen[bytes]) -> None:
    """Ask to stop, then insist; nothing of the family is left."""
    kin = family(popen.pid)
    if popen.poll() is None:
        popen.terminate()
        try:
            popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()
    for pid in {*kin, *family(popen.pid)} - {popen.pid}:
        _kill_if_there(pid)


def _kill_if_there(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
