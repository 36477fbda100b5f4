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


@dataclass(frozen=True, slots=True)
class Cores:
    """One core for the peer, the other for the load and the feed."""

    load: int
    peer: int


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
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:  # noqa: PLR2004 - two is what the function's name says
        raise UnfitMachineError(
            "the benchmark needs two cores: one for the peer, one for the load and the feed"
        )
    return Cores(load=usable[0], peer=usable[1])


def _first(file: str, key: str, separator: str) -> str | None:
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(separator)
        if name.strip() == key:
            return value.strip()
    return None
