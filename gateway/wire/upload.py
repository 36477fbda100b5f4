"""A request's body on its way from the client to the feed, or to nowhere after a refusal."""

from enum import IntFlag
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final

from gateway.http1.body import Body, ChunkedBody, FramingError, LengthBody
from gateway.http1.head import Section, malformed

if TYPE_CHECKING:
    from gateway.wire.connection import ClientConnection
    from gateway.wire.turn import Turn

MOST_SKIPPED: Final = 64 * 1024
"""The largest rest of a body that is thrown away so that the connection can be used on."""

MOST_WAITING: Final = 64 * 1024
"""Bytes kept of what a client sends ahead of its turn, before it is held."""

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
CONTINUE_AFTER: Final = 1.0
"""Seconds after which a client waiting for 100 Continue is told so, if the feed has said nothing."""


class Hold(IntFlag):
    """Why nothing more is read from the client for now."""

    FEED = 1
    """The feed reads slowly, or is not connected yet."""
    AHEAD = 2
    """The client has sent enough ahead of its turn."""


class Upload:
    """One request's body, read as it arrives; it holds none of it but what came with the head."""

    __slots__ = ("_connection", "_early", "_reader")

    def __init__(self, connection: "ClientConnection", section: Section) -> None:
        self._connection = connection
        self._reader: Body = ChunkedBody() if section.chunked else LengthBody(section.length or 0)
        self._early = b""

    @property
    def complete(self) -> bool:
        """Whether the last of the body was read."""
        return self._reader.done

    @property
    def can_be_skipped(self) -> bool:
        """Whether what is left is known, and little enough to be thrown away."""
        reader = self._reader
        return reader.done or (isinstance(reader, LengthBody) and reader.left <= MOST_SKIPPED)

    def begin(self, data: bytes, *, last: bool) -> bytes:
        """Read what came with the head: nothing is sent of a request broken that early. What is not of it.

        `last` says that no more will come. Raises FramingError.
        """
        if data:
            self._early, taken = self._reader.feed(data)
            data = data[taken:]
        if last and not self.complete:
            raise FramingError("it ended before its end")
        return data

    def arrived(self, turn: "Turn | None") -> None:
        """Read on in what waits: to the feed of the turn, or without one to nowhere, after a refusal."""
        connection = self._connection
        if turn is not None and turn.uplink is None:
            return
        try:
            content, taken = self._reader.feed(connection.waiting)
        except FramingError as broken:
            connection.upload = None
            connection.waiting = b""
            if turn is not None:
                turn.broken(malformed(f"The body is malformed: {broken}."))
            return
        connection.waiting = connection.waiting[taken:]
        if not self.complete:
            self._give_time()
        else:
            connection.upload = None
            keepalive = connection.listener.limits.keepalive_timeout
            connection.deadline = inf if turn is not None else monotonic() + keepalive
        if turn is not None:
            turn.continued = True  # it did not wait, or waits no longer
            if content or self.complete:
                turn.upload(content, done=self.complete)

    def open(self, turn: "Turn") -> None:
        """The feed is connected: the body may flow."""
        connection = self._connection
        early, self._early = self._early, b""
        connection.release(Hold.FEED | Hold.AHEAD)
        if not self.complete:
            self._wait(turn, begun=bool(early))
        if early or self.complete:
            turn.continued = True  # it did not wait
            turn.upload(early, done=self.complete)
        if not self.complete and not turn.over:
            connection.go_on()

    def close(self) -> None:
        """The feed is to be connected anew: the body waits."""
        if not self.complete:
            self._connection.hold(Hold.FEED)

    def told_to_continue(self) -> None:
        """The feed has said 100: from now on the body has its own time."""
        if not self.complete:
            self._give_time()

    def hold(self) -> None:
        """The feed reads slowly."""
        self._connection.hold(Hold.FEED)

    def resume(self) -> None:
        """The feed has caught up."""
        if not self.complete:
            self._give_time()
        self._connection.release(Hold.FEED)

    def _wait(self, turn: "Turn", *, begun: bool) -> None:
        """Give the body its time, or the feed a moment to say 100 to a client that waits for that."""
        if begun or turn.continued:
            self._give_time()
        else:
            self._connection.deadline = monotonic() + CONTINUE_AFTER
            self._connection.listener.deadlines.watch(self._connection)

    def _give_time(self) -> None:
        connection = self._connection
        connection.deadline = monotonic() + connection.listener.limits.body_idle_timeout
