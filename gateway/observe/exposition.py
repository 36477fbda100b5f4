"""A merged snapshot as Prometheus or OpenMetrics text."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway.observe.families import BOUNDS, FAMILIES, Family, Kind
from gateway.observe.snapshot import Snapshot

EDGES: Final = (*map(str, BOUNDS), "+Inf")


class _Merged(Collector):
    """Offers a snapshot to the library's registry."""

    def __init__(self, snapshot: Snapshot, extra: Sequence[tuple[Family, float]]) -> None:
        self._snapshot = snapshot
        self._extra = extra

    def collect(self) -> Iterator[Metric]:
        """Every family, also those of which nothing was counted yet."""
        for family in FAMILIES:
            if family.kind is Kind.HISTOGRAM:
                yield self._histogram(family)
            else:
                yield _simple(family, self._snapshot["values"].get(family.name, []))
        for family, value in self._extra:
            yield _simple(family, [([], value)])

    def _histogram(self, family: Family) -> Metric:
        metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        for labels, counts, total in self._snapshot["histograms"].get(family.name, []):
            buckets = list(zip(EDGES, map(float, accumulate(counts)), strict=True))
            metric.add_metric(labels, buckets, total)
        return metric


def render(
    snapshot: Snapshot,
    accept: str = "",
    extra: Sequence[tuple[Family, float]] = (),
) -> tuple[bytes, str]:
    """The text and its media type, in the format that a scraper's `Accept` header prefers.

    `extra` are families without labels that the parent process counts itself.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Merged(snapshot, extra))
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


def _simple(family: Family, rows: Sequence[tuple[list[str], float]]) -> Metric:
    metric: CounterMetricFamily | GaugeMetricFamily
    if family.kind is Kind.COUNTER:
        metric = CounterMetricFamily(family.name, family.help, labels=family.labels)
    else:
        metric = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    for labels, value in rows:
        metric.add_metric(labels, value)
    return metric
