"""From route map files to a compiled table, or to everything that is wrong with them.

A feed may be spread over several files, so that each team keeps the routes of its own modules; what the
files say about the feed itself must agree. A module name means the same module in every file and feed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, field_validator

from gateway.document.fields import HostNames, Prefix
from gateway.document.files import Files
from gateway.document.problem import Problem, SettingsError, nearest
from gateway.document.section import Section, read_section, unfit
from gateway.document.yamlfile import Document, read_document
from gateway.domain.feed import Feed
from gateway.domain.scope import MODULE_NAME
from gateway.routing.routeline import LineReader
from gateway.routing.routemap import FeedPlace, MappedRoute, Module, RouteMap
from gateway.routing.table import RouteTable
from gateway.routing.template import Shape

NAME_HINT: Final = "use lower-case letters, digits and . _ -, 64 at most"
SAY_ONCE: Final = "say it once, in the main file or here"


class RouteFile(Section):
    """The shape of a route map file; its lines are read one by one, so that a bad one hides no other."""

    feed: str
    host: HostNames | None = None
    prefix: Prefix | None = None
    modules: Mapping[str, str] = {}
    routes: Annotated[tuple[object, ...], Field(min_length=1)]

    @field_validator("modules")
    @classmethod
    def _named(cls, modules: Mapping[str, str]) -> Mapping[str, str]:
        """Modules under names that scopes can hold."""
        for name in modules:
            if MODULE_NAME.fullmatch(name) is None:
                raise unfit(f"{name[:80]!r} cannot name a module", NAME_HINT)
        return modules


@dataclass(slots=True)
class _Draft:
    """What is known of one feed while its files are read."""

    place: FeedPlace
    hosts: tuple[str, ...]
    prefix: str
    modules: dict[str, Module] = field(default_factory=dict)
    routes: list[MappedRoute] = field(default_factory=list)
    mapped: bool = False


@dataclass(slots=True)
class _Reading:
    """One route file: the document, its head if it is good, and the feed it maps if that is configured."""

    document: Document
    head: RouteFile | None
    draft: _Draft | None = None


def load_routes(files: Sequence[Path], feeds: Sequence[FeedPlace], allowed: frozenset[str]) -> RouteTable:
    """The compiled table of the files. Raises SettingsError with every problem of every file at once."""
    table, problems = read_routes(files, feeds, allowed)
    if table is None:
        raise SettingsError(problems)
    return table


def read_routes(
    files: Sequence[Path], feeds: Sequence[FeedPlace], allowed: frozenset[str], read: Files | None = None
) -> tuple[RouteTable | None, list[Problem]]:
    """The compiled table, or None and what is wrong, file by file.

    `allowed` holds the relaxed path rules; a template must be a path that these rules let through.
    `read` are the files that were read before.
    """
    drafts = {place.feed.name: _Draft(place, place.hosts, place.prefix) for place in feeds}
    readings = [_read_head(file, drafts, read) for file in files]
    _name_modules(readings)
    for reading in readings:
        _read_lines(reading, allowed)
    problems = []
    for reading in readings:
        reading.document.problems.sort(key=lambda problem: problem.line or 0)
        problems += reading.document.problems
    whole = all(reading.draft is not None for reading in readings)
    problems += _unmapped_feeds(drafts.values()) if whole else []
    problems += _alike(list(drafts.values()))
    if problems:
        return None, problems
    return RouteTable(map(_finished, drafts.values())), []


def _finished(draft: _Draft) -> RouteMap:
    modules = tuple(draft.modules.values())
    return RouteMap(draft.place.feed, draft.hosts, draft.prefix, modules, tuple(draft.routes))


def _read_head(file: Path, drafts: Mapping[str, _Draft], read: Files | None) -> _Reading:
    """Read a file and what it says about its feed."""
    document = read_document(file, None, read)
    if not document.content:
        return _Reading(document, None)
    head = read_section(document, RouteFile, document.content)
    name = document.content.get("feed")
    draft = drafts.get(name) if isinstance(name, str) else None
    if draft is None and isinstance(name, str):
        document.complain(
            ("feed",),
            f"the feed {name[:80]!r} is not configured",
            nearest(name, drafts, what="configured feeds"),
        )
    if draft is not None:
        draft.mapped = True
        if head is not None:
            _tell_apart(document, head, draft)
    return _Reading(document, head, draft)


def _tell_apart(document: Document, head: RouteFile, draft: _Draft) -> None:
    """Take over what the file says about host and prefix, unless something else was said before."""
    if head.host and draft.hosts and set(head.host) != set(draft.hosts):
        document.complain(
            ("host",), f"differs from what the feed has elsewhere, {', '.join(draft.hosts)}", SAY_ONCE
        )
    if head.prefix and draft.prefix and head.prefix != draft.prefix:
        document.complain(("prefix",), f"differs from what the feed has elsewhere, {draft.prefix}", SAY_ONCE)
    draft.hosts = draft.hosts or head.host or ()
    draft.prefix = draft.prefix or head.prefix or ""


def _name_modules(readings: Iterable[_Reading]) -> None:
    """Collect the modules of each feed; one name has one label everywhere."""
    first: dict[str, Module] = {}
    for reading in readings:
        document, draft = reading.document, reading.draft
        named = document.content.get("modules")
        if not isinstance(named, dict):
            continue
        for name, label in named.items():
            if not isinstance(label, str):
                label = name  # noqa: PLW2901 - its problem is told already, and its routes are good
            module = Module(name, label, document.where(("modules", name)))
            known = first.setdefault(name, module)
            if known.label != label:
                document.complain(
                    ("modules", name),
                    f"is labelled {known.label!r} at {known.where}",
                    "a name means one module",
                )
            if draft is not None:
                draft.modules.setdefault(name, module)


def _read_lines(reading: _Reading, allowed: frozenset[str]) -> None:
    """Read the routes of a file into its feed's draft."""
    document, draft = reading.document, reading.draft
    lines = document.content.get("routes")
    if not isinstance(lines, list):
        return
    feed = draft.place.feed if draft else Feed("unknown")
    named = document.content.get("modules")
    modules = draft.modules if draft else dict.fromkeys(named if isinstance(named, dict) else ())
    prefix = draft.prefix if draft and draft.place.sound else ""
    reader = LineReader(document, feed, frozenset(modules), prefix, allowed)
    routes = [route for place, line in enumerate(lines) if (route := reader.read(place, line)) is not None]
    if draft is not None:
        _refuse_conflicts(document, [*((None, route) for route in draft.routes), *routes])
        draft.routes += [route for _, route in routes]


