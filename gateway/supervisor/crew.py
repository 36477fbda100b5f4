"""The workers together: started, counted as one, replaced when they end or on demand, drained."""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from socket import socket
from typing import Any, Final

from gateway.messages import Drain, ReopenLogs, Start
from gateway.observe.health import WorkerHealth
from gateway.observe.snapshot import Snapshot, empty, lasting, merge
from gateway.supervisor.forked import Forked
from gateway.supervisor.last_keys import LastKeys
from gateway.supervisor.worker_process import WorkerProcess

READY_WITHIN: Final = 60.0
"""How long a worker may take to start, in seconds."""
ANSWER_WITHIN: Final = 1.0
"""How long a worker may take to tell its metrics or its health, in seconds."""
SILENT_AFTER: Final = 3
"""After how many silent rounds a worker is reported; a round with a silent worker takes two seconds."""
STUCK_AFTER: Final = 5
"""After how many silent rounds a worker counts as stuck, and is ended: rounds, for the machine may sleep."""
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
    """What every worker is started with. `module` is run by `python -m` and speaks like `gateway.worker`.

    `files` are the texts of the configuration in force: who replaces another serves by those, whatever the
    disk has at that moment.
    """

    config: Path
    log_format: str = "text"
    module: str = "gateway.worker"
    files: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(slots=True)
