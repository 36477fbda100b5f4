"""The link between the parent process and a worker: messages over a Unix socket pair.

The end of the stream means that the other side is gone: a worker then drains and ends, so that none outlives
its parent.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence

from gateway.messages import (
    LARGEST,
    LENGTH,
    AskHealth,
    AskMetrics,
    Drain,
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
    ReopenLogs,
    Start,
    ToParent,
    decode,
    encode,
)
from gateway.observe.health import WorkerHealth, worker_health
from gateway.observe.snapshot import Snapshot, empty

log = logging.getLogger("gateway.link")


class Link:
    """One end of the link, once it is open: tells messages and hears them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, sock: socket.socket) -> "Link":
        """The end that a connected Unix socket is; the link owns the socket from now on."""
        return cls(*await asyncio.open_unix_connection(sock=sock))

    async def tell(self, message: Message) -> None:
        """Send a message. Raises ConnectionError if the other side is gone."""
        self._writer.write(encode(message))
        await self._writer.drain()

    async def hear(self) -> Message | None:
        """The next message; None once the other side is gone. Raises LinkError."""
        try:
            (length,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
            if length > LARGEST:
                raise LinkError(f"a frame of {length} bytes is longer than the link takes")
            return decode(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def close(self) -> None:
        """Let go of the socket; the other side hears the end."""
        self._writer.close()


async def _nothing_to_reload() -> None:
    raise LinkError("the worker cannot reload yet")


class WorkerLink:
    """The worker's end, as what serves sees it: what the parent asks of it, and what it may say.

    `drain_requested` is set when the parent asks, when the worker is told to end by a signal, and when the
    parent is gone. `files` are the texts of the configuration as the parent last checked them, and `again`
    says that a place fell vacant: better one who waits for the store than nobody.
    `keys` are the key sets of issuers that other workers fetched last.
    """

    def __init__(self, link: Link, start: Start | None = None) -> None:
        self.number = start.number if start else 0
        self.files: Mapping[str, str] = start.files if start else {}
        self.again = start is not None and start.again
        self.keys: Sequence[KeyRecord] = start.keys if start else ()
        self.drain_requested = asyncio.Event()
        self._link = link
        self._metrics: Callable[[], Snapshot] = empty
        self._health: Callable[[], WorkerHealth] = worker_health
        self._reload: Callable[[], Awaitable[None]] = _nothing_to_reload
        self._reopen_logs: Callable[[], None] = lambda: None
        self._reloading: asyncio.Task[None] | None = None
        self._untold: dict[str, KeyRecord] = {}
        self._telling: asyncio.Task[None] | None = None

    def on_metrics(self, snapshot: Callable[[], Snapshot]) -> None:
        """Answer the parent's question for metrics with this."""
        self._metrics = snapshot

    def on_health(self, report: Callable[[], WorkerHealth]) -> None:
        """Answer the parent's question for health with this (`observe.health.worker_health`)."""
        self._health = report

    def on_reload(self, reload: Callable[[], Awaitable[None]]) -> None:
        """Do this to swap the configuration; an exception says why it could not be, and nothing changed."""
        self._reload = reload

    def on_reopen_logs(self, reopen: Callable[[], None]) -> None:
        """Do this after log files were moved away."""
        self._reopen_logs = reopen

    async def ready(self) -> None:
        """Tell the parent that connections are accepted."""
        await self._say(Ready())

    async def failed(self, why: str) -> None:
        """Tell the parent why the worker cannot start; it ends next."""
        await self._say(Failed(why))

    async def last_counts(self) -> None:
        """Tell the parent what was counted, unasked: the worker is about to end."""
        await self._say(Metrics(self._metrics()))

    def keys_fetched(self, keys: KeyRecord) -> None:
        """Have the parent keep a key set for the workers that start next.

        Nobody waits for a parent that is slow to hear: of each source, the last set alone is told then.
        """
        self._untold[keys["source"]] = keys
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_keys())

    async def _tell_keys(self) -> None:
        while self._untold:
            _, keys = self._untold.popitem()
            await self._say(KeysFetched(keys))

    async def serve(self) -> None:
        """Answer the parent until it is gone or breaks the grammar; then ask for the drain."""
        try:
            while (message := await self._link.hear()) is not None:
                await self._answer_or_say_why(message)
        except LinkError as broken:
            log.warning("the link to the parent process broke, draining: %s", broken)
        finally:
            self.drain_requested.set()

    async def _answer_or_say_why(self, message: Message) -> None:
        """A question that cannot be answered is no reason to stop serving requests."""
        try:
            await self._answer(message)
        except LinkError:
            raise
        except Exception:
            log.exception("a %s from the parent process could not be answered", type(message).__name__)

    async def _answer(self, message: Message) -> None:
        match message:
            case AskMetrics():
                await self._say(Metrics(self._metrics()))
            case AskHealth():
                await self._say(Health(self._health()))
            case Reload(files=files):
                self.files = files
                self._reloading = asyncio.create_task(self._tell_outcome_of_reload())
            case ReopenLogs():
                self._reopen_logs()
            case Drain():
                self.drain_requested.set()
            case _:
                raise LinkError(f"a {type(message).__name__} is not for a worker that runs")

    async def _tell_outcome_of_reload(self) -> None:
        try:
            await self._reload()
        except Exception as refused:  # noqa: BLE001 - whatever it is, the parent must hear that nothing changed
            await self._say(ReloadRefused(str(refused) or type(refused).__name__))
        else:
            await self._say(Reloaded())

    async def _say(self, message: ToParent) -> None:
        try:
            await self._link.tell(message)
        except ConnectionError:
            self.drain_requested.set()
        except LinkError as too_long:
            log.warning("not told to the parent process: %s", too_long)
