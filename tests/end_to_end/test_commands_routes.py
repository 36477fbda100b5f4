"""`check` and `routes`: everything that is wrong told at once with its place, and what a map means."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from commands import Commands
from gateways import ROUTES, write_configuration
from operations import printed

WRONG_MAIN = """\
listen: 127.0.0.1:99999
admni: {listen: 127.0.0.1:0}
store: mysql://nowhere
workers: many
routes: [one.yaml, two.yaml, missing.yaml]
feeds:
  test:
    upstream: ftp://127.0.0.1:1
    enforcement: obsrve
    timeouts: {conect: 2s, response: soon}
  Other: {upstream: http://127.0.0.1:1}
authentication:
  realm: 'a "quoted" one'
  api_key: {header: Authorization}
cache: {ttl: -5s}
limits: {body: 16MB}
paths: {allow: [encoded-slah]}
method_override: alow
trusted_proxies: [10.0.0.1/8]
"""

WRONG_MAIN_LINES = {
    1: "listen",
    2: "did you mean admin?",
    3: "store",
    4: "workers",
    8: "upstream",
    9: "observe",
    10: "did you mean connect?",
    11: "cannot name a feed",
    13: "realm",
    14: "header",
    15: "ttl",
    16: "body",
    17: "encoded-slash",
    18: "method_override",
    19: "trusted_proxies",
}

WRONG_ROUTES_ONE = """\
feed: tset
modules: {courses: Courses, Bad Name: x}
routes:
  - {path: /v2/courses, module: coures}
  - {path: v2/courses, module: courses}
  - {path: "/v2/{id", module: courses}
  - {paht: /v2/x, module: courses}
  - {path: /v2/y}
  - {path: /v2/z, module: courses, actions: {GET: raed}}
  - {path: /v2/z/../y, module: courses}
  - {path: /v2/w, module: courses, max_body: lots}
"""

WRONG_ROUTES_TWO = """\
feed: test
modules: {courses: Courses}
routes:
  - {path: "/v2/courses/{id}", module: courses}
  - {path: "/v2/courses/{name}", module: courses}
  - {path: "/**/x", module: courses}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, commands: Commands) -> Commands:
    return commands.on(write_configuration(tmp_path_factory.mktemp("routes"), [9]))


def problem_lines(said: str, file: str) -> dict[int, str]:
    """What is said of each line of a file."""
    found: dict[int, str] = {}
    for number, text in re.findall(rf"{re.escape(file)}:(\d+): (.*)", said):
        found[int(number)] = found.get(int(number), "") + text
    return found


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    (tmp_path / "gateway.yaml").write_text(WRONG_MAIN)
    (tmp_path / "one.yaml").write_text(WRONG_ROUTES_ONE)
    (tmp_path / "two.yaml").write_text(WRONG_ROUTES_TWO)
    return tmp_path / "gateway.yaml"


def test_check_tells_all_problems_of_all_files_at_once_with_their_lines(run: Commands, wrong: Path) -> None:
    done = run.on(wrong)("check")
    assert (done.returncode, done.stdout) == (1, "")
    main = problem_lines(done.stderr, "gateway.yaml")
    assert set(main) == set(WRONG_MAIN_LINES), done.stderr
    assert not {line for line, word in WRONG_MAIN_LINES.items() if word not in main[line]}, done.stderr
    one = problem_lines(done.stderr, "one.yaml")
    assert {4, 5, 6, 7, 8, 9, 10, 11} <= set(one), done.stderr
    assert "did you mean test?" in one[1]
    assert "did you mean courses?" in one[4]
    assert "did you mean path?" in one[7]
    assert "did you mean read?" in one[9]
    two = problem_lines(done.stderr, "two.yaml")
    assert "two.yaml:4" in two[5], done.stderr
    assert 6 in two
    assert "missing.yaml" in done.stderr


def test_check_tells_programs_the_same(run: Commands, wrong: Path) -> None:
    shown = run.on(wrong)("check").stderr.splitlines()
    report = printed(run.on(wrong)("check", "--json"), 1)
    assert report["good"] is False
    assert len(report["problems"]) == len(shown)
    for problem in report["problems"]:
        assert set(problem) == {"file", "line", "key", "message", "hint"}


@pytest.mark.parametrize("command", [("keys", "list"), ("serve",), ("routes", "lint"), ("db", "upgrade")])
def test_no_command_does_anything_on_a_wrong_configuration(
    run: Commands, wrong: Path, command: tuple[str, ...]
) -> None:
    done = run.on(wrong)(*command)
    assert (done.returncode, done.stdout) == (1, "")
    assert "did you mean admin?" in done.stderr
    assert {path.name for path in wrong.parent.iterdir()} == {"gateway.yaml", "one.yaml", "two.yaml"}


