"""Where the gateway's own time goes: the share of each stage of a worker under load, sampled with py-spy.

`python -m bench.profile [--seconds N] [--load NAME] [--out DIR]`. The stacks are kept for a flame graph.
On a machine that others use, what waits for its turn on the core is counted where it waits: under the kernel.
Exit 0 measured, 1 it could not be, 2 usage.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench.loads import LOADS
from bench.machine import Cores, UnfitMachineError, two_cores
from bench.measure import cpu_ns
from bench.peer import Bed
from bench.peers.scopegate import FEW, furnish
from bench.process import BENCH, PeerFailedError, free_port, keep_bytecode
from bench.run import BYTECODE, end_like_interrupt
from bench.stages import shares, table
from bench.subject import Subject, standing
from bench.tools import UTIL_LINUX, gather
from bench.upstream import feeding
from bench.wrk import saturate

OUT: Final = BENCH / "out"
NEEDED: Final = ("python", "nginx", "wrk", "gateway", "py-spy", *UTIL_LINUX)
SAMPLES_A_SECOND: Final = 200


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


def profile(out: Path, seconds: int, load: str) -> str:
    """Lay the gateway out, load it, sample it. Raises PeerFailedError, UnfitMachineError."""
    cores = two_cores()
    tools = gather(NEEDED, OUT / "venv", may_install=True)
    if not tools.has(NEEDED):
        raise UnfitMachineError(tools.why_not(NEEDED))
    os.sched_setaffinity(0, set(cores.load))
    with ExitStack() as stack:
        work = out / "work"
        work.mkdir(parents=True, exist_ok=True)
        stack.callback(shutil.rmtree, work, ignore_errors=True)
        bed = Bed(tools, work, free_port(), free_port(), free_port(), cores.peer)
        stack.enter_context(feeding(bed, cores.load))
        stand = LOADS[load](furnish(bed, FEW))
        subject = stack.enter_context(standing(stand))
        saturate(stand, 1, cores.load)
        worker, cpu_us = busiest(subject, seconds, cores)
        stacks = out / "stacks.txt"
        sampled(subject, worker, seconds, cores, stacks)
    with stacks.open(encoding="utf-8") as lines:
        return table(shares(lines), cpu_us)


def main() -> int:
    """Measure, print."""
    signal.signal(signal.SIGTERM, end_like_interrupt)
    parser = argparse.ArgumentParser(description="Show where the gateway's own time goes.")
    parser.add_argument("--seconds", type=int, default=10, metavar="N", help="how long to sample (10)")
    parser.add_argument("--load", choices=LOADS, default="permitted", help="what is asked (permitted)")
    parser.add_argument("--out", type=Path, default=OUT / "profile", metavar="DIR", help="where stacks go")
    asked = parser.parse_args()
    if asked.seconds < 1:
        parser.error("--seconds: at least 1")
    keep_bytecode(BYTECODE)
    try:
        print(profile(asked.out.absolute(), asked.seconds, asked.load))
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
