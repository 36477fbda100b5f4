"""How long something takes, as if nobody else used the machine.

A limit that a test holds the gateway to is not broken by others who have the cores: of every thread the
scheduler says for how long it could have run and was not let (Linux, Documentation/scheduler/sched-stats).
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

PROC: Final = Path("/proc")


class Stopwatch:
    """Seconds since it was made, but for those that this process and all it started waited for a core."""

    def __init__(self) -> None:
        self._began = monotonic()
        self._held_up = _held_up()

    @property
    def seconds(self) -> float:
        """What it shows now."""
        return monotonic() - self._began - max(0.0, _held_up() - self._held_up)

    def is_past(self, limit: float) -> bool:
        """Whether it shows more than a limit; looked up only where that can be."""
        return monotonic() - self._began > limit and self.seconds > limit


def _held_up() -> float:
    waited = 0
    for thread in _threads(os.getpid()):
        with suppress(OSError):  # it has ended
            waited += int((thread / "schedstat").read_text().split()[1])
    return waited / 1e9


def _threads(process: int) -> Iterator[Path]:
    """The threads of a process, and of every process below it."""
    with suppress(OSError):  # likewise
        for thread in (PROC / str(process) / "task").iterdir():
            yield thread
            for child in (thread / "children").read_text().split():
                yield from _threads(int(child))
