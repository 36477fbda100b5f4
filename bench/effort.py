"""How much is measured: rounds, lengths and sizes."""

from dataclasses import dataclass, replace
from typing import Final, Self

GIB: Final = 2**30
MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class Effort:
    """How long each part of one measurement takes, in whole seconds (0: left out), and the fixed rate.

    `tries` is how often each part is measured at most: saturation again when other programs disturbed it, a
    call at a rate when the client itself was late.
    """

    warm_up: int
    saturation: int
    at_rate: int
    rate: int = 1000
    tries: int = 1

    def lasting(self, seconds: int) -> Self:
        """The same parts, each of this length."""
        return replace(
            self, saturation=self.saturation and seconds, at_rate=self.at_rate and seconds, tries=1
        )


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many are many. `transfers` maps a body's size in bytes to how often it is moved."""

    routes: int
    keys: tuple[int, ...]
    scopes: int
    connections: int
    principals: int
    transfers: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. `core` is spent on the peers side by side, `case` on every row of the other cases."""

    rounds: int
    core: Effort
    case: Effort
    latency: Effort
    sizes: Sizes

    def lasting(self, seconds: int) -> Self:
        """The same run with parts of this length."""
        core, case, latency = (e.lasting(seconds) for e in (self.core, self.case, self.latency))
        return replace(self, core=core, case=case, latency=latency)


WHOLE: Final = Plan(
    rounds=5,
    core=Effort(warm_up=1, saturation=6, at_rate=3, tries=2),
    case=Effort(warm_up=1, saturation=2, at_rate=0, tries=2),
    latency=Effort(warm_up=1, saturation=0, at_rate=10, tries=3),
    sizes=Sizes(
        routes=10_000,
        keys=(100_000, 1_000_000),
        scopes=50,
        connections=10_000,
        principals=100_000,
        transfers=((MIB, 32), (GIB, 1)),
    ),
)

QUICK: Final = Plan(
    rounds=1,
    core=Effort(warm_up=0, saturation=1, at_rate=1),
    case=Effort(warm_up=1, saturation=1, at_rate=0),
    latency=Effort(warm_up=0, saturation=0, at_rate=1),
    sizes=Sizes(
        routes=1000,
        keys=(10_000,),
        scopes=50,
        connections=500,
        principals=2000,
        transfers=((MIB, 4), (16 * MIB, 1)),
    ),
)
"""A look at whether everything works; its figures say little."""
