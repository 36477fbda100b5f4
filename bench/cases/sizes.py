"""Whether size costs: many routes over few, a store of many keys over one of few, many scopes over one."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from bench.case import BESIDE, COST, RATE, Case, Row
from bench.effort import Effort
from bench.filling import existing_key
from bench.peer import Checks, Stand
from bench.peers.scopegate import FEW, Size, furnish, paths_over
from bench.readings import Column
from bench.saturation import measured
from bench.site import Site

ASKED_PATHS: Final = 1000
"""How many different paths are asked in turn."""

BOUNDED: Final = {"cache": {"principals": 1000}}
"""Few are remembered, so that a large store cannot be served from memory."""

MEMORY: Final = Column("memory MiB", "memory_mib")


def _rows(site: Site, stands: Mapping[str, Stand]) -> Iterator[Row]:
    """A row for each proven stand; the first is what the others are beside."""
    first = next(iter(stands), "")
    for name, stand in stands.items():
        for proven in site.proven(name, Checks.SCOPES, stand):
            figures = partial(measured, proven, site.plan.case, site.cores)
            yield Row(name, name, figures, "" if name == first else first)


def _routes(site: Site) -> Iterator[Row]:
    stands = {}
    for size in (FEW, Size(site.plan.sizes.routes, FEW.keys)):
        stand = furnish(site.bed(f"routes-{size.routes}"), size)
        stands[f"{size.routes:,} routes"] = stand.under(paths=paths_over(size, ASKED_PATHS))
    yield from _rows(site, stands)


def _keys(site: Site) -> Iterator[Row]:
    """The same few callers ask stores of every size."""
    stands, callers = {}, tuple(map(existing_key, range(FEW.keys)))
    for keys in (FEW.keys, *site.plan.sizes.keys):
        stand = furnish(site.bed(f"keys-{keys}"), Size(FEW.routes, keys), BOUNDED)
        stands[f"{keys:,} keys"] = stand.under(credentials=callers)
    yield from _rows(site, stands)


def _scopes(site: Site) -> Iterator[Row]:
    stands = {}
    for scopes in (1, site.plan.sizes.scopes):
        stand = furnish(site.bed(f"scopes-{scopes}"), Size(FEW.routes, FEW.keys, scopes))
        stands[f"{scopes} scope{'s' if scopes > 1 else ''}"] = stand
    yield from _rows(site, stands)


READY: Final = Effort(warm_up=0, saturation=0, at_rate=0)


def _start(site: Site) -> Iterator[Row]:
    for routes in (FEW.routes, site.plan.sizes.routes):
        name = f"{routes:,} routes"
        lay_out = partial(furnish, site.bed(f"start-{routes}"), Size(routes, FEW.keys))
        for stand in site.stand(name, Checks.SCOPES, lay_out):
            yield Row(name, name, partial(measured, stand, READY, site.cores))


ROUTES: Final = Case(
    "routes",
    "Routes, few and many",
    (COST, BESIDE, RATE, MEMORY),
    _routes,
    f"{ASKED_PATHS:,} paths in turn, spread over the routes there are.",
)
KEYS: Final = Case(
    "keys",
    "Keys in the store, few and many",
    (COST, BESIDE, RATE, MEMORY),
    _keys,
    "The same ten callers in turn; the gateway remembers at most 1,000.",
)
SCOPES: Final = Case(
    "scopes",
    "Scopes of a key, one and many",
    (COST, BESIDE, RATE),
    _scopes,
    "The feed is told the names of all of them.",
)
START: Final = Case(
    "start",
    "From start to the first good answer",
    (Column("ready in ms", "ready_ms"), MEMORY),
    _start,
)
