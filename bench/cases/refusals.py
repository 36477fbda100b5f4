"""What a refusal costs, by its reason, beside a permitted request."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from bench.case import BESIDE, COST, RATE, Case, Row
from bench.peer import WRONG_KEY, Checks, Stand
from bench.peers.scopegate import DENIED_PATH, FEW, UNMAPPED_PATH, furnish
from bench.readings import Column, Way
from bench.saturation import measured
from bench.site import Site

PERMITTED: Final = "permitted"
OUT_OF_SCOPE: Final = "out of scope"


def _loads(gateway: Stand) -> Iterator[tuple[str, Stand]]:
    yield PERMITTED, gateway
    yield OUT_OF_SCOPE, gateway.under(paths=(DENIED_PATH,), status=403)
    yield "unmapped", gateway.under(paths=(UNMAPPED_PATH,), status=404)
    yield "unknown key", gateway.under(credentials=(WRONG_KEY,), status=401)


def _rows(site: Site) -> Iterator[Row]:
    for gateway in site.stand("gateway", Checks.SCOPES, lambda: furnish(site.bed("refusals"), FEW)):
        for name, stand in _loads(gateway):
            for proven in site.proven(name, Checks.SCOPES, stand):
                beside = "" if name == PERMITTED else PERMITTED
                title = name if name == PERMITTED else f"refused: {name}"
                yield Row(name, title, partial(measured, proven, site.plan.case, site.cores), beside)


REFUSALS: Final = Case(
    "refusals",
    "Refusals",
    (COST, BESIDE, RATE, Column("requests/s ÷ beside", "per_second", 2, Way.RATIO)),
    _rows,
)