class Slot:
    """A place in the crew: its listening socket, which outlives workers, and who holds the place now.

    `manning` is held by who puts a worker into it, `changed` is set when the holder has changed.
    """

    number: int
    listener: socket
    worker: WorkerProcess | None = None
    pause: float = 0.0
    down: str = "starting"
    manning: asyncio.Lock = field(default_factory=asyncio.Lock)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Crew:
    """The workers of one gateway; `forked` are those that wait for their orders, one a listener."""

    def __init__(self, listeners: Sequence[socket], orders: Orders, forked: Sequence[Forked] = ()) -> None:
        self._slots = [Slot(number, listener) for number, listener in enumerate(listeners)]
        self._forked = dict(enumerate(forked))
        self._orders = orders
        self._keys = LastKeys()
        self._alive: set[WorkerProcess] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: Snapshot = empty()
        self._draining = asyncio.Event()
        self.restarts = 0

    async def start(self) -> None:
        """Start every worker and wait until all are ready. Raises CannotStartError."""
        async with asyncio.TaskGroup() as starting:
            tasks = [starting.create_task(self._man(slot, again=False)) for slot in self._slots]
        failures = {slot.number: task.result() for slot, task in zip(self._slots, tasks, strict=True)}
        for number, why in failures.items():
            if why:
                raise CannotStartError(f"worker {number} cannot start: {why}")
        for slot in self._slots:
            self._begin(asyncio.create_task(self._keep(slot)))

    async def snapshot(self) -> Snapshot:
        """What all workers counted, those that have ended included."""
        await _all(worker.ask_metrics(ANSWER_WITHIN) for worker in self._answering())
        return merge([self._ended, *(worker.metrics for worker in self._alive)])

    async def health(self) -> dict[int, WorkerHealth]:
        """What each worker that is ready says of itself, by number."""
        await _all(worker.ask_health(ANSWER_WITHIN) for worker in self._running())
        return {worker.number: worker.health for worker in self._running()}

    async def look_after(self) -> None:
        """Hear every worker once; end those that were silent for too long, so that they are replaced."""
        answering = self._answering()
        told = [worker.told_at for worker in answering]
        await _all(worker.ask_health(ANSWER_WITHIN) for worker in answering)
        for worker, before in zip(answering, told, strict=True):
            worker.silences = worker.silences + 1 if worker.told_at == before else 0
            if worker.silences >= STUCK_AFTER:
                worker.kill(f"it gave no answer {STUCK_AFTER} times in a row, and was ended")

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

    async def reload(self, files: dict[str, str]) -> tuple[str, ...]:
        """Have every worker swap its configuration; what those said that did not.

        No worker starts meanwhile: it would begin with the texts before, and never hear of these.
        """
        async with AsyncExitStack() as nobody_starts:
            for slot in self._slots:
                await nobody_starts.enter_async_context(slot.manning)
            running = self._running()
            answers = await _all(worker.reload(files, RELOAD_WITHIN) for worker in running)
            refusals = tuple(
                f"worker {worker.number}: {why}" for worker, why in zip(running, answers, strict=True) if why
            )
            if not refusals:
                self._orders = replace(self._orders, files=files)
            return refusals

    async def reopen_logs(self) -> None:
        """Have every worker open its log files anew."""
        await _all(worker.tell(ReopenLogs()) for worker in self._answering())

    async def roll(self) -> tuple[str, ...]:
        """Put a fresh worker into every place, one after the other; why that ended before the last.

        Both accept from the socket of the place until the one before is told to finish what it has; so no
        connection is refused, and a fresh worker that cannot start takes nobody's place. That holds for one
        that finds the store away, too: who is there knows callers, and serves them on.
        """
        for slot in self._slots:
            if self._draining.is_set():
                break
            if why := await self._man(slot, again=False):
                return (f"worker {slot.number} was not replaced and serves on: {why}",)
        return ()

    async def drain(self, within: float) -> bool:
        """Have every worker finish what is in flight and end; False if some had to be killed."""
        self._draining.set()
        for slot in self._slots:
            slot.listener.close()
        await _all(worker.tell(Drain()) for worker in self._alive)
        if await self._all_ended(within):
            return True
        self.kill()
        await self._all_ended(KILLED_WITHIN)
        return False

    def kill(self) -> None:
        """End every worker at once."""
        self._draining.set()
        for worker in self._alive:
            worker.kill()

    async def _all_ended(self, within: float) -> bool:
        if not self._tasks:
            return True
        _, unfinished = await asyncio.wait(self._tasks, timeout=within)
        return not unfinished

    def _begin(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _running(self) -> list[WorkerProcess]:
        return [slot.worker for slot in self._slots if slot.worker and slot.worker.ready]

    def _answering(self) -> list[WorkerProcess]:
        """Who can be asked: those that serve, and those that finish what they have."""
        return [worker for worker in self._alive if worker.ready]

    async def _man(self, slot: Slot, *, again: bool, vacant: bool = False) -> str:
        """Put a worker into a slot once it is ready; why there is none, or nothing. Who held it is drained.

        With `vacant`, only if nobody holds it.
        """
        async with slot.manning:
            if vacant and slot.worker is not None:
                return ""
            try:
                worker = await self._worker(slot, self._start(slot, again=again))
            except OSError as fault:
                slot.down = f"the process cannot be started: {fault.strerror or fault}"
                return slot.down
            why = await self._until_ready(worker)
            if why:
                slot.down = slot.down if slot.worker else why
                return why
            before, slot.worker, slot.down = slot.worker, worker, ""
            slot.changed.set()
            if before is not None:
                await before.tell(Drain())
            return ""

    async def _worker(self, slot: Slot, start: Start) -> WorkerProcess:
        """The worker that was forked for the slot, the first time; a fresh process for each after it."""
        forked = self._forked.pop(slot.number, None)
        if forked is not None:
            return await WorkerProcess.begin(start, forked.process, forked.link, self._keys.keep)
        return await WorkerProcess.start(start, slot.listener, self._orders.module, self._keys.keep)

    def _start(self, slot: Slot, *, again: bool) -> Start:
        orders = self._orders
        config, known = str(orders.config), self._keys.known
        return Start(config, slot.number, orders.log_format, orders.files, again, known)

    async def _until_ready(self, worker: WorkerProcess) -> str:
        self._alive.add(worker)
        self._begin(asyncio.create_task(self._see_off(worker)))
        if self._draining.is_set():
            await worker.tell(Drain())
        try:
            async with asyncio.timeout(READY_WITHIN):
                return await worker.failure_to_start()
        except TimeoutError:
            why = f"it was not ready within {READY_WITHIN:.0f} s"
            worker.kill(why)
            return why

    async def _see_off(self, worker: WorkerProcess) -> None:
        """Keep what a worker counted when it has ended: sums never go down."""
        await worker.end()
        self._alive.discard(worker)
        self._ended = merge([self._ended, lasting(worker.metrics)])

    async def _keep(self, slot: Slot) -> None:
        """Replace the slot's worker whenever it ends, until the crew drains."""
        while not self._draining.is_set():
            started = time.monotonic()
            if not await self._fell_vacant(slot):
                continue
            if self._draining.is_set():
                return
            slot.pause = _next_pause(slot.pause, time.monotonic() - started)
            log.error("worker %d: %s; its replacement starts in %.1f s", slot.number, slot.down, slot.pause)
            if await self._drains_within(slot.pause):
                return
            self.restarts += 1
            if why := await self._man(slot, again=True, vacant=True):
                log.error("worker %d cannot start: %s", slot.number, why)
            else:
                log.info("worker %d is ready again", slot.number)

    async def _fell_vacant(self, slot: Slot) -> bool:
        """Wait for the end of the slot's worker; False if another has taken the slot before."""
        worker = slot.worker
        if worker is None:
            return True
        slot.changed.clear()
        changed = asyncio.create_task(slot.changed.wait())
        try:
            await asyncio.wait({worker.ended, changed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
        if slot.worker is not worker:
            return False
        slot.worker, slot.down = None, await worker.end()
        return True

    async def _drains_within(self, pause: float) -> bool:
        try:
            async with asyncio.timeout(pause):
                return await self._draining.wait()
        except TimeoutError:
            return False


async def _all(answers: Iterable[Any]) -> list[Any]:
    """Every answer, asked for at the same time."""
    return list(await asyncio.gather(*answers))


def _why_down(slot: Slot) -> str:
    worker = slot.worker
    if worker is None or not worker.ready:
        return slot.down or "starting"
    return f"no answer {worker.silences} times in a row" if worker.silences >= SILENT_AFTER else ""


def _next_pause(before: float, served: float) -> float:
    if served >= STEADY_AFTER:
        return 0.0
    return min(LONGEST_PAUSE, max(FIRST_PAUSE, before * 2))
