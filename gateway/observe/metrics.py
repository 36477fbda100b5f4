"""One worker's counts, kept as plain integers so that counting costs an exchange next to nothing."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final

from gateway.domain.exchange import Exchange, Outcome
from gateway.observe import families
from gateway.observe.families import BOUNDS, UNKNOWN, Family
from gateway.observe.snapshot import Snapshot

FACTS: Final[Callable[[Exchange], tuple[Any, ...]]] = itemgetter(
    *map(
        Exchange._fields.index,
        ("feed", "module", "action", "outcome", "status", "code", "would_deny"),
    )
)
"""The facts of an exchange that are counted, all from closed sets: one tuple, one dictionary operation."""

BOUNDS_MS: Final = tuple(bound * 1000 for bound in BOUNDS)
STATUSES: Final = range(100, 600)
NOTHING: Final[Mapping[str, int]] = MappingProxyType({})
NO_FEEDS: Final[Mapping[str, bool]] = MappingProxyType({})
NO_ADDRESSES: Final[Mapping[tuple[str, str], bool]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Sources:
    """Where numbers that live elsewhere are read when a snapshot is taken.

    `principal_cache` maps a result (`hit`, `miss`, …) to its count so far, `log_dropped` is a count so far;
    `observing` maps every feed to whether it is only observed. `store_up` is whether the change feed could be
    read when last tried, `store_unread` for how many seconds it was not. `upstream_healthy` maps each feed
    and address to whether it is in use.
    """

    in_flight: Callable[[], int] = int
    connections: Callable[[], int] = int
    principal_cache: Callable[[], Mapping[str, int]] = lambda: NOTHING
    policy_revision: Callable[[], int] = int
    config_hash: Callable[[], str] = str
    observing: Callable[[], Mapping[str, bool]] = lambda: NO_FEEDS
    log_dropped: Callable[[], int] = int
    store_up: Callable[[], bool] = lambda: True
    store_unread: Callable[[], float] = float
    upstream_healthy: Callable[[], Mapping[tuple[str, str], bool]] = lambda: NO_ADDRESSES


class Histogram:
    """Bucket counts, not cumulative, and the sum of what was observed, in milliseconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_MS) + 1)
        self.total = 0.0


class Cell:
    """How often one combination of facts was seen, beside the histograms of its feed."""

    __slots__ = ("count", "request", "upstream")

    def __init__(self, request: Histogram, upstream: Histogram) -> None:
        self.count = 0
        self.request = request
        self.upstream = upstream


class Metrics:
    """What a worker counts; implements `domain.ports.Observer`."""

    def __init__(self, sources: Sources | None = None) -> None:
        self._sources = sources or Sources()
        self._cells: dict[tuple[Any, ...], Cell] = {}
        self._request: dict[str, Histogram] = {}
        self._upstream: dict[str, Histogram] = {}
        self._faults: Counter[tuple[str, ...]] = Counter()

    def exchange(self, record: Exchange) -> None:
        """Count an exchange that has ended."""
        facts = FACTS(record)
        cell = self._cells.get(facts)
        if cell is None:
            cell = self._cells[facts] = self._new_cell(record.feed or UNKNOWN)
        cell.count += 1
        ms, histogram = record.ms, cell.request
        histogram.counts[bisect_left(BOUNDS_MS, ms)] += 1
        histogram.total += ms
        ms_of_feed = record.upstream_ms
        if ms_of_feed is not None:
            histogram = cell.upstream
            histogram.counts[bisect_left(BOUNDS_MS, ms_of_feed)] += 1
            histogram.total += ms_of_feed

    def upstream_error(self, feed: str, kind: str) -> None:
        """Count a fault of a feed."""
        self._faults[feed, kind] += 1

    def snapshot(self) -> Snapshot:
        """Everything counted so far, as a plain value."""
        counted = self._counted()
        counted[families.UPSTREAM_ERRORS] = self._faults
        return {
            "values": {
                family.name: [(list(labels), value) for labels, value in rows.items()]
                for family, rows in (counted | self._read()).items()
            },
            "histograms": {
                families.REQUEST_SECONDS.name: _rows(self._request),
                families.UPSTREAM_SECONDS.name: _rows(self._upstream),
            },
        }

    def _new_cell(self, feed: str) -> Cell:
        return Cell(
            self._request.setdefault(feed, Histogram()),
            self._upstream.setdefault(feed, Histogram()),
        )

    def _counted(self) -> dict[Family, Mapping[tuple[str, ...], float]]:
        requests: Counter[tuple[str, ...]] = Counter()
        denied: Counter[tuple[str, ...]] = Counter()
        would_deny: Counter[tuple[str, ...]] = Counter()
        for (feed, module, action, outcome, status, code, would), cell in self._cells.items():
            asked = (feed or UNKNOWN, module or UNKNOWN, action or UNKNOWN)
            requests[*asked, str(outcome), str(status) if status in STATUSES else UNKNOWN] += cell.count
            if outcome is Outcome.REFUSE and code is not None:
                denied[*asked, str(code)] += cell.count
            if would is not None:
                would_deny[*asked, str(would)] += cell.count
        return {families.REQUESTS: requests, families.DENIED: denied, families.WOULD_DENY: would_deny}

    def _read(self) -> dict[Family, Mapping[tuple[str, ...], float]]:
        sources = self._sources
        return {
            families.IN_FLIGHT: {(): sources.in_flight()},
            families.CONNECTIONS: {(): sources.connections()},
            families.PRINCIPAL_CACHE: {(result,): n for result, n in sources.principal_cache().items()},
            families.POLICY_REVISION: {(): sources.policy_revision()},
            families.CONFIG_INFO: {(sources.config_hash(),): 1},
            families.FEED_OBSERVING: {(feed,): int(yes) for feed, yes in sources.observing().items()},
            families.STORE_UP: {(): int(sources.store_up())},
            families.STORE_UNREAD_SECONDS: {(): sources.store_unread()},
            families.UPSTREAM_HEALTHY: {at: int(well) for at, well in sources.upstream_healthy().items()},
            families.LOG_DROPPED: {(): sources.log_dropped()},
        }


def _rows(histograms: Mapping[str, Histogram]) -> list[tuple[list[str], list[int], float]]:
    return [([feed], list(h.counts), h.total / 1000) for feed, h in histograms.items() if any(h.counts)]
