"""One client's connection: heads and bodies read strictly, requests answered in order, one at a time."""

import asyncio
import logging
import socket
import struct
from collections.abc import Iterable
from enum import IntFlag
from math import inf
from random import getrandbits
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from gateway.domain.verdict import Reason, Refusal
from gateway.forward.forwarded import client_address, given_request_id, is_trusted, own_lines
from gateway.http1.body import Body, ChunkedBody, FramingError, LengthBody
from gateway.http1.head import RequestLine, Section, malformed, parse_request_line
from gateway.http1.requests import hopeless, misfit, parts_of, stays_open
from gateway.pipeline import Introduction
from gateway.wire.records import record_unread
from gateway.wire.turn import Turn

if TYPE_CHECKING:
    from gateway.wire.listener import Listener

log = logging.getLogger(__name__)

WRITE_BUFFER: Final = 64 * 1024
MOST_WAITING: Final = 64 * 1024
"""Bytes kept of what a client sends ahead of its turn, before it is held."""

MOST_SKIPPED: Final = 64 * 1024
"""The largest rest of a body that is thrown away so that the connection can be used on."""

LINGER: Final = 2.0
"""Seconds in which a client may still read its last answer, while what it sends is thrown away."""

CONTINUE_AFTER: Final = 1.0
"""Seconds after which a client waiting for 100 Continue is told so, if the feed has said nothing."""

MAPPED_IPV4: Final = "::ffff:"
"""How a socket for both families shows an IPv4 client (RFC 4291 §2.5.5.2)."""

RESET: Final = struct.pack("ii", 1, 0)
"""The SO_LINGER that makes closing a reset."""

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Hold(IntFlag):
    """Why nothing more is read from the client for now."""

    FEED = 1
    """The feed reads slowly, or is not connected yet."""
    AHEAD = 2
    """The client has sent enough ahead of its turn."""


