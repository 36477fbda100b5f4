"""What browsers are told of requests from other origins (Fetch §3.2): one policy a feed, the gateway's own.

Where a feed has a policy, what the feed itself says of origins is left out, so that there is one voice. A
preflight is answered from the policy and the route map; one that the policy has no answer for is a request
like any other. The policy keeps nobody out: browsers heed it, and the credential is what proves a caller.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.domain.feed import Feed
from gateway.domain.target import Target, Unmapped
from gateway.http1.answer import FIRST_FINAL, AnswerHead
from gateway.http1.head import Section

EXPOSED: Final = ("X-Request-Id", "Proxy-Status", "Retry-After", "WWW-Authenticate", "Allow")
"""What a page must see to understand a refusal."""

VARY: Final = b"Vary: Origin\r\n"
"""On every answer of a feed with a policy, so that no cache shows one origin what was said to another."""

OF_ORIGINS: Final = b"access-control-"


@dataclass(frozen=True, slots=True)
class OriginPolicy:
    """What one feed lets browsers do. Origins are as browsers write them; none named means every origin.

    `methods` are those that may be used where the route map has them, `headers` those a request may carry,
    `expose` those of an answer that a page may read beside the gateway's own; `max_age` is in seconds.
    """

    origins: frozenset[str]
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    expose: tuple[str, ...] = ()
    credentials: bool = False
    max_age: int = 600

    def allowing(self, origin: bytes) -> bytes:
        """The lines by which a page of this origin may read an answer; none if it may not."""
        if not self.origins:
            return b"Access-Control-Allow-Origin: *\r\n"
        if origin.decode("latin-1") not in self.origins:
            return b""
        allowed = b"Access-Control-Allow-Origin: %b\r\n" % origin
        return allowed + b"Access-Control-Allow-Credentials: true\r\n" if self.credentials else allowed

    @property
    def exposing(self) -> bytes:
        """The line that names what a page may read of an answer."""
        return _listing("Access-Control-Expose-Headers", (*EXPOSED, *self.expose))

    def offering(self, methods: Sequence[str]) -> bytes:
        """The lines that answer a preflight, but for the origin's: these methods, where allowed."""
        offered = [method for method in self.methods if method in methods]
        return b"".join(
            (
                _listing("Access-Control-Allow-Methods", offered),
                _listing("Access-Control-Allow-Headers", self.headers),
                b"Access-Control-Max-Age: %d\r\n" % self.max_age,
            )
        )


@dataclass(frozen=True, slots=True)
class Preflight:
    """What a browser asks before a request that a page wants to send (Fetch §3.2.2)."""

    origin: bytes
    method: str


class OriginPolicies:
    """The policies of all feeds that have one, by the feed's name."""

    def __init__(self, policies: Mapping[str, OriginPolicy], feeds: int) -> None:
        """`feeds` is how many feeds there are, with or without a policy."""
        self._policies = dict(policies)
        self._only = next(iter(policies.values())) if feeds == len(policies) == 1 else None

    def origin_in(self, section: Section) -> bytes | None:
        """The origin of the page that asks; None without one, and where no policy could heed it."""
        if not self._policies:
            return None
        origins = [value for name, value in section.fields if name.lower() == b"origin"]
        return origins[0] if len(origins) == 1 else None

    def reads(self, name: bytes) -> bool:
        """Whether the value of a header field, its name in lower case, says which page asks."""
        return bool(self._policies) and name == b"origin"

    def preflight_in(self, method: str, section: Section, origin: bytes) -> Preflight | None:
        """What a request with an origin asks, if it is a preflight and not a request of its own."""
        if method != "OPTIONS":
            return None
        asked = [value for name, value in section.fields if name.lower() == b"access-control-request-method"]
        return Preflight(origin, asked[0].decode("latin-1")) if len(asked) == 1 else None

    def answer_to(self, preflight: Preflight, place: Target | Unmapped) -> bytes | None:
        """The lines that answer a preflight, or None where the policy says nothing to its origin.

        `place` is where the route map puts a method that nobody maps. A path that is not mapped is answered
        by the policy alone, so that the map cannot be read from outside.
        """
        policy = None if place.feed is None else self._policies.get(place.feed.name)
        if policy is None:
            return None
        allowing = policy.allowing(preflight.origin)
        if not allowing:
            return None
        mapped = place.allow if isinstance(place, Unmapped) else ()
        return allowing + VARY + policy.offering(mapped or policy.methods)

    def lines(self, origin: bytes | None, feed: Feed | None) -> bytes:
        """The lines that an answer to this origin carries; where no feed is known, those of the only one."""
        if origin is None:
            return b""
        policy = self._only if feed is None else self._policies.get(feed.name)
        if policy is None:
            return b""
        allowing = policy.allowing(origin)
        return allowing + policy.exposing if allowing else b""


def governed(head: AnswerHead) -> AnswerHead:
    """A feed's answer head without what the feed says of origins, and with `Vary: Origin`."""
    if head.status < FIRST_FINAL:
        return head
    first, *lines = head.start.split(b"\r\n")[:-1]
    kept = [line for line in lines if not line.lower().startswith(OF_ORIGINS)]
    return AnswerHead(
        head.status,
        b"\r\n".join((first, *kept, VARY)),
        head.length,
        head.upgrade,
        chunked=head.chunked,
        closes=head.closes,
        streams=head.streams,
    )


def _listing(name: str, members: Sequence[str]) -> bytes:
    return f"{name}: {', '.join(members)}\r\n".encode("ascii") if members else b""
