"""The compiled table finds the best template, at a cost that does not grow."""

import sys
from collections.abc import Callable
from timeit import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.action import Action
from gateway.domain.feed import Feed
from gateway.domain.target import Route, Target, Unmapped
from gateway.domain.verdict import Reason
from gateway.routing.routemap import DEFAULT_ACTIONS, MappedRoute, Module, RouteMap, actions_of
from gateway.routing.table import RouteTable
from gateway.routing.template import Segment, Template, Wild, parse_template, segments_of

FEED = Feed("training")


def mapped(text: str, feed: Feed = FEED, **actions: Action) -> MappedRoute:
    template = parse_template(text, frozenset())
    assert isinstance(template, Template), template
    said = actions_of(actions, only=bool(actions))
    return MappedRoute(feed, template, Route(text, f"routes.yaml:{text}"), "m", said)


def feed_map(*templates: str, feed: Feed = FEED, hosts: tuple[str, ...] = (), prefix: str = "") -> RouteMap:
    modules = (Module("m", "M", "routes.yaml:1"),)
    return RouteMap(feed, hosts, prefix, modules, tuple(mapped(text, feed) for text in templates))


def place(table: RouteTable, path: str, method: str = "GET", host: bytes = b"") -> str | None:
    """The template a path comes to, None for none."""
    placed = table.place(method, host, path.encode())
    return placed.route.template if placed.route else None


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/v2/courses", "/v2/courses"),
        ("/v2/courses/", "/v2/courses"),
        ("/v2/courses/7", "/v2/courses/{id}"),
        ("/v2/courses/7/", "/v2/courses/{id}"),
        ("/v2/courses/search", "/v2/courses/search"),
        ("/v2/courses/search/", "/v2/courses/search"),
        ("/v2/courses/search/deep", "/v2/{any}/{id}/deep"),
        ("/v2/courses/7/dates", "/v2/courses/{id}/dates/"),
        ("/v2/courses/7/other", None),
        ("/v2/files", "/v2/files/**"),
        ("/v2/files/", "/v2/files/**"),
        ("/v2/files/a/b/c", "/v2/files/**"),
        ("/v2/filesystem", None),
        ("/V2/courses", None),
        ("/", "/"),
        ("/v2", None),
        ("/v2/courses//", None),
        ("/v2//", None),
        ("/v2/files//", "/v2/files/**"),
        ("/v2/files//a", "/v2/files/**"),
    ],
)
def test_the_best_template_takes_the_path(path: str, template: str | None) -> None:
    table = RouteTable.of(
        feed_map(
            "/v2/files/**",
            "/v2/courses/{id}",
            "/v2/courses",
            "/v2/courses/search",
            "/v2/courses/{id}/dates/",
            "/v2/{any}/{id}/deep",
            "/",
        )
    )
    assert place(table, path) == template


def test_a_nearer_choice_that_leads_nowhere_is_left_again() -> None:
    table = RouteTable.of(feed_map("/a/b/c", "/{x}/b/d", "/a/{y}/e", "/**"))
    assert [place(table, p) for p in ("/a/b/c", "/a/b/d", "/a/b/e", "/a/b/f")] == [
        "/a/b/c",
        "/{x}/b/d",
        "/a/{y}/e",
        "/**",
    ]


def test_a_missing_method_never_opens_a_lesser_template() -> None:
    maps = RouteMap(
        FEED,
        modules=(Module("m", "M", ""),),
        routes=(mapped("/courses/search", POST=Action.READ), mapped("/courses/{id}")),
    )
    answer = RouteTable.of(maps).place("DELETE", b"", b"/courses/search")
    assert answer == Unmapped(FEED, Reason.METHOD_UNMAPPED, maps.routes[0].route, ("POST",))


