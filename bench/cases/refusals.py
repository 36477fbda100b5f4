"""What a refusal costs, by its reason, beside a permitted request."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from bench.case import BESIDE, COST, RATE, Case, Row
from bench.peer import GATEWAY, WRONG_KEY, Checks, Stand
from bench.peers.scopegate import DENIED_PATH, PEER, PEER_COMPILED, UNMAPPED_PATH
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


def _row_name(load: str, form: str) -> str:
    return load if form == GATEWAY else f"{load}, compiled"


def _rows(site: Site) -> Iterator[Row]:
    for peer in (PEER, PEER_COMPILED):
        if not site.has(peer):
            continue
        bed = site.bed(f"refusals-{peer.name}")
        for gateway in site.stand(peer.name, peer.checks, partial(peer.lay_out, bed)):
            yield from _refusals(site, gateway, peer.name)


def _refusals(site: Site, gateway: Stand, form: str) -> Iterator[Row]:
    """Every load of one form of the gateway; the compiled one is beside itself, too."""
    for load, stand in _loads(gateway):
        name = _row_name(load, form)
        for proven in site.proven(name, Checks.SCOPES, stand):
            beside = "" if load == PERMITTED else _row_name(PERMITTED, form)
            title = name if load == PERMITTED else f"refused: {name}"
            yield Row(name, title, partial(measured, proven, site.plan.case, site.cores), beside)


REFUSALS: Final = Case(
    "refusals",
    "Refusals",
    (COST, BESIDE, RATE, Column("requests/s ÷ beside", "per_second", 2, Way.RATIO)),
    _rows,
)