class ClientConnection(asyncio.Protocol):
    """A client's HTTP/1.1 connection."""

    __slots__ = (
        "_address",
        "_body",
        "_early",
        "_ended",
        "_half_closed",
        "_held",
        "_lines",
        "_lines_for",
        "_scanned",
        "_stalled_at",
        "_transport",
        "_trusted",
        "_turn",
        "_turning",
        "_unwritten",
        "_waiting",
        "deadline",
        "listener",
        "watched_until",
    )

    def __init__(self, listener: "Listener") -> None:
        self.listener = listener
        self._transport = cast("asyncio.Transport", None)
        self._address = ""
        self._trusted = False
        self._turn: Turn | None = None
        self._turning = False
        self._body: Body | None = None
        self._early = b""
        self._waiting = b""
        self._scanned = 0
        self._held = Hold(0)
        self._ended = False
        self._half_closed = False
        self._stalled_at: float | None = None
        self._unwritten = 0
        self._lines_for: Section | None = None
        self._lines = b""
        self.deadline = inf
        self.watched_until = -1.0

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return self._turn is not None

    # Beginning and end

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Welcome a client, or send it away when there are too many."""
        listener = self.listener
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(WRITE_BUFFER)
        peer = transport.get_extra_info("peername")
        self._address = peer[0].removeprefix(MAPPED_IPV4) if isinstance(peer, tuple) else "unknown"
        self._trusted = is_trusted(self._address, listener.trusted)
        self.deadline = monotonic() + listener.limits.header_timeout
        listener.connections.add(self)
        listener.deadlines.watch(self)
        if len(listener.connections) > listener.limits.connections:
            self._refuse_unread(
                Refusal(Reason.OVERLOADED, "Too many connections are open; try again shortly.")
            )

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever ended it."""
        del exc
        self._ended = True
        self.listener.deadlines.forget(self)
        if self._turn is not None:
            self._turn.left()
        self.listener.left(self)

    def eof_received(self) -> bool:
        """The client has said its last: it may still wait for answers to what it has said whole."""
        self._half_closed = True
        if self._turn is not None:
            if self._body is not None:
                self._turn.broken(malformed("The body ended before its end."))
        elif self._something_waits() and not self._ended:
            self._refuse_unread(malformed("The request ended before its end."))
        else:
            return False
        return True

    def drain(self) -> None:
        """Close as soon as nothing is under way."""
        if self._turn is None and not self._ended:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    # Reading

    def data_received(self, data: bytes) -> None:
        """Take what the client sends: a head, a body, or something ahead of its turn."""
        try:
            if self._turn is None and self._body is None and not self._waiting:
                if not self._ended:
                    self._waiting = data
                    self._next()
            else:
                self._more_received(data)
        except Exception:
            log.exception("a connection is dropped, because the gateway failed on it")
            self._transport.abort()

    def _more_received(self, data: bytes) -> None:
        if self._ended:
            return
        self._waiting = self._waiting + data if self._waiting else data
        if self._turn is None:
            self._next()
        elif self._body is not None and self._turn.uplink is not None:
            self._body_received()
        elif len(self._waiting) > MOST_WAITING:
            self._hold(Hold.AHEAD)

    def _next(self) -> None:
        """Begin the turns that wait, one after the other; each may end at once."""
        if self._turning:
            return
        self._turning = True
        while self._waiting and self._turn is None and not self._ended and self._stalled_at is None:
            if self._body is not None:
                self._body_received()
                if self._body is not None:
                    break
            elif not self._head_received():
                break
        self._turning = False
        if self._waiting or self._held:
            self._hold_what_is_ahead()

    def _hold_what_is_ahead(self) -> None:
        """Read no more of a client that has sent enough, until its answers are done and it has read them."""
        waits = self._turn is not None or self._stalled_at is not None
        if waits and len(self._waiting) > MOST_WAITING:
            self._hold(Hold.AHEAD)
        elif Hold.AHEAD in self._held:
            self._release(Hold.AHEAD)

    def _head_received(self) -> bool:
        """Read a head and begin its turn; False while it is incomplete, or when it is refused."""
        limits = self.listener.limits
        parts = parts_of(self._waiting, limits)
        if parts is None:
            return self._head_incomplete()
        if isinstance(parts, Refusal):
            return self._refuse_unread(parts)
        line = parse_request_line(parts.line)
        if isinstance(line, Refusal):
            return self._refuse_unread(line)
        introduction = self.listener.introduction(parts.section)
        if isinstance(introduction, Refusal):
            return self._refuse_unread(introduction, line)
        broken = misfit(line, introduction.section, limits.body)
        if broken is not None:
            return self._refuse_unread(broken, line)
        self._scanned = 0
        self._waiting = parts.rest
        self._begin(line, introduction)
        return True

    def _head_incomplete(self) -> bool:
        """Refuse early what can no longer become a request; else wait, but not for long. Always False."""
        limits = self.listener.limits
        if not self._scanned:
            self.deadline = monotonic() + limits.header_timeout
            self.listener.deadlines.watch(self)
        why = hopeless(self._waiting, self._scanned, limits)
        if why is None and self._half_closed:
            why = malformed("The request ended before its end.")
        if why is not None:
            return self._refuse_unread(why)
        self._scanned = len(self._waiting)
        return False

    def _something_waits(self) -> bool:
        """Whether more than an empty line has come of another request."""
        return bool(self._waiting.strip(b"\r\n"))

    def _begin(self, line: RequestLine, introduction: Introduction) -> None:
        section = introduction.section
        has_body = section.chunked or bool(section.length)
        if section is not self._lines_for:
            self._lines_for = section
            self._lines = own_lines(self._address, section, trusted=self._trusted)
        if has_body and not self._body_begun(line, section):
            return
        turn = self._turn = Turn(
            self,
            line,
            introduction,
            self._lines,
            given_request_id(section.fields) if self._trusted else None,
            keeps_alive=stays_open(line, section) and not self.listener.draining,
            has_body=has_body,
        )
        self.deadline = inf
        self.listener.pipeline.handle(turn)
        if self._body is not None and self._turn is turn and turn.uplink is None:
            self._hold(Hold.FEED)

    # The request's body

    def _body_begun(self, line: RequestLine, section: Section) -> bool:
        """Read what of the body came with the head: nothing is sent of a request broken that early."""
        body: Body = ChunkedBody() if section.chunked else LengthBody(section.length or 0)
        self._early = b""
        if self._waiting:
            try:
                self._early, taken = body.feed(self._waiting)
            except FramingError as broken:
                return self._refuse_unread(malformed(f"The body is malformed: {broken}."), line)
            self._waiting = self._waiting[taken:]
        self._body = None if body.done else body
        return True

    def uplink_open(self) -> None:
        """The feed is connected: the body may flow."""
        turn = self._turn
        if turn is None:
            return
        early, self._early = self._early, b""
        done = self._body is None
        if self._held:
            self._release(Hold.FEED | Hold.AHEAD)
        if not done:
            self._wait_for_body(turn, begun=bool(early))
        if early or done:
            turn.continued = True  # it did not wait
            turn.upload(early, done=done)
        if self._waiting and not done and not turn.over:
            self._body_received()

    def uplink_lost(self) -> None:
        """The feed is to be connected anew: the body waits."""
        if self._body is not None:
            self._hold(Hold.FEED)
            self.deadline = inf

    def _wait_for_body(self, turn: Turn, *, begun: bool) -> None:
        """Give the body its time, or the feed a moment to say 100 to a client that waits for that."""
        if begun or turn.continued:
            self.deadline = monotonic() + self.listener.limits.body_idle_timeout
        else:
            self.deadline = monotonic() + CONTINUE_AFTER
            self.listener.deadlines.watch(self)

    def told_to_continue(self) -> None:
        """The feed has said 100: from now on the body has its own time."""
        if self._body is not None:
            self.deadline = monotonic() + self.listener.limits.body_idle_timeout

    def hold_upload(self) -> None:
        """The feed reads slowly."""
        self._hold(Hold.FEED)
        if self._stalled_at is None:
            self.deadline = inf

    def resume_upload(self) -> None:
        """The feed has caught up."""
        if self._turn is not None and self._body is not None:
            self.deadline = monotonic() + self.listener.limits.body_idle_timeout
        self._release(Hold.FEED)

    def _body_received(self) -> None:
        """Read on in the body: to the feed, or to nowhere after a refusal."""
        body, turn, data = self._body, self._turn, self._waiting
        if body is None or (turn is not None and turn.uplink is None):
            return
        try:
            content, taken = body.feed(data)
        except FramingError as broken:
            self._body = None
            self._waiting = b""
            if turn is not None:
                turn.broken(malformed(f"The body is malformed: {broken}."))
            return
        self._waiting = data[taken:]
        if body.done:
            self._body = None
            self.deadline = inf
        else:
            self.deadline = monotonic() + self.listener.limits.body_idle_timeout
        if turn is None:
            return
        if not turn.continued:
            turn.continued = True  # it did not wait
        if content or body.done:
            turn.upload(content, done=body.done)

    def can_skip_body(self) -> bool:
        """Whether what is left of the request's body is little enough to be thrown away."""
        body, turn = self._body, self._turn
        if body is None:
            return True
        if turn is None or not turn.continued or not isinstance(body, LengthBody):
            return False
        return body.left <= MOST_SKIPPED

    # Answering

    def write(self, data: bytes) -> None:
        """Send bytes to the client."""
        self._transport.write(data)

    def write_pieces(self, pieces: Iterable[bytes]) -> None:
        """Send bytes to the client without joining them first."""
        self._transport.writelines(pieces)

    def turn_ended(self, now: float, *, keeps: bool, cut: bool) -> None:
        """The answer is written, or given up: go on to the next request, or end."""
        turn, self._turn = self._turn, None
        listener = self.listener
        if cut:
            self._ended = True
            if turn is not None and not turn.line.keeps_alive:
                self._end_with_reset()
            self._transport.abort()
        elif not keeps or listener.draining or (self._half_closed and not self._something_waits()):
            self._linger(now)
        else:
            self.deadline = now + listener.limits.keepalive_timeout
            if self._held:
                self._release(Hold.FEED)
            if self._waiting and not self._turning:
                self._next()

    def _end_with_reset(self) -> None:
        """Make the end a reset: an HTTP/1.0 client may read until the end, and take any other for a whole."""
        if not self._transport.is_closing():
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    def _linger(self, now: float) -> None:
        """Say no more, and let the client read: closing on unread bytes would reset the connection."""
        self._ended = True
        self._waiting = b""
        if self._half_closed or self._transport.is_closing():
            self._transport.close()
            return
        self._transport.write_eof()
        if self._held:
            self._release(self._held)
        self._unwritten = self._transport.get_write_buffer_size()
        self.deadline = now + (self.listener.limits.body_idle_timeout if self._unwritten else LINGER)

    def _refuse_unread(self, refusal: Refusal, line: RequestLine | None = None) -> bool:
        """Answer what is not a request, or not one to go on after, and end. Always False."""
        request_id = f"{getrandbits(128):032x}"
        listener = self.listener
        head_only = line is not None and line.method == "HEAD"
        self.write(
            listener.refuser.bytes_of(refusal, request_id, "Connection: close\r\n", head_only=head_only)
        )
        listener.observer.exchange(record_unread(self._address, request_id, refusal, line))
        self._linger(monotonic())
        return False

    # Holding back

    def _hold(self, why: Hold) -> None:
        if not self._held and not self._transport.is_closing():
            self._transport.pause_reading()
        self._held |= why

    def _release(self, why: Hold) -> None:
        self._held &= ~why
        if not self._held and not self._transport.is_closing():
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        """The client reads slowly."""
        self._stalled_at = monotonic()
        self._unwritten = self._transport.get_write_buffer_size()
        self.deadline = self._stalled_at + self.listener.limits.body_idle_timeout
        if self._turn is not None and self._turn.uplink is not None:
            self._turn.uplink.hold_answer()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._stalled_at = None
        if self._turn is not None:
            waits = self._body is not None and not self._held
            self.deadline = monotonic() + self.listener.limits.body_idle_timeout if waits else inf
            if self._turn.uplink is not None:
                self._turn.uplink.resume_answer()
        elif not self._ended:
            self.deadline = monotonic() + self.listener.limits.keepalive_timeout
            self._next()

    # Time

    def expired(self) -> None:
        """A client that takes too long: to send, to read, or to come back."""
        turn = self._turn
        if self._ended or self._stalled_at is not None:
            self._read_too_slowly()
        elif turn is not None and not turn.continued:
            self.deadline = inf if turn.answering else monotonic() + self.listener.limits.body_idle_timeout
            if not turn.answering:
                turn.continued = True
                self.write(CONTINUE)
        elif turn is not None and self._body is not None:
            turn.broken(Refusal(Reason.REQUEST_TIMEOUT, "The body did not arrive in time."))
        elif self._something_waits():
            self._refuse_unread(Refusal(Reason.REQUEST_TIMEOUT, "The header section did not arrive in time."))
        else:
            self._transport.abort()

    def _read_too_slowly(self) -> None:
        """Judge a slow reader by whether it reads at all."""
        unwritten = self._transport.get_write_buffer_size()
        if unwritten >= self._unwritten:
            self._transport.abort()
            return
        self._unwritten = unwritten
        self.deadline = monotonic() + (self.listener.limits.body_idle_timeout if unwritten else LINGER)

    def client_address(self, introduction: Introduction) -> str:
        """The client's address for the record: the peer's, or what a trusted proxy says."""
        if not self._trusted:
            return self._address
        return client_address(self._address, introduction.section.fields, self.listener.trusted)
