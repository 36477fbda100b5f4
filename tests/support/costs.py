"""What a gateway's processes have used, read from /proc."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")


def workers_of(parent: int) -> list[int]:
    """The data-plane processes of a running gateway."""
    children = (PROC / str(parent) / "task" / str(parent) / "children").read_text().split()
    return [int(child) for child in children]


def cpu(processes: Iterable[int]) -> float:
    """Seconds that processes have run, by the scheduler's account of each of their threads."""
    ran = 0
    for process in processes:
        for thread in (PROC / str(process) / "task").iterdir():
            ran += int((thread / "schedstat").read_text().split()[0])
    return ran / 1e9


def memory(processes: Iterable[int]) -> int:
    """Bytes that processes hold in memory."""
    return sum(_status(process, "VmRSS") for process in processes)


def highest_memory(processes: Iterable[int]) -> int:
    """Bytes that processes held at most, since it was forgotten."""
    return sum(_status(process, "VmHWM") for process in processes)


def forget_highest_memory(processes: Iterable[int]) -> None:
    """Begin anew to note the most that processes hold."""
    for process in processes:
        (PROC / str(process) / "clear_refs").write_text("5")


def open_files(processes: Iterable[int]) -> int:
    """How many file descriptors processes hold."""
    return sum(len(list((PROC / str(process) / "fd").iterdir())) for process in processes)


def _status(process: int, field: str) -> int:
    for line in (PROC / str(process) / "status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


@dataclass(frozen=True)
class Cost:
    """What an attack cost both sides: bytes sent, seconds of CPU, bytes of memory at the gateway's peak."""

    sent: int
    times: int
    client: float
    gateway: float
    grown: int

    @property
    def ratio(self) -> float:
        """The gateway's seconds to one of the client's."""
        return self.gateway / self.client
