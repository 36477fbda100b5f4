"""Interleaved rounds: every row once a round, each beginning with another, so that drift hits all."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from bench.case import Row
from bench.process import PeerFailedError
from bench.readings import Figures, Reading


class Told(Protocol):
    """Who is told how it goes."""

    def done(self, line: str) -> None:
        """Something was measured."""
        ...

    def failed(self, name: str, why: str) -> None:
        """Something could not be, and is left out."""
        ...


def interleaved(rows: Sequence[Row], turns: int) -> Iterator[tuple[int, Row]]:
    """Every row once a turn; each turn begins one further on."""
    for turn in range(turns):
        first = turn % len(rows) if rows else 0
        for row in (*rows[first:], *rows[:first]):
            yield turn, row


def measure_all(rows: Sequence[Row], turns: int, told: Told) -> list[Reading]:
    """Measure all rows in interleaved rounds. One that fails is left out from then on."""
    readings: list[Reading] = []
    failed: set[str] = set()
    for turn, row in interleaved(rows, turns):
        if row.name in failed:
            continue
        try:
            figures = row.measure()
        except (PeerFailedError, OSError) as error:
            failed.add(row.name)
            told.failed(row.name, f"from round {turn + 1} on: {error}")
        else:
            readings.append(Reading(row.name, turn, figures))
            told.done(f"round {turn + 1}/{turns} {row.name}: {line(figures)}")
    return readings


def line(figures: Figures) -> str:
    """A round's figures in short."""
    return ", ".join(f"{measure} {value:,.4g}" for measure, value in figures.items())
