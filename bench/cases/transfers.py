"""Large bodies, down and up, beside nginx forwarding."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from bench.bodies import DIRECTIONS, moved
from bench.case import Case, Row
from bench.effort import GIB, MIB
from bench.peer import GATEWAY
from bench.peers import nginx, scopegate
from bench.readings import Column, Way
from bench.site import Site

NGINX: Final = "nginx"


def amount(size: int) -> str:
    """A size for people."""
    return f"{size // GIB} GiB" if size >= GIB else f"{size // MIB} MiB"


def row_name(peer: str, direction: str, size: int, times: int) -> str:
    """What a transfer through a peer is called."""
    return f"{peer}: {times} of {amount(size)} {direction}"


def _rows(site: Site) -> Iterator[Row]:
    for peer in (nginx.FORWARDING, scopegate.PEER):
        if not site.has(peer):
            continue
        lay_out = partial(peer.lay_out, site.bed(f"bodies-{peer.name}", upstream=site.sink))
        for stand in site.stand(peer.name, peer.checks, lay_out):
            for size, times in site.plan.sizes.transfers:
                for direction in DIRECTIONS:
                    name = row_name(peer.name, direction, size, times)
                    beside = row_name(NGINX, direction, size, times) if peer.name == GATEWAY else ""
                    title = f"{peer.title}: {times} of {amount(size)} {direction}"
                    yield Row(name, title, partial(moved, stand, direction, size, times), beside)


TRANSFERS: Final = Case(
    "bodies",
    "Large bodies",
    (
        Column("MiB/s", "mib_per_second"),
        Column("MiB/s ÷ beside", "mib_per_second", 2, Way.RATIO),
        Column("CPU ms a GiB", "cpu_ms_a_gib"),
        Column("memory grows by MiB", "growth_mib", 1),
    ),
    _rows,
    "One connection, one body after another, beside nginx; the client and the feed share the other core.",
)
