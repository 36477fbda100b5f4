"""The life of the parent process: start, signals, reload, drain."""

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from gateway.document.problem import SettingsError
from gateway.observe.families import Family, Kind
from gateway.observe.health import Health, joined
from gateway.observe.snapshot import Snapshot
from gateway.supervisor.crew import CannotStartError, Crew, Orders
from gateway.supervisor.forked import Forked
from gateway.supervisor.plan import Plan
from gateway.supervisor.sockets import address_of, listen_once, listen_shared
from gateway.supervisor.watch import changes, sight
from gateway.supervisor.worker_process import HEEDED

DRAIN_WITHIN: Final = 30.0
"""How long requests in flight may take to finish, in seconds."""
FLUSH_WITHIN: Final = 10.0
"""How much longer a worker may take to flush its logs and end, in seconds."""
COUNT_EVERY: Final = 1.0
"""How often workers are asked for their counts, so that a crash loses at most so much, in seconds."""
LOOK_AFTER_EVERY: Final = 1.0

ADMIN_LISTENER: Final = "gateway.supervisor.admin_listener"
"""Imported in a thread while the workers start: it takes half as long as they do."""

STAYS: Final = "the configuration before stays in force"

WORKERS: Final = Family("gateway_workers", Kind.GAUGE, (), "Worker processes that are ready.")
RESTARTS: Final = Family(
    "gateway_worker_restarts_total",
    Kind.COUNTER,
    (),
    "Worker processes that were started to replace another.",
)

log = logging.getLogger("gateway.supervisor")


@dataclass(frozen=True, slots=True)
class Listening:
    """The sockets of a gateway: one a worker, all on one port, and the admin listener."""

    data: list[socket.socket]
    admin: socket.socket

    @classmethod
    def by(cls, plan: Plan) -> "Listening":
        """Take the ports of a plan. Raises CannotListenError."""
        admin = listen_once(plan.admin, "admin.listen")
        try:
            return cls(listen_shared(plan.listen, "listen", plan.workers), admin)
        except BaseException:
            admin.close()
            raise

    def told(self, scheme: str) -> str:
        """The addresses as the ready line tells them; `scheme` is that of clients."""
        return f"gateway {scheme}://{address_of(self.data[0])}, admin http://{address_of(self.admin)}"


