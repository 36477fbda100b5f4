"""The benchmark: the gateway beside its peers, one command.

`python bench/run.py [--quick] [--rounds N] [--peers a,b] [--out DIR] [--write-docs]`. Loopback only, bounded
in count and time; whatever it starts ends with it. Exit 0 measured (what cannot
be had here is left out), 1 something failed that should not have, 2 usage.
"""

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from cases import plain_cases, size_cases
from machine import Cores, UnfitMachineError, this_machine, two_cores
from peer import Bed, Load, Peer, Stand
from peers import PEERS
from picture import draw
from plan import QUICK, WHOLE, Plan
from process import BENCH, PeerFailedError, free_port
from report import into_document, markdown
from results import DIRECT, GATEWAY, Described, Results
from rounds import interleaved, measure_all
from sample import Sample
from subject import prove
from tools import UTIL_LINUX, Toolbox, gather
from transfer import Transfer, transfer
from upstream import feeding, sinking

OUT: Final = BENCH / "out"
DOCUMENT: Final = BENCH.parent / "docs" / "performance.md"
PICTURE: Final = DOCUMENT.with_suffix(".svg")
NEEDED: Final = ("python", "nginx", "wrk", *UTIL_LINUX)
TRANSFERRING: Final = (GATEWAY, "nginx")
"""Whose handling of large bodies is measured."""


