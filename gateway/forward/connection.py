"""One connection to a feed: a request's bytes out, an answer read strictly and handed on as it arrives."""

import asyncio
import ssl
from array import array
from fcntl import ioctl
from math import inf
from termios import FIONREAD
from time import monotonic
from typing import Final, Protocol, cast

from gateway.deadlines import Deadlines
from gateway.domain.verdict import Reason
from gateway.forward.answer_heads import AnswerHeads
from gateway.forward.client_side import ClientSide
from gateway.http1.answer import AnswerHead, InvalidAnswerError
from gateway.http1.body import LAST_CHUNK, Body, ChunkedBody, FramingError, LengthBody, UntilClose, chunk
from gateway.http1.grammar import BARE_LINE_END

LARGEST_HEAD: Final = 64 * 1024
MOST_INTERIM: Final = 16
"""How many 1xx answers one request may have."""

WRITE_BUFFER: Final = 64 * 1024

HTTP_CONTINUE: Final = 100
SWITCHING_PROTOCOLS: Final = 101
FIRST_FINAL: Final = 200
TLS_BROKE: Final = "The feed ended the TLS session before its answer was whole."
CLOSED_EARLY: Final = "The feed closed the connection before its answer was whole."
_UNREAD: Final = array("i", [0])
"""Where the kernel writes how many bytes wait to be read; used within one call alone."""

WITHOUT_BODY: Final = frozenset({204, 304})


class Home(Protocol):
    """Where a connection goes back to, and who answers for its faults."""

    response_timeout: float
    idle_timeout: float
    deadlines: Deadlines
    heads: AnswerHeads
    outstanding: int
    failures: int

    def rest(self, connection: "UpstreamConnection") -> None:
        """Take back a connection that has done its work and may be used again."""
        ...

    def lost(
        self,
        connection: "UpstreamConnection",
        client: ClientSide,
        request: bytes,
        reason: Reason,
        detail: str,
    ) -> None:
        """A connection failed with a request under way, whose head was `request`."""
        ...

    def gone(self, connection: "UpstreamConnection") -> None:
        """A connection is closed."""
        ...


