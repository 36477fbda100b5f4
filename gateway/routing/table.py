"""The compiled route maps: from method, host and canonical path to a target.

The cost does not grow with the number of routes: templates without placeholders are one dictionary; the rest
is a tree of segments, in which a literal goes before `{name}` and `{name}` before `**`, with a way back when
the nearer choice leads nowhere. The best template decides; that it lacks the method never opens a lesser one.
Every answer is made when compiling.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from gateway.domain.feed import Feed
from gateway.domain.rights import ModuleIndex
from gateway.domain.target import Target, Unmapped
from gateway.domain.verdict import Reason
from gateway.routing.routemap import MappedRoute, RouteMap
from gateway.routing.template import Shape, Wild, segments_of

NO_BIT: Final = -1
"""The bit of a public route without a module: asking rights for it is an error, never a permit."""

NO_FEED: Final = Unmapped(None, Reason.ROUTE_UNMAPPED)


@dataclass(slots=True, eq=False)
class Leaf:
    """Where templates of one shape end: a target for each method, and the answer to every other method."""

    targets: dict[str, Target] = field(default_factory=dict)
    unmapped: Unmapped = NO_FEED

    def add(self, route: MappedRoute, index: ModuleIndex) -> None:
        """Map the route's methods here."""
        bit = NO_BIT if route.module is None else index.bits[route.module]
        for_action = {
            action: Target(route.feed, route.route, route.module, bit, action)
            for action in set(route.actions.values())
        }
        for method, action in route.actions.items():
            self.targets[method] = for_action[action]
        first = self.unmapped.route or route.route
        self.unmapped = Unmapped(route.feed, Reason.METHOD_UNMAPPED, first, tuple(sorted(self.targets)))


@dataclass(slots=True, eq=False)
class Node:
    """A place in the tree of segments."""

    literals: dict[bytes, "Node"] = field(default_factory=dict)
    one: "Node | None" = None
    rest: Leaf | None = None
    end: Leaf | None = None

    def leaf(self, shape: Shape) -> Leaf:
        """The leaf of a shape below this node, made if it is new."""
        node = self
        for segment in shape:
            if segment is Wild.REST:
                node.rest = node.rest or Leaf()
                return node.rest
            if segment is Wild.ONE:
                node.one = node.one or Node()
                node = node.one
            else:
                node = node.literals.setdefault(segment, Node())
        node.end = node.end or Leaf()
        return node.end

    def find(self, segments: Sequence[bytes], at: int) -> Leaf | None:
        """The best leaf for the segments from `at` on; never deeper than the deepest template."""
        node = self
        for place in range(at, len(segments)):
            segment = segments[place]
            literal, one = node.literals.get(segment), node.one if segment else None
            if one is None and literal is not None and node.rest is None:
                node = literal
            elif literal is None and one is not None and node.rest is None:
                node = one
            else:
                return node.choose(literal, one, segments, place + 1)
        return node.end or node.rest

    def choose(
        self, literal: "Node | None", one: "Node | None", segments: Sequence[bytes], at: int
    ) -> Leaf | None:
        """The best leaf by way of the literal, else of the placeholder, else the rest from here."""
        if literal is not None and (leaf := literal.find(segments, at)) is not None:
            return leaf
        if one is not None and (leaf := one.find(segments, at)) is not None:
            return leaf
        return self.rest


class FeedTable:
    """One feed's routes, compiled."""

    __slots__ = ("_literal", "_tree", "_unmapped", "feed", "hosts", "prefix")

    def __init__(self, mapped: RouteMap, index: ModuleIndex) -> None:
        self.feed: Final = mapped.feed
        self.hosts: Final = mapped.hosts
        self.prefix: Final = mapped.prefix.encode()
        self._tree: Final = Node()
        self._literal: Final[dict[bytes, Leaf]] = {}
        self._unmapped: Final = Unmapped(mapped.feed, Reason.ROUTE_UNMAPPED)
        for route in mapped.routes:
            leaf = self._tree.leaf(route.template.shape)
            leaf.add(route, index)
            literal = route.template.literal
            if literal is not None:
                self._literal[literal] = self._literal[literal.removesuffix(b"/") + b"/"] = leaf

    def covers(self, path: bytes) -> bool:
        """Whether the path is below the feed's prefix."""
        prefix = self.prefix
        return path.startswith(prefix) and (
            len(path) == len(prefix) or path[len(prefix)] == ord("/") or not prefix
        )

    def place(self, method: str, path: bytes) -> Target | Unmapped:
        """What a request to this feed is for."""
        leaf = self._literal.get(path) or self._tree.find(segments_of(path), 0)
        if leaf is None:
            return self._unmapped
        return leaf.targets.get(method) or leaf.unmapped


class RouteTable:
    """Every feed's routes, compiled; made once, never changed, swapped whole."""

    def __init__(self, maps: Iterable[RouteMap]) -> None:
        self.maps: Final = tuple(maps)
        names = (module.name for mapped in self.maps for module in mapped.modules)
        self.modules: Final = ModuleIndex.of(names)
        """The bit of each module; a name means the same module in every feed."""
        self.feeds: Final[Mapping[str, Feed]] = {mapped.feed.name: mapped.feed for mapped in self.maps}
        tables = [FeedTable(mapped, self.modules) for mapped in self.maps]
        tables.sort(key=lambda table: -len(table.prefix))
        anywhere = tuple(table for table in tables if not table.hosts)
        hosts = {host.encode() for table in tables for host in table.hosts}
        self._by_host: Final[dict[bytes, tuple[FeedTable, ...]]] = {
            host: (*(table for table in tables if host.decode() in table.hosts), *anywhere) for host in hosts
        }
        self._anywhere: Final = anywhere
        alone = len(tables) == 1 and not tables[0].hosts and not tables[0].prefix
        self._only: Final = tables[0] if alone else None

    @classmethod
    def of(cls, *maps: RouteMap) -> Self:
        """The table of these maps."""
        return cls(maps)

    @property
    def routes(self) -> tuple[MappedRoute, ...]:
        """Every line of every map."""
        return tuple(route for mapped in self.maps for route in mapped.routes)

    @property
    def labels(self) -> dict[str, str]:
        """What people call each module."""
        return {module.name: module.label for mapped in self.maps for module in mapped.modules}

    def place(self, method: str, host: bytes, path: bytes) -> Target | Unmapped:
        """What a request is for, or why it is for nothing.

        `host` is the Host field as it was sent, `path` is canonical. The nearest feed decides: one that
        names the host before one that does not, then the longest prefix.
        """
        if self._only is not None:
            return self._only.place(method, path)
        for table in self._by_host.get(bare_host(host), self._anywhere):
            if table.covers(path):
                return table.place(method, path)
        return NO_FEED


def bare_host(host: bytes) -> bytes:
    """The host of a Host field: without port, brackets and a last dot, in lower case."""
    if host.startswith(b"["):
        return host[1:].partition(b"]")[0].lower()
    return host.partition(b":")[0].removesuffix(b".").lower()
