"""What one worker has counted, as a plain value that travels between processes and adds up."""

from collections.abc import Iterable, Mapping
from typing import Final, TypedDict

from gateway.observe.families import FAMILIES, Family, Kind


class Snapshot(TypedDict):
    """Counts by family name, JSON-able.

    `values` holds `[labels, value]`; `histograms` holds `[labels, bucket counts, sum in seconds]`, the counts
    not cumulative and one longer than `families.BOUNDS`. Labels are in the family's order.
    """

    values: dict[str, list[tuple[list[str], float]]]
    histograms: dict[str, list[tuple[list[str], list[int], float]]]


GAUGES: Final = frozenset(family.name for family in FAMILIES if family.kind is Kind.GAUGE)


def empty() -> Snapshot:
    """Nothing counted."""
    return {"values": {}, "histograms": {}}


def merge(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Several workers' counts as one: sums, except where a family combines otherwise."""
    listed = list(snapshots)
    return {
        "values": {
            family.name: _joined_values(family, [s["values"].get(family.name, []) for s in listed])
            for family in FAMILIES
            if family.kind is not Kind.HISTOGRAM
        },
        "histograms": {
            family.name: _joined_histograms([s["histograms"].get(family.name, []) for s in listed])
            for family in FAMILIES
            if family.kind is Kind.HISTOGRAM
        },
    }


def lasting(snapshot: Snapshot) -> Snapshot:
    """What stays true of a worker that has ended: what it counted, and none of what it held."""
    return {
        "values": {name: rows for name, rows in snapshot["values"].items() if name not in GAUGES},
        "histograms": snapshot["histograms"],
    }


def value_of(snapshot: Snapshot, family: Family) -> float:
    """The sum of a family's values over all labels; 0 if there are none."""
    return sum(value for _, value in _rows(snapshot["values"], family.name))


def _rows(
    values: Mapping[str, list[tuple[list[str], float]]],
    name: str,
) -> list[tuple[list[str], float]]:
    return values.get(name, [])


def _joined_values(
    family: Family,
    reports: Iterable[list[tuple[list[str], float]]],
) -> list[tuple[list[str], float]]:
    joined: dict[tuple[str, ...], float] = {}
    for rows in reports:
        for labels, value in rows:
            key = tuple(labels)
            joined[key] = family.combine(joined[key], value) if key in joined else value
    return [(list(labels), value) for labels, value in joined.items()]


def _joined_histograms(
    reports: Iterable[list[tuple[list[str], list[int], float]]],
) -> list[tuple[list[str], list[int], float]]:
    joined: dict[tuple[str, ...], tuple[list[int], float]] = {}
    for rows in reports:
        for labels, counts, total in rows:
            key = tuple(labels)
            if key in joined:
                sofar, before = joined[key]
                joined[key] = [a + b for a, b in zip(sofar, counts, strict=True)], before + total
            else:
                joined[key] = list(counts), total
    return [(list(labels), counts, total) for labels, (counts, total) in joined.items()]