@dataclass(slots=True)
class Run:
    """A run in the making: where it works, and what it has had to leave out."""

    plan: Plan
    cores: Cores
    tools: Toolbox
    work: Path
    peers: tuple[Peer, ...]
    left_out: list[str] = field(default_factory=list)
    failures: int = 0

    def done(self, line: str) -> None:
        """Say how it goes."""
        print(line, file=sys.stderr, flush=True)

    def missing(self, name: str, why: str) -> None:
        """Say what cannot be had here, and keep it for the report."""
        self.left_out.append(f"{name}: {why}")
        print(f"left out: {name}: {why}", file=sys.stderr, flush=True)

    def failed(self, name: str, why: str) -> None:
        """Say what should have worked and did not."""
        self.failures += 1
        self.missing(name, why)

    def bed(self, name: str, upstream_port: int) -> Bed:
        """A directory and ports for one peer."""
        directory = self.work / name
        directory.mkdir(parents=True, exist_ok=True)
        return Bed(self.tools, directory, free_port(), free_port(), upstream_port, self.cores.peer)

    def laid_out(self, peers: Iterable[Peer], upstream_port: int, suffix: str = "") -> dict[str, Stand]:
        """Lay out every peer that can be had."""
        stands: dict[str, Stand] = {}
        for peer in peers:
            if not self.tools.has(peer.needs):
                self.missing(peer.name, self.tools.why_not(peer.needs))
                continue
            try:
                stands[peer.name] = peer.lay_out(self.bed(peer.name + suffix, upstream_port))
            except PeerFailedError as error:
                self.failed(peer.name, str(error))
        return stands

    def proven(self, stands: dict[str, Stand]) -> dict[str, Stand]:
        """Those that do what they claim."""
        good: dict[str, Stand] = {}
        for peer in self.peers:
            if peer.name not in stands:
                continue
            try:
                prove(stands[peer.name], peer.checks, self.cores.peer)
            except PeerFailedError as error:
                self.failed(peer.name, str(error))
            else:
                good[peer.name] = stands[peer.name]
                self.done(f"{peer.name} answers as it claims ({peer.checks})")
        return good

    def beside_each_other(self) -> tuple[list[Sample], list[Sample]]:
        """The peers, then the gateway's cases, before the small feed."""
        bed = self.bed("feed", free_port())
        with feeding(bed, self.cores.load):
            direct = Stand((), replace(bed, port=bed.upstream_port), Load(), logs=False)
            stands = self.proven(self.laid_out(self.peers, bed.upstream_port))
            plan = self.plan
            samples = measure_all({DIRECT: direct, **stands}, plan.rounds, plan.main, self.cores, self)
            if GATEWAY not in {sample.name for sample in samples}:
                return samples, []
            cases = self.cases(stands[GATEWAY], bed.upstream_port)
            return samples, measure_all(cases, plan.rounds, plan.cases, self.cores, self)

    def cases(self, gateway: Stand, upstream_port: int) -> dict[str, Stand]:
        """The gateway in its other cases."""
        cases = dict(plain_cases(gateway))
        if self.plan.many:
            try:
                cases |= size_cases(gateway, lambda name: self.bed(name, upstream_port), self.plan.many)
            except PeerFailedError as error:
                self.failed("the gateway with many routes and keys", str(error))
        return cases

    def large_bodies(self) -> list[Transfer]:
        """Transfers through those that are compared in them."""
        bed, done = self.bed("sink", free_port()), list[Transfer]()
        peers = [peer for peer in self.peers if peer.name in TRANSFERRING]
        with sinking(bed, self.cores.load):
            stands = self.laid_out(peers, bed.upstream_port, "-bodies")
            for turn, name, stand in interleaved(stands, self.plan.transfer_rounds):
                try:
                    done += transfer(stand, name, turn, self.plan.transfers, self.cores)
                except (PeerFailedError, OSError) as error:
                    self.failed(f"large bodies through {name}", f"round {turn + 1}: {error}")
        return done

    def results(self) -> Results:
        """Measure everything."""
        samples, cases = self.beside_each_other()
        transfers = self.large_bodies()
        described = {
            peer.name: Described(peer.title, peer.checks, peer.logs, peer.version(self.tools))
            for peer in self.peers
            if self.tools.has(peer.needs)
        }
        date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        command = " ".join(["python", "bench/run.py", *sys.argv[1:]])
        return Results(
            date, this_machine(), command, described, samples, cases, transfers, self.left_out, self.failures
        )


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description="Measure the gateway beside its peers.")
    parser.add_argument(
        "--quick", action="store_true", help="one short round of a few peers, within a minute"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="interleaved rounds (5; with --quick 1)")
    parser.add_argument(
        "--peers", metavar="A,B", help=f"only these: {', '.join(peer.name for peer in PEERS)}"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where samples, report and picture go")
    parser.add_argument("--no-install", action="store_true", help="use only what is there")
    parser.add_argument("--keep", action="store_true", help="keep the peers' configurations")
    parser.add_argument("--write-docs", action="store_true", help=f"put the report into docs/{DOCUMENT.name}")
    parser.add_argument("--from", dest="samples", type=Path, metavar="FILE", help="report on earlier samples")
    asked = parser.parse_args()
    if asked.rounds is not None and asked.rounds < 1:
        parser.error("--rounds: at least 1")
    known = {peer.name for peer in PEERS}
    if unknown := sorted(set((asked.peers or "").split(",")) - known - {""}):
        parser.error(f"--peers: unknown: {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    return asked


def planned(asked: argparse.Namespace) -> Plan:
    """The plan that the command line asks for."""
    plan = QUICK if asked.quick else WHOLE
    if asked.peers:
        plan = replace(plan, peers=tuple(asked.peers.split(",")))
    return replace(plan, rounds=asked.rounds) if asked.rounds else plan


def measured(plan: Plan, out: Path, asked: argparse.Namespace) -> Results:
    """Carry the plan out. Raises UnfitMachineError."""
    cores = two_cores()
    peers = tuple(peer for peer in PEERS if not plan.peers or peer.name in plan.peers)
    needs = dict.fromkeys([*NEEDED, *(name for peer in peers for name in peer.needs)])
    tools = gather(needs, OUT / "venv", may_install=not asked.no_install)
    if not tools.has(NEEDED):
        raise UnfitMachineError(tools.why_not(NEEDED))
    os.sched_setaffinity(0, {cores.load})
    work = out / "work"
    with ExitStack() as stack:
        if not asked.keep:
            stack.callback(shutil.rmtree, work, ignore_errors=True)
        return Run(plan, cores, tools, work, peers).results()


def publish(results: Results, out: Path, *, write_docs: bool) -> None:
    """Print the report, and write it and the picture where they go."""
    report = markdown(results)
    (out / "report.md").write_text(report, encoding="utf-8")
    (out / "picture.svg").write_text(draw(results), encoding="utf-8")
    if write_docs:
        into_document(DOCUMENT, report)
        PICTURE.write_text(draw(results), encoding="utf-8")
    print(report)


def main() -> int:
    """Measure, report."""
    signal.signal(signal.SIGTERM, end_like_interrupt)
    asked = arguments()
    out = (asked.out or OUT / time.strftime("%Y%m%d-%H%M%S", time.gmtime())).absolute()
    out.mkdir(parents=True, exist_ok=True)
    try:
        if asked.samples:
            results = Results.read(asked.samples)
        else:
            results = measured(planned(asked), out, asked)
            results.write(out / "samples.json")
        publish(results, out, write_docs=asked.write_docs)
    except (UnfitMachineError, ValueError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted; what it started has been stopped", file=sys.stderr)
        return 130
    print(f"raw samples: {os.path.relpath(asked.samples or out / 'samples.json')}", file=sys.stderr)
    return 1 if results.failures else 0


def end_like_interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """Unwind as on Ctrl-C."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
