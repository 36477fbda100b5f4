"""The linter says what may surprise, each with a path that shows it."""

from pathlib import Path
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.action import Action
from gateway.domain.feed import Feed
from gateway.domain.target import Route
from gateway.routing.lint import Kind, findings
from gateway.routing.loading import load_routes
from gateway.routing.routemap import FeedPlace, MappedRoute, Module, RouteMap, actions_of
from gateway.routing.table import RouteTable
from gateway.routing.template import Template, parse_template

FEED = Feed("training")


def route(text: str, feed: Feed = FEED, **said: Action) -> MappedRoute:
    template = parse_template(text, frozenset())
    assert isinstance(template, Template)
    return MappedRoute(feed, template, Route(text, f"r.yaml:{text}"), "m", actions_of(said, only=False))


def table_of(*texts: str, modules: tuple[str, ...] = ("m",)) -> RouteTable:
    known = tuple(Module(name, name, f"r.yaml:{name}") for name in modules)
    return RouteTable.of(RouteMap(FEED, modules=known, routes=tuple(map(route, texts))))


def found(table: RouteTable) -> list[tuple[Kind, str, str | None]]:
    return [
        (finding.kind, finding.where.removeprefix("r.yaml:"), finding.path) for finding in findings(table)
    ]


@pytest.mark.parametrize(
    ("templates", "expected"),
    [
        (["/a", "/b", "/a/{x}", "/b/{x}/c"], []),
        (["/a/{x}", "/a/b"], [(Kind.OVERLAP, "/a/{x}", "/a/b")]),
        (["/a/b", "/a/**"], [(Kind.OVERLAP, "/a/**", "/a/b")]),
        (["/a", "/a/**"], [(Kind.OVERLAP, "/a/**", "/a")]),
        (["/{x}/b", "/a/{y}"], [(Kind.OVERLAP, "/{x}/b", "/a/b")]),
        (["/any/{y}", "/{x}/any"], [(Kind.OVERLAP, "/{x}/any", "/any/any")]),
        (["/a/{x}/**", "/a/{x}/c/{y}"], [(Kind.OVERLAP, "/a/{x}/**", "/a/any/c/any")]),
        (["/a/**", "/a/{x}/**", "/a"], [(Kind.UNREACHABLE, "/a/**", "/a")]),
        (["/**", "/"], [(Kind.OVERLAP, "/**", "/")]),
    ],
)
def test_overlaps_and_unreachable_templates_are_found(
    templates: list[str], expected: list[tuple[Kind, str, str | None]]
) -> None:
    assert found(table_of(*templates)) == expected


def test_an_overlap_says_who_wins() -> None:
    (finding,) = findings(table_of("/courses/{id}", "/courses/search"))
    assert str(finding) == (
        "r.yaml:/courses/{id}: overlap: /courses/{id} also matches paths that go to /courses/search at "
        "r.yaml:/courses/search (see /courses/search)"
    )


def test_a_catch_all_is_one_finding_however_many_beat_it() -> None:
    (finding,) = findings(table_of("/**", *(f"/a{n}" for n in range(20))))
    assert "and 17 more" in finding.message


def test_a_write_that_only_needs_read_is_found() -> None:
    table = RouteTable.of(
        RouteMap(FEED, modules=(Module("m", "M", ""),), routes=(route("/c/{id}/search", POST=Action.READ),))
    )
    (finding,) = findings(table)
    assert (finding.kind, finding.path) == (Kind.WRITE_AS_READ, "/c/any/search")
    assert "POST /c/{id}/search needs no more than read of m" in finding.message


def test_a_module_without_a_route_is_found() -> None:
    assert found(table_of("/a", modules=("m", "unused"))) == [(Kind.UNUSED_MODULE, "unused", None)]


def test_a_route_that_another_feeds_prefix_takes_is_unreachable() -> None:
    other = Feed("other")
    modules = (Module("m", "M", ""),)
    table = RouteTable.of(
        RouteMap(FEED, modules=modules, routes=(route("/a/x"), route("/b/x"))),
        RouteMap(other, prefix="/a", modules=modules, routes=(route("/a/y", other),)),
    )
    (finding,) = findings(table)
    assert (finding.kind, finding.where) == (Kind.UNREACHABLE, "r.yaml:/a/x")
    assert "its paths go to the feed other" in finding.message


texts = st.builds(
    lambda parts, rest: (
        "/" + "/".join([*(f"{{p{n}}}" if p == "{" else p for n, p in enumerate(parts)), *rest])
    ),
    st.lists(st.sampled_from(["a", "b", "{"]), max_size=3),
    st.sampled_from([[], ["**"]]),
)


@given(st.lists(texts, min_size=1, max_size=8, unique=True))
def test_every_path_shown_is_really_taken_by_another_route(texts: list[str]) -> None:
    shapes = {route(text).template.shape: text for text in texts}
    table = table_of(*shapes.values())
    for kind, template, path in found(table):
        assert path is not None
        placed = table.place("GET", b"", path.encode())
        assert placed.route is not None
        assert kind in {Kind.OVERLAP, Kind.UNREACHABLE}
        assert placed.route.template != template


@given(
    st.lists(texts, min_size=1, max_size=8, unique=True),
    st.lists(st.sampled_from(["a", "b", "z"]), max_size=4),
)
def test_what_is_called_unreachable_is_never_reached(texts: list[str], parts: list[str]) -> None:
    shapes = {route(text).template.shape: text for text in texts}
    table = table_of(*shapes.values())
    lost = {template for kind, template, _ in found(table) if kind is Kind.UNREACHABLE}
    placed = table.place("GET", b"", f"/{'/'.join(parts)}".encode())
    assert placed.route is None or placed.route.template not in lost


def test_a_thousand_modules_are_linted_in_moments(tmp_path: Path) -> None:
    lines = "".join(
        f"  - path: /v2/m{n}/{{id}}\n    module: m\n  - path: /v2/m{n}/search\n    module: m\n"
        for n in range(1000)
    )
    (tmp_path / "r.yaml").write_text(f"feed: training\nmodules: {{m: M}}\nroutes:\n{lines}")
    table = load_routes([tmp_path / "r.yaml"], [FeedPlace(FEED)], frozenset())
    begun = perf_counter()
    assert len(findings(table)) == 1000
    assert perf_counter() - begun < 10