def test_templates_of_one_shape_each_keep_their_methods() -> None:
    reads, writes = mapped("/c/{id}", GET=Action.READ), mapped("/c/{key}/", PUT=Action.UPDATE)
    table = RouteTable.of(RouteMap(FEED, modules=(Module("m", "M", ""),), routes=(reads, writes)))
    assert table.place("GET", b"", b"/c/1").route is reads.route
    assert table.place("PUT", b"", b"/c/1").route is writes.route
    answer = table.place("POST", b"", b"/c/1")
    assert isinstance(answer, Unmapped)
    assert answer.allow == ("GET", "PUT")


def test_a_target_has_module_bit_and_action() -> None:
    modules = tuple(Module(name, name, "") for name in ("zebra", "m", "alpha"))
    table = RouteTable.of(RouteMap(FEED, modules=modules, routes=(mapped("/c"),)))
    target = table.place("PATCH", b"", b"/c")
    assert isinstance(target, Target)
    assert (target.module, target.bit, target.action) == ("m", table.modules.bits["m"], Action.UPDATE)
    assert table.modules.bits == {"alpha": 0, "m": 1, "zebra": 2}


def test_answers_are_made_once() -> None:
    table = RouteTable.of(feed_map("/c", "/c/{id}"))
    for method, path in (("GET", b"/c"), ("GET", b"/c/1"), ("PURGE", b"/c/1"), ("GET", b"/none")):
        assert table.place(method, b"", path) is table.place(method, b"", path)


def test_a_public_route_without_a_module_can_never_be_asked_for_rights() -> None:
    route = MappedRoute(
        FEED, mapped("/s").template, Route("/s", "f:1", public=True), None, {"GET": Action.READ}
    )
    target = RouteTable.of(RouteMap(FEED, routes=(route,))).place("GET", b"", b"/s")
    assert isinstance(target, Target)
    with pytest.raises(ValueError, match="negative shift"):
        _ = -1 >> target.bit


@pytest.mark.parametrize(
    ("said", "only", "expected"),
    [
        ({}, False, dict(DEFAULT_ACTIONS)),
        ({"POST": Action.READ}, False, {**DEFAULT_ACTIONS, "POST": Action.READ}),
        ({"POST": Action.READ}, True, {"POST": Action.READ}),
        ({"GET": Action.DELETE}, False, {**DEFAULT_ACTIONS, "GET": Action.DELETE, "HEAD": Action.DELETE}),
        (
            {"GET": Action.DELETE, "HEAD": Action.READ},
            False,
            {**DEFAULT_ACTIONS, "GET": Action.DELETE, "HEAD": Action.READ},
        ),
        ({"OPTIONS": Action.READ}, False, {**DEFAULT_ACTIONS, "OPTIONS": Action.READ}),
    ],
)
def test_actions_stand_over_the_defaults_and_head_follows_get(
    said: dict[str, Action],
    only: bool,  # noqa: FBT001 - a column of the table
    expected: dict[str, Action],
) -> None:
    assert actions_of(said, only=only) == expected


A, B, C, D = Feed("a"), Feed("b"), Feed("c"), Feed("d")


@pytest.mark.parametrize(
    ("host", "path", "feed"),
    [
        (b"a.example", "/x", "a"),
        (b"A.Example:8080", "/x", "a"),
        (b"a.example.", "/x", "a"),
        (b"a.example:80", "/b/x", "b"),
        (b"a.example", "/b", "b"),
        (b"a.example", "/b/", "b"),
        (b"a.example", "/bx", "a"),
        (b"a.example", "/c/x", "a"),
        (b"[::1]:8080", "/x", "a"),
        (b"other.example", "/c/x", "c"),
        (b"other.example", "/c/deep/x", "d"),
        (b"other.example", "/c/deeper", "c"),
        (b"other.example", "/x", None),
        (b"", "/c", "c"),
        (b"\xff\x00:", "/c", "c"),
        (b"[", "/c", "c"),
    ],
)
def test_host_goes_before_prefix_and_the_longest_prefix_wins(
    host: bytes, path: str, feed: str | None
) -> None:
    table = RouteTable.of(
        feed_map("/c/**", feed=C, prefix="/c"),
        feed_map("/**", feed=A, hosts=("a.example", "::1")),
        feed_map("/b/**", feed=B, hosts=("a.example",), prefix="/b"),
        feed_map("/c/deep/**", feed=D, prefix="/c/deep"),
    )
    placed = table.place("GET", host, path.encode())
    assert (placed.feed.name if placed.feed else None) == feed


