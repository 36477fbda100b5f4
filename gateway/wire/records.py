"""The record of an exchange that has ended, and of what never became one."""

from time import time
from typing import TYPE_CHECKING, Final

from gateway.decision.settled import settled_by
from gateway.domain.exchange import Exchange, Outcome
from gateway.domain.target import Target
from gateway.domain.verdict import Reason, Refusal
from gateway.http1.head import RequestLine

if TYPE_CHECKING:
    from gateway.wire.turn import Turn

LONGEST_LOGGED_PATH: Final = 2048
CUT: Final = b"..."
"""How a path ends that was cut for the record."""

FAULTS: Final = frozenset(
    {
        Reason.UPSTREAM_UNREACHABLE,
        Reason.UPSTREAM_INVALID,
        Reason.UPSTREAM_TIMEOUT,
        Reason.STORE_UNAVAILABLE,
        Reason.KEYS_UNAVAILABLE,
    }
)
"""What the client has no part in: a feed that failed, or a gateway that could not judge."""


def outcome_of(refusal: Refusal) -> Outcome:
    """How an exchange ended that was refused for this."""
    return Outcome.ERROR if refusal.reason in FAULTS else Outcome.REFUSE


def record_of(turn: "Turn", outcome: Outcome, now: float) -> Exchange:
    """The record of a turn that ended at `now` (monotonic seconds)."""
    place, principal, refusal, permit = turn.place, turn.principal, turn.refusal, turn.permit
    target = place if isinstance(place, Target) else None
    scope = None if refusal is None else refusal.scope
    if permit is not None and principal is not None and target is not None:
        scopes = principal.scopes
        proven_alone = len(scopes) == 1 and permit.principal is principal
        scope = scopes[0].name if proven_alone else settled_by(principal, target)
    return Exchange(
        turn.ts,
        turn.request_id.decode("ascii"),
        turn.connection.peer.client_address(turn.section),
        turn.method,
        _shown(turn.path),
        None if place is None or place.feed is None else place.feed.name,
        None if place is None or place.route is None else place.route.template,
        None if target is None else target.module,
        None if target is None or target.action is None else target.action.word,
        None if principal is None else principal.name,
        None if principal is None else principal.key_id,
        outcome,
        None if refusal is None else refusal.reason,
        scope,
        turn.status,
        turn.bytes_in,
        turn.bytes_out,
        (now - turn.started) * 1000,
        None if turn.sent_at is None else (now - turn.sent_at) * 1000,
        None if permit is None or permit.would_deny is None else permit.would_deny,
    )


def record_unread(address: str, request_id: str, refusal: Refusal, line: RequestLine | None) -> Exchange:
    """The record of something that did not become an exchange: no route, no caller, no time."""
    return Exchange(
        ts=time(),
        request_id=request_id,
        client=address,
        method=None if line is None else line.method,
        path=None if line is None else _shown(line.path),
        feed=None,
        route=None,
        module=None,
        action=None,
        principal=None,
        key_id=None,
        outcome=Outcome.REFUSE,
        code=refusal.reason,
        scope=None,
        status=refusal.answer.status,
        bytes_in=0,
        bytes_out=0,
        ms=0.0,
        upstream_ms=None,
        would_deny=None,
    )


def _shown(path: bytes) -> str:
    if len(path) > LONGEST_LOGGED_PATH:
        path = path[: LONGEST_LOGGED_PATH - len(CUT)] + CUT
    return path.decode("ascii", "backslashreplace")
