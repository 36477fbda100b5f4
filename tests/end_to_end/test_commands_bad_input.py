"""Every command given what it cannot take: one sentence that says what is wrong, and never a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest
from commands import Commands
from gateways import run_cli, write_configuration

COMMANDS = [
    ("serve",),
    ("check",),
    ("scopes", "list"),
    ("scopes", "show", "website"),
    ("scopes", "create", "website", "--read", "courses"),
    ("scopes", "update", "website", "--read", "courses"),
    ("scopes", "clone", "api-v2", "copy"),
    ("scopes", "delete", "website"),
    ("keys", "list"),
    ("keys", "show", "1"),
    ("keys", "create", "Web", "--scope", "api-v2"),
    ("keys", "update", "1", "--label", "Web"),
    ("keys", "adopt", "1"),
    ("keys", "rotate", "1"),
    ("keys", "disable", "1"),
    ("keys", "enable", "1"),
    ("keys", "revoke", "1"),
    ("keys", "import", "-"),
    ("explain", "--key-id", "1", "GET", "/v2/courses"),
    ("routes", "list"),
    ("routes", "match", "GET", "/v2/courses"),
    ("routes", "lint"),
    ("db", "upgrade"),
]


def called(command: tuple[str, ...]) -> str:
    return " ".join(command[:2])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, commands: Commands) -> Commands:
    """A good configuration whose store has one scope `website` and no key."""
    file = write_configuration(tmp_path_factory.mktemp("prepared"), [9])
    run = commands.on(file)
    run.scope("website", read="courses")
    return run


@pytest.mark.parametrize("command", COMMANDS, ids=called)
def test_a_configuration_that_is_not_there_ends_every_command(
    prepared: Commands, tmp_path: Path, command: tuple[str, ...]
) -> None:
    done = prepared.on(tmp_path / "nowhere.yaml")(*command)
    assert (done.returncode, done.stdout) == (1, "")
    assert "nowhere.yaml" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


BAD_FILES = {
    "empty": b"",
    "only a comment": b"# nothing\n",
    "not a mapping": b"- a\n- b\n",
    "not UTF-8": b"listen: \xff\xfe\n",
    "UTF-16": "listen: 127.0.0.1:0\n".encode("utf-16"),
    "NUL bytes": b"\x00\x00\x00\x00",
    "not YAML": b"feeds: [\n",
    "a tab": b"feeds:\n\tx: 1\n",
    "a tag": b"feeds: !!python/object/apply:os.system ['true']\n",
    "a bomb": b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nfeeds: *c\n",
    "twice the same key": b"listen: 127.0.0.1:0\nlisten: 127.0.0.1:0\n",
    "two documents": b"listen: 127.0.0.1:0\n---\nlisten: 127.0.0.1:0\n",
    "random": bytes(range(256)),
    "very deep": b"[" * 5000,
}


@pytest.mark.parametrize("place", ["gateway.yaml", "routes.yaml"])
@pytest.mark.parametrize("content", BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_cannot_be_a_configuration_is_named(
    prepared: Commands, tmp_path: Path, content: bytes, place: str
) -> None:
    file = write_configuration(tmp_path, [9])
    (tmp_path / place).write_bytes(content)
    done = prepared.on(file)("check")
    assert (done.returncode, done.stdout) == (1, "")
    assert place in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("place", ["gateway.yaml", "routes.yaml"])
@pytest.mark.parametrize("command", [("check",), ("serve",), ("keys", "list")], ids=called)
def test_a_directory_where_a_file_should_be_is_told(
    prepared: Commands, tmp_path: Path, place: str, command: tuple[str, ...]
) -> None:
    file = write_configuration(tmp_path, [9])
    (tmp_path / place).unlink()
    (tmp_path / place).mkdir()
    done = prepared.on(file)(*command)
    if (place, command) == ("routes.yaml", ("keys", "list")):
        assert done.returncode == 0
        return
    assert (done.returncode, done.stdout) == (1, "")
    assert place in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("file", ["/proc/self/mem", "/dev/full", "/dev/zero"])
def test_a_file_that_cannot_be_read_to_its_end_is_told(prepared: Commands, file: str) -> None:
    done = prepared.on(Path(file))("check")
    assert (done.returncode, done.stdout) == (1, "")
    assert file in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Usage:"),
        (("serv",), "No such command"),
        (("keys",), "Usage:"),
        (("keys", "destroy"), "No such command"),
        (("keys", "list", "--yaml"), "No such option"),
        (("keys", "show"), "Missing argument"),
        (("keys", "show", "one"), "'one' is not a valid integer"),
        (("keys", "show", "0"), "0 is not in the range"),
        (("keys", "show", "-1"), "No such option"),
        (("keys", "show", "1", "2"), "unexpected extra argument"),
        (("keys", "create"), "Missing argument"),
        (("keys", "create", "Web", "--scope"), "requires an argument"),
        (("keys", "rotate", "1", "--overlap", "soon"), "--overlap"),
        (("keys", "rotate", "1", "--overlap", "-5m"), "--overlap"),
        (("keys", "create", "Web", "--scope", "website", "--expires", "tomorrow"), "--expires"),
        (("keys", "create", "Web", "--scope", "website", "--expires", "99999999999999d"), "--expires"),
        (("keys", "update", "1"), "Nothing to change"),
        (("keys", "update", "1", "--trial", "website", "--no-trial"), "--no-trial"),
        (("scopes", "update", "website"), "Nothing to change"),
        (("keys", "import"), "Missing argument"),
        (("scopes", "create"), "Missing argument"),
        (("scopes", "create", "x", "--mode", "maybe"), "'maybe' is not one of"),
        (("scopes", "delete", "website", "--fallback", "pray"), "'pray' is not one of"),
        (("scopes", "clone", "api-v2"), "Missing argument"),
        (("explain", "GET", "/v2/courses"), "Say who asks"),
        (("explain", "--key-id", "x", "GET", "/"), "not a valid integer"),
        (("explain", "--key-id", "1", "GET"), "METHOD and PATH"),
        (("routes", "match", "GET"), "Missing argument"),
        (("serve", "--log-format", "xml"), "'xml' is not one of"),
        (("db", "downgrade"), "No such command"),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_a_usage_error(
    prepared: Commands, arguments: tuple[str, ...], said: str
) -> None:
    done = prepared(*arguments)
    assert done.returncode == 2
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


HUGE = str(10**30)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("keys", "show", "99"), "no key 99"),
        (("keys", "show", HUGE), "no key"),
        (("keys", "revoke", "99"), "no key 99"),
        (("keys", "disable", HUGE), "no key"),
        (("keys", "enable", "99"), "no key 99"),
        (("keys", "rotate", "99"), "no key 99"),
        (("keys", "adopt", "99"), "no key 99"),
        (("keys", "update", "99", "--label", "x"), "no key 99"),
        (("keys", "create", "Web", "--scope", "webiste"), "did you mean website?"),
        (("keys", "create", "Web", "--scope", HUGE), "no scope"),
        (("keys", "create", "Web", "--scope", ""), "at least one scope"),
        (("keys", "create", "", "--scope", "website"), "label"),
        (("keys", "create", "x" * 201, "--scope", "website"), "200"),
        (("keys", "create", "a\nb", "--scope", "website"), "cannot be printed"),
        (("keys", "create", "\udcff", "--scope", "website"), "cannot be printed"),
        (("keys", "create", "Web", "--scope", "website", "--expires", "2001-01-01"), "past"),
        (("scopes", "show", "webiste"), "did you mean website?"),
        (("scopes", "show", ""), "no scope"),
        (("scopes", "show", "\udcff"), "no scope"),
        (("scopes", "update", "webiste", "--read", "courses"), "did you mean website?"),
        (("scopes", "update", "website", "--read", "coures"), "did you mean courses?"),
        (("scopes", "create", "website"), "already"),
        (("scopes", "create", "Website"), "cannot name a scope"),
        (("scopes", "create", "-website"), "No such option"),
        (("scopes", "create", "a" * 65), "cannot name a scope"),
        (("scopes", "create", "new", "--read", "coures,bokings"), "did you mean bookings?"),
        (("scopes", "create", "new", "--label", "\x1b[2J"), "cannot be printed"),
        (("scopes", "clone", "nobody", "copy"), "no scope"),
        (("scopes", "clone", "api-v2", "website"), "already"),
        (("scopes", "delete", "webiste"), "did you mean website?"),
        (("keys", "import", "/nowhere.csv"), "/nowhere.csv"),
        (("keys", "import", "/"), "cannot be read"),
        (("keys", "import", "/dev/null"), "line 1"),
        (("explain", "--key-id", "99", "GET", "/v2/courses"), "no key 99"),
        (("explain", "--key-id", HUGE, "GET", "/v2/courses"), "no key"),
        (("routes", "list", "--feed", "tset"), "no feed"),
        (("routes", "list", "--module", "coures"), "no module"),
        (("routes", "match", "GET", "/v2/%2e%2e/x"), "path_ambiguous"),
        (("routes", "match", "GET", "v2/courses"), ""),
        (("routes", "match", "GET", ""), ""),
        (("routes", "match", "GET", "/\udcff"), "path_ambiguous"),
        (("routes", "match", "G T", "/v2/courses"), ""),
    ],
    ids=lambda part: (
        " ".join(part)[:60].encode("ascii", "replace").decode() if isinstance(part, tuple) else ""
    ),
)
def test_what_is_not_there_or_breaks_a_rule_is_refused_with_a_sentence(
    prepared: Commands, arguments: tuple[str, ...], said: str
) -> None:
    done = prepared(*arguments)
    assert done.returncode == (2 if said == "No such option" else 1), done.stdout + done.stderr
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "line 1"),
        (b"label,key,scopes\n", "no keys"),
        (b"label,key,scopes\n\xff\xfe,k,website\n", "line 2"),
        (b"label,kye,scopes\nx,y,website\n", "did you mean key?"),
        (b'label,key,scopes\n"x,y,website\n', "line 2"),
        (b"label,key,scopes\nx,y\n", "line 2"),
        (b"label,key,scopes\nx,\x00\x01,website\n", "line 2"),
        (b"label,sha256,scopes\nx,abc,website\n", "64 hexadecimal"),
        (b"label,key,scopes\nx,sg_1_damagedsecret,website\n", "checksum"),
        (b"\x00" * 64, "line 1"),
    ],
)
def test_a_file_of_keys_that_is_no_such_thing_changes_nothing(
    prepared: Commands, tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "keys.csv").write_bytes(content)
    done = prepared("keys", "import", str(tmp_path / "keys.csv"))
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert "damagedsecret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_output_that_nobody_reads_is_no_traceback(prepared: Commands) -> None:
    command = f"{sys.executable} -m gateway -c {prepared.file} scopes list --json | head -c 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr
    assert done.stdout == "["


def test_output_to_a_full_disk_is_told_and_is_no_success(prepared: Commands) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "-c", str(prepared.file), "scopes", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_variable_that_is_not_set_is_named_with_its_line(tmp_path: Path) -> None:
    file = write_configuration(
        tmp_path, [9], feed="credentials: {header: X-Key, value: '${NO_SUCH_VARIABLE}'}"
    )
    done = run_cli(file, "check")
    assert (done.returncode, "NO_SUCH_VARIABLE" in done.stderr) == (1, True)
    assert "gateway.yaml:8" in done.stderr