def test_without_a_feed_the_answer_has_none() -> None:
    answer = RouteTable.of(feed_map("/c/**", feed=C, prefix="/c")).place("GET", b"h", b"/x")
    assert answer == Unmapped(None, Reason.ROUTE_UNMAPPED)


def test_a_feed_that_is_alone_needs_no_host() -> None:
    assert place(RouteTable.of(feed_map("/c")), "/c", host=b"whatever:1") == "/c"


NAMES = ["a", "b", "c", "{x}", "{y}"]
texts = st.builds(
    lambda parts, rest: (
        "/" + "/".join([*(f"{{p{n}}}" if p[0] == "{" else p for n, p in enumerate(parts)), *rest])
    ),
    st.lists(st.sampled_from(NAMES), max_size=4),
    st.sampled_from([[], ["**"]]),
)
asked = st.lists(st.sampled_from(["a", "b", "c", "z"]), max_size=5).flatmap(
    lambda parts: st.sampled_from(["", "/"]).map(lambda end: "/" + "/".join(parts) + (end if parts else ""))
)


def naive(templates: list[Template], path: str) -> Template | None:
    """Try every template; literal before placeholder before rest, from the left."""
    segments = segments_of(path.encode())
    ranked = [(rank, t) for t in templates if (rank := rank_of(t.shape, segments)) is not None]
    return min(ranked, key=lambda pair: pair[0])[1] if ranked else None


def rank_of(shape: tuple[Segment, ...], segments: list[bytes]) -> tuple[int, ...] | None:
    rest = shape[-1:] == (Wild.REST,)
    head = shape[:-1] if rest else shape
    if len(segments) < len(head) or (not rest and len(segments) != len(head)):
        return None
    if any(
        isinstance(part, bytes) and part != segment for part, segment in zip(head, segments, strict=False)
    ):
        return None
    return (*(0 if isinstance(part, bytes) else 1 for part in head), *((2,) if rest else ()))


@given(st.lists(texts, max_size=12), st.lists(asked, min_size=1, max_size=8))
def test_the_table_agrees_with_trying_every_template(texts: list[str], paths: list[str]) -> None:
    routes = {mapped(text).template.shape: mapped(text) for text in texts}
    table = RouteTable.of(RouteMap(FEED, modules=(Module("m", "M", ""),), routes=tuple(routes.values())))
    for path in paths:
        best = naive([route.template for route in routes.values()], path)
        assert place(table, path) == (best.text if best else None)


def many(number: int) -> RouteTable:
    """A map with this many routes, literal and with placeholders, around the same handful."""
    around = [
        f"/v2/m{n // 4}/{kind}" for n in range(number) for kind in [("", "{id}", "search", "{id}/x")[n % 4]]
    ]
    return RouteTable.of(feed_map("/v2/courses", "/v2/courses/{id}/dates/{date}", *around))


PATHS = (b"/v2/courses", b"/v2/courses/17/dates/2026-01-01", b"/v2/none/17/dates/9", b"/v2/courses/x/y/z")


def calls_made(work: Callable[[], object]) -> int:
    """How many functions, ours or Python's, a piece of work calls."""
    calls = 0

    def count(_frame: object, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize("path", PATHS)
def test_ten_thousand_routes_are_no_more_work_than_ten(path: bytes) -> None:
    few, thousands = many(10), many(10_000)
    work = [calls_made(lambda table=table: table.place("GET", b"", path)) for table in (few, thousands)]  # type: ignore[misc] # bound now
    assert work[0] == work[1]


def test_ten_thousand_routes_take_no_longer_than_ten() -> None:
    few, thousands = (
        min(
            repeat(
                lambda table=table: [table.place("GET", b"", path) for path in PATHS], number=500, repeat=9
            )
        )
        for table in (many(10), many(10_000))
    )
    assert thousands < 4 * few
