"""One peer in one round: started, loaded as much as it can take, called at a fixed rate, stopped."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.effort import Effort
from bench.machine import Cores
from bench.measure import core_time, cpu_ns
from bench.peer import Stand
from bench.process import ROOT, PeerFailedError, pinned
from bench.readings import Figures
from bench.subject import Subject, standing
from bench.wrk import saturate

PATIENCE_SECONDS: Final = 30
DISTURBED: Final = 0.05
"""The share of the peer's cores that others may take before a measurement is taken again."""
LATE_US: Final = 400
"""How late, in µs at p99, the client may be before it calls again; at rest it is half of that."""


def measured(stand: Stand, effort: Effort, cores: Cores) -> Figures:
    """Start a peer, load it, stop it, count what it logged and clear that away. Raises PeerFailedError."""
    try:
        with standing(stand, cores.peer) as subject:
            warm = saturate(stand, effort.warm_up, cores.load).requests if effort.warm_up else 0
            tried = list(_undisturbed(subject, effort, cores)) if effort.saturation else []
            held = subject.held()
            calls = list(_on_time(subject, effort, cores)) if effort.at_rate else []
            ready = subject.ready_seconds
        answered = warm + sum(one["requests"] for one in tried) + sum(one["asked"] for one in calls)
        logged = {"logged": _lines(stand.bed.access_log) / answered} if stand.logs and answered else {}
    finally:
        for log in stand.bed.directory.glob("*.log"):
            log.unlink()
    least = min(tried, key=lambda one: one.get("others", 0.0)) if tried else {}
    at_rate = min(calls, key=lambda one: one["late_p99"]) if calls else {}
    return {**least, **at_rate, **held, "ready_ms": ready * 1000, **logged}


def _undisturbed(subject: Subject, effort: Effort, cores: Cores) -> Iterator[Figures]:
    """Measure until other programs leave the cores alone, but only so often."""
    for _ in range(effort.tries):
        figures = saturated(subject, effort.saturation, cores)
        yield figures
        if figures.get("others", 0.0) <= DISTURBED:
            return


def _on_time(subject: Subject, effort: Effort, cores: Cores) -> Iterator[Figures]:
    """Call until the client itself was on time, but only so often: a late one tells more of itself."""
    for _ in range(effort.tries):
        figures = called(subject, effort, cores)
        yield figures
        if figures["late_p99"] <= LATE_US:
            return


def saturated(subject: Subject, seconds: int, cores: Cores) -> Figures:
    """Read every account, load, read them again; the difference over the requests is the cost of one.

    Where the load has no core of its own, what others took cannot be told from it, and is not told.
    """
    core, cpu = core_time(cores.peer), cpu_ns(subject.pids)
    counted = saturate(subject.stand, seconds, cores.load)
    used = (cpu_ns(subject.pids) - cpu) / 1e9
    spent = core_time(cores.peer).since(core)
    whole = counted.seconds * len(cores.peer)
    others = {"others": max(0.0, spent.busy - used) / whole} if cores.apart else {}
    return {
        "requests": counted.requests,
        "seconds": counted.seconds,
        "cpu_us": used * 1e6 / counted.requests,
        "per_second": counted.requests / counted.seconds,
        "used": used / whole,
        "stolen": spent.stolen / whole,
        **others,
    }


def called(subject: Subject, effort: Effort, cores: Cores) -> Figures:
    """Let the open-loop client call from the load's core."""
    load, port = subject.stand.load, subject.stand.bed.port
    told = [port, effort.rate, effort.at_rate, load.paths[0], load.header, load.credentials[0]]
    ended = subprocess.run(
        [*pinned(cores.load), sys.executable, "-m", "bench.load", *map(str, told)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=effort.at_rate + PATIENCE_SECONDS,
        check=False,
    )
    if ended.returncode:
        raise PeerFailedError(f"at {effort.rate} requests/s: {ended.stderr.strip()[-300:]}")
    figures: dict[str, float] = json.loads(ended.stdout)
    return figures


def _lines(file: Path) -> int:
    """How many lines a log has; 0 if there is none."""
    if not file.exists():
        return 0
    with file.open("rb") as stream:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(2**20), b""))
