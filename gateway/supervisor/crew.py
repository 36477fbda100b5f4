"""The workers together: started, counted as one, replaced when they end, drained."""

import asyncio
import logging
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.messages import Drain, ReopenLogs, Start
from gateway.observe.health import WorkerHealth
from gateway.observe.snapshot import Snapshot, empty, lasting, merge
from gateway.supervisor.worker_process import WorkerProcess

READY_WITHIN: Final = 60.0
"""How long a worker may take to start, in seconds."""
ANSWER_WITHIN: Final = 1.0
"""How long a worker may take to tell its metrics or its health, in seconds."""
SILENT_AFTER: Final = 10.0
"""When a worker that tells nothing counts as stuck, in seconds."""
RELOAD_WITHIN: Final = 30.0
STEADY_AFTER: Final = 5.0
"""A worker that served that long is replaced at once when it ends; others after a pause, in seconds."""
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
KILLED_WITHIN: Final = 5.0

log = logging.getLogger("gateway.supervisor")


class CannotStartError(Exception):
    """A worker cannot start at all. Says why."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What every worker is started with. `module` is run by `python -m` and speaks like `gateway.worker`."""

    config: Path
    log_format: str = "text"
    module: str = "gateway.worker"


@dataclass(slots=True)
class Slot:
    """A place in the crew: its listening socket, which outlives workers, and who holds the place now."""

    number: int
    listener: socket.socket
    worker: WorkerProcess | None = None
    pause: float = 0.0
    down: str = "starting"
    keeping: asyncio.Task[None] | None = field(default=None)


class Crew:
    """The workers of one gateway."""

    def __init__(self, listeners: Sequence[socket.socket], orders: Orders) -> None:
        self._slots = [Slot(number, listener) for number, listener in enumerate(listeners)]
        self._orders = orders
        self._ended: Snapshot = empty()
        self._draining = asyncio.Event()
        self.restarts = 0

    async def start(self) -> None:
        """Start every worker and wait until all are ready. Raises CannotStartError."""
        async with asyncio.TaskGroup() as starting:
            tasks = [starting.create_task(self._man(slot)) for slot in self._slots]
        failures = {slot.number: task.result() for slot, task in zip(self._slots, tasks, strict=True)}
        for number, why in failures.items():
            if why:
                raise CannotStartError(f"worker {number} cannot start: {why}")
        for slot in self._slots:
            slot.keeping = asyncio.create_task(self._keep(slot))

    async def snapshot(self) -> Snapshot:
        """What all workers counted, those that have ended included."""
        await asyncio.gather(*(worker.ask_metrics(ANSWER_WITHIN) for worker in self._running()))
        return merge([self._ended, *(slot.worker.metrics for slot in self._slots if slot.worker)])

    async def health(self) -> dict[int, WorkerHealth]:
        """What each worker that is ready says of itself, by number."""
        await asyncio.gather(*(worker.ask_health(ANSWER_WITHIN) for worker in self._running()))
        return {worker.number: worker.health for worker in self._running()}

    def why_not_ready(self) -> str | None:
        """Which workers do not serve, and why; None if all do."""
        if self._draining.is_set():
            return "draining"
        down = [f"worker {slot.number}: {why}" for slot in self._slots if (why := _why_down(slot))]
        return f"{len(down)} of {len(self._slots)} down: {'; '.join(down)}" if down else None

    @property
    def ready(self) -> int:
        """How many workers serve."""
        return len(self._running())

    def pids(self) -> tuple[int, ...]:
        """The process ids of the workers that serve, in the order of their numbers."""
        return tuple(worker.pid for worker in self._running())

    async def reload(self) -> tuple[str, ...]:
        """Have every worker swap its configuration; what those said that did not."""
        running = self._running()
        answers = await asyncio.gather(*(worker.reload(RELOAD_WITHIN) for worker in running))
        return tuple(
            f"worker {worker.number}: {why}" for worker, why in zip(running, answers, strict=True) if why
        )

    async def reopen_logs(self) -> None:
        """Have every worker open its log files anew."""
        await asyncio.gather(*(worker.tell(ReopenLogs()) for worker in self._running()))

    async def drain(self, within: float) -> bool:
        """Have every worker finish what is in flight and end; False if some had to be killed."""
        self._draining.set()
        for slot in self._slots:
            slot.listener.close()
        workers = [slot.worker for slot in self._slots if slot.worker]
        await asyncio.gather(*(worker.tell(Drain()) for worker in workers))
        if await self._all_ended(within):
            return True
        self.kill()
        await self._all_ended(KILLED_WITHIN)
        return False

    def kill(self) -> None:
        """End every worker at once."""
        self._draining.set()
        for slot in self._slots:
            if slot.worker:
                slot.worker.kill()

    async def _all_ended(self, within: float) -> bool:
        ends = [asyncio.ensure_future(slot.keeping or self._cleared(slot)) for slot in self._slots]
        _, unfinished = await asyncio.wait(ends, timeout=within)
        return not unfinished

    async def _cleared(self, slot: Slot) -> None:
        """Wait for the end of a worker that nobody keeps yet."""
        if slot.worker:
            await slot.worker.end()

    def _running(self) -> list[WorkerProcess]:
        return [slot.worker for slot in self._slots if slot.worker and slot.worker.ready]

    async def _man(self, slot: Slot) -> str:
        """Put a worker into a slot and wait until it is ready; why it is not, or nothing."""
        orders = self._orders
        start = Start(str(orders.config), slot.number, orders.log_format)
        try:
            slot.worker = await WorkerProcess.start(start, slot.listener, orders.module)
        except OSError as fault:
            slot.down = f"the process cannot be started: {fault.strerror or fault}"
            return slot.down
        try:
            async with asyncio.timeout(READY_WITHIN):
                slot.down = await slot.worker.failure_to_start()
        except TimeoutError:
            slot.down = f"it was not ready within {READY_WITHIN:.0f} s"
            slot.worker.kill()
        return slot.down

    async def _keep(self, slot: Slot) -> None:
        """Replace the slot's worker whenever it ends, until the crew drains."""
        while not self._draining.is_set():
            started = time.monotonic()
            await self._until_end(slot)
            if self._draining.is_set():
                return
            slot.pause = _next_pause(slot.pause, time.monotonic() - started)
            log.error("worker %d: %s; its replacement starts in %.1f s", slot.number, slot.down, slot.pause)
            if await self._drains_within(slot.pause):
                return
            self.restarts += 1
            if why := await self._man(slot):
                log.error("worker %d cannot start: %s", slot.number, why)
            else:
                log.info("worker %d is ready again", slot.number)

    async def _until_end(self, slot: Slot) -> None:
        """Wait for the end of the slot's worker, and keep what it counted."""
        if slot.worker is None:
            return
        slot.down = await slot.worker.end()
        self._ended = merge([self._ended, lasting(slot.worker.metrics)])
        slot.worker = None

    async def _drains_within(self, pause: float) -> bool:
        try:
            async with asyncio.timeout(pause):
                return await self._draining.wait()
        except TimeoutError:
            return False


def _why_down(slot: Slot) -> str:
    worker = slot.worker
    if worker is None or not worker.ready:
        return slot.down or "starting"
    silent = time.monotonic() - worker.told_at
    return f"no answer for {silent:.0f} s" if silent > SILENT_AFTER else ""


def _next_pause(before: float, served: float) -> float:
    if served >= STEADY_AFTER:
        return 0.0
    return min(LONGEST_PAUSE, max(FIRST_PAUSE, before * 2))
