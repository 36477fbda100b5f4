"""One coarse timer wheel a worker for every deadline, so that no request makes a timer of its own."""

import asyncio
from time import monotonic
from typing import Final, Protocol

TICK: Final = 0.1
"""Seconds between two looks at the wheel: how late a deadline may be noticed."""

LONGEST_SLEEP: Final = 1.0
"""Seconds after which each watched thing is looked at anyway. A deadline that is moved to sooner than the
next look is noticed this late at worst, unless `watch` is called again."""


class Timed(Protocol):
    """Something with a deadline. `deadline` is in seconds of the monotonic clock, `inf` for none."""

    deadline: float
    watched_until: float

    def expired(self) -> None:
        """The deadline has passed: end, or set a later one. Must not raise."""
        ...


class Deadlines:
    """Watches things until they are forgotten; moving a deadline is an assignment and costs nothing here."""

    def __init__(self) -> None:
        self._slots: dict[int, list[Timed]] = {}
        self._next = int(monotonic() / TICK)
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to turn, on the running loop."""
        self._sleep(asyncio.get_running_loop())

    def stop(self) -> None:
        """Turn no more."""
        if self._timer is not None:
            self._timer.cancel()

    def watch(self, thing: Timed) -> None:
        """Look at a thing when its deadline comes. Call it again when a deadline moves nearer."""
        self._put(thing, monotonic())

    def forget(self, thing: Timed) -> None:
        """Watch a thing no more."""
        thing.watched_until = -1.0

    def _put(self, thing: Timed, now: float) -> None:
        due = min(thing.deadline, now + LONGEST_SLEEP)
        slot = max(int(due / TICK) + 1, self._next)
        thing.watched_until = slot
        self._slots.setdefault(slot, []).append(thing)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        now = monotonic()
        last = int(now / TICK)
        while self._next <= last:
            slot = self._next
            self._next += 1
            for thing in self._slots.pop(slot, ()):
                if thing.watched_until != slot:
                    continue  # forgotten, or moved to another slot
                if thing.deadline <= now:
                    thing.expired()
                if thing.watched_until == slot:
                    self._put(thing, now)
        self._sleep(loop)

    def _sleep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wake when the next slot is due, and not a whole tick after the last look."""
        self._timer = loop.call_later(max(self._next * TICK - monotonic(), 0.0), self._turn, loop)
