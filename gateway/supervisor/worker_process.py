"""One worker as the parent sees it: a process, its link, and what it last told."""

import asyncio
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Protocol

from gateway.link import Link
from gateway.messages import (
    AskHealth,
    AskMetrics,
    Failed,
    Health,
    KeyRecord,
    KeysFetched,
    LinkError,
    Message,
    Metrics,
    Ready,
    Reload,
    Reloaded,
    ReloadRefused,
    Start,
    ToWorker,
)
from gateway.observe.health import WorkerHealth, worker_health
from gateway.observe.snapshot import Snapshot, empty

HEEDED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)

log = logging.getLogger("gateway.supervisor")


class Process(Protocol):
    """A process that was started: `asyncio.subprocess.Process`, or one that does as much."""

    @property
    def pid(self) -> int:
        """The process id."""

    async def wait(self) -> int:
        """The exit status, once it has ended."""

    def kill(self) -> None:
        """End it at once. Raises ProcessLookupError for one that has ended."""


class WorkerProcess:
    """A worker that was started. `metrics` and `health` are what it last told, `told_at` when (monotonic).

    `silences` counts the rounds in a row in which it told nothing; `ended` is done when the process is gone.
    `keep` is given the key sets that it fetched.
    """

    def __init__(
        self,
        number: int,
        process: Process,
        link: Link,
        keep: Callable[[KeyRecord], None],
    ) -> None:
        self.number = number
        self.metrics: Snapshot = empty()
        self.health: WorkerHealth = worker_health()
        self.told_at = time.monotonic()
        self.ready = False
        self.silences = 0
        self._process = process
        self._link = link
        self._keep = keep
        self._failure = ""
        self._asked: list[tuple[tuple[type[Message], ...], asyncio.Future[Message | None]]] = []
        self._listening = asyncio.create_task(self._listen())
        self.ended = asyncio.create_task(self._end())

    @classmethod
    async def start(
        cls, start: Start, listener: socket.socket, module: str, keep: Callable[[KeyRecord], None]
    ) -> "WorkerProcess":
        """Start a process that runs a module (`gateway.worker`, or one that speaks like it)."""
        ours, theirs = socket.socketpair()
        with theirs, signals_blocked():
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", module, str(listener.fileno()), str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(listener.fileno(), theirs.fileno()),
            )
        return await cls.begin(start, process, ours, keep)

    @classmethod
    async def begin(
        cls, start: Start, process: Process, link: socket.socket, keep: Callable[[KeyRecord], None]
    ) -> "WorkerProcess":
        """Tell a process that waits at the other end of a link what to serve."""
        worker = cls(start.number, process, await Link.over(link), keep)
        await worker.tell(start)
        return worker

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def failure_to_start(self) -> str:
        """Wait until the worker is ready; why it will not be, or nothing if it is."""
        if not self.ready and not self._listening.done():
            await self._answer_of(Ready)
        return "" if self.ready else self._failure or await self.end()

    async def end(self) -> str:
        """Wait for the process to end; how it ended, in words."""
        return await asyncio.shield(self.ended)

    async def _end(self) -> str:
        await self._listening
        status = await self._process.wait()
        self._link.close()
        self.ready = False
        if status < 0 and not self._failure:
            return f"ended by {_signal_name(-status)}"
        return self._failure or f"ended with status {status}"

    async def tell(self, message: ToWorker) -> None:
        """Send a message; a worker that has ended hears none."""
        with suppress(ConnectionError):
            await self._link.tell(message)

    async def ask_metrics(self, within: float) -> None:
        """Refresh `metrics`, unless the worker does not answer within that many seconds."""
        await self._ask(AskMetrics(), within, Metrics)

    async def ask_health(self, within: float) -> None:
        """Refresh `health`, unless the worker does not answer within that many seconds."""
        await self._ask(AskHealth(), within, Health)

    async def reload(self, files: dict[str, str], within: float) -> str:
        """Have the worker swap its configuration; why it did not, or nothing if it did."""
        answer = await self._ask(Reload(files), within, Reloaded, ReloadRefused)
        match answer:
            case Reloaded():
                return ""
            case ReloadRefused(why=why):
                return why
            case _:
                return "the worker did not answer"

    def kill(self, why: str = "") -> None:
        """End the process at once; `why` is then how it ended."""
        self._failure = self._failure or why
        with suppress(ProcessLookupError):
            self._process.kill()

    async def _ask(self, question: ToWorker, within: float, *answers: type[Message]) -> Message | None:
        if self._listening.done():
            return None
        try:
            async with asyncio.timeout(within):
                await self.tell(question)
                return await self._answer_of(*answers)
        except TimeoutError:
            return None

    async def _answer_of(self, *answers: type[Message]) -> Message | None:
        answer: asyncio.Future[Message | None] = asyncio.get_running_loop().create_future()
        waiting = (answers, answer)
        self._asked.append(waiting)
        try:
            return await answer
        finally:
            with suppress(ValueError):
                self._asked.remove(waiting)

    async def _listen(self) -> None:
        try:
            while (message := await self._link.hear()) is not None:
                self._take(message)
        except LinkError as broken:
            log.warning("worker %d broke the grammar of its link and is ended: %s", self.number, broken)
            self.kill()
        finally:
            self._settle(None, ())

    def _take(self, message: Message) -> None:
        self.told_at = time.monotonic()
        match message:
            case Ready():
                self.ready = True
            case Failed(why=why):
                self._failure = why
            case Metrics(snapshot=snapshot):
                self.metrics = snapshot
            case Health(report=report):
                self.health = report
            case KeysFetched(keys=keys):
                self._keep(keys)
            case Reloaded() | ReloadRefused():
                pass
            case _:
                raise LinkError(f"a {type(message).__name__} is not for the parent")
        self._settle(message, (Ready,) if isinstance(message, Failed) else (type(message),))

    def _settle(self, message: Message | None, kinds: tuple[type[Message], ...]) -> None:
        """Give those who asked for one of these kinds their answer; None ends everybody's wait."""
        for answers, future in self._asked:
            if not future.done() and (message is None or set(answers) & set(kinds)):
                future.set_result(message)


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Hold signals back, in us and in the process started meanwhile, until it can heed them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)
    try:
        yield
    finally:
        # Not the mask as it was: where several workers start at once, that was another's block.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)


def _signal_name(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
