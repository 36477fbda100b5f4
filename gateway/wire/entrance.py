"""What stands between a new connection and its first request: a PROXY header, a TLS handshake."""

import asyncio
import logging
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from gateway.domain.verdict import Reason, Refusal
from gateway.forward.forwarded import is_trusted
from gateway.tls.session import TlsSession
from gateway.tls.watch import CertificateWatch
from gateway.wire.connection import ClientConnection
from gateway.wire.crowd import Crowd, client_of
from gateway.wire.ending import LINGER
from gateway.wire.peer import address_of
from gateway.wire.proxy_protocol import MalformedError, read_header

if TYPE_CHECKING:
    from gateway.wire.listener import Listener

SPARE: Final = 64
"""How many more than the most connections may be at the door: they are told over TLS that it is full."""

TOLD_AT_MOST: Final = 10
TOLD_WITHIN: Final = 10.0
"""No more than so many lines in so many seconds about who was turned away: scanners never rest."""

PLAIN: Final = Refusal(Reason.REQUEST_MALFORMED, "This port speaks TLS: use an https URL.")
LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""What a request in clear begins with, and a TLS record never does (RFC 8446 §5.1)."""

log = logging.getLogger(__name__)


class TurnedAway:
    """Tells operators who was turned away at the door, and why, without letting anybody fill their logs."""

    def __init__(self) -> None:
        self._since = -inf
        self._told = 0

    def tell(self, address: str, why: str) -> None:
        """Say it, unless enough was said lately."""
        now = monotonic()
        if now - self._since > TOLD_WITHIN:
            if self._told > TOLD_AT_MOST:
                log.warning("%d more connections were turned away", self._told - TOLD_AT_MOST)
            self._since, self._told = now, 0
        self._told += 1
        if self._told <= TOLD_AT_MOST:
            log.warning("a connection from %s was turned away: %s", address, why)


class Entrance:
    """Makes the protocol that a new connection begins with, and knows who is still at the door."""

    def __init__(self, listener: "Listener") -> None:
        self.listener = listener
        self.waiting: set[Foreword | SecuredClient] = set()
        self.turned_away = TurnedAway()
        self._crowd = Crowd()

    def welcome(self) -> asyncio.Protocol:
        """The protocol for a connection just accepted."""
        return Foreword(self) if self.listener.proxy_protocol else self.after_foreword(None)

    def after_foreword(self, told: str | None) -> asyncio.Protocol:
        """What a connection goes on with; `told` is the client's address by a PROXY header."""
        tls = self.listener.tls
        return _client(self.listener, told) if tls is None else SecuredClient(self, tls, told)

    def admit(self, one: "Foreword | SecuredClient") -> bool:
        """Give a connection its time at the door; False if too many are there."""
        listener = self.listener
        if len(self.waiting) + len(listener.connections) >= listener.limits.connections + SPARE:
            return False
        if isinstance(one, SecuredClient) and not self._room_for(one):
            return False
        self.waiting.add(one)
        one.deadline = monotonic() + listener.limits.header_timeout
        listener.deadlines.watch(one)
        return True

    def _room_for(self, one: "SecuredClient") -> bool:
        """Whether its client has not as many at the door as it may have inside."""
        most, client = self.listener.limits.connections_per_client, one.client
        if not most or is_trusted(client, self.listener.trusted):
            return True
        one.counted_as = client_of(client) if self._crowd.enter(client_of(client), most) else None
        return one.counted_as is not None

    def left(self, one: "Foreword | SecuredClient") -> None:
        """A connection went in, or away."""
        self.waiting.discard(one)
        if isinstance(one, SecuredClient) and one.counted_as is not None:
            self._crowd.leave(one.counted_as)
            one.counted_as = None
        self.listener.deadlines.forget(one)
        self.listener.one_less()

    def abort(self) -> None:
        """Close the door on everybody who waits there."""
        for one in tuple(self.waiting):
            one.abort()


