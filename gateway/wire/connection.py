"""One client's connection: heads and bodies read strictly, requests answered in order, one at a time."""

import asyncio
import logging
from collections.abc import Iterable
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from gateway.domain.verdict import Reason, Refusal
from gateway.http1.body import FramingError
from gateway.http1.head import RequestLine, malformed, parse_request_line
from gateway.http1.requests import hopeless, misfit, parts_of, stays_open
from gateway.pipeline import Introduction
from gateway.wire.ending import (
    ASK_AGAIN_AFTER,
    LINGER,
    ask_whether_there,
    end_with_reset,
    has_left,
    look_whether_there,
)
from gateway.wire.lasting import Lasting
from gateway.wire.peer import Peer
from gateway.wire.turn import Turn
from gateway.wire.upload import CONTINUE, MOST_WAITING, Hold, Upload

if TYPE_CHECKING:
    from gateway.wire.listener import Listener

log = logging.getLogger(__name__)

WRITE_BUFFER: Final = 64 * 1024


class ClientConnection:
    """A client's HTTP/1.1 connection. `told` is the client's address, where a balancer told it.

    An asyncio.Protocol by its methods: a base class would keep it from being compiled (docs/decisions/0010).
    """

    __slots__ = (
        "_ended",
        "_half_closed",
        "_held",
        "_scanned",
        "_stalled_at",
        "_told",
        "_transport",
        "_turning",
        "_unwritten",
        "deadline",
        "listener",
        "peer",
        "turn",
        "upload",
        "waiting",
        "watched_until",
    )

    def __init__(self, listener: "Listener", told: str | None = None) -> None:
        self.listener = listener
        self._told = told
        self._transport = cast("asyncio.Transport", None)
        self.peer: Peer
        self.turn: Turn | None = None
        """The request under way."""
        self._turning = False
        self.upload: Upload | None = None
        """The body that is still arriving, be it wanted or not."""
        self.waiting = b""
        self._scanned = 0
        self._held = Hold(0)
        self._ended = False
        self._half_closed = False
        self._stalled_at: float | None = None
        self._unwritten = 0
        self.deadline = inf
        self.watched_until = -1.0

    # Beginning and end

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Welcome a client, or send it away when there are too many."""
        listener = self.listener
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(WRITE_BUFFER)
        self.peer = Peer(transport, self._told, listener.trusted)
        self.deadline = monotonic() + listener.limits.header_timeout
        listener.deadlines.watch(self)
        crowded = listener.joined(self)
        if crowded is not None:
            self._refuse_unread(crowded)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever ended it."""
        del exc
        self._ended = True
        self.listener.deadlines.forget(self)
        if self.turn is not None:
            self.turn.left()
        self.listener.left(self)

    def eof_received(self) -> bool:
        """The client has said its last: it may still wait for answers to what it has said whole."""
        self._half_closed = True
        turn = self.turn
        if turn is not None:
            if turn.tunnelling:
                turn.carried()
            elif self.upload is not None:
                turn.broken(malformed("The body ended before its end."))
            elif turn.lasting is Lasting.STREAM:
                turn.left()
            elif turn.line.keeps_alive and not turn.answering:
                ask_whether_there(self)
            if not turn.over and self._stalled_at is None:
                look_whether_there(self)
        elif self._something_waits() and not self._ended:
            self._refuse_unread(malformed("The request ended before its end."))
        else:
            return False
        return True

    def drain(self) -> None:
        """Close as soon as nothing is under way."""
        if self.turn is None and not self._ended:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    # Reading

    def data_received(self, data: bytes) -> None:
        """Take what the client sends: a head, a body, or something ahead of its turn."""
        try:
            if self.turn is None and self.upload is None and not self.waiting:
                if not self._ended:
                    self.waiting = data
                    self._next()
            else:
                self._more_received(data)
        except Exception:
            log.exception("a connection is dropped, because the gateway failed on it")
            self._transport.abort()

    def _more_received(self, data: bytes) -> None:
        if self._ended:
            return
        if self.turn is not None and self.turn.tunnelling:
            self.turn.carry(data)
            return
        self.waiting = self.waiting + data if self.waiting else data
        if self.turn is None:
            self._next()
        elif self.upload is not None and self.turn.uplink is not None:
            self.upload.arrived(self.turn)
        elif len(self.waiting) > MOST_WAITING:
            self.hold(Hold.AHEAD)

    def _next(self) -> None:
        """Begin the turns that wait, one after the other; each may end at once."""
        if self._turning:
            return
        self._turning = True
        while self.waiting and self.turn is None and not self._ended and self._stalled_at is None:
            if self.upload is not None:
                self.upload.arrived(self.turn)
                if self._uploads():
                    break
            elif not self._head_received():
                break
        self._turning = False
        if self.waiting or self._held:
            self._hold_what_is_ahead()

    def _uploads(self) -> bool:
        """Whether a body is still arriving; asked anew where a call may have changed it."""
        return self.upload is not None

    def _hold_what_is_ahead(self) -> None:
        """Read no more of a client that has sent enough, until its answers are done and it has read them."""
        waits = self.turn is not None or self._stalled_at is not None
        if waits and len(self.waiting) > MOST_WAITING:
            self.hold(Hold.AHEAD)
        elif Hold.AHEAD in self._held:
            self.release(Hold.AHEAD)

    def _head_received(self) -> bool:
        """Read a head and begin its turn; False while it is incomplete, or when it is refused."""
        limits = self.listener.limits
        parts = parts_of(self.waiting, limits)
        if parts is None:
            return self._head_incomplete()
        if isinstance(parts, Refusal):
            return self._refuse_unread(parts)
        line = parse_request_line(parts.line)
        if isinstance(line, Refusal):
            return self._refuse_unread(line)
        introduction = self.listener.introductions.of(parts.section)
        if isinstance(introduction, Refusal):
            return self._refuse_unread(introduction, line)
        broken = misfit(line, introduction.section, limits.body, self.peer.scheme)
        if broken is not None:
            return self._refuse_unread(broken, line, introduction.origin)
        self._scanned = 0
        self.waiting = parts.rest
        self._begin(line, introduction)
        return True

    def _head_incomplete(self) -> bool:
        """Refuse early what can no longer become a request; else wait, but not for long. Always False."""
        limits = self.listener.limits
        if not self._scanned:
            self.deadline = monotonic() + limits.header_timeout
            self.listener.deadlines.watch(self)
        why = hopeless(self.waiting, self._scanned, limits)
        if why is None and self._half_closed:
            why = malformed("The request ended before its end.")
        if why is not None:
            return self._refuse_unread(why)
        self._scanned = len(self.waiting)
        return False

    def _something_waits(self) -> bool:
        """Whether more than an empty line has come of another request."""
        return self.waiting not in {b"", b"\r", b"\r\n"}

    def _begin(self, line: RequestLine, introduction: Introduction) -> None:
        section = introduction.section
        upload = None
        if section.chunked or section.length:
            upload = Upload(self, section)
            try:
                self.waiting = upload.begin(self.waiting, last=self._half_closed)
            except FramingError as broken:
                self._refuse_unread(malformed(f"The body is malformed: {broken}."), line)
                return
        self.upload = None if upload is None or upload.complete else upload
        turn = Turn(
            self,
            line,
            introduction,
            self.peer.lines_for(section),
            self.peer.request_id(section),
            keeps_alive=stays_open(line, section) and not self.listener.draining,
            body=upload,
        )
        self.turn = turn
        self.deadline = inf
        self.listener.pipeline.handle(turn)
        if self._uploads() and not turn.over and turn.uplink is None:
            self.hold(Hold.FEED)

    def go_on(self) -> None:
        """Read on in what waits: the way is free."""
        if self.turn is not None and self.turn.tunnelling:
            ahead, self.waiting = self.waiting, b""
            self.release(Hold.AHEAD)
            self.turn.carry(ahead)
            if self._half_closed:
                self.turn.carried()
        elif self.upload is not None and self.waiting:
            self.upload.arrived(self.turn)

    # Answering

    def write(self, data: bytes) -> None:
        """Send bytes to the client."""
        self._transport.write(data)

    def write_pieces(self, pieces: Iterable[bytes]) -> None:
        """Send bytes to the client without joining them first."""
        self._transport.writelines(pieces)

    def say_last(self) -> None:
        """Send nothing more; the client may still send."""
        self._transport.write_eof()

    def turn_ended(self, now: float, *, keeps: bool, cut: bool) -> None:
        """The answer is written, or given up: go on to the next request, or end."""
        turn, self.turn = self.turn, None
        listener = self.listener
        if cut:
            self._ended = True
            if turn is not None and not turn.line.keeps_alive:
                end_with_reset(self._transport)
            self._transport.abort()
        elif not keeps or listener.draining or (self._half_closed and not self._something_waits()):
            self._linger(now)
        else:
            self.deadline = now + listener.limits.keepalive_timeout
            self.release(Hold.FEED)
            if self.waiting and not self._turning:
                self._next()

    def _linger(self, now: float) -> None:
        """Say no more, and let the client read: closing on unread bytes would reset the connection."""
        self._ended = True
        self.waiting = b""
        if self._half_closed or self._transport.is_closing():
            self._transport.close()
            return
        self._transport.write_eof()
        self.release(self._held)
        self._unwritten = self._transport.get_write_buffer_size()
        self.deadline = now + (self.listener.limits.body_idle_timeout if self._unwritten else LINGER)

    def _refuse_unread(
        self, refusal: Refusal, line: RequestLine | None = None, origin: bytes | None = None
    ) -> bool:
        """Answer what is not a request, or not one to go on after, and end. Always False."""
        self.write(self.listener.turned_down(self.peer.address, refusal, line, origin))
        self._linger(monotonic())
        return False

    # Holding back

    def hold(self, why: Hold) -> None:
        """Read nothing more from the client until it is released, and look now and then if it has left."""
        if not self._held and not self._transport.is_closing():
            self._transport.pause_reading()
        self._held |= why
        if self.turn is not None and self._stalled_at is None:
            self.deadline = monotonic() + ASK_AGAIN_AFTER

    def release(self, why: Hold) -> None:
        """Read on, unless something else holds."""
        if not self._held:
            return
        self._held &= ~why
        if not self._held and not self._transport.is_closing():
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        """The client reads slowly."""
        self._stalled_at = monotonic()
        self._unwritten = self._transport.get_write_buffer_size()
        self.deadline = self._stalled_at + self.listener.limits.body_idle_timeout
        if self.turn is not None and self.turn.uplink is not None:
            self.turn.uplink.hold_answer()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._stalled_at = None
        if self.turn is not None:
            waits = self.upload is not None and not self._held
            patience = self.listener.limits.body_idle_timeout if waits else ASK_AGAIN_AFTER
            self.deadline = monotonic() + patience
            if self.turn.uplink is not None:
                self.turn.uplink.resume_answer()
        elif not self._ended:
            self.deadline = monotonic() + self.listener.limits.keepalive_timeout
            self._next()

    # Time

    def expired(self) -> None:
        """A client that takes too long: to send, to read, or to come back."""
        turn = self.turn
        if self._ended or self._stalled_at is not None:
            self._read_too_slowly()
        elif turn is not None and (self._half_closed or self._held):
            self.deadline = monotonic() + ASK_AGAIN_AFTER
            if has_left(self._transport):
                turn.left()
        elif turn is not None and not turn.continued:
            self.deadline = inf if turn.answering else monotonic() + self.listener.limits.body_idle_timeout
            if not turn.answering:
                turn.continued = True
                self.write(CONTINUE)
        elif turn is not None and self.upload is not None:
            turn.broken(Refusal(Reason.REQUEST_TIMEOUT, "The body did not arrive in time."))
        elif turn is not None:
            self.deadline = inf
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
