"""What the kernel has on record about processes: CPU time, memory, and who else used a core."""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from bench.machine import CoreSet

TICKS: Final = os.sysconf("SC_CLK_TCK")
CPUCLOCK_SCHED: Final = 2
"""Low bits of a process CPU clock's id: the scheduler's exact run time (Linux `posix-timers.h`)."""

STILL: Final = 64 * 1024
"""How many bytes more are none."""
LOOK_AGAIN: Final = 0.5


def cpu_ns(pids: Iterable[int]) -> int:
    """CPU time these processes have used so far, user and system, all threads past and present, in ns."""
    return sum(time.clock_gettime_ns((~pid << 3) | CPUCLOCK_SCHED) for pid in pids)


def memory(pids: Iterable[int]) -> int:
    """What these processes hold now, in bytes; of pages that are shared, each has its part."""
    return sum(_kib(Path(f"/proc/{pid}/smaps_rollup"))["Pss"] for pid in pids)


def at_rest(pids: Iterable[int], within: float = 5.0) -> None:
    """Wait until these processes hold no more than a moment ago, or that many seconds.

    A peer that answers may still be busy with its start, and that is no memory of what it is asked.
    """
    counted, until, before = tuple(pids), time.monotonic() + within, -1
    while time.monotonic() < until and (now := memory(counted)) > before + STILL:
        before = now
        time.sleep(LOOK_AGAIN)


def forget_peak(pids: Iterable[int]) -> int:
    """Start the peaks of these processes' memory anew; the answer is what they hold now, in bytes."""
    held = 0
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
        held += _kib(Path(f"/proc/{pid}/status"))["VmRSS"]
    return held


def peak(pids: Iterable[int]) -> int:
    """The most these processes have held since `forget_peak`, in bytes; summed, so at most too much."""
    return sum(_kib(Path(f"/proc/{pid}/status"))["VmHWM"] for pid in pids)


@dataclass(frozen=True, slots=True)
class CoreTime:
    """How cores have spent their time since boot, in seconds."""

    busy: float
    stolen: float
    idle: float

    def since(self, earlier: "CoreTime") -> "CoreTime":
        """How it has spent the time in between."""
        return CoreTime(self.busy - earlier.busy, self.stolen - earlier.stolen, self.idle - earlier.idle)


def core_time(cores: CoreSet) -> CoreTime:
    """Read the accounts of some cores, summed; guests and steal are the hypervisor's."""
    names = {f"cpu{core}" for core in cores}
    busy = stolen = idle = 0.0
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        name, *fields = line.split()
        if name in names:
            user, nice, system, free, wait, irq, softirq, steal = (int(field) / TICKS for field in fields[:8])
            busy, stolen, idle = (
                busy + user + nice + system + irq + softirq,
                stolen + steal,
                idle + free + wait,
            )
    return CoreTime(busy, stolen, idle)


def family(leader: int) -> tuple[int, ...]:
    """A process, its descendants, and whatever else runs in the session it leads."""
    rows = list(_processes())
    found = {leader}
    grown = True
    while grown:
        new = {
            row.pid for row in rows if row.pid not in found and (row.parent in found or row.session == leader)
        }
        found |= new
        grown = bool(new)
    return tuple(sorted(found & {row.pid for row in rows}))


class _Row(NamedTuple):
    pid: int
    parent: int
    session: int


def _processes() -> Iterator[_Row]:
    """Every process that is not yet dead."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                stat = Path(entry.path, "stat").read_text(encoding="utf-8", errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            state, parent, _group, session = stat.rpartition(")")[2].split()[:4]
            if state != "Z":
                yield _Row(int(entry.name), int(parent), int(session))


def _kib(file: Path) -> dict[str, int]:
    """The rows of a /proc file that are in kB, in bytes."""
    rows = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
    return {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows if row[-1:] == ["kB"]}
