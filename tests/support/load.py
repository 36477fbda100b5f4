"""A client that asks at a fixed rate, whatever the answers, and knows what became of every request."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from conversations import Answered, Conversation, CutShortError
from operations import told

MOST_AT_ONCE: Final = 200
"""Requests under way at most: one that finds so many is counted as lost, for nobody took it in time."""

ANSWERED_WITHIN: Final = 10.0
GIVEN_UP: Final = (ConnectionError, CutShortError, TimeoutError)


@dataclass
class Load:
    """GET requests on kept connections. Each one sent ends as answered, refused or lost.

    `cut` counts connections that ended under a request; a client asks again once then, as it may (RFC 9110
    §9.2.2), and only if that fails too the request is lost. `refusals` counts them by status and code.
    """

    port: int
    head: bytes
    sent: int = 0
    answered: int = 0
    lost: int = 0
    cut: int = 0
    slowest: float = 0.0
    refusals: Counter[tuple[int, str | None]] = field(default_factory=Counter)
    under_way: int = 0
    _idle: list[Conversation] = field(default_factory=list)

    @property
    def refused(self) -> int:
        """Requests that were answered with anything but 200."""
        return self.refusals.total()

    async def ask(self) -> None:
        """Send one request, and see it to its end."""
        self.sent += 1
        if self.under_way >= MOST_AT_ONCE:
            self.lost += 1
            return
        self.under_way += 1
        began = time.monotonic()
        try:
            self._take(await self._asked())
        finally:
            self.under_way -= 1
            self.slowest = max(self.slowest, time.monotonic() - began)

    async def _asked(self) -> Answered | None:
        for connect in (self._kept, self._fresh):
            try:
                connection = await connect()
            except GIVEN_UP:
                self.cut += 1
                continue
            try:
                await connection.send(self.head)
                answer = await connection.answer(within=ANSWERED_WITHIN)
            except GIVEN_UP:
                connection.writer.close()
                self.cut += 1
                continue
            if answer.value("Connection") == "close":
                connection.writer.close()
            else:
                self._idle.append(connection)
            return answer
        return None

    async def _kept(self) -> Conversation:
        while self._idle:
            connection = self._idle.pop()
            if not connection.reader.at_eof() and not connection.writer.is_closing():
                return connection
            connection.writer.close()
        return await self._fresh()

    async def _fresh(self) -> Conversation:
        return Conversation(*await asyncio.open_connection("127.0.0.1", self.port))

    def _take(self, answer: Answered | None) -> None:
        if answer is None:
            self.lost += 1
        elif answer.status == HTTPStatus.OK:
            self.answered += 1
        else:
            self.refusals[told(answer)] += 1

    def close(self) -> None:
        """Let go of the connections."""
        for connection in self._idle:
            connection.writer.close()
        self._idle.clear()


@asynccontextmanager
async def load_on(
    port: int, key: str, rate: float = 120.0, *, header: str = "X-API-Key"
) -> AsyncIterator[Load]:
    """Ask for the courses that many times a second as long as the block lasts, and wait for every end."""
    head = f"GET /v2/courses HTTP/1.1\r\nHost: feeds.test\r\n{header}: {key}\r\n\r\n"
    load = Load(port, head.encode())
    asking: set[asyncio.Task[None]] = set()

    async def keep_asking() -> None:
        due = time.monotonic()
        while True:
            task = asyncio.create_task(load.ask())
            asking.add(task)
            task.add_done_callback(asking.discard)
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    pacing = asyncio.create_task(keep_asking())
    try:
        yield load
    finally:
        pacing.cancel()
        await asyncio.gather(pacing, *asking, return_exceptions=True)
        load.close()
