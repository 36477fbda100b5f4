"""How long something takes, with some patience for others who use the machine.

A limit that a test holds the gateway to is not broken by others who have the cores: of every thread the
scheduler says for how long it could have run and was not let (Linux, Documentation/scheduler/sched-stats). Of
all threads only the one that was held up longest is heeded, and half of the time counts whatever happened.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

PROC: Final = Path("/proc")


class Stopwatch:
    """Seconds since it was made, but for those that one of our threads waited for a core."""

    def __init__(self) -> None:
        self._began = monotonic()
        self._held_up = _held_up()

    @property
    def seconds(self) -> float:
        """What it shows now."""
        passed = monotonic() - self._began
        longest = max(waited - self._held_up.get(thread, 0.0) for thread, waited in _held_up().items())
        return max(passed - longest, passed / 2)

    def is_past(self, limit: float) -> bool:
        """Whether it shows more than a limit; looked up only where that can be."""
        return monotonic() - self._began > limit and self.seconds > limit


def _held_up() -> dict[Path, float]:
    """Seconds that each thread of ours could have run and was not let, so far."""
    waited: dict[Path, float] = {}
    for thread in _threads(os.getpid()):
        with suppress(OSError):  # it has ended
            waited[thread] = int((thread / "schedstat").read_text().split()[1]) / 1e9
    return waited


def _threads(process: int) -> Iterator[Path]:
    """The threads of a process, and of every process below it."""
    with suppress(OSError):  # likewise
        for thread in (PROC / str(process) / "task").iterdir():
            yield thread
            for child in (thread / "children").read_text().split():
                yield from _threads(int(child))
