"""What in a good route map may still surprise: each finding with a path that shows it.

Nothing here is an error. An overlap is often meant; that it is there, and who wins, should be known.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, count
from typing import Final

from gateway.domain.action import Action
from gateway.domain.target import Route
from gateway.routing.routemap import DEFAULT_ACTIONS, MappedRoute, RouteMap
from gateway.routing.table import RouteTable
from gateway.routing.template import Segment, Shape, Wild

WRITES: Final = tuple(method for method, action in DEFAULT_ACTIONS.items() if action is not Action.READ)
NAMED: Final = 3
"""How many of the templates that beat one are named."""


class Kind(StrEnum):
    """What can be found, closed."""

    OVERLAP = "overlap"
    UNREACHABLE = "unreachable"
    WRITE_AS_READ = "write-as-read"
    UNUSED_MODULE = "unused-module"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know. `where` is `file:line`; `path` shows it, None where there is no path to show."""

    kind: Kind
    feed: str
    where: str
    message: str
    path: str | None = None

    def __str__(self) -> str:
        shown = f" (see {self.path})" if self.path else ""
        return f"{self.where}: {self.kind.value}: {self.message}{shown}"


def findings(table: RouteTable) -> list[Finding]:
    """Everything there is to know about the maps of a table, feed by feed."""
    return list(chain.from_iterable(_findings_in(table, mapped) for mapped in table.maps))


def _findings_in(table: RouteTable, mapped: RouteMap) -> Iterator[Finding]:
    look = _Look(table, mapped)
    seen: set[Shape] = set()
    for route in mapped.routes:
        if route.template.shape not in seen:
            seen.add(route.template.shape)
            yield from look.unreachable(route) or look.overlap(route)
        yield from look.write_as_read(route)
    used = {route.module for route in mapped.routes}
    for module in mapped.modules:
        if module.name not in used:
            said = f"no route has the module {module.name}"
            yield Finding(Kind.UNUSED_MODULE, mapped.feed.name, module.where, said)


class _Look:
    """Looks at one feed's routes, and asks the table itself who wins a path."""

    def __init__(self, table: RouteTable, mapped: RouteMap) -> None:
        self.table = table
        self.mapped = mapped
        self.host = mapped.hosts[0].encode() if mapped.hosts else b""
        self.tree = _Tree(mapped.routes)
        literals = {
            part for route in mapped.routes for part in route.template.shape if isinstance(part, bytes)
        }
        self.fresh = next(word for word in _words() if word not in literals)

    def winner(self, path: bytes) -> tuple[Route | None, str]:
        """The route a path comes to, and the feed."""
        placed = self.table.place("GET", self.host, path)
        return placed.route, placed.feed.name if placed.feed else ""

    def path_of(self, shape: Shape, further: int = 0) -> bytes:
        """A path of a shape, its wild segments filled with a word no template has."""
        return b"/" + b"/".join(_filled(shape, self.fresh) + (self.fresh,) * further)

    def lengths(self, shape: Shape) -> Sequence[int]:
        """How many further segments to try behind a shape: for `**` up to beyond the deepest template."""
        return range(self.tree.depth - len(shape) + 3) if shape[-1:] == (Wild.REST,) else (0,)

    def reached(self, route: MappedRoute) -> bytes | None:
        """A path that comes to the route, None if there is none.

        Words that no template has are what a literal cannot take away, so if these paths are lost, all are.
        """
        for further in self.lengths(route.template.shape):
            path = self.path_of(route.template.shape, further)
            if self._is_at(path, route):
                return path
        return None

    def _is_at(self, path: bytes, route: MappedRoute) -> bool:
        placed = self.winner(path)[0]
        return placed is not None and placed.where in self.tree.wheres(route.template.shape)

    def unreachable(self, route: MappedRoute) -> list[Finding]:
        """The finding that a route gets no request at all."""
        if self.reached(route) is not None:
            return []
        path = self.path_of(route.template.shape)
        winner, feed = self.winner(path)
        by = f"{winner.template} at {winner.where}" if winner else f"the feed {feed}"
        said = f"{route.template.text} is never reached: its paths go to {by}"
        return [Finding(Kind.UNREACHABLE, self.mapped.feed.name, route.route.where, said, path.decode())]

    def overlap(self, route: MappedRoute) -> list[Finding]:
        """The finding that some of a route's paths go to nearer templates."""
        shape = route.template.shape
        beaten_by: dict[str, tuple[Route, bytes]] = {}
        for other, path in self.tree.meeting(shape, self.fresh):
            winner = self.winner(path)[0]
            if winner is not None and winner.where in self.tree.wheres(other.template.shape):
                beaten_by.setdefault(other.route.where, (other.route, path))
        if not beaten_by:
            return []
        path = next(iter(beaten_by.values()))[1]
        named = [f"{other.template} at {other.where}" for other, _ in list(beaten_by.values())[:NAMED]]
        more = f" and {len(beaten_by) - NAMED} more" if len(beaten_by) > NAMED else ""
        said = f"{route.template.text} also matches paths that go to {', '.join(named)}{more}"
        return [Finding(Kind.OVERLAP, self.mapped.feed.name, route.route.where, said, path.decode())]

    def write_as_read(self, route: MappedRoute) -> Iterator[Finding]:
        """The findings that a method that usually writes asks for no more than read."""
        methods = [method for method in WRITES if route.actions.get(method) is Action.READ]
        path = self.reached(route) if methods else None
        if path is not None:
            said = f"{', '.join(methods)} {route.template.text} needs no more than read"
            if route.module:
                said += f" of {route.module}"
            yield Finding(Kind.WRITE_AS_READ, self.mapped.feed.name, route.route.where, said, path.decode())