def test_check_tells_what_a_good_configuration_amounts_to(run: Commands) -> None:
    report = run.gets("check")
    assert (report["good"], report["problems"], report["routes"]) == (True, [], 8)
    assert report["modules"] == ["bookings", "course-dates", "courses", "files", "users"]
    (feed,) = report["feeds"]
    assert (feed["name"], feed["enabled"], feed["enforcement"]) == ("test", True, "enforce")
    assert "configuration is good" in run("check").stdout


MATCHES: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/v2/courses", {"route": "/v2/courses", "module": "courses", "action": "read"}),
    ("HEAD", "/v2/courses/", {"route": "/v2/courses", "action": "read", "path": "/v2/courses/"}),
    ("POST", "/v2/courses", {"action": "create", "method": "POST"}),
    ("PUT", "/v2/courses/1", {"route": "/v2/courses/{id}", "action": "update"}),
    ("PATCH", "/v2/courses/%7e", {"path": "/v2/courses/~", "action": "update"}),
    ("DELETE", "/v2/bookings/1?x=../..", {"action": "delete", "module": "bookings"}),
    ("POST", "/v2/courses/search", {"route": "/v2/courses/search", "action": "read"}),
    ("GET", "/v2/files", {"route": "/v2/files/**", "module": "files"}),
    ("GET", "/v2/files/a/b/c", {"route": "/v2/files/**"}),
    ("GET", "/v2/status", {"public": True, "module": None}),
    ("POST", "/v2/status", {"code": "method_unmapped", "status": 405, "allow": ["GET"]}),
    ("PURGE", "/v2/courses", {"code": "method_unmapped", "status": 405}),
    ("GET", "/v2", {"code": "route_unmapped", "status": 404}),
    ("GET", "/V2/courses", {"code": "route_unmapped"}),
    ("GET", "/v2/courses/1/2", {"code": "route_unmapped"}),
    ("GET", "/v2/./courses", {"code": "path_ambiguous", "status": 400}),
    ("GET", "/v2/courses%2f1", {"code": "path_ambiguous"}),
    ("GET", "/v2/courses;v=1", {"code": "path_ambiguous"}),
    ("GET", "/v2//courses", {"code": "path_ambiguous"}),
    ("GET", "/v2/%252e%252e/x", {"code": "path_ambiguous"}),
    ("GET", "/v2/courses#x", {"code": "path_ambiguous"}),
    ("GET", "/v2/c%C3%A4", {"code": "route_unmapped"}),
]


@pytest.mark.parametrize(("method", "path", "expected"), MATCHES)
def test_match_tells_how_a_request_is_read(
    run: Commands, method: str, path: str, expected: dict[str, Any]
) -> None:
    done = run("routes", "match", method, path, "--json")
    answer = json.loads(done.stdout)
    assert {name: answer.get(name) for name in expected} == expected
    assert done.returncode == (1 if "code" in expected else 0)
    if "module" in answer:
        assert re.search(r"routes\.yaml:\d+$", answer["where"])


def test_list_has_every_route_with_its_line(run: Commands) -> None:
    listed = run.gets("routes", "list")
    assert len(listed) == 8
    for route in listed:
        line = int(route["where"].rpartition(":")[2])
        assert route["path"] in ROUTES.splitlines()[line - 1]
    search = next(route for route in listed if route["path"] == "/v2/courses/search")
    assert search["actions"]["POST"] == "read"
    assert [route["path"] for route in run.gets("routes", "list", "--module", "users")] == ["/v2/users"]
    assert "/v2/files/**" in run("routes", "list").stdout


SURPRISING = """\
feed: test
modules: {courses: Courses, users: Users, ghosts: Ghosts}
routes:
  - {path: "/v2/{thing}", module: courses}
  - {path: /v2/users, module: users}
  - {path: /v2/courses/sync, module: courses, actions: {DELETE: read}}
"""


def test_lint_shows_each_surprise_with_a_path_that_proves_it(run: Commands, tmp_path: Path) -> None:
    file = write_configuration(tmp_path, [9], routes=SURPRISING)
    done = run.on(file)("routes", "lint")
    assert done.returncode == 1
    assert "ghosts" in done.stdout
    assert "/v2/users" in done.stdout
    assert "DELETE" in done.stdout
    assert "routes.yaml:6" in done.stdout
    found = printed(run.on(file)("routes", "lint", "--json"), 1)
    assert len(found) >= 3
    for finding in found:
        if finding.get("path"):
            assert finding["path"].startswith("/v2/")
