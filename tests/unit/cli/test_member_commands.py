"""The commands for members, and the word that deleting a scope may need, as people and programs type them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main

CONFIG = """\
store: sqlite:///{store}
routes: routes.yaml
feeds: {{demo: {{upstream: http://127.0.0.1:9}}}}
authentication: {{bearer: {{without_scope: {without_scope}}}}}
"""
ROUTES = """\
feed: demo
modules: {courses: Courses, bookings: Bookings}
routes:
  - {path: /v2/courses, module: courses}
  - {path: /v2/bookings, module: bookings}
"""
Gateway = Callable[..., Result]


def gateway_in(directory: Path, without_scope: str = "deny") -> Gateway:
    config = directory / "gateway.yaml"
    store = directory / "var" / "store.db"
    config.write_text(CONFIG.format(store=store, without_scope=without_scope))
    (directory / "routes.yaml").write_text(ROUTES)

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(main, ["-c", str(config), *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    """The command, with a store that has a scope to give."""
    run = gateway_in(tmp_path)
    assert run("scopes", "create", "website", "--read", "courses").exit_code == 0
    return run


def told(result: Result) -> object:
    assert result.exit_code == 0, result.stdout + result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", "website"],
        ["add", "website", "--user", "ada", "--role", "staff"],
        ["add", "website", "--user", "ada", "--user", "bob", "--client", "c"],
        ["add", "--user", "ada"],
        ["add", "website", "--group", "staff"],
        ["add", "website", "ada"],
        ["remove", "website"],
        ["remove", "website", "--role", "a", "--client", "b"],
        ["list", "website"],
        ["rename"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_about_members_ends_with_two(gateway: Gateway, arguments: list[str]) -> None:
    result = gateway("members", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Usage: ")
    assert told(gateway("members", "list", "--json")) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "webiste", "--user", "ada"], "did you mean website?"),
        (["add", "website", "--user", ""], "user's name is empty"),
        (["add", "website", "--role", "a\nb"], "U+000A"),
        (["add", "website", "--client", "\x1b]0;x\x07"], "U+001B"),
        (["add", "website", "--user", "x" * 10_240], "10240 characters"),
        (["add", "website", "--user", "\u202eada"], "U+202E"),
        (["add", "website", "--user", "\udcff"], "U+DCFF"),
        (["remove", "website", "--user", "ada"], "The user ada does not have the scope 'website'"),
        (["remove", "webiste", "--user", "ada"], "did you mean website?"),
        (["list", "--scope", "webiste"], "did you mean website?"),
        (["list", "--role", ""], "role's name is empty"),
    ],
)
def test_what_is_refused_of_members_is_a_sentence_and_for_programs_json(
    gateway: Gateway, arguments: list[str], said: str
) -> None:
    result = gateway("members", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr
    assert result.stderr.replace("\n", "").isprintable()
    result = gateway("members", *arguments, "--json")
    assert (result.exit_code, result.stderr) == (1, "")
    answer = json.loads(result.stdout)
    assert said in f"{answer['error']} {answer['hint']}"


def test_members_are_added_listed_and_removed(gateway: Gateway) -> None:
    added = told(gateway("members", "add", "website", "--user", "Ada Lovelace", "--json"))
    member = {"scope": "website", "scope_id": 11000, "kind": "user", "name": "Ada Lovelace"}
    assert added == {**member, "added": True, "warnings": []}
    again = told(gateway("members", "add", "11000", "--user", "Ada Lovelace", "--json"))
    assert again == {**member, "added": False, "warnings": []}
    gateway("members", "add", "power-bi", "--role", "Ada Lovelace")
    gateway("members", "add", "website", "--client", "shop")
    assert told(gateway("members", "list", "--user", "Ada Lovelace", "--json")) == [member]
    assert len(told(gateway("members", "list", "--json"))) == 3
    everyone = gateway("members", "list", "--user", "Ada Lovelace", "--role", "Ada Lovelace", "--json")
    assert [row["kind"] for row in told(everyone)] == ["role", "user"]
    assert [row["name"] for row in told(gateway("members", "list", "--scope", "website", "--json"))] == [
        "Ada Lovelace",
        "shop",
    ]
    removed = told(gateway("members", "remove", "website", "--user", "Ada Lovelace", "--json"))
    assert removed == {**member, "removed": True, "warnings": []}
    assert told(gateway("members", "list", "--user", "Ada Lovelace", "--json")) == []


def test_people_read_sentences_and_a_table_of_members(gateway: Gateway) -> None:
    assert gateway("members", "list").stdout == "no members\n"
    assert gateway("members", "add", "website", "--role", "staff").stdout == (
        "role staff has the scope website\n"
    )
    assert "had the scope already" in gateway("members", "add", "website", "--role", "staff").stdout
    lines = gateway("members", "list").stdout.splitlines()
    assert lines[0].split() == ["scope", "mode", "kind", "name"]
    assert lines[-1].split() == ["website", "allow", "role", "staff"]
    shown = gateway("scopes", "show", "website")
    assert "role" in shown.stdout.splitlines()[-1]
    assert told(gateway("scopes", "show", "website", "--json"))["members"] == [
        {"kind": "role", "name": "staff"}
    ]
    assert gateway("members", "remove", "website", "--role", "staff").stdout == (
        "role staff no longer has the scope website\n"
    )


def test_members_are_among_those_for_whom_a_scope_is_kept(gateway: Gateway) -> None:
    gateway("members", "add", "website", "--client", "shop")
    refused = gateway("scopes", "delete", "website", "--json")
    assert json.loads(refused.stdout)["used_by"] == [{"kind": "client", "name": "shop"}]
    gone = gateway("scopes", "delete", "website", "--fallback", "full-access", "--json")
    assert told(gone)["full_access"] == []
    assert "The client shop has no scope now." in gone.stderr
    assert told(gateway("members", "list", "--json")) == []


def test_deleting_a_scope_that_holds_somebody_back_needs_the_operators_word(gateway: Gateway) -> None:
    gateway("scopes", "create", "no-courses", "--mode", "deny", "--read", "courses")
    gateway("keys", "create", "Shop", "--scope", "no-courses", "--scope", "website")
    gateway("members", "add", "no-courses", "--user", "ada")
    gateway("members", "add", "website", "--user", "ada")
    command = ["scopes", "delete", "no-courses", "--fallback", "deny"]
    people = gateway(*command)
    assert (people.exit_code, people.stdout) == (1, "")
    assert people.stderr == (
        "error: Deleting the scope 'no-courses' lets more be done, not less:\n"
        "key 1 (Shop) may read courses.\n"
        "user ada may read courses.\n"
        "hint: add --widens if that is what you want\n"
    )
    programs = gateway(*command, "--json")
    assert json.loads(programs.stdout)["widens"] == [
        {"who": "key 1 (Shop)", "pairs": ["read courses"], "surely": True},
        {"who": "user ada", "pairs": ["read courses"], "surely": True},
    ]
    member = gateway("members", "remove", "no-courses", "--user", "ada")
    assert (member.exit_code, "user ada may read courses." in member.stderr) == (1, True)
    done = gateway("members", "remove", "no-courses", "--user", "ada", "--widens")
    assert (done.exit_code, "warning: Now user ada may read courses." in done.stderr) == (0, True)
    done = gateway(*command, "--widens", "--json")
    assert [gain["who"] for gain in told(done)["widens"]] == ["key 1 (Shop)"]
    assert "warning: Now key 1 (Shop) may read courses." in done.stderr


def test_where_a_user_without_scope_may_do_everything_the_last_one_is_kept(tmp_path: Path) -> None:
    gateway = gateway_in(tmp_path, "full-access")
    gateway("scopes", "create", "website", "--read", "courses")
    gateway("members", "add", "website", "--user", "ada")
    for command in (["members", "remove", "website", "--user", "ada"], ["scopes", "delete", "website"]):
        options = ["--fallback", "deny"] if command[0] == "scopes" else []
        refused = gateway(*command, *options)
        assert refused.exit_code == 1
        assert "user ada may do everything" in refused.stderr
        assert "--widens" in refused.stderr
    assert told(gateway("members", "list", "--json"))


@pytest.mark.parametrize("arguments", [["list"], ["list", "--user", "ada"]], ids=" ".join)
def test_looking_for_members_makes_no_folder(tmp_path: Path, arguments: list[str]) -> None:
    result = gateway_in(tmp_path)("members", *arguments)
    assert result.exit_code == 1
    assert "There is no store at" in result.stderr
    assert not (tmp_path / "var").exists()
