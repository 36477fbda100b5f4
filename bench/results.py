"""What runs yielded, case by case, as it is written to and read from the raw samples' files."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from bench.case import Case, Row
from bench.machine import Machine
from bench.readings import Column, Reading, Spread, Way, compared, plain


@dataclass(frozen=True, slots=True)
class Described:
    """A row as far as it is not measured."""

    name: str
    title: str
    beside: str = ""
    checks: str = ""
    logs: str = ""
    version: str = ""

    @classmethod
    def of(cls, row: Row) -> Self:
        """What there is to say of a row."""
        return cls(row.name, row.title, row.beside, row.checks, row.logs, row.version)


@dataclass(frozen=True, slots=True)
class Occasion:
    """When, where and with which words something was measured."""

    date: str
    command: str
    machine: Machine


@dataclass(frozen=True, slots=True)
class Measured:
    """One case as it was measured: all that a table of it takes."""

    name: str
    title: str
    about: str
    occasion: Occasion
    columns: tuple[Column, ...]
    rows: tuple[Described, ...]
    readings: list[Reading]
    left_out: list[str] = field(default_factory=list)
    failures: int = 0

    @classmethod
    def of(cls, case: Case, occasion: Occasion, rows: Iterable[Row], readings: list[Reading]) -> Self:
        """A case with what its rounds yielded."""
        described = tuple(map(Described.of, rows))
        return cls(case.name, case.title, case.about, occasion, case.columns, described, readings)

    @property
    def rounds(self) -> int:
        """In how many rounds anything was measured."""
        return max((reading.turn for reading in self.readings), default=-1) + 1

    def has(self, row: str) -> bool:
        """Whether a row was measured at all."""
        return any(reading.row == row for reading in self.readings)

    def spread(self, row: str, measure: str) -> Spread | None:
        """A measure of a row."""
        return plain(self.readings, row, measure)

    def ratio(self, row: str, beside: str, measure: str) -> Spread | None:
        """A measure of a row over that of another, round by round."""
        return compared(self.readings, row, beside, measure, Way.RATIO)

    def added(self, row: str, beside: str, measure: str) -> Spread | None:
        """By how much a measure of a row is over that of another, round by round."""
        return compared(self.readings, row, beside, measure, Way.ADDED)

    def cell(self, row: Described, column: Column) -> Spread | None:
        """What stands in a column of a row; None if there is nothing to say."""
        if column.way is Way.PLAIN:
            return self.spread(row.name, column.measure)
        beside = column.beside or row.beside
        if not beside or (column.way is Way.ADDED and beside == row.name):
            return None
        return compared(self.readings, row.name, beside, column.measure, column.way)


@dataclass(frozen=True, slots=True)
class Results:
    """Cases that were measured, in one run or in several."""

    cases: tuple[Measured, ...]

    @property
    def failures(self) -> int:
        """How much failed that should have worked."""
        return sum(case.failures for case in self.cases)

    def case(self, name: str) -> Measured | None:
        """A case, if it was measured."""
        return next((case for case in self.cases if case.name == name), None)

    @classmethod
    def joined(cls, several: Iterable["Results"]) -> Self:
        """All cases of several runs; of a case that was measured twice, the later run's."""
        by_name = {case.name: case for results in several for case in results.cases}
        return cls(tuple(by_name.values()))

    def write(self, file: Path) -> None:
        """Write the raw samples."""
        file.write_text(
            json.dumps({"cases": list(map(_tree, self.cases))}, indent=1) + "\n", encoding="utf-8"
        )

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read what was written. Raises ValueError if that is not what the file holds."""
        try:
            tree = json.loads(file.read_text(encoding="utf-8"))
            return cls(tuple(map(_measured, tree["cases"])))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{file} does not hold the samples of a run ({error!r})") from None


def _tree(case: Measured) -> dict[str, Any]:
    tree = asdict(case)
    tree["columns"] = [column._asdict() for column in case.columns]
    tree["readings"] = [reading._asdict() for reading in case.readings]
    return tree


def _measured(tree: dict[str, Any]) -> Measured:
    occasion = tree["occasion"]
    parts = {
        "occasion": Occasion(occasion["date"], occasion["command"], Machine(**occasion["machine"])),
        "columns": tuple(Column(**{**column, "way": Way(column["way"])}) for column in tree["columns"]),
        "rows": tuple(Described(**row) for row in tree["rows"]),
        "readings": [Reading(**reading) for reading in tree["readings"]],
    }
    return Measured(**{**tree, **parts})
