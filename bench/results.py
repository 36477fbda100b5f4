"""Everything one run yielded, as it is written to and read from the raw samples' file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Self

from machine import Machine
from sample import AtRate, Sample, Saturated
from transfer import Transfer

DIRECT = "direct"
"""The name of the samples taken with nothing between the client and the feed."""

GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class Described:
    """A peer's row as far as it is not measured."""

    title: str
    checks: str
    logs: str
    version: str


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


@dataclass(frozen=True, slots=True)
class Results:
    """One run: when, where, of what, and all that was counted."""

    date: str
    machine: Machine
    command: str
    peers: dict[str, Described]
    samples: list[Sample]
    cases: list[Sample]
    transfers: list[Transfer]
    left_out: list[str]
    failures: int

    def write(self, file: Path) -> None:
        """Write the raw samples."""
        tree = asdict(self)
        tree["samples"], tree["cases"] = list(map(_tree, self.samples)), list(map(_tree, self.cases))
        tree["transfers"] = [transfer._asdict() for transfer in self.transfers]
        file.write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read what was written. Raises ValueError if that is not what the file holds."""
        try:
            return cls._from(json.loads(file.read_text(encoding="utf-8")))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{file} does not hold the samples of a run ({error!r})") from None

    @classmethod
    def _from(cls, tree: dict[str, Any]) -> Self:
        return cls(
            date=tree["date"],
            machine=Machine(**tree["machine"]),
            command=tree["command"],
            peers={name: Described(**row) for name, row in tree["peers"].items()},
            samples=list(map(_sample, tree["samples"])),
            cases=list(map(_sample, tree["cases"])),
            transfers=[Transfer(**row) for row in tree["transfers"]],
            left_out=tree["left_out"],
            failures=tree["failures"],
        )

    def of(self, name: str) -> list[Sample]:
        """The samples of one peer, a round each."""
        return [sample for sample in self.samples if sample.name == name]

    def cost(self, name: str) -> Spread | None:
        """CPU µs a request."""
        return Spread.of([sample.saturated.cpu_us for sample in self.of(name)])

    def ratio(self, name: str) -> Spread | None:
        """The gateway's CPU a request over this peer's, round by round."""
        own = {sample.turn: sample.saturated.cpu_us for sample in self.of(GATEWAY)}
        return Spread.of([own[s.turn] / s.saturated.cpu_us for s in self.of(name) if s.turn in own])

    def case_cost(self, name: str) -> Spread | None:
        """CPU µs a request of one of the gateway's cases."""
        return Spread.of([sample.saturated.cpu_us for sample in self.cases if sample.name == name])

    def case_ratio(self, name: str, other: str) -> Spread | None:
        """One case's CPU a request over another's, round by round."""
        known = {sample.turn: sample.saturated.cpu_us for sample in self.cases if sample.name == other}
        found = [s for s in self.cases if s.name == name and s.turn in known]
        return Spread.of([sample.saturated.cpu_us / known[sample.turn] for sample in found])

    def added(self, name: str, quantile: str) -> Spread | None:
        """Latency added over the direct call of the same round, in µs; `quantile` names a field of AtRate."""
        direct = {s.turn: getattr(s.at_rate, quantile) for s in self.of(DIRECT) if s.at_rate}
        values = [(s.turn, getattr(s.at_rate, quantile)) for s in self.of(name) if s.at_rate]
        return Spread.of([value - direct[turn] for turn, value in values if turn in direct])

    @property
    def strangers(self) -> float:
        """The median share that other programs took of the peer's core."""
        found = Spread.of([sample.saturated.others for sample in (*self.samples, *self.cases)])
        return found.middle if found else 0.0


def _tree(sample: Sample) -> dict[str, Any]:
    at_rate = sample.at_rate._asdict() if sample.at_rate else None
    return {**sample._asdict(), "saturated": sample.saturated._asdict(), "at_rate": at_rate}


def _sample(row: dict[str, Any]) -> Sample:
    at_rate = AtRate(**row["at_rate"]) if row["at_rate"] else None
    return Sample(**{**row, "saturated": Saturated(**row["saturated"]), "at_rate": at_rate})
