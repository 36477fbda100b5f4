"""The benchmark: the gateway beside its peers, one command.

    python -m bench.run                              the core table, about fourteen minutes
    python -m bench.run --cases jwt,tls,keys         other cases; `all` is every one but `before`
    python -m bench.run --beside HEAD~5              the gateway of another commit, in the same rounds
    python -m bench.run --from-file A.json B.json    the report, and the picture, of samples taken earlier

Loopback only, bounded in count and time; whatever it starts ends with it. Exit 0 measured (what cannot be had
here is left out), 1 something failed that should not have, 2 usage.
"""

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from bench.case import Case
from bench.cases import CASES, EVERY, UnknownCaseError, chosen
from bench.effort import QUICK, WHOLE, Plan
from bench.machine import UnfitMachineError, this_machine, two_cores, usable_cores
from bench.peers import PEERS
from bench.picture import draw
from bench.process import BENCH, ROOT, PeerFailedError, keep_bytecode
from bench.report import into_document, markdown
from bench.results import Measured, Occasion, Results
from bench.rounds import measure_all
from bench.site import Site
from bench.tools import COMPILED, UTIL_LINUX, Toolbox, gather

OUT: Final = BENCH / "out"
BYTECODE: Final = OUT / "bytecode"
DOCUMENT: Final = BENCH.parent / "docs" / "performance.md"
PICTURE: Final = DOCUMENT.with_suffix(".svg")
NEEDED: Final = ("python", "gateway", "nginx", "wrk", *UTIL_LINUX)
QUICK_PEERS: Final = "gateway,floor,nginx,nginx-auth-request"
CORE: Final = "core"


