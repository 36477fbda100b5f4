"""A feed's addresses and the connections to them: which to use, when to try again, whom to leave alone."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Final

from gateway.cors import governed
from gateway.deadlines import Deadlines
from gateway.domain.permit import Permit
from gateway.domain.principal import Principal
from gateway.domain.verdict import Reason
from gateway.forward.address import IDEMPOTENT, Address
from gateway.forward.answer_heads import AnswerHeads
from gateway.forward.attempt import Attempt
from gateway.forward.client_side import ClientSide
from gateway.forward.connection import UpstreamConnection
from gateway.forward.header_rules import HeaderRules, pair_lines
from gateway.forward.health import HealthChecks, HealthTerms
from gateway.forward.names import Names
from gateway.forward.places import HandshakeError, Place
from gateway.forward.prepared import Lines
from gateway.forward.room import Room
from gateway.http1.head import Section

UPGRADE: Final = b"Connection: Upgrade\r\nUpgrade: %b\r\n"


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds: to connect, until the answer begins, and between two pieces of it."""

    connect: float
    response: float
    idle: float


@dataclass(frozen=True, slots=True)
class Care:
    """How a feed is looked after: its checks, and how many requests it is given at a time; None: any number.

    With `governs_origins` the gateway tells browsers in its place who may ask.
    """

    max_in_flight: int | None = None
    health: HealthTerms | None = None
    governs_origins: bool = False


