"""Active health checks: whether each address of a feed answers, asked on connections of their own.

An address is down after so many bad checks in a row, and up after so many good ones; the very first check
decides at once, for nothing else is known yet. What is down is passed over while other addresses are left.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from random import getrandbits
from time import monotonic
from typing import Final, Protocol

from gateway.deadlines import Deadlines
from gateway.domain.verdict import Reason
from gateway.forward.answer_heads import AnswerHeads
from gateway.forward.client_side import Uplink
from gateway.forward.connection import Home, UpstreamConnection
from gateway.forward.prepared import Prepared
from gateway.forward.room import Taken
from gateway.http1.answer import AnswerHead
from gateway.http1.head import Section

GOOD: Final = range(200, 400)
SPREAD: Final = 0.1
"""By what part of the interval checks are moved at random, so that workers do not ask all at once."""

NO_FIELDS: Final = Section((), None, None, frozenset(), None, chunked=False, expects_continue=False)
WHY: Final = {
    Reason.UPSTREAM_UNREACHABLE: "it closed the connection before it answered",
    Reason.UPSTREAM_INVALID: "its answer is not HTTP/1.1",
    Reason.UPSTREAM_TIMEOUT: "it did not answer in time",
}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HealthTerms:
    """What is asked for, how often and for how long (in seconds), and how many checks turn the finding."""

    path: str
    interval: float
    timeout: float
    unhealthy_after: int
    healthy_after: int


class Patient(Protocol):
    """An address as its checks see it. `down` is theirs to write; `recovered` is called once it is up."""

    down: bool

    @property
    def name(self) -> str:
        """What operators call the address."""
        ...

    @property
    def authority(self) -> str:
        """The Host that the address is asked for."""
        ...

    def recovered(self) -> None:
        """Forget what went wrong before: the address is well."""
        ...

    async def dial(self, home: Home) -> UpstreamConnection:
        """Open a connection to the address, which comes back to that home. Raises OSError."""
        ...


class Probe:
    """One check's exchange: its connection's home and its client in one, so that it touches nobody else's."""

    def __init__(self, timeout: float, deadlines: Deadlines) -> None:
        self.why: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        """None once the answer is good, else why it is not."""
        self.response_timeout = self.idle_timeout = timeout
        self.deadlines = deadlines
        self.heads = AnswerHeads()
        self.outstanding = 0
        self.failures = 0
        self.method = "GET"
        self.target = self.upgrade = self.own_lines = self.request_id = b""
        self.section = NO_FIELDS
        self.prepared = Prepared(NO_FIELDS)
        self.upload_done = True
        self.upload_begun = self.over = False
        self.room: Taken | None = None

    def _tell(self, why: str | None) -> None:
        if not self.why.done():
            self.why.set_result(why)

    # As the client's side

    def answer(self, head: AnswerHead, content: bytes, *, sized: bool, done: bool) -> None:
        """See ClientSide. The head says all there is to know."""
        del content, sized, done
        self._tell(None if head.status in GOOD else f"it answered {head.status}")

    def failed(self, reason: Reason, detail: str = "") -> None:
        """See ClientSide."""
        del detail
        self._tell(WHY[reason])

    def begun(self, uplink: Uplink, now: float) -> None:
        """See ClientSide."""

    def interim(self, head: AnswerHead) -> None:
        """See ClientSide."""

    def switched(self, head: AnswerHead) -> None:
        """See ClientSide. Nobody asks for that here."""

    def content(self, content: bytes, *, done: bool) -> None:
        """See ClientSide."""

    def half_closed(self) -> None:
        """See ClientSide."""

    def again(self) -> None:
        """See ClientSide. A check is made once."""

    def hold_upload(self) -> None:
        """See ClientSide."""

    def resume_upload(self) -> None:
        """See ClientSide."""

    # As the home

    def rest(self, connection: UpstreamConnection) -> None:
        """See Home. A check's connection serves nobody else."""
        connection.close()

    def lost(
        self, connection: UpstreamConnection, client: object, request: bytes, reason: Reason, detail: str
    ) -> None:
        """See Home."""
        del connection, client, request
        self.failed(reason, detail)

    def gone(self, connection: UpstreamConnection) -> None:
        """See Home."""


class AddressChecks:
    """The checks of one address, one after the other, for as long as they run."""

    def __init__(self, feed: str, patient: Patient, terms: HealthTerms, deadlines: Deadlines) -> None:
        self._feed = feed
        self._patient = patient
        self._terms = terms
        self._deadlines = deadlines
        self._against = 0
        """How many checks in a row spoke against what is held of the address."""
        self._first = True
        self._request = (
            f"GET {terms.path} HTTP/1.1\r\nHost: {patient.authority}\r\n"
            "User-Agent: scopegate-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        ).encode("ascii")

    async def run(self) -> None:
        """Check, wait, and check again."""
        while True:
            began = monotonic()
            self._heed(await self._why_not())
            pause = self._terms.interval * (1 - SPREAD + 2 * SPREAD * getrandbits(8) / 255)
            await asyncio.sleep(max(0.0, began + pause - monotonic()))

    async def _why_not(self) -> str | None:
        """Make one check: None, or why the address is not well."""
        try:
            async with asyncio.timeout(self._terms.timeout):
                return await self._asked()
        except TimeoutError:
            return "it did not answer in time"
        except OSError:
            return "it could not be reached"
        except Exception:
            log.exception("a health check of %s broke", self._patient.name)
            return "it could not be checked"

    async def _asked(self) -> str | None:
        probe = Probe(self._terms.timeout, self._deadlines)
        connection = await self._patient.dial(probe)
        try:
            if not connection.usable():
                return WHY[Reason.UPSTREAM_UNREACHABLE]
            connection.begin(self._request, probe, monotonic())
            return await probe.why
        finally:
            connection.close()

    def _heed(self, why: str | None) -> None:
        patient, terms = self._patient, self._terms
        good = why is None
        if good is not patient.down:
            self._against = 0
        else:
            self._against += 1
            enough = terms.healthy_after if good else terms.unhealthy_after
            if self._first or self._against >= enough:
                self._turn(why)
        self._first = False

    def _turn(self, why: str | None) -> None:
        patient = self._patient
        self._against = 0
        patient.down = why is not None
        if why is None:
            patient.recovered()
            log.info("feed %s: %s is well again", self._feed, patient.name)
        else:
            log.warning("feed %s: %s does not pass its health check: %s", self._feed, patient.name, why)


class HealthChecks:
    """The checks of all addresses of a feed."""

    def __init__(self, feed: str, terms: HealthTerms, deadlines: Deadlines) -> None:
        self._feed = feed
        self._terms = terms
        self._deadlines = deadlines
        self._running: dict[Patient, asyncio.Task[None]] = {}

    def attend(self, addresses: Iterable[Patient]) -> None:
        """Check these addresses from now on, and no others."""
        wanted = set(addresses)
        for gone in self._running.keys() - wanted:
            self._running.pop(gone).cancel()
        for new in wanted - self._running.keys():
            checks = AddressChecks(self._feed, new, self._terms, self._deadlines)
            self._running[new] = asyncio.get_running_loop().create_task(checks.run())

    def stop(self) -> None:
        """Check nothing any more."""
        self.attend(())
