"""Interleaved rounds: every peer once a round, each beginning with another, so that drift hits all."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from machine import Cores
from measure import core_time, cpu_ns, memory
from peer import Stand
from process import BENCH, PeerFailedError
from sample import AtRate, Sample, Saturated
from subject import Subject, standing
from wrk import saturate

PATIENCE_SECONDS: Final = 30
DISTURBED: Final = 0.05
"""The share of the peer's core that others may take before a measurement is taken again."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long each part of a measurement takes, in whole seconds (0: left out), and the fixed rate.

    `tries` is how often saturation is measured at most when other programs disturb it.
    """

    warm_up: int
    saturation: int
    at_rate: int
    rate: int = 1000
    tries: int = 1


class Told(Protocol):
    """Who is told how it goes."""

    def done(self, line: str) -> None:
        """Something was measured."""
        ...

    def failed(self, name: str, why: str) -> None:
        """Something could not be, and is left out."""
        ...


def interleaved(stands: Mapping[str, Stand], turns: int) -> Iterator[tuple[int, str, Stand]]:
    """Every stand once a turn; each turn begins one further on."""
    names = list(stands)
    for turn in range(turns):
        first = turn % len(names) if names else 0
        for name in names[first:] + names[:first]:
            yield turn, name, stands[name]


def measure_all(
    stands: Mapping[str, Stand], turns: int, effort: Effort, cores: Cores, told: Told
) -> list[Sample]:
    """Measure all stands in interleaved rounds. One that fails is left out from then on."""
    samples: list[Sample] = []
    failed: set[str] = set()
    for turn, name, stand in interleaved(stands, turns):
        if name in failed:
            continue
        try:
            sample = measure(stand, name, turn, effort, cores)
        except PeerFailedError as error:
            failed.add(name)
            told.failed(name, f"from round {turn + 1} on: {error}")
        else:
            samples.append(sample)
            told.done(_line(sample, turns))
    return samples


def measure(stand: Stand, name: str, turn: int, effort: Effort, cores: Cores) -> Sample:
    """Start a peer, load it, stop it, count what it logged and clear that away. Raises PeerFailedError."""
    try:
        with standing(stand, cores.peer) as subject:
            warm = saturate(stand, effort.warm_up, cores.load).requests if effort.warm_up else 0
            tried = list(_undisturbed(subject, effort, cores))
            held = memory(subject.pids)
            at_rate = _at_rate(subject, effort, cores) if effort.at_rate else None
            ready = subject.ready_seconds
        asked = warm + sum(saturated.requests for saturated in tried) + (at_rate.asked if at_rate else 0)
        logged = _lines(stand.bed.access_log) / asked if stand.logs else None
    finally:
        for log in stand.bed.directory.glob("*.log"):
            log.unlink()
    saturated = min(tried, key=lambda one: one.others)
    return Sample(name, turn, ready, saturated, at_rate, held.resident, held.proportional, logged)


def _undisturbed(subject: Subject, effort: Effort, cores: Cores) -> Iterator[Saturated]:
    """Measure until other programs leave the core alone, but only so often."""
    for _ in range(effort.tries):
        saturated = _saturated(subject, effort.saturation, cores)
        yield saturated
        if saturated.others <= DISTURBED:
            return


def _saturated(subject: Subject, seconds: int, cores: Cores) -> Saturated:
    """Read every account, load, read them again; the difference over the requests is the cost of one."""
    core, cpu = core_time(cores.peer), cpu_ns(subject.pids)
    counted = saturate(subject.stand, seconds, cores.load)
    used = (cpu_ns(subject.pids) - cpu) / 1e9
    spent = core_time(cores.peer).since(core)
    return Saturated(
        requests=counted.requests,
        seconds=counted.seconds,
        cpu_us=used * 1e6 / counted.requests,
        per_second=counted.requests / counted.seconds,
        used=used / counted.seconds,
        others=max(0.0, spent.busy - used) / counted.seconds,
        stolen=spent.stolen / counted.seconds,
    )


def _at_rate(subject: Subject, effort: Effort, cores: Cores) -> AtRate:
    """Let the open-loop client call from the load's core."""
    stand = subject.stand
    told = [stand.bed.port, effort.rate, effort.at_rate, stand.load.paths[0], stand.load.keys[0]]
    argv = ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(cores.load), sys.executable, "load.py"]
    ended = subprocess.run(
        [*argv, *map(str, told)],
        cwd=BENCH,
        capture_output=True,
        text=True,
        timeout=effort.at_rate + PATIENCE_SECONDS,
        check=False,
    )
    if ended.returncode:
        raise PeerFailedError(f"at {effort.rate} requests/s: {ended.stderr.strip()[-300:]}")
    return AtRate(**json.loads(ended.stdout))


def _lines(file: Path) -> int:
    """How many lines a log has; 0 if there is none."""
    if not file.exists():
        return 0
    with file.open("rb") as stream:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(2**20), b""))


def _line(sample: Sample, turns: int) -> str:
    saturated = sample.saturated
    parts = [
        f"round {sample.turn + 1}/{turns} {sample.name}: {saturated.cpu_us:.1f} µs",
        f"{saturated.per_second:,.0f}/s",
        f"core {saturated.used:.0%} + {saturated.others:.0%} by others",
    ]
    if sample.at_rate:
        parts.append(f"p50 {sample.at_rate.p50:.0f} p99 {sample.at_rate.p99:.0f} µs")
    return ", ".join(parts)
