"""Memory: at rest, with many connections that only wait, with many callers remembered."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from bench.case import Case, Row
from bench.crowd import called_by_all, waited_on
from bench.filling import existing_key
from bench.peer import Bed, Peer, Stand
from bench.peers import envoy, nginx, scopegate
from bench.peers.scopegate import FEW, Size, furnish
from bench.readings import Column, Figures
from bench.site import Site
from bench.subject import standing

REST: Final = "at rest"
BESIDE_IT: Final = (scopegate.PEER, nginx.FORWARDING, envoy.API_KEY_AUTH)


def _at_rest(stand: Stand) -> Figures:
    with standing(stand) as subject:
        return subject.held()


def _waited_on(stand: Stand, connections: int) -> Figures:
    with standing(stand) as subject, waited_on(stand, connections):
        return subject.held()


def _called_by_all(stand: Stand, credentials: tuple[str, ...]) -> Figures:
    with standing(stand) as subject:
        called_by_all(stand, credentials)
        return subject.held()


def _many_keys(bed: Bed, keys: int) -> Stand:
    return furnish(bed, Size(FEW.routes, keys), {"cache": {"principals": keys + FEW.keys, "ttl": "10m"}})


def _peer_rows(site: Site, peer: Peer, connections: int) -> Iterator[Row]:
    if not site.has(peer):
        return
    bed = site.bed(f"memory-{peer.name}", connections=connections)
    facts: Mapping[str, str] = {"checks": peer.checks, "version": peer.version(site.tools)}
    for stand in site.stand(peer.name, peer.checks, lambda: peer.lay_out(bed)):
        yield Row(f"{peer.name} {REST}", f"{peer.title}, {REST}", partial(_at_rest, stand), **facts)
        yield Row(
            f"{peer.name} waited on",
            f"{peer.title}, {connections:,} connections that wait",
            partial(_waited_on, stand, connections),
            f"{peer.name} {REST}",
            **facts,
        )


def _rows(site: Site) -> Iterator[Row]:
    for peer in BESIDE_IT:
        yield from _peer_rows(site, peer, site.plan.sizes.connections)
    keys = site.plan.sizes.principals
    peer = scopegate.PEER
    lay_out = partial(_many_keys, site.bed("memory-principals"), keys)
    for stand in site.stand("principals", peer.checks, lay_out):
        callers = tuple(map(existing_key, range(keys)))
        title = f"{peer.title}, {keys:,} callers remembered"
        yield Row("principals", title, partial(_called_by_all, stand, callers), f"{peer.name} {REST}")


MEMORY: Final = Case(
    "memory",
    "Memory",
    (Column("all processes MiB", "memory_mib", 1), Column("the worker MiB", "worker_mib", 1)),
    _rows,
    "Proportional set size. Each connection has had one answer and is kept; each caller has had one, too.",
)