class FeedUpstream:
    """One feed, as requests are sent to it."""

    def __init__(  # noqa: PLR0913 - one argument a part, all of them needed from the start
        self,
        feed: str,
        places: Sequence[Place],
        timeouts: Timeouts,
        rules: HeaderRules,
        deadlines: Deadlines,
        fault: Callable[[str, str], None],
        care: Care | None = None,
        names: Names | None = None,
    ) -> None:
        care = care or Care()
        self._feed = feed
        self._rules = rules
        self._count_fault = fault
        self._connecting: set[asyncio.Task[None]] = set()
        self._pair_lines: dict[tuple[str | None, str | None], bytes] = {}
        self.passes_credentials = rules.passes_credentials
        self.timeouts = timeouts
        self.deadlines = deadlines
        self.heads = AnswerHeads(governed if care.governs_origins else None)
        self.room = None if care.max_in_flight is None else Room(care.max_in_flight)
        self._checks = None if care.health is None else HealthChecks(feed, care.health, deadlines)
        self.closed = False
        self._addresses = [Address(self, place) for place in places]
        self._watches = [] if names is None else names.watches(places, deadlines, self._moved)
        self._own_host = f"Host: {places[0].authority}\r\n".encode("ascii")

    def send(self, permit: Permit, client: ClientSide, now: float) -> None:
        """Send the client's request to the feed that the permit names; answers come to `client`."""
        if type(permit) is not Permit or permit.feed.name != self._feed:
            raise PermissionError("forwarding demands a permit for this feed")
        if self.room is not None and not self._given_room(client, self.room):
            return
        request = self._request(permit, client)
        address = self._best_address(now)
        connection = address.take(now, idempotent=client.method in IDEMPOTENT)
        if connection is None:
            self.connect_for(client, request, address)
        else:
            connection.begin(request, client, now)

    def connect_for(self, client: ClientSide, request: bytes, first: Address | None = None) -> None:
        """Send a request on a new connection, to the first address that lets us connect."""
        attempt = Attempt(client)
        task = attempt.begin(self._connect_for(client, request, first, attempt))
        self._connecting.add(task)
        task.add_done_callback(lambda ended: self._connected(client, attempt, ended))

    def _connected(self, client: ClientSide, attempt: Attempt, ended: asyncio.Task[None]) -> None:
        """Leave nobody waiting for a connection whose making broke."""
        self._connecting.discard(ended)
        attempt.done()
        if not ended.cancelled() and (broken := ended.exception()) is not None:
            log.error("feed %s: the gateway failed while it connected", self._feed, exc_info=broken)
            client.failed(Reason.UPSTREAM_UNREACHABLE, "The feed could not be reached.")

    def _given_room(self, client: ClientSide, room: Room) -> bool:
        """Whether the feed has room for one more request; if not, the client is told so."""
        if room.take():
            client.room = room
            return True
        client.failed(Reason.OVERLOADED, "The feed has as many requests under way as it is given at a time.")
        return False

    def start(self) -> None:
        """Begin to look names up, and to check the addresses if that is wanted, on the running loop."""
        for watch in self._watches:
            watch.start()
        if self._checks is not None:
            self._checks.attend(self._addresses)

    def state(self) -> Mapping[str, bool]:
        """Each address by name, and whether it is in use: neither down nor passed over for failures."""
        now = monotonic()
        return {one.name: not (one.down or one.passed_over(now)) for one in self._addresses}

    def healthy(self) -> Mapping[str, bool]:
        """Each upstream as it is configured, and whether all addresses that it means are in use."""
        state, healthy = self.state(), dict[str, bool]()
        for one in self._addresses:
            healthy[one.label] = state[one.name] and healthy.get(one.label, True)
        return healthy

    def troubles(self) -> Iterable[str]:
        """What operators should know of the addresses, a sentence each."""
        now = monotonic()
        for address in self._addresses:
            if address.down:
                yield f"feed {self._feed}: {address.name} does not pass its health checks."
            elif address.unproven:
                yield f"feed {self._feed}: {address.name} did not prove itself: {address.unproven}."
            elif address.passed_over(now):
                yield f"feed {self._feed}: {address.name} failed several requests in a row."
        for watch in self._watches:
            if watch.trouble is not None:
                yield f"feed {self._feed}: {watch.trouble}"

    def _moved(self, place: Place, found: frozenset[str]) -> None:
        """A name means other addresses than before: those that stay keep their connections."""
        now = {place.at(address) for address in found}
        gone = [one for one in self._addresses if place.names(one.place) and one.place not in now]
        new = now - {one.place for one in self._addresses}
        added = [Address(self, one) for one in sorted(new, key=lambda one: one.host)]
        self._addresses = [one for one in self._addresses if one not in gone] + added
        for address in gone:
            address.retire()
        if self._checks is not None:
            self._checks.attend(self._addresses)

    def fault(self, client: ClientSide, reason: Reason, detail: str, kind: str) -> None:
        """Count a fault of the feed and tell the client's side."""
        self._count_fault(self._feed, kind)
        client.failed(reason, detail)

    def close(self) -> None:
        """Close what rests; what is under way or still connecting ends by itself."""
        self.closed = True
        for watch in self._watches:
            watch.stop()
        if self._checks is not None:
            self._checks.stop()
        for address in self._addresses:
            for connection in tuple(address.resting):
                connection.close()

    async def _connect_for(
        self, client: ClientSide, request: bytes, first: Address | None, attempt: Attempt
    ) -> None:
        reason = Reason.UPSTREAM_UNREACHABLE
        for address in sorted(self._in_order(monotonic()), key=lambda one: one is not first):
            connection, reason = await self._connect(address)
            if connection is None or not connection.usable():
                address.failed(monotonic())
                self._count_fault(self._feed, "tls" if address.unproven else "connect")
            elif client.over:
                address.rest(connection)
                return
            else:
                attempt.done()
                connection.begin(request, client, monotonic())
                return
        attempt.done()
        if not client.over:
            client.failed(reason, "The feed could not be reached.")

    async def _connect(self, address: Address) -> tuple[UpstreamConnection | None, Reason]:
        address.outstanding += 1
        before, address.unproven = address.unproven, ""
        try:
            async with asyncio.timeout(self.timeouts.connect):
                connection = await address.dial(address)
        except asyncio.CancelledError:
            address.unproven = before
            raise
        except TimeoutError:
            return None, Reason.UPSTREAM_TIMEOUT
        except HandshakeError as why:
            address.unproven = str(why)
            if not before:
                log.warning("feed %s: %s did not prove itself: %s", self._feed, address.name, why)
            return None, Reason.UPSTREAM_UNREACHABLE
        except OSError:
            return None, Reason.UPSTREAM_UNREACHABLE
        finally:
            address.outstanding -= 1
        return connection, Reason.UPSTREAM_UNREACHABLE

    def _best_address(self, now: float) -> Address:
        addresses = self._addresses
        if len(addresses) == 1:
            return addresses[0]
        best = self._in_order(now)[0]
        best.chosen = max(address.chosen for address in addresses) + 1
        best.tried(now)
        return best

    def _in_order(self, now: float) -> list[Address]:
        """Those in good health first, then by how busy they are; equals take turns."""
        return sorted(
            self._addresses, key=lambda one: (one.down, one.passed_over(now), one.outstanding, one.chosen)
        )

    def _lines_of(self, section: Section, *, principal: Principal | None, watched: bool) -> Lines:
        # HTTP/1.0 knows no Host, and we speak 1.1 (RFC 9112 §3.2)
        return Lines(
            self._own_host if section.host is None else b"",
            self._rules.crossing(section, with_credential=watched),
            self._rules.added(principal, with_credential=watched),
        )

    def _request(self, permit: Permit, client: ClientSide) -> bytes:
        """The request's head as the feed gets it: end-to-end fields in order, our own last."""
        _, _, module, action, principal, would_deny = permit
        watched = principal is None and would_deny is not None
        key = (self, principal, watched)
        section = client.prepared.made.get(key)
        if section is None:
            lines_of = partial(self._lines_of, principal=principal, watched=watched)
            section = client.prepared.make(key, lines_of)
        pair = self._pair_lines.get((module, action))
        if pair is None:
            pair = self._pair_lines[module, action] = pair_lines(module, action)
        return b"".join(
            (
                client.method.encode("ascii"),
                b" ",
                client.target,
                b" HTTP/1.1\r\n",
                section,
                pair,
                client.own_lines,
                UPGRADE % client.upgrade if client.upgrade else b"",
                b"X-Request-Id: ",
                client.request_id,
                b"\r\n\r\n",
            )
        )
