"""This gateway beside the one of another commit, in the same rounds."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from bench.case import BESIDE, COST, RATE, Case, Row
from bench.peer import CREATE_PATH, LARGE_BODY, LARGE_PATH, Checks, Stand
from bench.peers.scopegate import DENIED_PATH, FEW, furnish
from bench.process import ROOT, PeerFailedError
from bench.readings import Column
from bench.saturation import measured
from bench.site import Site
from bench.trees import Program, chosen, of_tree, version

BEFORE: Final = "before"
RATE_SECONDS: Final = 2

LOADS: Final[tuple[tuple[str, Callable[[Stand], Stand]], ...]] = (
    ("permitted", lambda stand: stand),
    ("out of scope", lambda stand: stand.under(paths=(DENIED_PATH,), status=403)),
    ("POST of 1 KiB", lambda stand: stand.under(method="POST", paths=(CREATE_PATH,), body_bytes=1024)),
    ("answer of 64 KiB", lambda stand: stand.under(paths=(LARGE_PATH,), answer=LARGE_BODY)),
)
"""What both are asked; their configuration says nothing that the older one may not know."""


def _pair(site: Site, program: Program, name: str) -> Iterator[tuple[str, Stand]]:
    """One gateway under every load."""
    lay_out = partial(furnish, site.bed(name), FEW, None, program)
    for gateway in site.stand(name, Checks.SCOPES, lay_out):
        for load, change in LOADS:
            yield load, change(gateway)


def _rows(site: Site) -> Iterator[Row]:
    if not site.tree:
        site.failed(BEFORE, "beside what? Name a commit or a directory: --beside TREE")
        return
    try:
        programs = {BEFORE: chosen(site.tree, site.trees), "now": of_tree(ROOT)}
    except PeerFailedError as error:
        site.failed(BEFORE, str(error))
        return
    gateways = {name: dict(_pair(site, program, name)) for name, program in programs.items()}
    for load, _ in LOADS:
        effort = site.plan.case
        if load == LOADS[0][0]:
            effort = replace(effort, at_rate=min(RATE_SECONDS, effort.saturation))
        for name, stands in gateways.items():
            if load in stands:
                row = f"{load}, {name}"
                beside = "" if name == BEFORE else f"{load}, {BEFORE}"
                told = version(site.tree) if name == BEFORE else "the work tree"
                figures = partial(measured, stands[load], effort, site.cores)
                yield Row(row, f"{load}, {name} ({told})", figures, beside)


BESIDE_ITSELF: Final = Case(
    BEFORE,
    "Now, beside before",
    (
        COST,
        BESIDE,
        RATE,
        Column("p50 µs", "p50"),
        Column("p99 µs", "p99"),
        Column("memory MiB", "memory_mib"),
    ),
    _rows,
    "Each load now is beside the same load before.",
)