class _Tree:
    """The routes of a feed by shape, to find those that share a path with another without trying all."""

    def __init__(self, routes: Iterable[MappedRoute]) -> None:
        self.by_shape: dict[Shape, list[MappedRoute]] = {}
        self.below: dict[Shape, dict[Segment, None]] = {}
        self.depth = 0
        for route in routes:
            shape = route.template.shape
            self.depth = max(self.depth, len(shape))
            self.by_shape.setdefault(shape, []).append(route)
            for at in range(len(shape)):
                self.below.setdefault(shape[:at], {})[shape[at]] = None

    def wheres(self, shape: Shape) -> set[str]:
        """The lines that have this very shape."""
        return {route.route.where for route in self.by_shape.get(shape, ())}

    def meeting(self, shape: Shape, fresh: bytes) -> Iterator[tuple[MappedRoute, bytes]]:
        """Each route of another shape that matches some path of this one, with such a path."""
        pending: list[tuple[Shape, int, tuple[bytes, ...]]] = [((), 0, ())]
        while pending:
            here, at, path = pending.pop()
            asked = shape[at] if at < len(shape) else None
            if asked in {None, Wild.REST}:
                yield from self._ending(here, shape, path)
            if (below := self.below.get(here)) is None:
                continue
            if Wild.REST in below:
                yield from self._ending((*here, Wild.REST), shape, path + _filled(shape[at:], fresh))
            if asked is None:
                continue
            further = at if asked is Wild.REST else at + 1
            nearer = list(below) if isinstance(asked, Wild) else [asked, Wild.ONE]
            for segment in nearer:
                if segment in below and segment is not Wild.REST:
                    word = next((part for part in (segment, asked) if isinstance(part, bytes)), fresh)
                    pending.append(((*here, segment), further, (*path, word)))

    def _ending(
        self, here: Shape, shape: Shape, path: tuple[bytes, ...]
    ) -> Iterator[tuple[MappedRoute, bytes]]:
        if here != shape and here in self.by_shape:
            yield self.by_shape[here][0], b"/" + b"/".join(path)


def _words() -> Iterator[bytes]:
    """`any`, `any1`, `any2`, and so on."""
    yield b"any"
    yield from (b"any%d" % number for number in count(1))


def _filled(shape: Shape, fresh: bytes) -> tuple[bytes, ...]:
    """The segments of a path of this shape, placeholders filled and the rest left out."""
    return tuple(part if isinstance(part, bytes) else fresh for part in shape if part is not Wild.REST)
