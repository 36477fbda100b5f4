"""The whole configuration: main file and route maps read together, so that all problems are told at once."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import orjson

from gateway.certificates import check_certificates
from gateway.collector import collecting_later
from gateway.document.files import Files
from gateway.document.problem import SettingsError
from gateway.document.section import read_section
from gateway.document.yamlfile import Document, Value
from gateway.domain.action import Action
from gateway.domain.feed import Feed
from gateway.routing.loading import read_routes
from gateway.routing.routemap import DEFAULT_ACTIONS, FeedPlace
from gateway.routing.table import RouteTable
from gateway.settings.loading import read_settings
from gateway.settings.model import FeedSettings, Settings


class Configuration(NamedTuple):
    """What a gateway is started with, whole and checked."""

    settings: Settings
    routes: RouteTable


@collecting_later()
def load_everything(
    path: Path, environment: Mapping[str, str], *, certificates: bool = True, files: Files | None = None
) -> Configuration:
    """The settings and the compiled routes. Raises SettingsError with every problem of every file at once.

    `certificates` looks into the files of TLS and of issuers' keys too, which not everybody who asks may
    read. `files` are those read before; it keeps those that are read now.
    """
    document, settings = read_settings(path, environment, files)
    if not document.content:
        raise SettingsError(document.problems)
    places = _places(document, settings)
    allowed = _allowed(document, settings)
    table, problems = read_routes(_route_files(document, settings), places, allowed, files)
    if settings is not None and certificates:
        check_certificates(document, settings)
        _check_key_sets(document, settings)
    if settings is None or table is None or document.problems:
        raise SettingsError([*document.problems, *problems])
    return Configuration(settings, table)


def _check_key_sets(document: Document, settings: Settings) -> None:
    if settings.authentication.bearer.issuers:
        from gateway.key_sets import check_key_sets  # noqa: PLC0415 - costly, and of no use without issuers

        check_key_sets(document, settings)


def load_routes(settings: Settings) -> RouteTable:
    """The compiled routes of settings that are good. Raises SettingsError with every problem at once."""
    places = [_place(name, feed) for name, feed in settings.feeds.items()]
    table, problems = read_routes(settings.routes, places, frozenset(settings.paths.allow))
    if table is None:
        raise SettingsError(problems)
    return table


def config_hash(configuration: Configuration) -> str:
    """A short hash of what is in effect, secrets left out: equal hashes, equal behaviour.

    Comments, order of keys and the places of files make no difference.
    """
    settings, table = configuration
    effective = settings.model_dump(mode="json", exclude={"routes"})
    effective["paths"]["allow"].sort()
    usual = _words(DEFAULT_ACTIONS)
    routes = sorted(
        (
            route.feed.name,
            route.template.text,
            route.module or "",
            usual if route.actions is DEFAULT_ACTIONS else _words(route.actions),
            route.route.public,
            route.route.max_body if route.route.max_body is not None else -1,
        )
        for route in table.routes
    )
    feeds = sorted((mapped.feed.name, sorted(mapped.hosts), mapped.prefix) for mapped in table.maps)
    data = orjson.dumps([effective, feeds, routes, sorted(table.labels.items())], option=orjson.OPT_SORT_KEYS)
    return sha256(data).hexdigest()[:12]


def _words(actions: Mapping[str, Action]) -> list[tuple[str, str]]:
    return sorted((method, action.word) for method, action in actions.items())


def _place(name: str, feed: FeedSettings, document: Document | None = None) -> FeedPlace:
    """A configured feed for the route maps, with its line where the file is at hand."""
    known = Feed(name, feed.enabled, feed.enforcement)
    if document is None:
        return FeedPlace(known, feed.host, feed.prefix)
    return FeedPlace(known, feed.host, feed.prefix, document.file, document.line(("feeds", name)))


def _places(document: Document, settings: Settings | None) -> list[FeedPlace]:
    """The feeds; from a file with problems those that can be made out, so that its maps are checked too."""
    if settings is not None:
        return [_place(name, feed, document) for name, feed in settings.feeds.items()]
    written = document.content.get("feeds")
    if not isinstance(written, dict):
        return []
    return [_salvaged(document, name, content) for name, content in written.items()]


def _salvaged(document: Document, name: str, content: Value) -> FeedPlace:
    feed = read_section(document, FeedSettings, content, ("feeds", name))
    if feed is None:
        return FeedPlace(Feed(name), file=document.file, line=document.line(("feeds", name)), sound=False)
    return _place(name, feed, document)


def _route_files(document: Document, settings: Settings | None) -> tuple[Path, ...]:
    """The route files; from a file with problems those that it names well."""
    if settings is not None:
        return settings.routes
    written = document.content.get("routes")
    names = [written] if isinstance(written, str) else written if isinstance(written, list) else []
    base = document.path.absolute().parent
    named = (base / name for name in names if isinstance(name, str) and name)
    return tuple(dict.fromkeys(named)) if ("routes",) not in document.spoilt else ()


def _allowed(document: Document, settings: Settings | None) -> frozenset[str]:
    """The relaxed path rules; from a file with problems whatever it names."""
    if settings is not None:
        return frozenset(settings.paths.allow)
    paths = document.content.get("paths")
    allow = paths.get("allow") if isinstance(paths, dict) else None
    return (
        frozenset(word for word in allow if isinstance(word, str)) if isinstance(allow, list) else frozenset()
    )
