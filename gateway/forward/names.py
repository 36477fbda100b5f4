"""Host names of feeds, looked up again and again: what they mean may change at any time."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from math import inf
from time import monotonic

from gateway.deadlines import Deadlines
from gateway.forward.places import Place

LookUp = Callable[[str], Awaitable[frozenset[str]]]
"""The addresses of a host name. Raises OSError."""

log = logging.getLogger(__name__)


async def system_look_up(host: str) -> frozenset[str]:
    """Ask the system's resolver, in a thread of its own: the loop goes on meanwhile."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return frozenset(str(address[0]) for *_, address in found)


@dataclass(frozen=True, slots=True)
class Names:
    """How names are looked up, and how often, in seconds."""

    look_up: LookUp
    every: float

    def watches(
        self,
        places: Iterable[Place],
        deadlines: Deadlines,
        told: Callable[[Place, frozenset[str]], None],
    ) -> list["NameWatch"]:
        """A watch for each place whose host is a name."""
        return [
            NameWatch(place.host, self.every, deadlines, self.look_up, partial(told, place))
            for place in places
            if place.named
        ]


class NameWatch:
    """One name, looked up every so many seconds; `told` hears each answer that differs from the last.

    While the name cannot be looked up, the last answer stays, and `trouble` says why. It is Timed.
    """

    def __init__(
        self,
        host: str,
        every: float,
        deadlines: Deadlines,
        look_up: LookUp,
        told: Callable[[frozenset[str]], None],
    ) -> None:
        self.host = host
        self.trouble: str | None = None
        self.deadline = inf
        self.watched_until = -1.0
        self._every = every
        self._deadlines = deadlines
        self._look_up = look_up
        self._told = told
        self._found: frozenset[str] = frozenset()
        self._looking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look the name up now, and from now on."""
        self.expired()

    def stop(self) -> None:
        """Look it up no more."""
        self._deadlines.forget(self)
        if self._looking is not None:
            self._looking.cancel()

    def expired(self) -> None:
        """See Timed: it is time to look again."""
        self.deadline = inf
        self._looking = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        try:
            found = await self._look_up(self.host)
        except OSError as fault:
            self._not_found(fault.strerror or str(fault))
        else:
            self._take(found)
        self.deadline = monotonic() + self._every
        self._deadlines.watch(self)

    def _not_found(self, why: str) -> None:
        if self.trouble is None:
            log.warning("the name %s cannot be looked up: %s", self.host, why)
        self.trouble = f"the name {self.host} cannot be looked up ({why}); its last addresses stay in use."

    def _take(self, found: frozenset[str]) -> None:
        if not found:
            self._not_found("it has no address")
            return
        self.trouble = None
        if found != self._found:
            if self._found:
                log.info("the name %s now means %s", self.host, ", ".join(sorted(found)))
            self._found = found
            self._told(found)
