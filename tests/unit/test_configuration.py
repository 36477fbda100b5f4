"""Main file and route maps are read as one configuration."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.configuration import Configuration, config_hash, load_everything, load_routes
from gateway.document.problem import SettingsError
from gateway.domain.feed import Enforcement

MAIN = """routes: [courses.yaml, sub/bookings.yaml]
feeds:
  training:
    upstream: http://127.0.0.1:9000
    enforcement: observe
    credentials: {header: X-Feed-Key, value: ${FEED_KEY}}
"""
COURSES = "feed: training\nmodules: {courses: Courses}\nroutes:\n  - {path: /c, module: courses}\n"
BOOKINGS = "feed: training\nmodules: {bookings: Bookings}\nroutes:\n  - {path: /b, module: bookings}\n"

Load = Callable[..., Configuration]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    (tmp_path / "sub").mkdir()

    def from_texts(main: str = MAIN, courses: str = COURSES, key: str = "k") -> Configuration:
        (tmp_path / "gateway.yaml").write_text(main)
        (tmp_path / "courses.yaml").write_text(courses)
        (tmp_path / "sub" / "bookings.yaml").write_text(BOOKINGS)
        return load_everything(tmp_path / "gateway.yaml", {"FEED_KEY": key})

    return from_texts


def told(load: Load, main: str = MAIN, courses: str = COURSES) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(main, courses)
    return [f"{Path(problem.file).name}:{problem.line}: {problem.key}" for problem in caught.value.problems]


def test_route_files_start_at_the_main_file_and_feeds_come_from_it(load: Load) -> None:
    settings, table = load()
    assert sorted(table.modules.bits) == ["bookings", "courses"]
    assert table.feeds["training"].enforcement is Enforcement.OBSERVE
    assert len(load_routes(settings).routes) == 2


def test_the_problems_of_all_files_are_told_together(load: Load) -> None:
    main = MAIN.replace("observe", "watch") + "wokers: 1\nlimits: {body: big}\n"
    assert told(load, main, COURSES.replace("module: courses", "module: bokings")) == [
        "gateway.yaml:5: feeds.training.enforcement",
        "gateway.yaml:7: wokers",
        "gateway.yaml:8: limits.body",
        "courses.yaml:4: routes[0].module",
    ]


@pytest.mark.parametrize(
    "main",
    [
        MAIN.replace("feeds:", "feedz:"),
        MAIN.replace("routes:", "rutes:"),
        MAIN.replace("[courses.yaml, sub/bookings.yaml]", "[courses.yaml, {a: b}]"),
        MAIN.replace("[courses.yaml, sub/bookings.yaml]", "[]"),
        MAIN.replace("[courses.yaml, sub/bookings.yaml]", "[courses.yaml, courses.yaml]"),
        MAIN.replace("  training:", "  - training:"),
        MAIN + "paths: {allow: 3}\n",
        MAIN + "paths: [allow]\n",
        MAIN.replace("    upstream: http://127.0.0.1:9000\n", ""),
        MAIN.replace("FEED_KEY", "MISSING"),
        "feeds:\nroutes:\n",
        'routes: "a\\0b"\nfeeds: {training: {upstream: http://h}}\n',
    ],
)
def test_however_the_main_file_is_broken_it_is_told_and_nothing_raises(load: Load, main: str) -> None:
    assert told(load, main)


def test_a_feed_with_bad_settings_makes_no_false_complaints_about_its_map(load: Load) -> None:
    main = MAIN.replace("upstream: http", "prefix: v3/\n    upstream: http")
    assert told(load, main) == ["gateway.yaml:4: feeds.training.prefix"]


def test_the_hash_is_of_what_is_in_effect(load: Load) -> None:
    first = config_hash(load())
    assert config_hash(load("# a comment\n" + MAIN, COURSES + "\n# another\n")) == first
    assert config_hash(load(MAIN + "workers: 2\n")) != first
    assert config_hash(load(MAIN, COURSES.replace("/c", "/d"))) != first
    assert (
        config_hash(load(MAIN, COURSES.replace("module: courses}", "module: courses, max_body: 1}"))) != first
    )


def test_the_hash_tells_nothing_about_secrets(load: Load) -> None:
    assert config_hash(load(key="one")) == config_hash(load(key="two"))
