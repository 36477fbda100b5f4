"""The access log and the denied log of one worker.

A record is put on a list and rendered soon after, a few at a time while they are still at hand, when the loop
has a moment; the files are written by threads of their own, which are woken seldom. Nothing is awaited, and
what the files have no room for is dropped and counted.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.domain.exchange import Exchange, Outcome
from gateway.observe.lines import LineWriter
from gateway.observe.log_file import HELD_BYTES, LogFile

RENDER_AT: Final = 32
"""How many waiting records are rendered at once. The loop is kept for some 50 µs, and their memory is used
again at once: with 1,000 of them, requests waited for 2 ms, and pages came and went without end."""
CATCH_UP: Final = 8
"""Where more wait, this part of them is rendered at once: a turn of the loop may bring hundreds."""
RENDER_AT_MOST: Final = 1000
"""But no more than so many: that keeps the loop for 2 ms."""
HAND_OVER_AFTER: Final = 0.2
"""How long a record waits for others before its line is handed to the file, in seconds."""
HAND_OVER_AT: Final = 400
"""How many lines are handed to the file without waiting on: waking its thread costs like ten requests."""
WAITING_RECORDS: Final = 50_000
"""How many records may wait to be rendered, before some are rendered at once, whoever waits."""


@dataclass(frozen=True, slots=True)
class LogPlaces:
    """Where the logs go; None is standard output."""

    access: Path | None
    denied: Path | None

    @property
    def apart(self) -> bool:
        """Whether they are two places; in one place, a denied line stands once."""
        return self.access != self.denied


class Logs:
    """Writes a line an exchange; implements half of `domain.ports.Observer`. Made by `open_logs`."""

    def __init__(self, places: LogPlaces, held_bytes: int = HELD_BYTES) -> None:
        self._access = LogFile(places.access, held_bytes)
        self._denied = LogFile(places.denied, held_bytes) if places.apart else None
        self._files = [self._access, self._denied] if self._denied else [self._access]
        self._waiting: deque[Exchange] = deque()
        self._lines: list[bytes] = []
        self._denials: list[bytes] = []
        self._writer = LineWriter()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        for file in self._files:
            file.start()

    def exchange(self, record: Exchange) -> None:
        """Take the record of an exchange that has ended."""
        waiting = self._waiting
        count = len(waiting)
        if count >= WAITING_RECORDS:
            self._render_some()  # whoever floods us waits for it; no line is lost for that
        waiting.append(record)
        if self._timer is None:
            self._timer = self._loop.call_later(HAND_OVER_AFTER, self._hand_over_all)
        if count == RENDER_AT:
            self._loop.call_soon(self._render)

    @property
    def dropped(self) -> int:
        """How many lines were lost so far; for `gateway_log_dropped_total`."""
        return sum(file.dropped for file in self._files)

    @property
    def failing(self) -> tuple[str, ...]:
        """Which files cannot be written now, and why; for `/readyz`."""
        return tuple(file.failing for file in self._files if file.failing)

    def reopen(self) -> None:
        """Open the files anew, after they were moved away."""
        for file in self._files:
            file.reopen()

    async def close(self, within: float = 5.0) -> None:
        """Write everything that waits, for at most that many seconds; what is left is counted as lost."""
        if self._timer is not None:
            self._timer.cancel()
        while self._waiting:
            self._render_some()
            await asyncio.sleep(0)
        self._hand_over()
        for file in self._files:
            file.close(within)
        for file in self._files:
            await self._loop.run_in_executor(None, file.ended, within + 1.0)

    def _render(self) -> None:
        """Render what waits, a few records in each turn of the loop."""
        self._render_some()
        if len(self._waiting) >= RENDER_AT:
            self._loop.call_soon(self._render)

    def _hand_over_all(self) -> None:
        """The time is up for those that waited for company."""
        self._timer = None
        self._render_some()
        self._hand_over()
        if self._waiting:
            self._timer = self._loop.call_later(HAND_OVER_AFTER, self._hand_over_all)
            self._loop.call_soon(self._render)

    def _render_some(self) -> None:
        waiting, line, lines, denials = self._waiting, self._writer.line, self._lines, self._denials
        for _ in range(min(len(waiting), max(RENDER_AT, len(waiting) // CATCH_UP), RENDER_AT_MOST)):
            record = waiting.popleft()
            text = line(record)
            lines.append(text)
            if record.outcome is Outcome.REFUSE or record.would_deny is not None:
                denials.append(text)
        if len(lines) >= HAND_OVER_AT:
            self._hand_over()

    def _hand_over(self) -> None:
        """Give the files what is rendered."""
        if self._lines:
            self._access.offer(self._lines)
            self._lines = []
        if self._denials:
            if self._denied:
                self._denied.offer(self._denials)
            self._denials = []


@asynccontextmanager
async def open_logs(places: LogPlaces, held_bytes: int = HELD_BYTES) -> AsyncIterator[Logs]:
    """Logs that are written as long as the block lasts, and flushed at its end."""
    logs = Logs(places, held_bytes)
    try:
        yield logs
    finally:
        await logs.close()
