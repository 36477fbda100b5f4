"""`gateway routes`: list, match, lint."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main

MAIN = "routes: [routes.yaml]\nfeeds:\n  training:\n    upstream: http://127.0.0.1:9000\n"
ROUTES = """feed: training
modules: {courses: Courses}
routes:
  - path: /c
    module: courses
  - path: /c/{id}
    module: courses
    max_body: 1KiB
  - path: /status
    public: true
    actions: {GET: read}
    only: true
"""

Routes = Callable[..., Result]


@pytest.fixture
def routes(tmp_path: Path) -> Routes:
    def run(*arguments: str, settings: str = MAIN, maps: str = ROUTES) -> Result:
        (tmp_path / "gateway.yaml").write_text(settings)
        (tmp_path / "routes.yaml").write_text(maps)
        return CliRunner().invoke(main, ["-c", str(tmp_path / "gateway.yaml"), "routes", *arguments])

    return run


def test_every_route_is_listed(routes: Routes) -> None:
    result = routes("list")
    assert result.exit_code == 0
    assert [line.split()[1] for line in result.stdout.splitlines()[2:]] == ["/c", "/c/{id}", "/status"]


def test_routes_are_listed_for_programs(routes: Routes) -> None:
    listed = json.loads(routes("list", "--json").stdout)
    assert listed[1] | {"where": "-", "actions": {}} == {
        "feed": "training",
        "path": "/c/{id}",
        "module": "courses",
        "public": False,
        "actions": {},
        "max_body": 1024,
        "where": "-",
    }
    assert listed[2]["actions"] == {"GET": "read"}


def test_the_list_can_be_narrowed(routes: Routes) -> None:
    assert len(json.loads(routes("list", "--module", "courses", "--json").stdout)) == 2
    assert len(json.loads(routes("list", "--feed", "training", "--json").stdout)) == 3


@pytest.mark.parametrize(("option", "what"), [("--module", "module"), ("--feed", "feed")])
def test_an_unknown_name_is_refused_with_those_there_are(routes: Routes, option: str, what: str) -> None:
    result = routes("list", option, "nope")
    assert result.exit_code == 1
    assert f"error: There is no {what} 'nope'.\nhint: {what}s: " in result.stderr


def test_match_says_what_a_request_is_mapped_to(routes: Routes) -> None:
    result = routes("match", "PUT", "/%63/17/?q=1", "--json")
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    assert answer.pop("where").endswith("routes.yaml:6")
    assert answer == {
        "method": "PUT",
        "path": "/c/17/",
        "feed": "training",
        "route": "/c/{id}",
        "public": False,
        "module": "courses",
        "action": "update",
    }


@pytest.mark.parametrize(
    ("method", "path", "code", "status"),
    [
        ("GET", "/c/../d", "path_ambiguous", 400),
        ("GET", "c", "path_ambiguous", 400),
        ("GET", "/c#x", "path_ambiguous", 400),
        ("GET", "/c?x#y", "path_ambiguous", 400),
        ("GET", "/ü", "path_ambiguous", 400),
        ("GET", "", "path_ambiguous", 400),
        ("GET", "/none", "route_unmapped", 404),
        ("POST", "/status", "method_unmapped", 405),
        ("NONSENSE", "/c", "method_unmapped", 405),
    ],
)
def test_match_says_why_a_request_is_refused(
    routes: Routes, method: str, path: str, code: str, status: int
) -> None:
    result = routes("match", method, path, "--json")
    answer = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (answer["code"], answer["status"]) == (code, status)


def test_match_reads_for_people(routes: Routes) -> None:
    said = dict(line.split(None, 1) for line in routes("match", "POST", "/status/").stdout.splitlines())
    assert said["method"] == "POST"
    assert said["allow"] == "GET"
    assert said["code"] == "method_unmapped"


def test_match_takes_the_method_as_it_is_typed(routes: Routes) -> None:
    answer = json.loads(routes("match", "get", "/c", "--json").stdout)
    assert (answer["method"], answer["code"]) == ("get", "method_unmapped")
    assert "GET is mapped" in answer["hint"]


def test_match_takes_the_host_that_tells_feeds_apart(routes: Routes) -> None:
    settings = MAIN + "    host: a.example\n"
    assert routes("match", "GET", "/c", "--host", "a.example:80", settings=settings).exit_code == 0
    assert routes("match", "GET", "/c", "--host", "b.example", settings=settings).exit_code == 1


def test_match_follows_relaxed_rules(routes: Routes) -> None:
    assert routes("match", "GET", "/c/a;b").exit_code == 1
    assert routes("match", "GET", "/c/a;b", settings=MAIN + "paths: {allow: [semicolon]}\n").exit_code == 0


def test_lint_ends_well_without_findings(routes: Routes) -> None:
    result = routes("lint")
    assert (result.exit_code, result.stdout) == (0, "nothing to remark\n")


def test_lint_tells_findings_and_fails(routes: Routes) -> None:
    more = "  - path: /c/search\n    module: courses\n    actions: {POST: read}\n"
    result = routes("lint", maps=ROUTES + more)
    assert result.exit_code == 1
    assert ": overlap: /c/{id} also matches paths that go to /c/search at " in result.stdout
    assert (
        ": write-as-read: POST /c/search needs no more than read of courses (see /c/search)" in result.stdout
    )
    found = json.loads(routes("lint", "--json", maps=ROUTES + more).stdout)
    assert [finding["kind"] for finding in found] == ["overlap", "write-as-read"]
    assert found[0]["path"] == "/c/search"


@pytest.mark.parametrize("arguments", [["list"], ["match", "GET", "/c"], ["lint"]])
def test_a_bad_configuration_is_told_first(routes: Routes, arguments: list[str]) -> None:
    result = routes(*arguments, settings=MAIN + "wokers: 1\n")
    assert result.exit_code == 1
    assert "wokers: unknown key; did you mean workers?" in result.stderr


@pytest.mark.parametrize("arguments", [["match"], ["match", "GET"], ["nope"], ["list", "--nope"]])
def test_a_wrong_command_line_is_a_usage_error(routes: Routes, arguments: list[str]) -> None:
    assert routes(*arguments).exit_code == 2
