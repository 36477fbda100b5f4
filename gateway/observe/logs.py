"""The access log and the denied log of one worker.

A record is put on a list and rendered later, in slices, when the loop has a moment; the files are written by
threads of their own. Nothing is awaited, and what there is no room for is dropped and counted.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.domain.exchange import Exchange, Outcome
from gateway.observe.lines import LineWriter
from gateway.observe.log_file import HELD_BYTES, LogFile

RENDER_AFTER: Final = 0.2
"""How long a record waits for others to be rendered with, in seconds."""
RENDER_AT: Final = 1000
"""How many waiting records are rendered at once without waiting on."""
SLICE_SECONDS: Final = 0.001
"""How long the loop is kept at a time."""
SLICE_RECORDS: Final = 32
"""After how many records the clock is read."""
WAITING_RECORDS: Final = 50_000
"""How many records may wait to be rendered."""


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
        self._lines = LineWriter()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._lost = 0
        for file in self._files:
            file.start()

    def exchange(self, record: Exchange) -> None:
        """Take the record of an exchange that has ended."""
        waiting = self._waiting
        count = len(waiting)
        if count >= WAITING_RECORDS:
            self._lost += 1
            return
        waiting.append(record)
        if count == 0:
            self._timer = self._loop.call_later(RENDER_AFTER, self._render)
        elif count == RENDER_AT:
            self._render_soon()

    @property
    def dropped(self) -> int:
        """How many lines were lost so far; for `gateway_log_dropped_total`."""
        return self._lost + sum(file.dropped for file in self._files)

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
        if self._timer:
            self._timer.cancel()
        while self._waiting:
            self._render_slice()
            await asyncio.sleep(0)
        for file in self._files:
            file.close(within)
        for file in self._files:
            await self._loop.run_in_executor(None, file.ended, within + 1.0)

    def _render_soon(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_soon(self._render)

    def _render(self) -> None:
        self._timer = None
        self._render_slice()
        if self._waiting:
            self._render_soon()

    def _render_slice(self) -> None:
        """Render for about SLICE_SECONDS, and hand the lines to the files."""
        waiting, line = self._waiting, self._lines.line
        until = time.perf_counter() + SLICE_SECONDS
        all_lines: list[bytes] = []
        denied: list[bytes] = []
        while waiting and time.perf_counter() < until:
            for _ in range(min(SLICE_RECORDS, len(waiting))):
                record = waiting.popleft()
                text = line(record)
                all_lines.append(text)
                if record.outcome is Outcome.REFUSE or record.would_deny is not None:
                    denied.append(text)
        self._access.offer(all_lines)
        if self._denied and denied:
            self._denied.offer(denied)


@asynccontextmanager
async def open_logs(places: LogPlaces, held_bytes: int = HELD_BYTES) -> AsyncIterator[Logs]:
    """Logs that are written as long as the block lasts, and flushed at its end."""
    logs = Logs(places, held_bytes)
    try:
        yield logs
    finally:
        await logs.close()
