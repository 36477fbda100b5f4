"""Where the gateway's own time goes: the share of each stage of a worker under load, sampled with py-spy.

`python bench/profile.py [--seconds N] [--refused] [--out DIR]`. The stacks are kept for a flame graph.
Exit 0 measured, 1 it could not be, 2 usage.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from machine import Cores, UnfitMachineError, two_cores
from measure import cpu_ns
from peer import Bed, Stand
from peers.scopegate import DENIED_PATH, FEW, furnish
from process import BENCH, PeerFailedError, free_port
from run import end_like_interrupt
from subject import Subject, standing
from tools import UTIL_LINUX, gather
from upstream import feeding
from wrk import saturate

OUT: Final = BENCH / "out"
NEEDED: Final = ("python", "nginx", "wrk", "gateway", "py-spy", *UTIL_LINUX)
SAMPLES_A_SECOND: Final = 200
IN_ROOM: Final = re.compile(r"\(gateway/(\w+)(?:/|\.py)")
WAITING: Final = ("Condition.wait", "_queue_SimpleQueue_get", "select_epoll_poll")
"""Frames of threads that only wait."""

SYSTEM_CALLS: Final = {
    "write": "kernel: writing to sockets",
    "writev": "kernel: writing to sockets",
    "sendmsg": "kernel: writing to sockets",
    "read": "kernel: reading from sockets",
    "recvmsg": "kernel: reading from sockets",
    "epoll_pwait": "kernel: waiting for events",
    "epoll_wait": "kernel: waiting for events",
    "epoll_ctl": "kernel: waiting for events",
}
"""The innermost frame, a function of the C library → the stage."""


def stage(frames: list[str]) -> str | None:
    """What a stack is busy with, innermost last; None if it only waits."""
    if any(frame.startswith(WAITING) for frame in frames):
        return None
    name, _, place = frames[-1].partition(" ")
    if place.startswith("(libc") and name in SYSTEM_CALLS:
        return SYSTEM_CALLS[name]
    for frame in reversed(frames):
        if found := IN_ROOM.search(frame):
            outermost = found.group(1) == "worker"
            return "event loop: uvloop, asyncio" if outermost else f"gateway: {found.group(1)}"
    return None


def shares(stacks: Iterator[str]) -> Counter[str]:
    """Samples a stage, from lines of `frame;frame;frame count`."""
    counted: Counter[str] = Counter()
    for line in stacks:
        stack, _, count = line.strip().rpartition(" ")
        if busy := stage(stack.split(";")):
            counted[busy] += int(count)
    return counted


def table(counted: Counter[str], cpu_us: float) -> str:
    """The stages as Markdown, the dearest first."""
    total = counted.total()
    rows = [f"| stage | share | µs of {cpu_us:.1f} a request |", "| --- | ---: | ---: |"]
    for name, count in counted.most_common():
        rows.append(f"| {name} | {count / total:.1%} | {count / total * cpu_us:.2f} |")
    return "\n".join(rows)


def busiest(subject: Subject, seconds: int, cores: Cores) -> tuple[int, float]:
    """The worker, and the CPU µs a request of all processes without a profiler looking on."""
    before = {pid: cpu_ns([pid]) for pid in subject.pids}
    counted = saturate(subject.stand, seconds, cores.load)
    used = {pid: cpu_ns([pid]) - then for pid, then in before.items()}
    return max(used, key=used.__getitem__), sum(used.values()) / 1e3 / counted.requests


def sampled(subject: Subject, worker: int, seconds: int, cores: Cores, stacks: Path) -> None:
    """Sample the worker's stacks, native frames and all, while it is loaded. Raises PeerFailedError."""
    spy = [str(subject.stand.bed.tools["py-spy"]), "record", "--native", "--format", "raw"]
    spy += ["--pid", str(worker), "--duration", str(seconds), "--rate", str(SAMPLES_A_SECOND)]
    with ThreadPoolExecutor(1) as load:
        loading = load.submit(saturate, subject.stand, seconds + 2, cores.load)
        ended = subprocess.run([*spy, "--output", str(stacks)], capture_output=True, text=True, check=False)
        loading.result()
    if ended.returncode or not stacks.exists():
        raise PeerFailedError(f"py-spy ended with {ended.returncode}: {ended.stderr.strip()[-300:]}")


def profile(out: Path, seconds: int, *, refused: bool) -> str:
    """Lay the gateway out, load it, sample it. Raises PeerFailedError, UnfitMachineError."""
    cores = two_cores()
    tools = gather(NEEDED, OUT / "venv", may_install=True)
    if not tools.has(NEEDED):
        raise UnfitMachineError(tools.why_not(NEEDED))
    os.sched_setaffinity(0, {cores.load})
    with ExitStack() as stack:
        work = out / "work"
        work.mkdir(parents=True, exist_ok=True)
        stack.callback(shutil.rmtree, work, ignore_errors=True)
        bed = Bed(tools, work, free_port(), free_port(), free_port(), cores.peer)
        stack.enter_context(feeding(bed, cores.load))
        stand = _stand(bed, refused=refused)
        subject = stack.enter_context(standing(stand, cores.peer))
        saturate(stand, 1, cores.load)
        worker, cpu_us = busiest(subject, seconds, cores)
        stacks = out / "stacks.txt"
        sampled(subject, worker, seconds, cores, stacks)
    with stacks.open(encoding="utf-8") as lines:
        return table(shares(lines), cpu_us)


def _stand(bed: Bed, *, refused: bool) -> Stand:
    gateway = furnish(bed, FEW)
    denied = replace(gateway.load, paths=(DENIED_PATH,), refused=True)
    return gateway.under(denied) if refused else gateway


def main() -> int:
    """Measure, print."""
    signal.signal(signal.SIGTERM, end_like_interrupt)
    parser = argparse.ArgumentParser(description="Show where the gateway's own time goes.")
    parser.add_argument("--seconds", type=int, default=10, metavar="N", help="how long to sample (10)")
    parser.add_argument("--refused", action="store_true", help="refused requests in place of permitted ones")
    parser.add_argument("--out", type=Path, default=OUT / "profile", metavar="DIR", help="where stacks go")
    asked = parser.parse_args()
    if asked.seconds < 1:
        parser.error("--seconds: at least 1")
    try:
        print(profile(asked.out.absolute(), asked.seconds, refused=asked.refused))
    except (PeerFailedError, UnfitMachineError, OSError) as error:
        print(f"profile: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("profile: interrupted; what it started has been stopped", file=sys.stderr)
        return 130
    print(f"stacks: {os.path.relpath(asked.out / 'stacks.txt')}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