class UpstreamConnection:
    """An HTTP/1.1 connection to a feed, used for one request at a time.

    An asyncio.Protocol by its methods: a base class would keep it from being compiled (docs/decisions/0010).
    """

    __slots__ = (
        "_body",
        "_chunked_up",
        "_closes",
        "_ended",
        "_fd",
        "_home",
        "_interim",
        "_partial",
        "_request",
        "_sized",
        "_transport",
        "_tunnel",
        "answered",
        "client",
        "deadline",
        "rested_at",
        "reused",
        "watched_until",
    )

    def __init__(self, home: Home) -> None:
        self._home = home
        self._transport: asyncio.Transport | None = None
        self._body: Body | None = None
        self._tunnel: UntilClose | None = None
        self._sized = True
        self._chunked_up = False
        self._closes = False
        self._ended = False
        """Whether one side of a tunnel has said its last."""
        self._fd = -1
        self._interim = 0
        self._partial = b""
        self._request = b""
        self.client: ClientSide | None = None
        self.answered = False
        """Whether a byte of the answer has come."""
        self.reused = False
        self.rested_at = 0.0
        self.deadline = inf
        self.watched_until = -1.0

    # What the pool asks

    def usable(self) -> bool:
        """Whether a request may be sent on it."""
        return self._transport is not None and not self._transport.is_closing() and self.client is None

    def silent(self) -> bool:
        """Whether nothing has come that was not read: it would be taken for the next request's answer."""
        ioctl(self._fd, FIONREAD, _UNREAD)
        return not _UNREAD[0]

    def begin(self, request: bytes, client: ClientSide, now: float) -> None:
        """Send a request's head; the body follows by `send`."""
        transport = cast("asyncio.Transport", self._transport)
        self.client = client
        self._home.outstanding += 1
        self.answered = False
        self._interim = 0
        self._request = request
        self._chunked_up = client.section.chunked
        self.deadline = now + self._home.response_timeout if client.upload_done else inf
        transport.write(request)
        client.begun(self, now)

    def close(self) -> None:
        """Close at once; whoever waits for an answer has been told or has left."""
        self._release()
        if self._transport is not None:
            self._transport.abort()

    def _release(self) -> None:
        """The request is over, however it went."""
        if self.client is not None:
            self.client = None
            self._home.outstanding -= 1
        self._body = None
        self._request = b""

    # What the client's side asks

    def send(self, content: bytes, *, done: bool) -> None:
        """See Uplink. The framing is made anew."""
        transport = self._transport
        if transport is None or self.client is None or transport.is_closing():
            return
        if content:
            transport.write(chunk(content) if self._chunked_up else content)
        if done and self._chunked_up:
            transport.write(LAST_CHUNK)
        if self._tunnel is not None:
            self.deadline = monotonic() + self._home.idle_timeout
        elif done and self._body is None:
            self.deadline = monotonic() + self._home.response_timeout

    def end(self) -> None:
        """See Uplink. What was written still goes out."""
        if self._tunnel is None or self._transport is None or self._transport.is_closing():
            return
        if self._ended:
            self._transport.close()
        else:
            self._ended = True
            self._transport.write_eof()

    def hold_answer(self) -> None:
        """See Uplink."""
        if self._transport is not None and self.client is not None:
            self._transport.pause_reading()
            self.deadline = inf

    def resume_answer(self) -> None:
        """See Uplink."""
        if self._transport is not None and self.client is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self.deadline = monotonic() + self._home.idle_timeout

    def abandon(self) -> None:
        """See Uplink."""
        self.close()

    # What the transport and the wheel say

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(WRITE_BUFFER)
        self._fd = transport.get_extra_info("socket").fileno()
        self._home.deadlines.watch(self)

    def data_received(self, data: bytes) -> None:
        """Read an answer's head, or hand on its content."""
        client = self.client
        if client is None:
            self.close()  # a feed that speaks unasked cannot be told from one that answers twice
            return
        try:
            if self._body is None:
                self._head_received(client, data)
            else:
                self._content_received(client, self._body, data)
        except (InvalidAnswerError, FramingError) as broken:
            self._fail(client, Reason.UPSTREAM_INVALID, f"The feed's answer cannot be relayed: {broken}.")

    def _head_received(self, client: ClientSide, data: bytes) -> None:
        self.answered = True
        looked_at = len(self._partial)
        if looked_at:
            data = self._partial + data
        while True:
            end = data.find(b"\r\n\r\n")
            if max(end, len(data) if end < 0 else 0) > LARGEST_HEAD:
                raise InvalidAnswerError("the header section is too large")
            if end < 0:
                if BARE_LINE_END.search(data, max(0, looked_at - 1)):
                    raise InvalidAnswerError("a line of the header section does not end in CRLF")
                self._partial = data
                return
            head = self._home.heads.read(data[: end + 2])
            data, looked_at = data[end + 4 :], 0
            if head.status >= FIRST_FINAL:
                break
            if head.status == SWITCHING_PROTOCOLS:
                self._switched(client, head, data)
                return
            self._interim_received(client, head)
            if not data:
                self._partial = b""
                return
        self._partial = b""
        self._final_received(client, head, data)

    def _interim_received(self, client: ClientSide, head: AnswerHead) -> None:
        self._interim += 1
        if self._interim > MOST_INTERIM:
            raise InvalidAnswerError("too many interim answers")
        client.interim(head)

    def _switched(self, client: ClientSide, head: AnswerHead, data: bytes) -> None:
        """From here on the connection is a tunnel (RFC 9110 §7.8): bytes both ways, until a side ends."""
        if not client.upgrade or head.upgrade is None or head.upgrade.lower() != client.upgrade.lower():
            raise InvalidAnswerError("the feed switched protocols unasked")
        self._partial = b""
        self._body = self._tunnel = UntilClose()
        self.deadline = monotonic() + self._home.idle_timeout
        client.switched(head)
        if data:
            client.content(data, done=False)

    def _final_received(self, client: ClientSide, head: AnswerHead, data: bytes) -> None:
        length = head.length
        if client.method == "HEAD" or head.status in WITHOUT_BODY:
            length = 0
        elif head.chunked:
            length = None
        if length is not None and len(data) >= length:
            self._answered_whole(client, head, data, length)
            return
        body: Body
        if length is not None:
            body, self._sized = LengthBody(length), True
        else:
            body, self._sized = (ChunkedBody() if head.chunked else UntilClose()), False
        content, taken = body.feed(data)
        if body.done:
            self._end(client, keep=not head.closes and taken == len(data))
        else:
            self._body = body
            self._closes = head.closes
            self.deadline = monotonic() + self._home.idle_timeout
        client.answer(head, content, sized=self._sized, done=body.done)

    def _answered_whole(self, client: ClientSide, head: AnswerHead, data: bytes, length: int) -> None:
        whole = len(data) == length
        self._end(client, keep=whole and not head.closes)
        client.answer(head, data if whole else data[:length], sized=True, done=True)

    def _content_received(self, client: ClientSide, body: Body, data: bytes) -> None:
        content, taken = body.feed(data)
        if body.done:
            self._end(client, keep=not self._closes and taken == len(data))
        else:
            self.deadline = monotonic() + self._home.idle_timeout
        if content or body.done:
            client.content(content, done=body.done)

    def _end(self, client: ClientSide, *, keep: bool) -> None:
        """The answer is whole. A connection with half a request on it, or bytes too many, is not kept."""
        self._release()
        if keep and client.upload_done:
            self._home.rest(self)
        else:
            self._home.failures = 0
            self.close()

    def _fail(self, client: ClientSide, reason: Reason, detail: str) -> None:
        request = self._request
        self.close()
        self._home.lost(self, client, request, reason, detail)

    def eof_received(self) -> bool:
        """The feed has said its last: in a tunnel the client may go on, unless it has ended as well.

        Else the transport closes, and `connection_lost` draws the conclusion.
        """
        if self._tunnel is None or self.client is None or self._ended:
            return False
        self._ended = True
        self.client.half_closed()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits: the answer is whole if it ends with the connection, and cut short if not."""
        self._home.deadlines.forget(self)
        self._home.gone(self)
        client, body, request = self.client, self._body, self._request
        self._release()
        if client is None:
            return
        if isinstance(body, UntilClose) and exc is None:
            client.content(b"", done=True)
        else:
            detail = TLS_BROKE if isinstance(exc, ssl.SSLError) else CLOSED_EARLY
            self._home.lost(self, client, request, Reason.UPSTREAM_UNREACHABLE, detail)

    def expired(self) -> None:
        """See Timed: a rest that was long enough, or a feed that takes too long."""
        client = self.client
        if client is None:
            self.close()
        elif self._tunnel is not None:  # nothing failed; nobody had anything to say
            self.close()
            client.content(b"", done=True)
        else:
            self._fail(client, Reason.UPSTREAM_TIMEOUT, "")

    def pause_writing(self) -> None:
        """The feed reads slowly."""
        if self.client is not None:
            self.deadline = monotonic() + self._home.idle_timeout
            self.client.hold_upload()

    def resume_writing(self) -> None:
        """The feed has caught up."""
        if self.client is not None:
            if self._body is None:
                done = self.client.upload_done
                self.deadline = monotonic() + self._home.response_timeout if done else inf
            self.client.resume_upload()
