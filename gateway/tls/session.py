"""TLS between a plain transport and the protocol that speaks through it: one for both sides of the gateway.

Why not the event loop's own: that cannot take bytes read before it began, cannot say its last and go on
reading, and does not tell a connection that was ended from one that was cut (docs/decisions/0007).
"""

import asyncio
import ssl
from collections.abc import Callable, Iterable
from enum import Enum
from math import inf
from typing import Any, Final, cast

LARGEST_RECORD: Final = 16 * 1024
"""What one record may hold (RFC 8446 §5.1), in bytes."""


class TruncatedError(ConnectionError):
    """The other side's connection ended without its close_notify: what it said may be cut short."""


class Stage(Enum):
    """How far a session is."""

    HANDSHAKE = 0
    OPEN = 1
    SAID = 2
    """We have said our last, and the other side may go on."""
    ENDED = 3
    """It is over; what still comes is thrown away unread."""


class TlsSession(asyncio.Protocol, asyncio.Transport):
    """The protocol of a plain transport, and the transport of the protocol inside.

    `begun` is called when the handshake is done, and makes the protocol inside. `failed` is called when it
    never will be, with why; the plain transport is then still open unless the other side closed it, and is
    the caller's to close. It is Timed: whoever watches its `deadline` ends a handshake that takes too long.
    """

    def __init__(
        self,
        tls: Callable[[ssl.MemoryBIO, ssl.MemoryBIO], ssl.SSLObject],
        begun: Callable[["TlsSession"], asyncio.Protocol],
        failed: Callable[["TlsSession", Exception], None],
    ) -> None:
        super().__init__()
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = tls(self._incoming, self._outgoing)
        self._begun = begun
        self._failed = failed
        self._stage = Stage.HANDSHAKE
        self._inside: asyncio.Protocol | None = None
        self._other_ended = False
        self._stays = False
        """Whether the protocol inside goes on after the other side has ended."""
        self._why: Exception | None = None
        self.plain = cast("asyncio.Transport", None)
        self.deadline = inf
        self.watched_until = -1.0

    # As the protocol of the plain transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self.plain = cast("asyncio.Transport", transport)
        if not self._tls.server_side:
            self._shake_hands()

    def data_received(self, data: bytes) -> None:
        """Read records, or the next part of the handshake."""
        if self._stage is Stage.ENDED:
            return
        if self._stage is Stage.HANDSHAKE:
            self.handshake_received(data)
        else:
            self._incoming.write(data)
            self._read()

    def handshake_received(self, data: bytes) -> None:
        """Take the next part of the handshake."""
        self._incoming.write(data)
        self._shake_hands()

    def eof_received(self) -> bool:
        """The plain connection ended: a client may have said enough by then, a feed was cut short."""
        if self._stage is Stage.HANDSHAKE or self._inside is None:
            return False
        if self._tls.server_side:
            self._other_side_ended()
            return not self.plain.is_closing()
        if not self._other_ended:
            self._why = TruncatedError("the connection ended without a close_notify")
        return self._stays and self._other_ended and not self.plain.is_closing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The plain connection is gone."""
        self.deadline = inf
        if self._inside is not None:
            self._inside.connection_lost(exc or self._why)
        else:
            self.give_up(exc or ConnectionResetError("the connection ended during the handshake"))

    def pause_writing(self) -> None:
        """The other side reads slowly."""
        if self._inside is not None:
            self._inside.pause_writing()

    def resume_writing(self) -> None:
        """The other side has caught up."""
        if self._inside is not None:
            self._inside.resume_writing()

    def expired(self) -> None:
        """See Timed: the handshake takes too long."""
        self.deadline = inf
        self.give_up(TimeoutError("the handshake took too long"))

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as broken:
            self._flush()  # the alert, which says why
            self.give_up(broken)
            return
        self._flush()
        self._stage = Stage.OPEN
        self.deadline = inf
        self._inside = self._begun(self)
        self._inside.connection_made(self)
        if self._incoming.pending and self._stage is Stage.OPEN:
            self._read()

    def give_up(self, why: Exception) -> None:
        """End a handshake that will not be done."""
        if self._stage is Stage.HANDSHAKE:
            self._stage = Stage.ENDED
            self.deadline = inf
            self._failed(self, why)

    def _read(self) -> None:
        pieces = []
        ended = False
        try:
            while self._incoming.pending or self._tls.pending():
                piece = self._tls.read(LARGEST_RECORD)
                if not piece:
                    ended = True
                    break
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            ended = True
        except ssl.SSLError as broken:
            self._flush()
            self._why = broken
            self.abort()
            return
        self._flush()
        inside = cast("asyncio.Protocol", self._inside)
        if pieces:
            inside.data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if ended:
            self._other_side_ended()

    def _other_side_ended(self) -> None:
        if self._other_ended or self._inside is None:
            return
        self._other_ended = True
        self._stays = bool(self._inside.eof_received())
        if not self._stays:
            self.close()

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            self.plain.write(data)

    # As the transport of the protocol inside

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        """See Transport: encrypted at once, so that the plain transport alone keeps what is not sent yet."""
        if self._stage is not Stage.OPEN or not data:
            return
        try:
            sent = self._tls.write(data)
            if sent < len(data):
                rest = memoryview(data)[sent:]
                while rest:
                    rest = rest[self._tls.write(rest) :]
        except ssl.SSLError as broken:
            self._why = broken
            self.abort()
            return
        self._flush()

    def writelines(self, list_of_data: "Iterable[bytes | bytearray | memoryview[Any]]") -> None:
        """See Transport."""
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        """Say our last (close_notify, then FIN); whatever still comes is read."""
        if self._say_goodbye(Stage.SAID) and not self.plain.is_closing():
            self.plain.write_eof()

    def can_write_eof(self) -> bool:
        """See Transport."""
        return True

    def close(self) -> None:
        """See Transport."""
        self._say_goodbye(Stage.ENDED)
        self._stage = Stage.ENDED
        self.plain.close()

    def abort(self) -> None:
        """End without a close_notify, so that the other side knows what it has read to be cut short."""
        self._stage = Stage.ENDED
        self.plain.abort()

    def _say_goodbye(self, stage: Stage) -> bool:
        """Send the close_notify; False when that, or the end of everything, was before."""
        if self._stage is not Stage.OPEN:
            return False
        self._stage = stage
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            """The other side's close_notify is not there yet, or will never be: nobody waits for it."""
        self._flush()
        return True

    def is_closing(self) -> bool:
        """See Transport."""
        return self.plain.is_closing()

    def pause_reading(self) -> None:
        """See Transport."""
        self.plain.pause_reading()

    def resume_reading(self) -> None:
        """See Transport."""
        self.plain.resume_reading()

    def get_write_buffer_size(self) -> int:
        """See Transport."""
        return self.plain.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """See Transport."""
        self.plain.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as asyncio has it
        """See BaseTransport; `ssl_object` is the session itself."""
        return self._tls if name == "ssl_object" else self.plain.get_extra_info(name, default)
