"""Two workers on two cores beside one."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from bench.case import BESIDE, COST, RATE, Case, Row
from bench.machine import cores_for_two
from bench.peer import Checks
from bench.peers.scopegate import FEW, furnish
from bench.readings import Column, Way
from bench.saturation import measured
from bench.site import Site

ONE: Final = "1 worker"
TWO: Final = "2 workers"


def _rows(site: Site) -> Iterator[Row]:
    cores = cores_for_two(site.all_cores)
    for name, workers in ((ONE, 1), (TWO, 2)):
        bed = replace(site.bed(f"workers-{workers}"), peer_cores=cores.peer)
        for stand in site.stand(name, Checks.SCOPES, partial(furnish, bed, FEW, {"workers": workers})):
            beside = ONE if workers > 1 else ""
            yield Row(name, name, partial(measured, stand, site.plan.case, cores), beside)


WORKERS: Final = Case(
    "workers",
    "Two workers beside one",
    (
        COST,
        BESIDE,
        RATE,
        Column("requests/s ÷ beside", "per_second", 2, Way.RATIO),
        Column("use of the cores", "used", 2),
        Column("memory MiB", "memory_mib"),
    ),
    _rows,
    "Both may use two cores. Where there are but two, the load and the feed use them too: then only the"
    " cost of a request says something.",
)
