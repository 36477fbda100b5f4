"""A route map as values: which paths and methods of a feed mean which module and action."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from gateway.domain.action import Action
from gateway.domain.feed import Feed
from gateway.domain.target import Route
from gateway.routing.template import Template

DEFAULT_ACTIONS: Final[Mapping[str, Action]] = MappingProxyType(
    {
        "GET": Action.READ,
        "HEAD": Action.READ,
        "POST": Action.CREATE,
        "PUT": Action.UPDATE,
        "PATCH": Action.UPDATE,
        "DELETE": Action.DELETE,
    }
)
"""What methods mean unless a route says otherwise; any other method has no action."""

METHODS: Final = frozenset(
    {
        *("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY"),
        *(
            "ACL",
            "BIND",
            "CHECKOUT",
            "COPY",
            "LINK",
            "LOCK",
            "MERGE",
            "MKACTIVITY",
            "MKCALENDAR",
            "MKCOL",
            "MOVE",
        ),
        *("M-SEARCH", "NOTIFY", "PROPFIND", "PROPPATCH", "PURGE", "REBIND", "REPORT", "SEARCH", "SOURCE"),
        *("SUBSCRIBE", "UNBIND", "UNLINK", "UNLOCK", "UNSUBSCRIBE"),
    }
)
"""The methods that can be mapped: those HTTP knows, but TRACE and CONNECT, which are never forwarded."""


@dataclass(frozen=True, slots=True)
class FeedPlace:
    """A configured feed, and what tells its requests from other feeds'.

    No hosts: every host. `prefix` is a path of whole segments, empty for every path. `file` and `line` say
    where it is configured. `sound` is false when its settings have problems, so that nothing can follow
    from hosts and prefix.
    """

    feed: Feed
    hosts: tuple[str, ...] = ()
    prefix: str = ""
    file: str = "configuration"
    line: int | None = None
    sound: bool = True


@dataclass(frozen=True, slots=True)
class MappedRoute:
    """One line of a route map: a template, and the action of each method it maps."""

    feed: Feed
    template: Template
    route: Route
    module: str | None
    actions: Mapping[str, Action]


@dataclass(frozen=True, slots=True)
class Module:
    """An area of a feed's data, and where a map names it as `file:line`."""

    name: str
    label: str
    where: str


@dataclass(frozen=True, slots=True)
class RouteMap:
    """All that maps one feed, from however many files."""

    feed: Feed
    hosts: tuple[str, ...] = ()
    prefix: str = ""
    modules: tuple[Module, ...] = ()
    routes: tuple[MappedRoute, ...] = field(default=(), repr=False)


def actions_of(said: Mapping[str, Action], *, only: bool) -> Mapping[str, Action]:
    """The action of each method a route maps.

    `said` stands over the defaults, or alone with `only`. HEAD asks for what GET would answer (RFC 9110
    §9.3.2), so it means what GET means unless it is named itself.
    """
    if only:
        return said
    if not said:
        return DEFAULT_ACTIONS
    actions = {**DEFAULT_ACTIONS, **said}
    if "HEAD" not in said:
        actions["HEAD"] = actions["GET"]
    return actions
