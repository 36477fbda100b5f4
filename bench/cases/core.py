"""The table that everything else is beside: every peer under the same load, saturated and at a fixed rate."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from bench.case import COMPILED_OVER_IT, COST, DIRECT, GATEWAY_OVER_IT, RATE, Case, Row
from bench.effort import Effort
from bench.peer import GATEWAY, GATEWAY_COMPILED, Load, Peer, Stand
from bench.peers import PEERS
from bench.readings import Column, Way
from bench.saturation import measured
from bench.site import Site

ADDED: Final = (
    Column("p50 added µs", "p50", 0, Way.ADDED, DIRECT),
    Column("p99 added µs", "p99", 0, Way.ADDED, DIRECT),
)


def direct(site: Site, effort: Effort) -> Row:
    """Nothing between the client and the feed."""
    bed = site.bed(DIRECT)
    stand = Stand((), replace(bed, port=bed.upstream_port), Load(), logs=False)
    return Row(DIRECT, "direct, nothing between", partial(measured, stand, effort, site.cores))


def side_by_side(site: Site, peers: tuple[Peer, ...], effort: Effort) -> Iterator[Row]:
    """A row for each of these peers that can be had and does what it claims."""
    for peer in peers:
        if not site.has(peer):
            continue
        for stand in site.stand(peer.name, peer.checks, partial(peer.lay_out, site.bed(peer.name))):
            yield Row(
                *(peer.name, peer.title, partial(measured, stand, effort, site.cores)),
                checks=peer.checks,
                logs=peer.logs,
                version=peer.version(site.tools),
            )


def _rows(site: Site) -> Iterator[Row]:
    peers = tuple(peer for peer in PEERS if not site.peers or peer.name in site.peers)
    yield direct(site, site.plan.core)
    yield from side_by_side(site, peers, site.plan.core)


def _latency_rows(site: Site) -> Iterator[Row]:
    beside = (GATEWAY, GATEWAY_COMPILED, "nginx", "nginx-auth-request", "envoy-api-key")
    yield direct(site, site.plan.latency)
    yield from side_by_side(site, tuple(p for p in PEERS if p.name in beside), site.plan.latency)


CORE: Final = Case(
    "core",
    "The gateway and its peers",
    (
        COST,
        GATEWAY_OVER_IT,
        COMPILED_OVER_IT,
        RATE,
        *ADDED,
        Column("memory MiB", "memory_mib"),
        Column("ready in ms", "ready_ms"),
    ),
    _rows,
)

LATENCY: Final = Case(
    "latency",
    "Latency at 1,000 requests/s",
    (
        Column("p50 µs", "p50"),
        Column("p99 µs", "p99"),
        *ADDED,
        Column("client late by µs, p99", "late_p99"),
    ),
    _latency_rows,
    "Added is what a row has over the direct call of the same round.",
)
