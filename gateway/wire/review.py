"""What lasts is judged again: a tunnel or an event stream does not outlive the permission it began with.

After every change that is heard of, and once a minute, all of it; between, what has a credential whose time
is up. The work is spread, so that ten thousand tunnels keep no request waiting. What cannot be decided, for
the store or an issuer is away, is asked about again for a while and then ended: that nobody can say no is no
reason to serve somebody for ever.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final

from gateway.domain.permit import Verdict
from gateway.domain.verdict import Reason, Refusal
from gateway.wire.turn import Turn

if TYPE_CHECKING:
    from gateway.wire.listener import Listener

EVERY: Final = 60.0
"""Seconds between two looks at everything, if nothing changes."""

SOONEST: Final = 1.0
"""Seconds between two looks at what has a credential whose time is up, or could not be decided."""

SLICE: Final = 0.001
"""Seconds for which the loop is kept at a time."""

AT_ONCE: Final = 16
"""How many credentials are looked up at a time."""

PROMPT: Final = 0.05
"""Seconds for which a look-up keeps others waiting; what takes longer, as an issuer may, goes on beside."""

PATIENCE: Final = 10.0
"""Seconds for which an exchange that cannot be decided goes on."""

UNDECIDED: Final = frozenset({Reason.STORE_UNAVAILABLE, Reason.KEYS_UNAVAILABLE, Reason.OVERLOADED})

log = logging.getLogger(__name__)


class Review:
    """Judges what lasts again, in a task of its own, from `start` to `stop`."""

    def __init__(self, listener: "Listener") -> None:
        self._listener = listener
        self._news = asyncio.Event()
        self._due = inf
        """When a credential's time is up, or an undecided exchange is asked about again."""
        self._undecided: dict[Turn, float] = {}
        """What could not be decided, and since when (monotonic seconds)."""
        self._asking: dict[Turn, asyncio.Task[None]] = {}
        """Look-ups under way."""
        self._outdated: set[Turn] = set()
        """Those that began before the news, and may be answered as if there were none."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._go_on())

    def stop(self) -> None:
        """Judge nothing more."""
        if self._task is not None:
            self._task.cancel()
        for asking in self._asking.values():
            asking.cancel()

    def ask(self) -> None:
        """Something has changed: judge everything again. Asking twice before it is done costs nothing."""
        self._news.set()

    def begun(self, turn: Turn) -> None:
        """One more lasts: it is judged again when its credential's time is up."""
        self._due = min(self._due, self._listener.pipeline.proven_until(turn))

    async def _go_on(self) -> None:
        everything_at = monotonic() + EVERY
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(SOONEST):
                    await self._news.wait()
            everything = self._news.is_set() or monotonic() >= everything_at
            if not everything and monotonic() < self._due:
                continue
            self._news.clear()
            self._due = monotonic() + EVERY
            if everything:
                everything_at = self._due
            try:
                await self._round(everything=everything)
            except Exception:
                log.exception("what lasts could not be judged again; it is tried once more")
                everything_at = monotonic()

    async def _round(self, *, everything: bool) -> None:
        """Judge everything again, or what is due."""
        self._undecided = {turn: since for turn, since in self._undecided.items() if not turn.over}
        if everything:
            self._outdated.update(self._asking)
        kept_since, unknown = monotonic(), list[Turn]()
        for connection in tuple(self._listener.connections):
            turn, now = connection.turn, monotonic()
            if turn is not None and turn.lasting is not None:
                if everything or self._due_at(turn) <= now:
                    verdict = self._listener.pipeline.judge_again(turn, now)
                    if verdict is not None:
                        self._conclude(turn, verdict)
                    elif turn not in self._asking:
                        unknown.append(turn)
                self._due = min(self._due, self._due_at(turn))
            if now - kept_since >= SLICE:
                await asyncio.sleep(0)
                kept_since = monotonic()
        if unknown:
            asked = iter(unknown)
            await asyncio.gather(*(self._look_up(asked) for _ in range(AT_ONCE)))

    def _due_at(self, turn: Turn) -> float:
        """When it is to be judged again, even if nothing changes (monotonic seconds)."""
        return 0.0 if turn in self._undecided else self._listener.pipeline.proven_until(turn)

    async def _look_up(self, turns: Iterator[Turn]) -> None:
        """Judge by the store what memory does not know, unless more was heard of, which comes first."""
        for turn in turns:
            if self._news.is_set():
                return
            if not turn.over:
                asking = self._asking[turn] = asyncio.create_task(self._decide(turn))
                asking.add_done_callback(_tell_what_broke)
                await asyncio.wait({asking}, timeout=PROMPT)

    async def _decide(self, turn: Turn) -> None:
        """Judge by the store, and once more what was permitted before the news."""
        try:
            verdict = await self._listener.pipeline.judge_by_the_store(turn)
            while turn in self._outdated and not isinstance(verdict, Refusal):
                self._outdated.discard(turn)
                verdict = await self._listener.pipeline.judge_by_the_store(turn)
        finally:
            del self._asking[turn]
            self._outdated.discard(turn)
        self._conclude(turn, verdict)

    def _conclude(self, turn: Turn, verdict: Verdict) -> None:
        """End what is refused; what cannot be decided has its time."""
        if not isinstance(verdict, Refusal):
            self._undecided.pop(turn, None)
            return
        now = monotonic()
        if verdict.reason not in UNDECIDED or now - self._undecided.setdefault(turn, now) >= PATIENCE:
            turn.forbid(verdict)


def _tell_what_broke(ended: asyncio.Task[None]) -> None:
    if not ended.cancelled() and (broken := ended.exception()) is not None:
        log.error("what lasts could not be judged again; it is tried once more", exc_info=broken)
