"""Instructions a request: what a change of the request path costs, whatever else the machine is doing.

    python -m bench.count                       permitted, refused and post, in the work tree
    python -m bench.count --beside HEAD~5       and in another commit, a directory, or another environment

`bench.walk` is run under valgrind's cachegrind twice, with few requests and with many; the difference is what
so many more requests took, and neither the start nor the end is in it. Neither is the kernel, nor the event
loop: `make bench` has those, in time. An instruction is not a moment: what waits for memory costs more.
Exit 0 counted, 1 it could not be, 2 usage.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from bench.loads import LOADS
from bench.machine import UnfitMachineError
from bench.peer import Bed, Load, Stand
from bench.peers.scopegate import FEW, furnish
from bench.process import BENCH, ROOT, PeerFailedError, free_port, keep_bytecode
from bench.run import end_like_interrupt
from bench.tools import gather
from bench.trees import Program, chosen, of_tree

OUT: Final = BENCH / "out"
USUAL: Final = ("permitted", "refused", "post")
REQUESTS: Final = (500, 4500)
"""Few, and many."""

RUN_SECONDS: Final = 300
COUNTED: Final = re.compile(r"I +refs: +([\d,]+)")
VALGRIND: Final = ("--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
STEADY: Final = {"PYTHONHASHSEED": "0"}
"""Keeps sets and dictionaries in one order from run to run."""

Counts = Mapping[str, float]
"""Load → instructions a request."""


def instructions(said: str) -> int:
    """How many instructions valgrind has counted. Raises PeerFailedError if it does not say."""
    found = COUNTED.search(said)
    if found is None:
        raise PeerFailedError(f"nothing was counted: {said.strip()[-300:] or 'nothing was said'}")
    return int(found[1].replace(",", ""))


def a_request(few: int, many: int, requests: tuple[int, int] = REQUESTS) -> float:
    """What one request takes, of what few and many took together."""
    return (many - few) / (requests[1] - requests[0])


def request_of(load: Load, port: int) -> bytes:
    """The first request of a load, as wrk sends it."""
    length = f"Content-Length: {load.body_bytes}\r\n" if load.body_bytes else ""
    head = f"{load.method} {load.paths[0]} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{length}"
    return f"{head}{load.header}: {load.credentials[0]}\r\n\r\n".encode() + b"x" * load.body_bytes


def answer_of(load: Load) -> bytes:
    """The feed's answer to it, as nginx gives it."""
    head = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\n"
    rest = f"Content-Type: application/json\r\nContent-Length: {len(load.answer)}\r\nConnection: keep-alive"
    return f"{head}{rest}\r\n\r\n".encode() + load.answer


def counted(program: Program, stand: Stand, valgrind: Path) -> float:
    """Walk twice, and tell what a request took. Raises PeerFailedError."""
    directory, load = stand.bed.directory, stand.load
    (directory / "request").write_bytes(request_of(load, stand.bed.port))
    (directory / "answer").write_bytes(answer_of(load))
    walk = [program.python, str(BENCH / "walk.py"), str(directory)]
    _walked(program, [*walk, "1", str(load.status)])
    few, many = (
        instructions(_walked(program, [str(valgrind), *VALGRIND, *walk, str(n), str(load.status)]))
        for n in REQUESTS
    )
    return a_request(few, many)


def _walked(program: Program, walk: list[str]) -> str:
    """What was said on a walk; the first of a program is not counted, for it compiles what it imports."""
    ended = subprocess.run(
        walk,
        env={**os.environ, **STEADY, **program.environment},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    if ended.returncode:
        raise PeerFailedError(f"the walk ended with {ended.returncode}: {ended.stderr.strip()[-600:]}")
    return ended.stderr


def gateways(beside: str, place: Path) -> Iterator[Program]:
    """The work tree's gateway, and the one beside it. Raises PeerFailedError.

    Directories are copied, so that whoever works in them does not change what is being counted.
    """
    yield of_tree(copied(ROOT, place / "now"))
    if Path(beside or "/dev/null").is_dir():
        yield of_tree(copied(Path(beside), place / "beside"))
    elif beside:
        yield chosen(beside, OUT / "trees")


def copied(tree: Path, place: Path) -> Path:
    """A tree with a copy of another's gateway. Raises PeerFailedError if that has none."""
    if not (tree / "gateway").is_dir():
        raise PeerFailedError(f"{tree} has no package `gateway`")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(tree / "gateway", place / "gateway", ignore=ignored)
    return place


def counts(program: Program, loads: tuple[str, ...], work: Path) -> Iterator[tuple[str, float]]:
    """Lay a gateway out, and count under each load. Raises PeerFailedError, UnfitMachineError."""
    tools = gather(("valgrind",), OUT / "venv", may_install=True)
    if not tools.has(("valgrind",)):
        raise UnfitMachineError(tools.why_not(("valgrind",)))
    bed = Bed(tools, work, free_port(), free_port(), free_port(), ())
    stand = furnish(bed, FEW, program=program)
    for load in loads:
        yield load, counted(program, LOADS[load](stand), tools["valgrind"])


def table(now: Counts, before: Counts) -> str:
    """Both counts and their ratio as Markdown; the first alone where there is nothing beside it."""
    if not before:
        rows = [f"| {load} | {count:,.0f} |" for load, count in now.items()]
        return "\n".join(["| instructions a request | now |", "| --- | ---: |", *rows])
    rows = [
        f"| {load} | {count:,.0f} | {before[load]:,.0f} | {count / before[load]:.3f} |"
        for load, count in now.items()
    ]
    heading = "| instructions a request | now | beside | now ÷ beside |"
    return "\n".join([heading, "| --- | ---: | ---: | ---: |", *rows])


def arguments() -> argparse.Namespace:
    """What the command line asks for. Ends with status 2 on what makes no sense."""
    parser = argparse.ArgumentParser(prog="count", description="Count the instructions of a request.")
    parser.add_argument("--loads", default=",".join(USUAL), metavar="A,B", help=f"of {', '.join(LOADS)}")
    parser.add_argument(
        "--beside", metavar="TREE", help="a commit, a directory, or the interpreter of an environment"
    )
    asked = parser.parse_args()
    asked.loads = tuple(filter(None, asked.loads.split(",")))
    if not asked.loads or not set(asked.loads) <= set(LOADS):
        parser.error(f"--loads: known: {', '.join(LOADS)}")
    return asked


def main() -> int:
    """Count, print."""
    signal.signal(signal.SIGTERM, end_like_interrupt)
    asked = arguments()
    OUT.mkdir(exist_ok=True)
    work = Path(mkdtemp(prefix="count-", dir=OUT))
    keep_bytecode(work / "bytecode")
    found: list[Counts] = []
    try:
        for number, program in enumerate(gateways(asked.beside or "", work)):
            place = work / f"laid out {number}"
            place.mkdir()
            found.append(dict(counts(program, asked.loads, place)))
    except (PeerFailedError, UnfitMachineError, subprocess.TimeoutExpired, OSError) as error:
        print(f"count: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(table(found[0], found[1] if asked.beside else {}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
