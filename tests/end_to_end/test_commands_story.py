"""An operator's day through the commands, each of them a process of its own, on a store of the test's own."""

import hashlib
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from commands import Commands
from gateways import write_configuration
from operations import printed

SCOPE_FIELDS = {
    *("id", "name", "label", "mode", "create", "read", "update", "delete"),
    *("bypass_enabled_flag", "locked"),
}
KEY_FIELDS = {
    *("id", "label", "state", "scopes", "trial", "expired", "created_at", "expires_at", "last_used_at"),
    *("full_access_after", "secrets", "warnings"),
}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class Operator:
    """Somebody who types commands; remembers what every one of them printed."""

    def __init__(self, run: Commands) -> None:
        self.file = run.file
        self.read: list[str] = []
        self._run = run

    def types(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command."""
        done = self._run(*arguments, stdin=stdin)
        assert "Traceback" not in done.stderr, done.stderr
        self.read.append(done.stdout + done.stderr)
        return done

    def gets(self, *arguments: str, stdin: str = "") -> Any:  # noqa: ANN401 - whatever JSON holds
        """What a command prints for programs."""
        return printed(self.types(*arguments, "--json", stdin=stdin))

    def is_refused(self, *arguments: str) -> str:
        """What a command says that may not be done."""
        done = self.types(*arguments)
        assert (done.returncode, done.stdout) == (1, ""), done.stdout
        assert done.stderr.startswith("error: ")
        return done.stderr


@pytest.fixture
def operator(commands: Commands, tmp_path: Path) -> Operator:
    return Operator(commands.on(write_configuration(tmp_path, [9])))


def test_a_day_with_scopes(operator: Operator) -> None:
    standard = {scope["name"]: scope for scope in operator.gets("scopes", "list")}
    assert {name: scope["locked"] for name, scope in standard.items()} == {
        "api-v2": True,
        "power-bi": True,
        "mailchimp": True,
    }
    assert standard["api-v2"]["id"] == 10000
    assert [standard["api-v2"][action] for action in ("create", "read", "update", "delete")] == [["*"]] * 4
    assert (standard["power-bi"]["read"], standard["power-bi"]["delete"]) == (["*"], [])

    made = operator.gets(
        *("scopes", "create", "website", "--label", "Website", "--mode", "allow"),
        *("--read", "courses,course-dates", "--create", "bookings"),
    )
    assert set(made) == SCOPE_FIELDS
    assert (made["read"], made["create"], made["update"]) == (["course-dates", "courses"], ["bookings"], [])
    assert (made["bypass_enabled_flag"], made["locked"]) == (False, False)

    changed = operator.gets("scopes", "update", "website", "--read", "users", "--create", "")
    assert changed == {**made, "read": ["users"], "create": []}
    changed = operator.gets(
        *("scopes", "update", str(made["id"]), "--mode", "deny", "--label", "No users"),
        *("--update", "*", "--delete", "*", "--bypass-enabled-flag"),
    )
    assert (changed["mode"], changed["label"], changed["delete"]) == ("deny", "No users", ["*"])
    assert changed["bypass_enabled_flag"] is True
    assert changed["read"] == ["users"]
    assert operator.gets("scopes", "show", "website") == {**changed, "keys": [], "members": []}

    copy = operator.gets("scopes", "clone", "mailchimp", "mailchimp.2")
    assert (copy["read"], copy["locked"]) == (standard["mailchimp"]["read"], False)
    assert operator.types("scopes", "update", "mailchimp.2", "--label", "Mine").returncode == 0
    assert operator.gets("scopes", "delete", "mailchimp.2")["deleted"]["name"] == "mailchimp.2"
    shown = operator.types("scopes", "list").stdout
    assert "website" in shown
    assert "mailchimp.2" not in shown


@pytest.mark.parametrize("name", ["api-v2", "10000", "power-bi", "mailchimp"])
def test_a_standard_scope_is_neither_edited_nor_deleted(operator: Operator, name: str) -> None:
    assert operator.types("db", "upgrade").returncode == 0
    assert "is a standard one" in operator.is_refused("scopes", "update", name, "--label", "Mine")
    assert "is a standard one" in operator.is_refused("scopes", "delete", name, "--fallback", "deny")


def test_a_day_with_keys(operator: Operator) -> None:
    assert operator.gets("keys", "list") == []
    assert "at least one scope" in operator.is_refused("keys", "create", "Web shop")
    operator.gets("scopes", "create", "website", "--read", "courses")
    made = operator.types(
        *("keys", "create", "Web shop", "--scope", "website", "--scope", "power-bi", "--expires", "90d"),
        "--json",
    )
    operator.read.pop()
    key = printed(made)
    assert set(key) == KEY_FIELDS | {"key"}
    assert re.fullmatch(rf"sg_{key['id']}_[0-9A-Za-z]{{49}}", key["key"])
    assert (key["label"], key["state"], sorted(key["scopes"])) == (
        "Web shop",
        "active",
        ["power-bi", "website"],
    )
    assert MOMENT.fullmatch(key["created_at"])
    assert MOMENT.fullmatch(key["expires_at"])
    number = str(key["id"])

    shown = operator.gets("keys", "show", number)
    assert shown == {name: value for name, value in key.items() if name != "key"}
    assert operator.gets("keys", "list") == [shown]
    changed = operator.gets(
        *("keys", "update", number, "--scope", "website", "--trial", "power-bi"),
        *("--label", "Shop", "--expires", "never"),
    )
    assert (changed["scopes"], changed["trial"], changed["label"]) == (["website"], ["power-bi"], "Shop")
    assert changed["expires_at"] is None
    assert operator.gets("keys", "update", number, "--no-trial")["trial"] is None
    assert "no trial" in operator.is_refused("keys", "adopt", number)
    operator.gets("keys", "update", number, "--trial", "power-bi")
    adopted = operator.gets("keys", "adopt", number)
    assert (adopted["scopes"], adopted["trial"]) == (["power-bi"], None)

    rotated = printed(operator.types("keys", "rotate", number, "--overlap", "24h", "--json"))
    operator.read.pop()
    assert rotated["id"] == key["id"]
    assert rotated["key"] != key["key"]
    assert len(rotated["secrets"]) == 2
    assert operator.gets("keys", "disable", number)["state"] == "disabled"
    assert operator.gets("keys", "enable", number)["state"] == "active"
    assert operator.gets("keys", "revoke", number)["state"] == "revoked"
    for again in ("enable", "disable", "rotate", "adopt"):
        assert "revoked for good" in operator.is_refused("keys", again, number)
    assert "revoked" in operator.types("keys", "list").stdout

    everything = "".join(operator.read) + operator.types("keys", "show", number).stdout
    for secret in (key["key"], rotated["key"]):
        digest = hashlib.sha256(secret.encode()).hexdigest()
        assert secret not in everything
        assert secret.rsplit("_", 1)[1] not in everything
        assert digest not in everything
    stored = b"".join(file.read_bytes() for file in operator.file.parent.glob("scopegate.db*"))
    assert key["key"].encode() not in stored
    assert rotated["key"].encode() not in stored


def test_a_key_is_shown_to_people_once_with_the_word_to_keep_it(operator: Operator) -> None:
    made = operator.types("keys", "create", "HR", "--scope", "api-v2", "--expires", "2099-12-31")
    assert made.returncode == 0
    assert len(re.findall(r"sg_\d+_\w+", made.stdout)) == 1
    assert "shown this once" in made.stdout
    assert "2099-12-31" in operator.types("keys", "show", "1").stdout
    rotated = operator.types("keys", "rotate", "1", "--overlap", "0")
    assert len(re.findall(r"sg_\d+_\w+", rotated.stdout)) == 1
    assert "refused from now on" in rotated.stdout


@pytest.mark.parametrize(
    ("fallback", "scopes", "said"),
    [("deny", [], "has no scope"), ("full-access", ["api-v2"], "has full access")],
)
def test_a_scope_in_use_is_deleted_only_with_a_word_on_its_users(
    operator: Operator, fallback: str, scopes: list[str], said: str
) -> None:
    operator.gets("scopes", "create", "website", "--read", "courses")
    operator.gets("keys", "create", "Only this", "--scope", "website")
    operator.gets("keys", "create", "This and more", "--scope", "website", "--scope", "power-bi")
    refused = operator.is_refused("scopes", "delete", "website")
    assert "key 1 (Only this)" in refused
    assert "key 2 (This and more)" in refused
    assert "--fallback deny or --fallback full-access" in refused
    gone = operator.types("scopes", "delete", "website", "--fallback", fallback)
    assert (gone.returncode, said in gone.stderr) == (0, True), gone.stderr
    assert "warning:" in gone.stderr
    first, second = operator.gets("keys", "list")
    assert (first["scopes"], second["scopes"]) == (scopes, ["power-bi"])
    assert first["full_access_after"] == ("website" if fallback == "full-access" else None)
    for look in (("keys", "list"), ("keys", "show", "1")):
        looked = operator.types(*look)
        assert "warning: " in looked.stderr
        assert said in looked.stderr
    assert any(said in warning for warning in first["warnings"])
    operator.gets("keys", "update", "1", "--scope", "power-bi")
    assert operator.types("keys", "list").stderr == ""


def test_existing_keys_come_in_from_a_file_all_or_none(operator: Operator, tmp_path: Path) -> None:
    operator.gets("scopes", "create", "website", "--read", "courses")
    digest = hashlib.sha256(b"legacy-key-number-two").hexdigest()
    good = (
        "label,key,sha256,scopes,expires\n"
        "Old,legacy-key-number-one,,website,\n"
        f"Older,,{digest},website;power-bi,90d\n"
    )
    bad = f"{good}Same,legacy-key-number-one,,website,\n,x,,website,\nLost,other,,webiste,\nNo,another,,,\n"
    (tmp_path / "bad.csv").write_text(bad)
    refused = operator.is_refused("keys", "import", str(tmp_path / "bad.csv"))
    assert re.findall(r"line (\d+):", refused) == ["4", "5", "6", "7"]
    assert "did you mean website?" in refused
    assert operator.gets("keys", "list") == []
    assert operator.gets("keys", "import", "-", stdin=good)["ids"] == [1, 2]
    assert "on record already" in operator.types("keys", "import", "-", stdin=good).stderr
    listed = operator.gets("keys", "list")
    assert [(key["label"], sorted(key["scopes"])) for key in listed] == [
        ("Old", ["website"]),
        ("Older", ["power-bi", "website"]),
    ]
    assert "legacy-key" not in "".join(operator.read)


def test_the_store_is_upgraded_once(operator: Operator) -> None:
    (operator.file.parent / "scopegate.db").unlink()
    first = operator.gets("db", "upgrade")
    assert (first["from"], first["changed"]) == (None, True)
    second = operator.gets("db", "upgrade")
    assert second == {"from": first["to"], "to": first["to"], "changed": False}
    assert "already" in operator.types("db", "upgrade").stdout
