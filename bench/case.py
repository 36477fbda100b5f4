"""The nouns of a run: a case is a table, and a row of it somebody who is measured once a round."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from bench.peer import GATEWAY, GATEWAY_COMPILED
from bench.readings import Column, Figures, Way
from bench.site import Site

DIRECT: Final = "direct"
"""The row with nothing between the client and the feed."""


@dataclass(frozen=True, slots=True)
class Row:
    """Who or what is measured, laid out and proven.

    `measure` yields one round's figures, or raises PeerFailedError. `beside` names the row that it is
    compared with.
    """

    name: str
    title: str
    measure: Callable[[], Figures]
    beside: str = ""
    checks: str = ""
    logs: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A table: what a row of it stands for, and how its rows come to be. `about` is told to the reader."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: Callable[[Site], Iterator[Row]]
    about: str = ""


COST: Final = Column("CPU µs a request", "cpu_us", 1)
RATE: Final = Column("requests/s", "per_second")
BESIDE: Final = Column("÷ beside", "cpu_us", 2, Way.RATIO)
COMPILED_OVER_IT: Final = Column("compiled ÷ it", "cpu_us", 2, Way.INVERSE, GATEWAY_COMPILED)
GATEWAY_OVER_IT: Final = Column("gateway ÷ it", "cpu_us", 2, Way.INVERSE, GATEWAY)
