"""Route map files become a table, or everything that is wrong with them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.document.problem import SettingsError
from gateway.domain.action import Action
from gateway.domain.feed import Feed
from gateway.domain.target import Target
from gateway.routing.loading import load_routes
from gateway.routing.routemap import FeedPlace
from gateway.routing.table import RouteTable

HEAD = "feed: training\nmodules: {courses: Courses, bookings: Bookings}\nroutes:\n"
GOOD = HEAD + "  - {path: /c, module: courses}\n"
TRAINING = FeedPlace(Feed("training"), file="gateway.yaml", line=5)
OTHER = FeedPlace(Feed("other"), file="gateway.yaml", line=9)

Load = Callable[..., RouteTable]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def from_texts(*texts: str, feeds: tuple[FeedPlace, ...] = (TRAINING,)) -> RouteTable:
        files = [tmp_path / f"r{number}.yaml" for number in range(len(texts))]
        for file, text in zip(files, texts, strict=True):
            file.write_text(text)
        return load_routes(files, feeds, frozenset())

    return from_texts


def told(load: Load, *texts: str, feeds: tuple[FeedPlace, ...] = (TRAINING,)) -> str:
    with pytest.raises(SettingsError) as caught:
        load(*texts, feeds=feeds)
    return str(caught.value)


def test_the_contracts_example_is_mapped(load: Load) -> None:
    table = load(
        """
feed: training
modules:
  courses: Courses
  files: Files
