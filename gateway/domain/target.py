"""What a request is for: the feed, the route, the module and the action that its path and method mean."""

from dataclasses import dataclass

from gateway.domain.action import Action
from gateway.domain.feed import Feed
from gateway.domain.verdict import Reason


@dataclass(frozen=True, slots=True)
class Route:
    """One line of a route map. `where` is `file:line`; `max_body` is in bytes, None for the general limit."""

    template: str
    where: str
    public: bool = False
    max_body: int | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A mapped request. A public route may have no module; any other has module, bit and action."""

    feed: Feed
    route: Route
    module: str | None
    bit: int
    action: Action | None


@dataclass(frozen=True, slots=True)
class Unmapped:
    """A request that no route, or no method of its route, maps; never forwarded unless the feed observes.

    `reason` is ROUTE_UNMAPPED or METHOD_UNMAPPED; `allow` lists the methods the route does map, for `Allow`.
    `feed` is None when not even a feed matches the host and the prefix.
    """

    feed: Feed | None
    reason: Reason
    route: Route | None = None
    allow: tuple[str, ...] = ()