class Foreword(asyncio.Protocol):
    """A connection whose PROXY header is still to come. Only trusted proxies may speak it."""

    def __init__(self, entrance: Entrance) -> None:
        self._entrance = entrance
        self._transport = cast("asyncio.Transport", None)
        self._address = ""
        self._read = b""
        self.deadline = inf
        self.watched_until = -1.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Cut whoever has no say here."""
        self._transport = cast("asyncio.Transport", transport)
        self._address = address_of(transport)
        if not is_trusted(self._address, self._entrance.listener.trusted):
            self._turn_away("it is none of the trusted_proxies, which alone may speak the PROXY protocol")
        elif not self._entrance.admit(self):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read the header; what follows it is the client's."""
        if self._transport.is_closing():
            return
        self._read += data
        try:
            told = read_header(self._read)
        except MalformedError as malformed:
            self._turn_away(str(malformed))
            return
        if told is not None:
            self._entrance.left(self)
            successor = self._entrance.after_foreword(told.address)
            self._transport.set_protocol(successor)
            successor.connection_made(self._transport)
            if len(self._read) > told.length:
                successor.data_received(self._read[told.length :])

    def connection_lost(self, exc: Exception | None) -> None:
        """A balancer that only looked whether somebody listens."""
        del exc
        self._entrance.left(self)

    def expired(self) -> None:
        """See Timed."""
        self._turn_away("its PROXY header did not arrive in time")

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _turn_away(self, why: str) -> None:
        self.deadline = inf
        self._entrance.turned_away.tell(self._address, why)
        self._transport.abort()


class SecuredClient(TlsSession):
    """A client's TLS session, from the handshake on."""

    def __init__(self, entrance: Entrance, tls: CertificateWatch, told: str | None) -> None:
        super().__init__(tls.wrap, self._go_in, self._turn_away)
        self._entrance = entrance
        self._told = told
        self._greeted = False
        self.counted_as: str | None = None
        """The client that it counts for while it shakes hands, if it is counted."""

    @property
    def client(self) -> str:
        """Who it is: by the balancer's word, or its own address."""
        return self._told or address_of(self.plain)

    def _go_in(self, _: TlsSession) -> asyncio.Protocol:
        self._entrance.left(self)
        return _client(self._entrance.listener, self._told)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake, unless there are too many."""
        super().connection_made(transport)
        if not self._entrance.admit(self):
            self.abort()

    def handshake_received(self, data: bytes) -> None:
        """Take the next part of the handshake; tell a client that speaks in clear where it is."""
        if not self._greeted:
            self._greeted = True
            if data[0] in LETTERS:
                self.give_up(PlainRequestError())
                return
        super().handshake_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._entrance.left(self)
        super().connection_lost(exc)

    def expired(self) -> None:
        """See Timed: the handshake takes too long, or the client does not leave."""
        self.give_up(TimeoutError("the handshake took too long"))
        self.abort()

    def _turn_away(self, _: TlsSession, why: Exception) -> None:
        address = self.client
        if isinstance(why, PlainRequestError):
            self._answer_in_clear(address)
            return
        if not isinstance(why, ConnectionError):
            self._entrance.turned_away.tell(address, _told_of(why))
        self.plain.close()

    def _answer_in_clear(self, address: str) -> None:
        """Say what is wrong in the client's own words, and end."""
        listener = self._entrance.listener
        self.plain.write(listener.turned_down(address, PLAIN))
        self.plain.write_eof()
        self.deadline = monotonic() + LINGER
        listener.deadlines.watch(self)


class PlainRequestError(Exception):
    """A request in clear came where a handshake was due."""


def _client(listener: "Listener", told: str | None) -> asyncio.Protocol:
    return cast("asyncio.Protocol", ClientConnection(listener, told))


def _told_of(why: Exception) -> str:
    """Why a handshake failed, as OpenSSL or the clock has it."""
    reason: object = getattr(why, "verify_message", "") or getattr(why, "reason", "") or why
    return f"the TLS handshake failed: {str(reason).replace('_', ' ').lower()}"
