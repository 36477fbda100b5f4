"""The same beside nginx with a body to send, a large answer, TLS, and requests that all differ."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from bench.case import COMPILED_OVER_IT, COST, GATEWAY_OVER_IT, RATE, Case, Row
from bench.peer import CREATE_PATH, LARGE_BODY, LARGE_PATH, Bed, Peer, Stand
from bench.peers import nginx, scopegate
from bench.saturation import measured
from bench.site import Site

KIB: Final = 1024
TRACES: Final = 20_000
"""More than the gateway remembers of heads that it has seen."""

PEERS: Final = (scopegate.PEER, scopegate.PEER_COMPILED, nginx.FORWARDING, nginx.AUTH_REQUEST)
Change = Callable[[Stand], Stand]


def _rows(site: Site, name: str, change: Change, *, tls: bool = False) -> Iterator[Row]:
    """The gateway, plain and compiled, and both nginx, each under this change of the load."""
    for peer in PEERS:
        if not site.has(peer):
            continue
        lay_out = partial(_changed, peer, site.bed(f"{name}-{peer.name}", tls=tls), change)
        for stand in site.stand(peer.name, peer.checks, lay_out):
            figures = partial(measured, stand, site.plan.case, site.cores)
            yield Row(peer.name, peer.title, figures, checks=peer.checks, version=peer.version(site.tools))


def _changed(peer: Peer, bed: Bed, change: Change) -> Stand:
    return change(peer.lay_out(bed))


def _posting(stand: Stand) -> Stand:
    return stand.under(method="POST", paths=(CREATE_PATH,), body_bytes=KIB)


def _large(stand: Stand) -> Stand:
    return stand.under(paths=(LARGE_PATH,), answer=LARGE_BODY)


def _traced(stand: Stand) -> Stand:
    return stand.under(traces=TRACES)


def _secure(stand: Stand) -> Stand:
    return stand


COLUMNS: Final = (COST, GATEWAY_OVER_IT, COMPILED_OVER_IT, RATE)

POST: Final = Case("post", "POST of 1 KiB", COLUMNS, lambda site: _rows(site, "post", _posting))
ANSWER: Final = Case("answer", "Answers of 64 KiB", COLUMNS, lambda site: _rows(site, "answer", _large))
TLS: Final = Case(
    "tls",
    "TLS towards the client",
    COLUMNS,
    lambda site: _rows(site, "tls", _secure, tls=True),
    "ECDSA over P-256, kept connections: the handshakes of a run are few, the records many.",
)
VARIED: Final = Case(
    "varied",
    "Requests that all differ",
    COLUMNS,
    lambda site: _rows(site, "varied", _traced),
    "Each has a trace id (traceparent) of its own, so that no head is one that was seen before.",
)