def parser() -> argparse.ArgumentParser:
    """What the command line understands."""
    made = argparse.ArgumentParser(prog="bench", description="Measure the gateway beside its peers.")
    cases = ", ".join((EVERY, *(case.name for case in CASES)))
    made.add_argument("--cases", metavar="A,B", help=f"which tables ({CORE}): {cases}")
    made.add_argument("--peers", metavar="A,B", help=f"of {CORE} only: {', '.join(p.name for p in PEERS)}")
    made.add_argument(
        "--beside",
        metavar="TREE",
        help="a commit, directory or interpreter; its gateway is the case `before`",
    )
    made.add_argument(
        "--compiled",
        type=Path,
        metavar="PYTHON",
        help="of an environment with a compiled gateway (else `make compiled` makes one)",
    )
    made.add_argument("--rounds", type=int, metavar="N", help="interleaved rounds (5; with --quick 1)")
    made.add_argument("--seconds", type=int, metavar="N", help="length of each part of a measurement")
    made.add_argument("--quick", action="store_true", help="one short round, few peers, small sizes")
    made.add_argument("--out", type=Path, metavar="DIR", help="where samples, report and picture go")
    made.add_argument("--no-install", action="store_true", help="use only what is there")
    made.add_argument("--keep", action="store_true", help="keep the peers' configurations")
    made.add_argument("--write-docs", action="store_true", help=f"put the report into docs/{DOCUMENT.name}")
    made.add_argument(
        "--from-file", nargs="+", type=Path, metavar="FILE", help="report on earlier samples, joined"
    )
    return made


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line asks for; `cases` are cases. Ends with status 2 on what makes no sense."""
    made = parser()
    asked = made.parse_args(words)
    for name in ("rounds", "seconds"):
        if getattr(asked, name) is not None and getattr(asked, name) < 1:
            made.error(f"--{name}: at least 1")
    known = {peer.name for peer in PEERS}
    asked.peers = tuple(filter(None, (asked.peers or (QUICK_PEERS if asked.quick else "")).split(",")))
    if unknown := sorted(set(asked.peers) - known):
        made.error(f"--peers: unknown: {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    wanted = asked.cases or ("" if asked.beside else CORE)
    try:
        asked.cases = chosen(f"{wanted},before" if asked.beside else wanted)
    except UnknownCaseError as error:
        made.error(f"--cases: {error}")
    if not asked.cases:
        made.error("--cases: name at least one")
    if any(case.name == "before" for case in asked.cases) and not asked.beside:
        made.error("--cases before: beside what? Name a commit or a directory: --beside TREE")
    return asked


def planned(asked: argparse.Namespace) -> Plan:
    """The plan that the command line asks for."""
    plan = QUICK if asked.quick else WHOLE
    if asked.seconds:
        plan = plan.lasting(asked.seconds)
    return replace(plan, rounds=asked.rounds) if asked.rounds else plan


def gathered(asked: argparse.Namespace) -> Toolbox:
    """The programs that there are. Raises UnfitMachineError without those that everybody needs."""
    core_alone = all(case.name == CORE for case in asked.cases)
    peers = [p for p in PEERS if not (core_alone and asked.peers) or p.name in asked.peers]
    needs = dict.fromkeys([*NEEDED, *(name for peer in peers for name in peer.needs)])
    given = {COMPILED: asked.compiled.absolute()} if asked.compiled else {}
    tools = gather(needs, OUT / "venv", may_install=not asked.no_install, given=given)
    if not tools.has(NEEDED):
        raise UnfitMachineError(tools.why_not(NEEDED))
    return tools


def measured(asked: argparse.Namespace, out: Path) -> Results:
    """Carry the plan out, case by case; samples are written after each. Raises UnfitMachineError."""
    cores, usable = two_cores(), usable_cores()
    plan, tools = planned(asked), gathered(asked)
    os.sched_setaffinity(0, set(cores.load))
    date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    occasion = Occasion(date, command_line(sys.argv[1:]), this_machine())
    done: list[Measured] = []
    for case in asked.cases:
        with ExitStack() as servers:
            work = out / "work" / case.name
            work.mkdir(parents=True, exist_ok=True)
            if not asked.keep:
                servers.callback(shutil.rmtree, work, ignore_errors=True)
            site = Site(
                tools, cores, plan, work, servers, usable, asked.peers, asked.beside or "", OUT / "trees"
            )
            done.append(one_case(case, site, occasion))
        Results(tuple(done)).write(out / "samples.json")
    return Results(tuple(done))


def command_line(words: Sequence[str]) -> str:
    """What was asked for, as it is published: places below this tree are told from there."""
    return " ".join(["python -m bench.run", *(word.replace(f"{ROOT}/", "") for word in words)])


def one_case(case: Case, site: Site, occasion: Occasion) -> Measured:
    """Lay a case out, and measure its rows in interleaved rounds."""
    site.done(f"{case.name}: {case.title}")
    try:
        rows = list(case.rows(site))
    except (PeerFailedError, OSError) as error:
        site.failed(case.name, str(error))
        rows = []
    readings = measure_all(rows, site.plan.rounds, site)
    found = Measured.of(case, occasion, rows, readings)
    return replace(found, left_out=site.left_out, failures=site.failures)


def publish(results: Results, out: Path, *, write_docs: bool) -> None:
    """Print the report, and write it and the picture where they go."""
    report, core = markdown(results), results.case(CORE)
    (out / "report.md").write_text(report, encoding="utf-8")
    if core is not None:
        (out / "picture.svg").write_text(draw(core), encoding="utf-8")
    if write_docs:
        into_document(DOCUMENT, report)
        if core is not None:
            PICTURE.write_text(draw(core), encoding="utf-8")
    print(report)


def main() -> int:
    """Measure, report."""
    signal.signal(signal.SIGTERM, end_like_interrupt)
    asked = arguments()
    out = (asked.out or OUT / time.strftime("%Y%m%d-%H%M%S", time.gmtime())).absolute()
    out.mkdir(parents=True, exist_ok=True)
    keep_bytecode(BYTECODE)
    try:
        if asked.from_file:
            results = Results.joined(map(Results.read, asked.from_file))
        else:
            results = measured(asked, out)
        publish(results, out, write_docs=asked.write_docs)
    except (UnfitMachineError, ValueError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted; what it started has been stopped", file=sys.stderr)
        return 130
    if not asked.from_file:
        print(f"raw samples: {os.path.relpath(out / 'samples.json')}", file=sys.stderr)
    return 1 if results.failures else 0


def end_like_interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """Unwind as on Ctrl-C."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
