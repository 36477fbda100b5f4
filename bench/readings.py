"""What was counted, a row a round, and what is made of it: medians, ratios, differences, and their spread."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from types import MappingProxyType
from typing import Final, NamedTuple, Self

Figures = Mapping[str, float]
"""What one row yielded in one round: measure → value, the measures being those of `MEASURES`."""

MEASURES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "cpu_us": "CPU µs a request, user and system, all processes of the row together",
        "per_second": "answers a second at saturation",
        "requests": "answers counted",
        "seconds": "how long was counted",
        "used": "share of the row's cores that it used",
        "others": "share of them that strangers used meanwhile",
        "stolen": "share of them that the hypervisor withheld",
        "memory_mib": "proportional set size of all processes, MiB",
        "worker_mib": "that of the processes that serve, MiB",
        "logged": "lines logged for each request",
        "ready_ms": "from the start of the processes to the first good answer",
        "asked": "requests sent at a fixed rate",
        "p50": "latency at that rate, µs, from the moment a request was due",
        "p90": "likewise",
        "p99": "likewise",
        "p999": "likewise",
        "late_p50": "how late the client itself was, µs",
        "late_p99": "likewise",
        "connections": "connections that the client opened",
        "mib_per_second": "throughput of bodies",
        "cpu_ms_a_gib": "CPU ms that a GiB of bodies cost",
        "growth_mib": "the most memory meanwhile over what was held before, MiB",
        "proofs": "tokens proved a second, nothing remembered",
        "bare": "signatures verified a second by the bare `cryptography` call",
        "times_bare": "CPU time of a proof over that of the bare call",
        "rotations": "how often the issuer changed its key",
        "refused": "answers of 400 and above, where none should be",
        "failed": "requests without an answer",
    }
)


class Reading(NamedTuple):
    """One row in one round."""

    row: str
    turn: int
    figures: Figures


class Way(StrEnum):
    """How a column is made of a measure."""

    PLAIN = "as counted"
    RATIO = "over the row beside it"
    INVERSE = "the row beside it over this one"
    ADDED = "less the row beside it"


class Column(NamedTuple):
    """A column of a case's table. `beside` names the row to compare with; empty, each row says its own."""

    heading: str
    measure: str
    places: int = 0
    way: Way = Way.PLAIN
    beside: str = ""


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with the least and the most."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> Self | None:
        """The spread of some values; None of none."""
        return cls(median(values), min(values), max(values)) if values else None


def plain(readings: list[Reading], row: str, measure: str) -> Spread | None:
    """A measure of a row over all rounds."""
    return Spread.of([r.figures[measure] for r in readings if r.row == row and measure in r.figures])


def paired(readings: list[Reading], row: str, beside: str, measure: str) -> list[tuple[float, float]]:
    """A measure of two rows, round by round; rounds in which one of them has none are left out."""
    known = {r.turn: r.figures[measure] for r in readings if r.row == beside and measure in r.figures}
    found = [r for r in readings if r.row == row and measure in r.figures and r.turn in known]
    return [(r.figures[measure], known[r.turn]) for r in found]


def compared(readings: list[Reading], row: str, beside: str, measure: str, way: Way) -> Spread | None:
    """A measure made of two rows, taken round by round so that what drifts falls out."""
    pairs = paired(readings, row, beside, measure)
    match way:
        case Way.RATIO:
            return Spread.of([own / other for own, other in pairs if other])
        case Way.INVERSE:
            return Spread.of([other / own for own, other in pairs if own])
        case Way.ADDED:
            return Spread.of([own - other for own, other in pairs])
        case Way.PLAIN:
            return Spread.of([own for own, _ in pairs])