def _refuse_conflicts(document: Document, routes: Iterable[tuple[int | None, MappedRoute]]) -> None:
    """Complain about routes of one shape that share a method; both lines are named."""
    alike: dict[Shape, list[MappedRoute]] = {}
    for place, route in routes:
        before = alike.setdefault(route.template.shape, [])
        shared: dict[str, list[str]] = {}
        for method in route.actions if before else ():
            other = next((one for one in before if method in one.actions), None)
            if other is not None:
                shared.setdefault(other.route.where, []).append(method)
        before.append(route)
        for where, methods in shared.items():
            document.complain(
                () if place is None else ("routes", place, "path"),
                f"{route.template.text} matches the same paths as the route at {where}, and both map "
                f"{', '.join(sorted(methods))}",
                "keep one of them, or give each its own methods with `only: true`",
            )


def _unmapped_feeds(drafts: Iterable[_Draft]) -> list[Problem]:
    """Configured feeds that no file maps; every request to them would be refused."""
    return [
        Problem(
            place.file,
            place.line,
            f"feeds.{place.feed.name}",
            "has no route map",
            f"list a file with `feed: {place.feed.name}` under routes",
        )
        for draft in drafts
        if not draft.mapped and (place := draft.place).sound
    ]


def _alike(drafts: Sequence[_Draft]) -> list[Problem]:
    """Feeds that no request could be told apart by."""
    problems, taken = [], dict[tuple[str, str], _Draft]()
    for draft in drafts:
        if not draft.place.sound:
            continue
        for host in draft.hosts or ("",):
            other = taken.setdefault((host, draft.prefix), draft)
            if other is draft:
                continue
            place, name = draft.place, draft.place.feed.name
            both = f"both have {f'host {host}' if host else 'no host'} and {draft.prefix or 'no'} prefix"
            problems.append(
                Problem(
                    place.file,
                    place.line,
                    f"feeds.{name}",
                    f"cannot be told apart from the feed {other.place.feed.name}: {both}",
                    "give each feed a host or a prefix of its own",
                )
            )
    return problems
