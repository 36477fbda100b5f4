"""One request on a client's connection, and its answer: what the pipeline judges and forwarding talks to."""

from random import getrandbits
from time import monotonic, time
from typing import TYPE_CHECKING, Final

from gateway.domain.exchange import Outcome
from gateway.domain.permit import Permit
from gateway.domain.principal import Principal
from gateway.domain.target import Target, Unmapped
from gateway.domain.verdict import Reason, Refusal
from gateway.forward.client_side import Uplink
from gateway.forward.room import Taken
from gateway.forward.upstream import UPGRADE
from gateway.http1.answer import AnswerHead
from gateway.http1.body import LAST_CHUNK
from gateway.http1.head import RequestLine
from gateway.http1.requests import upgrade_of
from gateway.pipeline import Introduction
from gateway.wire.lasting import Lasting
from gateway.wire.records import outcome_of, record_of
from gateway.wire.upload import Hold, Upload

if TYPE_CHECKING:
    from gateway.wire.connection import ClientConnection

HTTP_CONTINUE: Final = 100
DOCUMENT: Final = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: application/json\r\n"
    b"Content-Length: %d\r\n"
    b"Cache-Control: public, max-age=300\r\n"
    b"Access-Control-Allow-Origin: *\r\n"
)


class Turn:
    """One exchange, from the last byte of its request's head to the last byte of its answer.

    It is the `Asked` of the pipeline and the `ClientSide` of forwarding. `started` is in monotonic seconds,
    `ts` in seconds since the epoch.
    """

    __slots__ = (
        "_answer_ended",
        "_body",
        "_chunked",
        "_keeps_alive",
        "answering",
        "body_limit",
        "bytes_in",
        "bytes_out",
        "connection",
        "continued",
        "introduction",
        "lasting",
        "line",
        "method",
        "over",
        "own_lines",
        "path",
        "permit",
        "place",
        "prepared",
        "principal",
        "query",
        "refusal",
        "request_id",
        "room",
        "section",
        "sent_at",
        "started",
        "status",
        "target",
        "ts",
        "upgrade",
        "uplink",
        "upload_begun",
        "upload_done",
    )

    def __init__(  # noqa: PLR0913 - one argument a fact
        self,
        connection: "ClientConnection",
        line: RequestLine,
        introduction: Introduction,
        own_lines: bytes,
        request_id: bytes | None,
        *,
        keeps_alive: bool,
        body: Upload | None,
    ) -> None:
        self.connection = connection
        self.line = line
        self.method = line.method
        self.path = line.path
        self.query = line.query
        self.target = b""
        self.introduction = introduction
        self.section = introduction.section
        self.prepared = introduction.prepared
        self.own_lines = own_lines
        self.upgrade = upgrade_of(line, introduction.section) if introduction.section.upgrade else b""
        self.lasting: Lasting | None = None
        self.request_id = request_id or b"%032x" % getrandbits(128)
        self.started = monotonic()
        self.ts = time()
        self.body_limit = 0
        self.place: Target | Unmapped | None = None
        self.principal: Principal | None = None
        self.permit: Permit | None = None
        self.uplink: Uplink | None = None
        self._body = body
        self.upload_done = body is None
        self.upload_begun = False
        self.continued = not (introduction.section.expects_continue and line.keeps_alive and body is not None)
        """Whether the client has been told to go on and send its body, or does not wait for that."""
        self.answering = False
        """Whether the head of the final answer has been written."""
        self.over = False
        self.bytes_in = 0
        self.bytes_out = 0
        self._keeps_alive = keeps_alive
        self.refusal: Refusal | None = None
        self.room: Taken | None = None
        self.status = 0
        self._chunked = False
        self.sent_at: float | None = None
        self._answer_ended: float | None = None

    # From the pipeline

    def refuse(self, refusal: Refusal) -> None:
        """Answer with a refusal. The rest of the request is read and thrown away, or the connection ends."""
        if self.over:
            return
        answer, connection = refusal.answer, self.connection
        self.refusal = refusal
        self.status = answer.status
        keeps = self._keeps_alive and not answer.close and self._can_skip_body()
        lines = self._connection_line(keeps=keeps)
        if self.introduction.origin is not None:
            lines = self._of_origins() + lines
        refuser, head_only = connection.listener.refuser, self.method == "HEAD"
        self.answering = True
        connection.write(refuser.bytes_of(refusal, self.request_id, lines, head_only=head_only))
        self._end(outcome_of(refusal), keeps=keeps)

    def offer(self, lines: bytes) -> None:
        """Answer a preflight: no request of the client's own, so its outcome is one of its own, too."""
        self._tell(204, b"HTTP/1.1 204 No Content\r\n" + lines, b"", Outcome.PREFLIGHT)

    def publish(self, document: bytes) -> None:
        """See Asked. Any page may read it, whatever its origin: it is for clients that know nothing yet."""
        self._tell(200, DOCUMENT % len(document), document, Outcome.METADATA)

    def _tell(self, status: int, lines: bytes, content: bytes, outcome: Outcome) -> None:
        """Answer a question that was for the gateway itself."""
        keeps = self._keeps_alive and self._can_skip_body()
        if self.method == "HEAD":
            content = b""
        self.status = status
        self.answering = True
        self.bytes_out = len(content)
        date = self.connection.listener.refuser.date()
        own = b"Date: %b\r\nX-Request-Id: %b\r\n" % (date, self.request_id)
        self.connection.write(b"".join((lines, own, self._connection_line(keeps=keeps), b"\r\n", content)))
        self._end(outcome, keeps=keeps)

    def _of_origins(self) -> bytes:
        """The lines by which the page that asks may read the answer."""
        feed = None if self.place is None else self.place.feed
        return self.connection.listener.pipeline.origins.lines(self.introduction.origin, feed)

    def _can_skip_body(self) -> bool:
        """Whether the rest of the request is little enough to be read and thrown away."""
        body = self._body
        return body is None or body.complete or (self.continued and body.can_be_skipped)

    # From forwarding, in order

    def begun(self, uplink: Uplink, now: float) -> None:
        """See ClientSide."""
        self.uplink = uplink
        self.sent_at = now
        if self._body is not None:
            self._body.open(self)

    def interim(self, head: AnswerHead) -> None:
        """See ClientSide. What an HTTP/1.0 client would not understand stays here."""
        if not self.line.keeps_alive:
            return
        if head.status == HTTP_CONTINUE:
            if self.continued:
                return
            self.continued = True
            if self._body is not None:
                self._body.told_to_continue()
        self.connection.write(head.start + b"\r\n")

    def switched(self, head: AnswerHead) -> None:
        """See ClientSide. The client's connection is a tunnel from here on, and ends with it."""
        self._lasts(Lasting.TUNNEL)
        self.answering = True
        self._keeps_alive = False
        self.status = head.status
        self.connection.write(
            b"".join((head.start, UPGRADE % self.upgrade, b"X-Request-Id: ", self.request_id, b"\r\n\r\n"))
        )
        self.connection.go_on()

    def answer(self, head: AnswerHead, content: bytes, *, sized: bool, done: bool) -> None:
        """See ClientSide. Head and first content leave in one write."""
        keeps = self._keeps_alive and self.upload_done and not self.connection.listener.draining
        framing = b""
        self.bytes_out = len(content)
        if not sized:
            if self.line.keeps_alive:
                framing = b"Transfer-Encoding: chunked\r\n"
                self._chunked = True
                if content:
                    content = b"%x\r\n%b\r\n" % (len(content), content)
                if done:
                    content += LAST_CHUNK
            else:
                keeps = False  # an HTTP/1.0 client learns from the close where the body ends
        self.status = head.status
        self._keeps_alive = keeps
        self.answering = True
        if self.introduction.origin is not None:
            framing += self._of_origins()
        own = b"X-Request-Id: %b\r\n" % self.request_id
        self.connection.write(
            b"".join((head.start, framing, own, self._connection_line(keeps=keeps), b"\r\n", content))
        )
        if done:
            self._answered()
        elif head.streams:
            self._lasts(Lasting.STREAM)

    def content(self, content: bytes, *, done: bool) -> None:
        """See ClientSide."""
        connection = self.connection
        self.bytes_out += len(content)
        if not self._chunked:
            if content:
                connection.write(content)
        elif content:
            connection.write_pieces((b"%x\r\n" % len(content), content, b"\r\n"))
        if done:
            if self._chunked:
                connection.write(LAST_CHUNK)
            self._answered()

    def _lasts(self, lasting: Lasting) -> None:
        self.lasting = lasting
        self.connection.listener.review.begun(self)

    def half_closed(self) -> None:
        """See ClientSide."""
        self.connection.say_last()

    def again(self) -> None:
        """See ClientSide."""
        self.uplink = None
        if self._body is not None:
            self._body.close()

    def failed(self, reason: Reason, detail: str = "") -> None:
        """See ClientSide. Before the answer's head this is a refusal; after it, only a cut is honest."""
        if self.over:
            return
        self.uplink = None
        if not self.answering:
            self.refuse(Refusal(reason, detail))
            return
        self.refusal = Refusal(reason, detail)
        self._end(Outcome.ERROR, keeps=False, cut=True)

    def hold_upload(self) -> None:
        """See ClientSide."""
        if self._body is not None:
            self._body.hold()
        elif self.tunnelling:
            self.connection.hold(Hold.FEED)

    def resume_upload(self) -> None:
        """See ClientSide."""
        if self._body is not None:
            self._body.resume()
        elif self.tunnelling:
            self.connection.release(Hold.FEED)

    # From the client's connection

    @property
    def tunnelling(self) -> bool:
        """Whether the protocol was switched, so that bytes pass both ways."""
        return self.lasting is Lasting.TUNNEL

    def upload(self, content: bytes, *, done: bool) -> None:
        """Pass on a piece of the request's body, within the limit for the route."""
        self.bytes_in += len(content)
        if self.bytes_in > self.body_limit:
            self._give_up(Refusal(Reason.BODY_TOO_LARGE), Outcome.ERROR)
            return
        self.upload_begun = True
        self.upload_done = done
        if self.uplink is not None:
            self.uplink.send(content, done=done)

    def carry(self, data: bytes) -> None:
        """Pass on what the client sends through the tunnel."""
        self.bytes_in += len(data)
        if self.uplink is not None:
            self.uplink.send(data, done=False)

    def carried(self) -> None:
        """The client sends nothing more through the tunnel."""
        if self.uplink is not None:
            self.uplink.end()

    def broken(self, refusal: Refusal) -> None:
        """The request's body cannot be read on: it is malformed, or too slow."""
        self._give_up(refusal, Outcome.ERROR)

    def forbid(self, refusal: Refusal) -> None:
        """What was permitted is so no more: end it, and have the record say why."""
        self.permit = None
        self._give_up(refusal, outcome_of(refusal))

    def left(self) -> None:
        """The client has gone; the feed need not go on."""
        if self.over:
            return
        if self.uplink is not None:
            self.uplink.abandon()
        self._end(Outcome.PERMIT if self.tunnelling else Outcome.ABORT, keeps=False, cut=True)

    def _give_up(self, refusal: Refusal, outcome: Outcome) -> None:
        """Answer with a refusal; `outcome` is that of an answer which had begun, and is cut."""
        if self.over:
            return
        if self.uplink is not None:
            self.uplink.abandon()
            self.uplink = None
        if self.answering:
            self.refusal = refusal
            self._end(outcome, keeps=False, cut=True)
        else:
            self.refuse(refusal)

    # The end

    def _answered(self) -> None:
        self._answer_ended = monotonic()
        self._end(Outcome.PERMIT, keeps=self._keeps_alive)

    def _connection_line(self, *, keeps: bool) -> bytes:
        if not keeps:
            return b"Connection: close\r\n"
        return b"" if self.line.keeps_alive else b"Connection: keep-alive\r\n"

    def _end(self, outcome: Outcome, *, keeps: bool, cut: bool = False) -> None:
        self.over = True
        self.uplink = None
        if self.room is not None:
            self.room.leave()
        now = self._answer_ended or monotonic()
        connection = self.connection
        connection.listener.observer.exchange(record_of(self, outcome, now))
        connection.turn_ended(now, keeps=keeps, cut=cut)
