"""One exchange, one record, always: refusals, faults and hang-ups too."""

from enum import StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """How an exchange ended, closed."""

    PERMIT = "permit"
    """Forwarded, and the feed's answer relayed whole."""
    REFUSE = "refuse"
    """Answered by the gateway: not allowed, not mapped, or not HTTP."""
    ERROR = "error"
    """Permitted, but the feed failed or was cut short, or the gateway could not judge."""
    PREFLIGHT = "preflight"
    """A browser's question before a request, answered by the gateway from the feed's policy for origins."""
    METADATA = "metadata"
    """What the gateway says of itself as a protected resource, read by whoever asks."""
    ABORT = "abort"
    """The client left before the end."""


class Exchange(NamedTuple):
    """The record of one exchange. Texts are ASCII; no secret and no query value is ever in here.

    `ts` is seconds since the epoch at the last byte of the request's head, `ms` and `upstream_ms` are
    milliseconds, bytes count bodies as they crossed the client's connection. What is not known is None.
    """

    ts: float
    request_id: str
    client: str
    method: str | None
    path: str | None
    feed: str | None
    route: str | None
    module: str | None
    action: str | None
    principal: str | None
    key_id: int | None
    outcome: Outcome
    code: str | None
    scope: str | None
    status: int
    bytes_in: int
    bytes_out: int
    ms: float
    upstream_ms: float | None
    would_deny: str | None
