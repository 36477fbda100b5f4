"""A feed's addresses and the connections to them: which to use, when to try again, whom to leave alone."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Final

from gateway.deadlines import Deadlines
from gateway.domain.permit import Permit
from gateway.domain.verdict import Reason
from gateway.forward.client_side import ClientSide
from gateway.forward.connection import AnswerHeads, UpstreamConnection
from gateway.forward.header_rules import HeaderRules

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that may be sent again (RFC 9110 §9.2.2)."""

LONGEST_REST: Final = 30.0
"""Seconds that a connection may wait for its next request. Feeds close theirs too, at times of their own."""

FRESH: Final = 2.0
"""Seconds of rest after which a connection is not trusted with a request that cannot be sent again."""

MOST_RESTING: Final = 1024
EJECTION: Final = 10.0
"""Seconds for which an address that failed is passed over while others are left."""

FAILURES: Final = 3
"""How many failures in a row put an address aside."""

MOST_PREPARED: Final = 8
FAULT_KINDS: Final = {
    Reason.UPSTREAM_UNREACHABLE: "reset",
    Reason.UPSTREAM_INVALID: "invalid",
    Reason.UPSTREAM_TIMEOUT: "timeout",
}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds: to connect, until the answer begins, and between two pieces of it."""

    connect: float
    response: float
    idle: float


class Address:
    """One place where the feed is served: its connections at rest, and how it has been doing. Their Home."""

    __slots__ = (
        "_upstream",
        "chosen",
        "deadlines",
        "failures",
        "heads",
        "host",
        "idle_timeout",
        "outstanding",
        "port",
        "response_timeout",
        "resting",
        "shunned_until",
    )

    def __init__(self, upstream: "FeedUpstream", host: str, port: int) -> None:
        self._upstream = upstream
        self.host = host
        self.port = port
        self.deadlines = upstream.deadlines
        self.heads = upstream.heads
        self.response_timeout = upstream.timeouts.response
        self.idle_timeout = upstream.timeouts.idle
        self.resting: dict[UpstreamConnection, None] = {}
        self.outstanding = 0
        self.chosen = 0
        """When it was chosen last, counted in choices."""
        self.failures = 0
        self.shunned_until = 0.0

    def take(self, now: float, *, idempotent: bool) -> UpstreamConnection | None:
        """The connection that rested least, if there is one fit for the request."""
        while self.resting:
            connection, _ = self.resting.popitem()
            if not connection.usable():
                continue
            if idempotent or now - connection.rested_at <= FRESH:
                return connection
            self.resting[connection] = None
            return None
        return None

    def failed(self, now: float) -> None:
        """Count a failure; after some in a row the address is passed over for a while."""
        self.failures += 1
        if self.failures >= FAILURES:
            self.shunned_until = now + EJECTION

    def rest(self, connection: UpstreamConnection) -> None:
        """See Home."""
        self.failures = 0
        if self._upstream.closed or len(self.resting) >= MOST_RESTING:
            connection.close()
            return
        now = monotonic()
        connection.reused = True
        connection.rested_at = now
        connection.deadline = now + LONGEST_REST
        self.resting[connection] = None

    def lost(
        self,
        connection: UpstreamConnection,
        client: ClientSide,
        request: bytes,
        reason: Reason,
        detail: str,
    ) -> None:
        """See Home. Sent again only where the feed cannot have answered, and acting twice does no harm."""
        stale = reason is Reason.UPSTREAM_UNREACHABLE and connection.reused and not connection.answered
        if stale and client.method in IDEMPOTENT and not client.upload_begun:
            client.again()
            self._upstream.connect_for(client, request)
            return
        self.failed(monotonic())
        self._upstream.fault(client, reason, detail, FAULT_KINDS[reason])

    def gone(self, connection: UpstreamConnection) -> None:
        """See Home."""
        self.resting.pop(connection, None)


class FeedUpstream:
    """One feed, as requests are sent to it."""

    def __init__(  # noqa: PLR0913 - one argument a part, all of them needed from the start
        self,
        feed: str,
        addresses: Iterable[tuple[str, int]],
        timeouts: Timeouts,
        rules: HeaderRules,
        deadlines: Deadlines,
        fault: Callable[[str, str], None],
    ) -> None:
        self._feed = feed
        self._rules = rules
        self._count_fault = fault
        self._connecting: set[asyncio.Task[None]] = set()
        self._pair_lines: dict[tuple[str | None, str | None], bytes] = {}
        self.passes_credentials = rules.passes_credentials
        self.timeouts = timeouts
        self.deadlines = deadlines
        self.heads = AnswerHeads()
        self.closed = False
        self._addresses = [Address(self, host, port) for host, port in addresses]
        self._own_host = _host_line(self._addresses[0])

    def send(self, permit: Permit, client: ClientSide, now: float) -> None:
        """Send the client's request to the feed that the permit names; answers come to `client`."""
        if type(permit) is not Permit or permit.feed.name != self._feed:
            raise PermissionError("forwarding demands a permit for this feed")
        request = self._request(permit, client)
        address = self._best_address(now)
        connection = address.take(now, idempotent=client.method in IDEMPOTENT)
        if connection is None:
            self.connect_for(client, request, address)
        else:
            connection.begin(request, client, now)

    def connect_for(self, client: ClientSide, request: bytes, first: Address | None = None) -> None:
        """Send a request on a new connection, to the first address that lets us connect."""
        task = asyncio.get_running_loop().create_task(self._connect_for(client, request, first))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def fault(self, client: ClientSide, reason: Reason, detail: str, kind: str) -> None:
        """Count a fault of the feed and tell the client's side."""
        self._count_fault(self._feed, kind)
        client.failed(reason, detail)

    def close(self) -> None:
        """Close what rests; what is under way or still connecting ends by itself."""
        self.closed = True
        for address in self._addresses:
            for connection in tuple(address.resting):
                connection.close()

    async def _connect_for(self, client: ClientSide, request: bytes, first: Address | None) -> None:
        reason = Reason.UPSTREAM_UNREACHABLE
        for address in sorted(self._in_order(monotonic()), key=lambda one: one is not first):
            connection, reason = await self._connect(address)
            if connection is None or not connection.usable():
                address.failed(monotonic())
                self._count_fault(self._feed, "connect")
            elif client.over:
                address.rest(connection)
                return
            else:
                connection.begin(request, client, monotonic())
                return
        if not client.over:
            client.failed(reason, "The feed could not be reached.")

    async def _connect(self, address: Address) -> tuple[UpstreamConnection | None, Reason]:
        address.outstanding += 1
        try:
            async with asyncio.timeout(self.timeouts.connect):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: UpstreamConnection(address), address.host, address.port
                )
        except TimeoutError:
            return None, Reason.UPSTREAM_TIMEOUT
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
        return best

    def _in_order(self, now: float) -> list[Address]:
        """Those in good health first, then by how busy they are; equals take turns."""
        return sorted(self._addresses, key=lambda one: (one.shunned_until > now, one.outstanding, one.chosen))

    def _request(self, permit: Permit, client: ClientSide) -> bytes:
        """The request's head as the feed gets it: end-to-end fields in order, our own last."""
        _, _, module, action, principal, would_deny = permit
        watched = principal is None and would_deny is not None
        key = (self, principal, watched)
        section = client.prepared.get(key)
        if section is None:
            if len(client.prepared) >= MOST_PREPARED:
                client.prepared.clear()
            section = self._rules.for_feed(client.section, principal, with_credential=watched)
            if client.section.host is None:  # HTTP/1.0 knows no Host, and we speak 1.1 (RFC 9112 §3.2)
                section = self._own_host + section
            client.prepared[key] = section
        pair = self._pair_lines.get((module, action))
        if pair is None:
            pair = self._pair_lines[module, action] = _pair_lines(module, action)
        return b"".join(
            (
                client.method.encode("ascii"),
                b" ",
                client.target,
                b" HTTP/1.1\r\n",
                section,
                pair,
                client.own_lines,
                b"X-Request-Id: ",
                client.request_id,
                b"\r\n\r\n",
            )
        )


def _host_line(address: Address) -> bytes:
    """The Host line for a request that came without one."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"Host: {host}:{address.port}\r\n".encode("ascii")


def _pair_lines(module: str | None, action: str | None) -> bytes:
    """What a feed is told of the request: `X-Gateway-Module`, `-Action`."""
    lines = "" if module is None else f"X-Gateway-Module: {module}\r\n"
    return (lines if action is None else f"{lines}X-Gateway-Action: {action}\r\n").encode("ascii")
