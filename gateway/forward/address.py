"""One address of a feed: its connections at rest, and how it has been doing."""

from time import monotonic
from typing import TYPE_CHECKING, Final

from gateway.domain.verdict import Reason
from gateway.forward.client_side import ClientSide
from gateway.forward.connection import TLS_BROKE, Home, UpstreamConnection
from gateway.forward.places import Place

if TYPE_CHECKING:
    from gateway.forward.upstream import FeedUpstream

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that may be sent again (RFC 9110 §9.2.2)."""

LONGEST_REST: Final = 30.0
"""Seconds that a connection may wait for its next request. Feeds close theirs too, at times of their own."""

FRESH: Final = 2.0
"""Seconds of rest after which a connection is not trusted with a request that cannot be sent again."""

MOST_RESTING: Final = 1024
EJECTION: Final = 10.0
"""Seconds for which an address that failed is passed over while others are left."""

TRIAL: Final = 1.0
"""Seconds between two requests to an address that comes back, until it has answered one whole."""

FAILURES: Final = 3
"""How many failures in a row put an address aside."""

FAULT_KINDS: Final = {
    Reason.UPSTREAM_UNREACHABLE: "reset",
    Reason.UPSTREAM_INVALID: "invalid",
    Reason.UPSTREAM_TIMEOUT: "timeout",
}


class Address:
    """One place where the feed is served: its connections at rest, and how it has been doing. Their Home."""

    __slots__ = (
        "_upstream",
        "chosen",
        "deadlines",
        "down",
        "failures",
        "heads",
        "idle_timeout",
        "outstanding",
        "place",
        "response_timeout",
        "resting",
        "retired",
        "shunned_until",
        "unproven",
    )

    def __init__(self, upstream: "FeedUpstream", place: Place) -> None:
        self._upstream = upstream
        self.place = place
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
        self.down = False
        """Whether active checks find it unwell."""
        self.retired = False
        self.unproven = ""
        """Why its last handshake failed, if it did."""

    @property
    def name(self) -> str:
        """What operators call it in particular."""
        return self.place.name

    @property
    def label(self) -> str:
        """What metrics call it: as it was configured, whatever addresses a host name has today."""
        return self.place.name if self.place.path else self.place.authority

    @property
    def authority(self) -> str:
        """The Host that it is asked for."""
        return self.place.authority

    async def dial(self, home: Home) -> UpstreamConnection:
        """Open a connection that comes back to `home`. Raises OSError."""
        return await self.place.dial(home)

    def retire(self) -> None:
        """The name does not mean this place any more: keep no connection; what is under way goes on."""
        self.retired = True
        for connection in tuple(self.resting):
            connection.close()

    def recovered(self) -> None:
        """Active checks find it well again: what went wrong before is over."""
        self.failures = 0
        self.shunned_until = 0.0

    def passed_over(self, now: float) -> bool:
        """Whether others go first: it failed lately, or was tried a moment ago and has not answered yet."""
        return self.failures >= FAILURES and self.shunned_until > now

    def tried(self, now: float) -> None:
        """It is given a request; after failures no other for a moment, until it has answered one."""
        if self.failures >= FAILURES:
            self.shunned_until = now + TRIAL

    def take(self, now: float, *, idempotent: bool) -> UpstreamConnection | None:
        """The connection that rested least, if there is one fit for the request."""
        while self.resting:
            connection, _ = self.resting.popitem()
            if not connection.usable():
                continue
            if not idempotent and now - connection.rested_at > FRESH:
                self.resting[connection] = None
                return None
            if connection.silent():
                return connection
            connection.close()
        return None

    def failed(self, now: float) -> None:
        """Count a failure; after some in a row the address is passed over for a while."""
        self.failures += 1
        if self.failures >= FAILURES:
            self.shunned_until = now + EJECTION

    def rest(self, connection: UpstreamConnection) -> None:
        """See Home."""
        self.failures = 0
        if self.retired or self._upstream.closed or len(self.resting) >= MOST_RESTING:
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
        self._upstream.fault(client, reason, detail, "tls" if detail is TLS_BROKE else FAULT_KINDS[reason])

    def gone(self, connection: UpstreamConnection) -> None:
        """See Home."""
        self.resting.pop(connection, None)
