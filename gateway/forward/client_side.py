"""What forwarding needs from the client's side of an exchange, and tells it."""

from typing import Protocol

from gateway.domain.verdict import Reason
from gateway.forward.prepared import Prepared
from gateway.forward.room import Taken
from gateway.http1.answer import AnswerHead
from gateway.http1.head import Section


class Uplink(Protocol):
    """The way up to the feed, as the client's side sees it."""

    def send(self, content: bytes, *, done: bool) -> None:
        """Send a piece of the request's body."""
        ...

    def end(self) -> None:
        """The client will send nothing more through a tunnel."""
        ...

    def hold_answer(self) -> None:
        """The client reads slowly: take nothing more from the feed for now."""
        ...

    def resume_answer(self) -> None:
        """The client has caught up."""
        ...

    def abandon(self) -> None:
        """The client has left: give the request up at once."""
        ...


class ClientSide(Protocol):
    """One exchange, from the feed's end. Callbacks come in order, and none after `failed` or the end.

    `method`, `target` (path and query), `section`, `own_lines` (forwarding headers, each with CRLF) and
    `request_id` say what to send; `upgrade` is the protocol to ask for, or empty; `prepared` keeps bytes that
    repeat with the header section. `over` says that nobody waits for the answer any more. `room`
    is what was taken for the exchange, to be given back at its end.
    """

    method: str
    target: bytes
    upgrade: bytes
    section: Section
    own_lines: bytes
    request_id: bytes
    prepared: Prepared
    upload_done: bool
    upload_begun: bool
    over: bool
    room: Taken | None

    def begun(self, uplink: Uplink, now: float) -> None:
        """The head is on its way at `now` (monotonic seconds); the body may follow."""
        ...

    def interim(self, head: AnswerHead) -> None:
        """A 1xx answer."""
        ...

    def switched(self, head: AnswerHead) -> None:
        """The feed has switched to the protocol asked for: all that follows, both ways, is content."""
        ...

    def answer(self, head: AnswerHead, content: bytes, *, sized: bool, done: bool) -> None:
        """The answer's head and the first of its content.

        `sized` says that the content has the length its head states, or none; else it ends where `done` says.
        """
        ...

    def content(self, content: bytes, *, done: bool) -> None:
        """More of the answer's content."""
        ...

    def half_closed(self) -> None:
        """The feed sends nothing more through the tunnel, and may still be sent to."""
        ...

    def again(self) -> None:
        """The connection was of no use, and the request is sent on another: until then the body waits."""
        ...

    def failed(self, reason: Reason, detail: str = "") -> None:
        """The feed failed; whatever was relayed so far is not whole."""
        ...

    def hold_upload(self) -> None:
        """The feed reads slowly: take nothing more from the client for now."""
        ...

    def resume_upload(self) -> None:
        """The feed has caught up."""
        ...