routes:
  - path: /v2/courses
    module: courses
  - path: /v2/courses/{id}
    module: courses
  - path: /v2/courses/search
    module: courses
    actions: {POST: read}
  - path: /v2/files/**
    module: files
    max_body: 1GiB
  - path: /v2/status
    public: true
    actions: {GET: read}
    only: true
"""
    )
    searched = table.place("POST", b"", b"/v2/courses/search")
    assert isinstance(searched, Target)
    assert (searched.module, searched.action) == ("courses", Action.READ)
    assert searched.route.where.endswith("r0.yaml:11")
    files = table.place("PUT", b"", b"/v2/files/a/b")
    assert isinstance(files, Target)
    assert (files.module, files.action, files.route.max_body) == ("files", Action.UPDATE, 1 << 30)
    status = table.place("GET", b"", b"/v2/status")
    assert isinstance(status, Target)
    assert (status.module, status.route.public) == (None, True)
    assert table.labels == {"courses": "Courses", "files": "Files"}
    assert dict(table.feeds) == {"training": Feed("training")}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{path: /c}", ":4: routes[0].module: is required; name a module, or say `public: true`"),
        ("{module: courses}", ":4: routes[0].path: is required"),
        (
            "{path: /c, module: cuorses}",
            ":4: routes[0].module: unknown module 'cuorses'; did you mean courses?",
        ),
        ("{path: /c, module: zzz}", "unknown module 'zzz'; modules: bookings, courses"),
        ("{path: /c, public: true, module: zzz}", "unknown module 'zzz'"),
        ("{path: /c, modul: courses, public: yes}", "routes[0].modul: unknown key; did you mean module?"),
        ("{path: c, module: courses}", ":4: routes[0].path: c must begin with a slash; write /c"),
        ('{path: "/{}", module: courses}', "has a placeholder without a name"),
        ("{path: /a/../b, module: courses}", "can never match"),
        (
            "{path: /c, module: courses, actions: {GET: raed}}",
            "routes[0].actions.GET: unknown action 'raed'; did you mean read?",
        ),
        ("{path: /c, module: courses, actions: {GET: Read}}", "unknown action 'Read'; did you mean read?"),
        (
            "{path: /c, module: courses, actions: {PSOT: read}}",
            "routes[0].actions.PSOT: unknown method 'PSOT'; did you mean POST?",
        ),
        ("{path: /c, module: courses, actions: {post: read}}", "unknown method 'post'; did you mean POST?"),
        ("{path: /c, module: courses, actions: {'G T': read}}", "'G T' is not a method"),
        ("{path: /c, module: courses, actions: {TRACE: read}}", "TRACE is never forwarded; leave it out"),
        ("{path: /c, module: courses, actions: {CONNECT: read}}", "CONNECT is never forwarded"),
        ("{path: /c, module: courses, actions: [GET]}", "routes[0].actions: must be a mapping"),
        ("{path: /c, module: courses, actions: }", "routes[0].actions: has no value"),
        ("{path: /c, module: courses, only: true}", ":4: routes[0].only: needs actions"),
        ("{path: /c, module: courses, only: maybe}", "'maybe' must be true or false"),
        ("{path: /c, module: courses, max_body: 5MB}", "routes[0].max_body: '5MB' is not a size"),
        ("{path: [/c], module: courses}", "routes[0].path: must be one value"),
        ("just text", ":4: routes[0]: 'just text' must be a mapping"),
        ("[]", ":4: routes[0]: must be a mapping"),
        ("~", ":4: routes[0]: has no value"),
    ],
)
def test_a_bad_line_is_told(load: Load, line: str, problem: str) -> None:
    text = told(load, HEAD + f"  - {line}\n")
    assert problem in text
    assert text.count("\n") == 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("routes: [{path: /c, public: true}]", ":1: feed: is required"),
        (
            GOOD.replace("feed: training", "feed: trainnig"),
            "the feed 'trainnig' is not configured; did you mean training?",
        ),
        (GOOD.replace("feed: training", "feed: [x]"), ":1: feed: must be one value"),
        ("feed: training\n", ":1: routes: is required"),
        ("feed: training\nroutes: []\n", ":2: routes: must not be empty"),
        ("feed: training\nroutes: {a: b}\n", ":2: routes: must be a list"),
        (GOOD.replace("modules: {", "modules: {A B: x, "), "modules: 'A B' cannot name a module"),
        (GOOD.replace("modules: {", "modules: {'*': x, "), "modules: '*' cannot name a module"),
        (GOOD.replace("Bookings", "[x]"), "modules.bookings: must be one value"),
        (GOOD + "rotues: []\n", ":5: rotues: unknown key; did you mean routes?"),
        (GOOD + "prefix: c/\n", ":5: prefix: 'c/' is not a path prefix"),
        (GOOD + "host: a:80\n", "'a:80' is not a host name"),
        ("", "is empty"),
        ("feed: [", "is not YAML"),
    ],
)
def test_a_bad_file_is_told(load: Load, text: str, problem: str) -> None:
    said = told(load, text)
    assert problem in said
    assert said.count("\n") == 0


def test_no_problem_hides_another(load: Load) -> None:
    said = told(
        load,
        "feed: nowhere\nmodules: {courses: Courses}\nroutes:\n  - {path: c, module: x, only: maybe}\n",
        HEAD
        + "  - {path: /a//b, modul: courses}\n"
        + "  - {path: '/{}', module: curses, actions: {GET: x, put: read}}\n",
    ).splitlines()
    assert [line.split(": ")[1] for line in said] == [
        "feed",
        "routes[0].only",
        "routes[0].path",
        "routes[0].module",
        "routes[0].modul",
        "routes[0].path",
        "routes[1].path",
        "routes[1].actions.GET",
        "routes[1].actions.put",
        "routes[1].module",
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/c/{id}", "/c/{key}"),
        ("/c", "/c/"),
        ("/c/**", "/c/**"),
        ("/{a}/{b}", "/{b}/{a}"),
    ],
)
def test_templates_of_one_shape_that_share_a_method_are_refused_both_lines_named(
    load: Load, first: str, second: str
) -> None:
    said = told(
        load,
        HEAD
        + f'  - {{path: "{first}", module: courses}}\n'
        + f'  - {{path: "{second}", module: bookings, actions: {{GET: read}}, only: true}}\n',
    )
    assert "r0.yaml:5: routes[1].path: " in said
    assert "r0.yaml:4, and both map GET" in said


def test_templates_of_one_shape_with_their_own_methods_are_good(load: Load) -> None:
    table = load(
        HEAD
        + '  - {path: "/c/{id}", module: courses, actions: {GET: read}, only: true}\n'
        + '  - {path: "/c/{x}", module: bookings, actions: {PUT: update}, only: true}\n'
    )
    got, put = (table.place(method, b"", b"/c/1") for method in ("GET", "PUT"))
    assert isinstance(got, Target)
    assert isinstance(put, Target)
    assert (got.module, put.module) == ("courses", "bookings")


def test_a_feed_may_be_spread_over_files_and_share_modules(load: Load) -> None:
    table = load(GOOD, "feed: training\nroutes:\n  - {path: /b, module: bookings}\n")
    assert len(table.routes) == 2


def test_a_conflict_across_files_names_both(load: Load) -> None:
    said = told(load, GOOD, GOOD)
    assert "r1.yaml:4: routes[0].path: " in said
    assert "r0.yaml:4, and both map DELETE, GET, HEAD, PATCH, POST, PUT" in said


def test_a_module_name_means_one_module(load: Load) -> None:
    said = told(
        load, GOOD, "feed: training\nmodules: {courses: Classes}\nroutes:\n  - {path: /x, public: true}\n"
    )
    assert "r1.yaml:2: modules.courses: is labelled 'Courses' at " in said


def test_a_feed_without_a_map_is_told_where_it_is_configured(load: Load) -> None:
    assert told(load, GOOD, feeds=(TRAINING, OTHER)).startswith(
        "gateway.yaml:9: feeds.other: has no route map; list a file with `feed: other`"
    )


def test_feeds_that_cannot_be_told_apart_are_refused(load: Load) -> None:
    other = GOOD.replace("training", "other")
    said = told(load, GOOD, other, feeds=(TRAINING, OTHER))
    assert said.startswith(
        "gateway.yaml:9: feeds.other: cannot be told apart from the feed training: both have no host"
    )


def test_feeds_are_told_apart_by_what_route_files_say(load: Load) -> None:
    table = load(GOOD + "host: a.example\n", GOOD.replace("training", "other"), feeds=(TRAINING, OTHER))
    assert [
        placed.feed.name if (placed := table.place("GET", host, b"/c")).feed else None
        for host in (b"A.example:80", b"b.example")
    ] == ["training", "other"]


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("host: b.example", FeedPlace(Feed("training"), hosts=("a.example",))),
        ("prefix: /b", FeedPlace(Feed("training"), prefix="/a")),
    ],
)
def test_what_is_said_twice_must_agree(load: Load, key: str, place: FeedPlace) -> None:
    said = told(load, GOOD.replace("/c", "/a/c") + key, feeds=(place,))
    assert "differs from what the feed has elsewhere" in said


def test_a_template_beside_its_feeds_prefix_is_refused(load: Load) -> None:
    place = FeedPlace(Feed("training"), prefix="/training")
    said = told(load, GOOD, HEAD + "  - {path: /trainings/c, module: courses}", feeds=(place,))
    assert "r0.yaml:4: routes[0].path: /c can never match: the feed's prefix is /training" in said
    assert "write /training/c" in said
    assert "r1.yaml:4: routes[0].path: /trainings/c can never match" in said
    assert load(GOOD.replace("/c", "/training/c"), feeds=(place,)).routes


def test_missing_files_are_told_together(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_routes([tmp_path / "a.yaml", tmp_path / "b.yaml"], [TRAINING], frozenset())
    assert [problem.message for problem in caught.value.problems] == ["there is no such file"] * 2


def test_a_long_list_of_bad_lines_is_told_whole(load: Load) -> None:
    said = told(load, HEAD + "".join(f"  - {{path: c{n}, module: nope}}\n" for n in range(3000)))
    assert said.count("\n") == 2 * 3000 - 1
