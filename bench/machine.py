"""The machine the figures come from; without it they mean nothing."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path


class UnfitMachineError(Exception):
    """The benchmark cannot be run here. Says what is lacking."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a reader needs to judge the figures by."""

    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    system: str
    python: str


CoreSet = tuple[int, ...]
"""Cores that processes may use."""


@dataclass(frozen=True, slots=True)
class Cores:
    """One core for the peer, the other for the load and the feed."""

    load: CoreSet
    peer: CoreSet

    @property
    def apart(self) -> bool:
        """Whether no core serves both."""
        return not set(self.load) & set(self.peer)


def this_machine() -> Machine:
    """The facts of the machine this runs on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Machine(
        cpu=_first("/proc/cpuinfo", "model name", ":") or platform.machine(),
        cores=os.cpu_count() or 1,
        memory_gib=round(memory, 1),
        kernel=platform.release().split("-")[0],
        system=(_first("/etc/os-release", "PRETTY_NAME", "=") or platform.system()).strip('"'),
        python=platform.python_version(),
    )


def two_cores() -> Cores:
    """The two cores to use: the first, which takes most interrupts, for load. Raises UnfitMachineError."""
    usable = usable_cores()
    if len(usable) < 2:  # noqa: PLR2004 - two is what the function's name says
        raise UnfitMachineError(
            "the benchmark needs two cores: one for the peer, one for the load and the feed"
        )
    return Cores(load=(usable[0],), peer=(usable[1],))


def cores_for_two(usable: CoreSet) -> Cores:
    """Two cores for a peer of two workers; the load has two others only where there are four."""
    if len(usable) < 4:  # noqa: PLR2004 - two and two
        return Cores(load=usable[:2], peer=usable[:2])
    return Cores(load=(usable[0], usable[3]), peer=usable[1:3])


def usable_cores() -> CoreSet:
    """The cores that this process may use."""
    return tuple(sorted(os.sched_getaffinity(0)))


def _first(file: str, key: str, separator: str) -> str | None:
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(separator)
        if name.strip() == key:
            return value.strip()
    return None