class Supervisor:
    """Keeps one gateway running. `load` reads the configuration anew and raises SettingsError."""

    def __init__(  # noqa: PLR0913 - what a gateway is made of, each thing once
        self,
        plan: Plan,
        load: Callable[[], Plan],
        listening: Listening,
        orders: Orders,
        forked: Sequence[Forked] = (),
        *,
        watch: bool = False,
    ) -> None:
        self._plan = plan
        self._load = load
        self._listening = listening
        self._crew = Crew(listening.data, orders, forked)
        self._watch = watch
        self._read = sight(plan.files)
        self._stop = asyncio.Event()
        self._at_once = asyncio.Event()
        self._reload_wanted = asyncio.Event()
        self._roll_wanted = asyncio.Event()
        self._changing = asyncio.Lock()
        self._reload_findings: tuple[str, ...] = ()
        self._roll_findings: tuple[str, ...] = ()

    async def run(self, say_ready: Callable[[str], None]) -> int:
        """Serve until a signal; the exit status. `say_ready` is called once, when all workers are ready.

        Raises CannotStartError if a worker cannot start at all.
        """
        self._heed_signals()
        for warning in self._plan.warnings:
            log.warning("%s", warning)
        starting = asyncio.create_task(self._crew.start())
        async with self._admin():
            try:
                if await self._started(starting):
                    say_ready(self._listening.told(self._plan.scheme))
                    await self._stand_by()
            finally:
                status = await self._end()
                self._ignore_signals()
        return status

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_stop, signal.Signals(number).name)
        loop.add_signal_handler(signal.SIGHUP, self._reload_wanted.set)
        loop.add_signal_handler(signal.SIGUSR2, self._roll_wanted.set)

    def _ignore_signals(self) -> None:
        """All is done: one more signal must not end the process with another status than it has earned."""
        loop = asyncio.get_running_loop()
        signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)  # between the two lines below, they would be deadly
        for number in HEEDED:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)

    def _asked_to_stop(self, name: str) -> None:
        if self._stop.is_set():
            log.warning("%s again: ending at once", name)
            self._at_once.set()
        else:
            log.info("%s: draining, %.0f s at most; once more ends at once", name, DRAIN_WITHIN)
            self._stop.set()
            for number in (signal.SIGHUP, signal.SIGUSR2):
                signal.signal(number, signal.SIG_IGN)  # a flood of them must not delay the end

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[None]:
        await asyncio.to_thread(import_module, ADMIN_LISTENER)
        from gateway.supervisor.admin_listener import answering  # noqa: PLC0415 - imported just now, aside

        async with answering(self._listening.admin, self._counted, self._health):
            yield

    async def _started(self, starting: asyncio.Task[None]) -> bool:
        """Whether the crew is ready; False if it was asked to stop before it was."""
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not starting.done():
            starting.cancel()
            with suppress(asyncio.CancelledError, CannotStartError):
                await starting
            return False
        await starting
        return True

    async def _stand_by(self) -> None:
        """Reload, replace, watch and count until asked to stop."""
        duties = [
            self._reload_when_wanted,
            self._roll_when_wanted,
            self._count_regularly,
            self._look_after_regularly,
        ]
        if self._watch:
            duties.append(self._watch_files)
        tasks = [asyncio.create_task(_for_good(duty)) for duty in duties]
        await self._stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _end(self) -> int:
        """Drain, or end at once if asked twice; the exit status."""
        draining = asyncio.create_task(self._crew.drain(DRAIN_WITHIN + FLUSH_WITHIN))
        at_once = asyncio.create_task(self._at_once.wait())
        await asyncio.wait({draining, at_once}, return_when=asyncio.FIRST_COMPLETED)
        at_once.cancel()
        if not draining.done():
            self._crew.kill()
            await draining
            return 1
        if not draining.result():
            log.warning("some requests took longer than %.0f s and were cut off", DRAIN_WITHIN)
        return 0

    async def _count_regularly(self) -> None:
        while True:
            await asyncio.sleep(COUNT_EVERY)
            await self._crew.snapshot()

    async def _look_after_regularly(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AFTER_EVERY)
            await self._crew.look_after()

    async def _watch_files(self) -> None:
        async for _ in changes(lambda: self._plan.files, self._read):
            log.info("the configuration's files were changed")
            self._reload_wanted.set()

    async def _reload_when_wanted(self) -> None:
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted.clear()
            await self._crew.reopen_logs()
            async with self._changing:
                self._reload_findings = await self._reload()
            for finding in self._reload_findings:
                log.warning("%s", finding)

    async def _roll_when_wanted(self) -> None:
        while True:
            await self._roll_wanted.wait()
            self._roll_wanted.clear()
            log.info("replacing the workers, one after the other")
            async with self._changing:
                self._roll_findings = await self._crew.roll()
            for finding in self._roll_findings:
                log.warning("%s", finding)
            if not self._roll_findings:
                log.info("every worker has been replaced")

    async def _reload(self) -> tuple[str, ...]:
        """Check the configuration and have every worker swap it; what an operator must know of that."""
        try:
            plan = await asyncio.to_thread(self._load)
        except SettingsError as bad:
            return (f"reload refused, {STAYS}: {'; '.join(map(str, bad.problems))}",)
        except Exception as broken:
            log.exception("the configuration could not be read")
            return (f"reload failed, {STAYS}: {broken}",)
        if fixed := self._plan.needs_restart(plan):
            names = ", ".join(f"`{name}`" for name in fixed)
            return (f"reload refused, {STAYS}: {names} cannot change while the gateway runs; restart it",)
        if refusals := await self._crew.reload(plan.texts):
            return tuple(f"reload refused, {STAYS} there: {refusal}" for refusal in refusals)
        self._plan = plan
        log.info("the configuration was read again and is in force")
        for warning in plan.warnings:
            log.warning("%s", warning)
        return ()

    async def _counted(self) -> tuple[Snapshot, Sequence[tuple[Family, float]]]:
        snapshot = await self._crew.snapshot()
        return snapshot, [(WORKERS, self._crew.ready), (RESTARTS, self._crew.restarts)]

    async def _health(self) -> Health:
        reports = await self._crew.health()
        return joined(
            reports,
            {"workers": self._crew.why_not_ready(), "configuration": None},
            [*self._reload_findings, *self._roll_findings, *self._plan.warnings],
        )


async def _for_good(duty: Callable[[], Awaitable[None]]) -> None:
    """Do a duty that never ends; should it break, tell and begin again: the workers serve on meanwhile."""
    while True:
        try:
            await duty()
        except Exception:
            log.exception("a duty of the parent process broke and begins again")
        await asyncio.sleep(LOOK_AFTER_EVERY)


async def supervise(  # noqa: PLR0913 - what a gateway is made of, each thing once
    plan: Plan,
    load: Callable[[], Plan],
    *,
    say_ready: Callable[[str], None],
    listening: Listening | None = None,
    forked: Sequence[Forked] = (),
    watch: bool = False,
    log_format: str = "text",
    worker_module: str = "gateway.worker",
) -> int:
    """Run a gateway until it is told to end; the exit status.

    `listening` are the plan's sockets where they are taken already, and `forked` the workers that were forked
    for them. `worker_module` is what every other worker process runs (`python -m`); it speaks like
    `gateway.worker`. Raises CannotListenError and CannotStartError, each with a sentence for operators.
    """
    orders = Orders(plan.config, log_format, worker_module, plan.texts)
    listening = listening or Listening.by(plan)
    return await Supervisor(plan, load, listening, orders, forked, watch=watch).run(say_ready)
