"""`gateway check` and the files it judges."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main

MAIN = "routes: [routes.yaml]\nfeeds:\n  training:\n    upstream: http://127.0.0.1:9000\n"
ROUTES = "feed: training\nmodules: {courses: Courses}\nroutes:\n  - {path: /c, module: courses}\n"

Check = Callable[..., Result]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    def run(settings: str = MAIN, routes: str = ROUTES, *options: str) -> Result:
        (tmp_path / "gateway.yaml").write_text(settings)
        (tmp_path / "routes.yaml").write_text(routes)
        return CliRunner().invoke(main, ["-c", str(tmp_path / "gateway.yaml"), "check", *options])

    return run


def test_a_good_configuration_is_summed_up(check: Check) -> None:
    result = check()
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "configuration is good: 1 feed, 1 route, 1 module",
        "  training at http://127.0.0.1:9000: 1 route",
    ]


def test_what_weakens_a_feed_is_said(check: Check) -> None:
    result = check(MAIN + "    enforcement: observe\n    enabled: no\n")
    assert "switched off; only observed: nothing is refused for want of" in result.stdout


def test_all_problems_of_all_files_are_printed_one_a_line(check: Check) -> None:
    result = check(
        MAIN.replace("upstream", "upstrem") + "workers: 0\n",
        ROUTES.replace("module: courses", "module: curses"),
    )
    assert result.exit_code == 1
    assert result.stdout == ""
    keys = [line.split(": ")[1] for line in result.stderr.splitlines()]
    assert keys == ["feeds.training.upstream", "feeds.training.upstrem", "workers", "routes[0].module"]


def test_problems_come_as_json_for_programs(check: Check) -> None:
    result = check(MAIN + "wokers: 1\n", ROUTES, "--json")
    assert result.exit_code == 1
    (problem,) = json.loads(result.stdout)["problems"]
    assert problem | {"file": "-"} == {
        "file": "-",
        "line": 5,
        "key": "wokers",
        "message": "unknown key",
        "hint": "did you mean workers?",
    }


def test_the_summary_comes_as_json_for_programs(check: Check) -> None:
    answer = json.loads(check(MAIN, ROUTES, "--json").stdout)
    assert answer["good"] is True
    assert answer["modules"] == ["courses"]
    assert answer["feeds"][0]["upstream"] == ["http://127.0.0.1:9000"]


@pytest.mark.parametrize("settings", ["", "{{{", "- a", "\t", "a: *b", "x"])
def test_garbage_is_told_without_a_traceback(check: Check, settings: str) -> None:
    result = check(settings)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "gateway.yaml" in result.stderr


def test_a_missing_file_is_told() -> None:
    result = CliRunner().invoke(main, ["-c", "nowhere/gateway.yaml", "check"])
    assert (result.exit_code, result.stderr) == (1, "nowhere/gateway.yaml: there is no such file\n")


def test_an_unknown_option_is_a_usage_error(check: Check) -> None:
    assert check(MAIN, ROUTES, "--jsn").exit_code == 2


def test_the_configuration_in_the_tree_is_good() -> None:
    shipped = Path(__file__).parents[3] / "config" / "gateway.yaml"
    result = CliRunner().invoke(main, ["-c", str(shipped), "check"])
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("configuration is good: 1 feed, 29 routes, 10 modules\n")
