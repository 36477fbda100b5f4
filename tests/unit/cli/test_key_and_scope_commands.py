"""The commands for scopes, keys, the store and explain, as operators and programs type them."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.domain.key_format import digest, well_formed
from gateway.store.schema import REVISION

CONFIG = """\
store: sqlite:///{store}
routes: routes.yaml
feeds: {{demo: {{upstream: http://127.0.0.1:9}}}}
"""
ROUTES = """\
feed: demo
modules: {courses: Courses, bookings: Bookings}
routes:
  - {path: /v2/courses, module: courses}
  - {path: /v2/bookings, module: bookings}
"""
Gateway = Callable[..., Result]


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    """The command, with a configuration and a store of this test's own."""
    config = tmp_path / "gateway.yaml"
    config.write_text(CONFIG.format(store=tmp_path / "var" / "store.db"))
    (tmp_path / "routes.yaml").write_text(ROUTES)

    def run(*arguments: str, stdin: bytes | None = None) -> Result:
        result = CliRunner().invoke(main, ["-c", str(config), *arguments], input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


def told(result: Result) -> object:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def refused(result: Result) -> str:
    assert result.exit_code == 1
    assert result.stdout == ""
    return result.stderr


def test_the_standard_scopes_are_there_from_the_first_command_on(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    first = gateway("scopes", "list", "--json")
    assert first.stderr == f"warning: made a new store at {tmp_path / 'var' / 'store.db'}\n"
    assert gateway("scopes", "list").stderr == ""
    listed = told(first)
    assert [(scope["id"], scope["name"], scope["locked"]) for scope in listed] == [
        (10000, "api-v2", True),
        (10002, "mailchimp", True),
        (10001, "power-bi", True),
    ]
    assert listed[2]["read"] == ["*"]


def test_a_scope_is_made_changed_copied_and_deleted(gateway: Gateway) -> None:
    made = told(
        gateway(
            *("scopes", "create", "website", "--label", "Website", "--mode", "allow"),
            *("--read", "courses, bookings", "--update", "courses", "--bypass-enabled-flag", "--json"),
        )
    )
    assert (made["read"], made["update"], made["bypass_enabled_flag"]) == (
        ["bookings", "courses"],
        ["courses"],
        True,
    )
    changed = told(gateway("scopes", "update", "website", "--read", "", "--no-bypass-enabled-flag", "--json"))
    assert (changed["read"], changed["update"], changed["bypass_enabled_flag"]) == ([], ["courses"], False)
    assert told(gateway("scopes", "clone", "api-v2", "all", "--json"))["locked"] is False
    assert told(gateway("scopes", "show", "all", "--json"))["keys"] == []
    assert gateway("scopes", "delete", "all").exit_code == 0
    assert "no scope 'all'" in refused(gateway("scopes", "show", "all"))


def test_a_key_is_printed_once_and_never_again(gateway: Gateway) -> None:
    made = told(
        gateway(
            *("keys", "create", "Website", "--scope", "power-bi", "--scope", "mailchimp"),
            *("--expires", "90d", "--json"),
        )
    )
    assert {"id", "key", "label", "scopes", "expires_at"} <= made.keys()
    assert well_formed(made["key"].encode())
    assert made["scopes"] == ["mailchimp", "power-bi"]
    assert made["expires_at"].endswith("Z")
    shown = gateway("keys", "show", "1").stdout + gateway("keys", "list").stdout
    shown += gateway("keys", "show", "1", "--json").stdout + gateway("keys", "list", "--json").stdout
    assert made["key"][5:] not in shown


def test_the_store_holds_no_secret(gateway: Gateway, tmp_path: Path) -> None:
    made = told(gateway("keys", "create", "Website", "--scope", "api-v2", "--json"))
    rotated = told(gateway("keys", "rotate", "1", "--overlap", "24h", "--json"))
    content = b"".join(file.read_bytes() for file in (tmp_path / "var").iterdir())
    for key in (made["key"], rotated["key"]):
        assert key[5:-6].encode() not in content
        assert digest(key.encode()) in content


def test_people_read_the_key_on_a_line_of_its_own(gateway: Gateway) -> None:
    result = gateway("keys", "create", "Website", "--scope", "api-v2")
    line = next(line for line in result.stdout.splitlines() if line.startswith("key "))
    assert well_formed(line.split()[1].encode())
    assert "this once" in result.stdout


def test_the_life_of_a_key(gateway: Gateway) -> None:
    gateway("keys", "create", "Website", "--scope", "api-v2")
    assert told(gateway("keys", "update", "1", "--label", "Shop", "--json"))["label"] == "Shop"
    assert told(gateway("keys", "update", "1", "--trial", "power-bi", "--json"))["trial"] == ["power-bi"]
    assert told(gateway("keys", "update", "1", "--no-trial", "--json"))["trial"] is None
    gateway("keys", "update", "1", "--trial", "power-bi,mailchimp")
    assert told(gateway("keys", "adopt", "1", "--json"))["scopes"] == ["mailchimp", "power-bi"]
    assert told(gateway("keys", "disable", "1", "--json"))["state"] == "disabled"
    assert told(gateway("keys", "enable", "1", "--json"))["state"] == "active"
    assert told(gateway("keys", "revoke", "1", "--json"))["state"] == "revoked"
    assert "for good" in refused(gateway("keys", "enable", "1"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["keys", "create", "Website"], "at least one scope"),
        (["keys", "create", "Website", "--scope", "api-v3"], "did you mean api-v2?"),
        (["keys", "create", "Website", "--scope", "api-v2", "--expires", "2001-01-01"], "is in the past"),
        (["keys", "create", "Website", "--scope", "api-v3"], "'api-v3'.\nhint: did you mean"),
        (
            ["keys", "create", "Website", "--scope", "api-v3", "--scope", "power-bl"],
            "There is no scope 'api-v3'; did you mean api-v2?\nThere is no scope 'power-bl'; did you mean",
        ),
        (["keys", "create", "", "--scope", "api-v2"], "label is empty"),
        (["keys", "show", "7"], "no key 7"),
        (["keys", "update", "7", "--label", "x"], "no key 7"),
        (["keys", "import", "/nonexistent.csv"], "cannot be read"),
        (["scopes", "create", "Website"], "cannot name a scope"),
        (["scopes", "create", "website", "--read", "coures"], "did you mean courses?"),
        (["scopes", "update", "api-v2", "--label", "x"], "standard one"),
        (["scopes", "delete", "api-v2"], "standard one"),
        (["scopes", "show", "nobody"], "no scope 'nobody'"),
        (["explain", "--key-id", "7", "GET", "/v2/courses"], "no key 7"),
    ],
)
def test_what_is_refused_is_a_sentence_on_standard_error(
    gateway: Gateway, arguments: list[str], said: str
) -> None:
    told(gateway("db", "upgrade", "--json"))
    assert said in refused(gateway(*arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        ["keys", "show", "one"],
        ["keys", "show", "0"],
        ["keys", "rotate", "1", "--overlap", "soon"],
        ["scopes", "create"],
        ["scopes", "create", "x", "--mode", "maybe"],
        ["scopes", "delete", "x", "--fallback", "none"],
        ["explain", "GET", "/v2/courses"],
        ["keys", "create", "x", "--scpoe", "api-v2"],
        ["keys", "create", "x", "--scope", "api-v2", "--expires", "soon"],
        ["keys", "update", "1", "--expires", "foo"],
        ["keys", "update", "1"],
        ["keys", "update", "1", "--trial", "power-bi", "--no-trial"],
        ["scopes", "update", "website"],
    ],
)
def test_a_wrong_command_line_ends_with_two(gateway: Gateway, tmp_path: Path, arguments: list[str]) -> None:
    result = gateway(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Usage: ")
    assert not (tmp_path / "var").exists()


LOOKING = [["keys", "list"], ["keys", "show", "1"], ["scopes", "list"], ["scopes", "show", "api-v2"]]
LOOKING.append(["explain", "--key-id", "1", "GET", "/v2/courses"])
CHANGING = [["keys", verb, "1"] for verb in ("adopt", "rotate", "disable", "enable", "revoke")]
CHANGING += [["keys", "update", "1", "--label", "Shop"], ["scopes", "update", "website", "--read", "courses"]]
CHANGING += [["scopes", "delete", "website"], ["members", "remove", "website", "--user", "ada"]]


@pytest.mark.parametrize("arguments", LOOKING + CHANGING, ids=" ".join)
def test_looking_makes_no_folder_and_says_where_no_store_is(
    gateway: Gateway, tmp_path: Path, arguments: list[str]
) -> None:
    assert f"error: There is no store at {tmp_path / 'var' / 'store.db'}.\nhint: " in refused(
        gateway(*arguments)
    )
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize("arguments", [LOOKING[1], LOOKING[4], *CHANGING], ids=" ".join)
def test_what_cannot_be_in_a_new_store_is_looked_for_in_none(
    gateway: Gateway, tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "var").mkdir()
    assert "There is no store at" in refused(gateway(*arguments))
    assert list((tmp_path / "var").iterdir()) == []


def test_a_program_is_told_of_a_refusal_where_it_looks_for_data(gateway: Gateway, tmp_path: Path) -> None:
    gateway("scopes", "create", "website", "--read", "courses")
    gateway("keys", "create", "Shop", "--scope", "website")
    gateway("keys", "update", "1", "--trial", "website")
    in_use = gateway("scopes", "delete", "website", "--json")
    assert (in_use.exit_code, in_use.stderr) == (1, "")
    answer = json.loads(in_use.stdout)
    assert answer["used_by"] == [
        {"kind": "key", "id": 1, "label": "Shop", "trial": False},
        {"kind": "key", "id": 1, "label": "Shop", "trial": True},
    ]
    assert "in use by key 1 (Shop)" in answer["error"]
    assert "--fallback deny" in answer["hint"]
    unknown = gateway("keys", "create", "x", "--scope", "websit", "--json")
    assert unknown.exit_code == 1
    assert json.loads(unknown.stdout) == {
        "error": "There is no scope 'websit'.",
        "hint": "did you mean website?",
    }
    (tmp_path / "gateway.yaml").write_text("stoer: x\n")
    bad = gateway("keys", "list", "--json")
    assert bad.exit_code == 1
    assert json.loads(bad.stdout)["problems"][0]["line"] == 1


def test_keys_are_imported_from_a_file_or_standard_input(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "keys.csv"
    file.write_text("label,key,scopes\nOld,legacy-key-of-the-website,power-bi\n")
    assert told(gateway("keys", "import", str(file), "--json"))["imported"] == 1
    piped = b"label,key,scopes\nPiped,legacy-key-of-the-other,power-bi\n"
    assert told(gateway("keys", "import", "-", "--json", stdin=piped))["ids"] == [2]
    again = gateway("keys", "import", str(file))
    assert "line 2: this key is on record already, as key 1" in refused(again)
    assert "legacy" not in again.stderr


def test_a_scope_in_use_needs_a_fallback_and_full_access_is_warned_about(gateway: Gateway) -> None:
    gateway("scopes", "create", "website", "--read", "courses")
    gateway("keys", "create", "Shop", "--scope", "website")
    assert "key 1 (Shop)" in refused(gateway("scopes", "delete", "website"))
    assert told(gateway("scopes", "delete", "website", "--fallback", "full-access", "--json"))[
        "full_access"
    ] == [1]
    for arguments in (["keys", "list"], ["keys", "show", "1"]):
        assert "full access" in gateway(*arguments).stderr
    assert told(gateway("keys", "show", "1", "--json"))["warnings"]


def test_explain_ends_with_zero_for_a_permit_and_one_for_a_refusal(gateway: Gateway) -> None:
    gateway("scopes", "create", "website", "--read", "courses")
    gateway("keys", "create", "Shop", "--scope", "website")
    permit = gateway("explain", "--key-id", "1", "GET", "/v2/courses?page=2", "--json")
    trace = told(permit)
    assert (trace["permitted"], trace["module"], trace["action"]) == (True, "courses", "read")
    assert trace["where"].endswith("routes.yaml:4")
    assert trace["deciding_scope"] == "website"
    refusal = gateway("explain", "--key-id", "1", "POST", "/v2/bookings", "--json")
    assert refusal.exit_code == 1
    trace = json.loads(refusal.stdout)
    assert (trace["permitted"], trace["status"], trace["code"]) == (False, 403, "scope_denied")
    assert trace["votes"] == [{"scope": "website", "id": 11000, "mode": "allow", "vote": "abstain"}]
    assert trace["changes"][0]["commands"] == ["gateway scopes update website --create bookings"]
    people = gateway("explain", "--key-id", "1", "POST", "/v2/bookings")
    assert people.exit_code == 1
    assert "REFUSED 403 scope_denied" in people.stdout
    assert "Smallest change" in people.stdout


def test_the_store_is_upgraded_and_says_from_where_to_where(gateway: Gateway) -> None:
    assert told(gateway("db", "upgrade", "--json")) == {"from": None, "to": REVISION, "changed": True}
    assert told(gateway("db", "upgrade", "--json"))["changed"] is False
    assert "already" in gateway("db", "upgrade").stdout


def test_a_store_that_cannot_be_used_is_a_sentence(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "store.db").write_bytes(b"this is no database, it is a letter to a friend" * 30)
    for arguments in (["keys", "list"], ["scopes", "list"], ["db", "upgrade"]):
        assert "not a database" in refused(gateway(*arguments))


def test_a_bad_configuration_is_told_with_file_and_line(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("stoer: x\n")
    for arguments in (["keys", "list"], ["scopes", "create", "x"], ["db", "upgrade"]):
        assert "gateway.yaml:1" in refused(gateway(*arguments))


def test_the_audit_names_the_operating_system_user(gateway: Gateway, tmp_path: Path) -> None:
    gateway("scopes", "create", "website", "--read", "courses")
    connection = sqlite3.connect(tmp_path / "var" / "store.db")
    rows = connection.execute("SELECT actor, action, subject FROM audit").fetchall()
    connection.close()
    assert len(rows) == 1
    assert rows[0][0]
    assert rows[0][1:] == ("scope.create", "scope:website")
