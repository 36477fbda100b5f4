"""`gateway explain --token -`: a token on standard input is held to every check, and never shown."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import time

import pytest
from click.testing import CliRunner, Result
from tokens import SigningKey, bearer_settings

from gateway.cli import main

ROUTES = "feed: demo\nmodules: {courses: Courses}\nroutes: [{path: /v2/courses, module: courses}]\n"
Explaining = Callable[..., Result]


@pytest.fixture
def key() -> SigningKey:
    return SigningKey()


@pytest.fixture
def config(tmp_path: Path, key: SigningKey) -> Path:
    (tmp_path / "routes.yaml").write_text(ROUTES)
    lines = [
        f"store: sqlite:///{tmp_path}/store.db",
        "routes: [routes.yaml]",
        "feeds: {demo: {upstream: 'http://127.0.0.1:9'}}",
        bearer_settings(tmp_path, key),
    ]
    file = tmp_path / "gateway.yaml"
    file.write_text("\n".join(lines))
    return file


def run(config: Path, *arguments: str, given: str | bytes = "") -> Result:
    result = CliRunner().invoke(main, ["-c", str(config), *arguments], input=given)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def explain(config: Path) -> Explaining:
    def explaining(token: str | bytes, *arguments: str) -> Result:
        result = run(config, "explain", "--token", "-", *arguments, given=token)
        shown = token if isinstance(token, str) else token.decode("latin-1")
        parts = [part for part in shown.strip().split(".") if len(part) > 8]
        assert not any(part in result.output for part in parts)
        return result

    return explaining


def test_a_good_token_is_told_by_what_it_says(explain: Explaining, key: SigningKey) -> None:
    result = explain(key.token(roles=["trainers"], scope="website openid") + "\n")
    assert result.exit_code == 0
    for word in ("good", "user", "ada", "trainers", "website, openid", "members"):
        assert word in result.output


def test_programs_are_told_likewise(explain: Explaining, key: SigningKey) -> None:
    told = json.loads(explain(key.token("app", client_id="app"), "--json").stdout)
    assert told["check"] is None
    assert (told["bearer"]["kind"], told["bearer"]["name"]) == ("client", "app")
    assert told["bearer"]["expires_at"].endswith("Z")


def test_a_request_is_traced_for_whom_the_token_speaks_for(
    config: Path, explain: Explaining, key: SigningKey
) -> None:
    token, request = key.token(), ("GET", "/v2/courses", "--json")
    refused = explain(token, *request)
    assert (refused.exit_code, json.loads(refused.stdout)["code"]) == (1, "scope_none")
    assert run(config, "scopes", "create", "reader", "--read", "courses").exit_code == 0
    assert run(config, "members", "add", "reader", "--user", "ada").exit_code == 0
    permitted = explain(token, *request)
    assert (permitted.exit_code, json.loads(permitted.stdout)["permitted"]) == (0, True)


@pytest.mark.parametrize(
    ("spoil", "check", "code"),
    [
        (lambda key: key.token(exp=int(time()) - 60), "expired", "credential_expired"),
        (lambda key: key.token(nbf=int(time()) + 600), "not_before", "credential_invalid"),
        (lambda key: key.token(aud="others"), "audience", "credential_invalid"),
        (lambda key: key.token(iss="https://other.example"), "issuer", "credential_invalid"),
        (lambda key: key.token(cnf={"jkt": "x"}), "confirmation", "credential_invalid"),
        (lambda key: key.token(roles={"a": 1}), "claims", "credential_invalid"),
        (lambda key: SigningKey(key.kid).token(), "signature", "credential_invalid"),
        (lambda _: SigningKey("other").token(), "key", "credential_invalid"),
        (lambda key: key.token() + "." + key.token(), "shape", "credential_invalid"),
        (lambda _: "an opaque token", "shape", "credential_invalid"),
        (lambda _: "", "shape", "credential_invalid"),
        (lambda _: b"\xff\xfe\x00" * 50, "shape", "credential_invalid"),
        (lambda key: key.token(pad="a" * 9000), "size", "credential_invalid"),
        (lambda _: "a" * 3_000_000, "size", "credential_invalid"),
    ],
)
def test_the_check_that_fails_is_told(
    explain: Explaining, key: SigningKey, spoil: Callable[[SigningKey], str | bytes], check: str, code: str
) -> None:
    token = spoil(key)
    told = json.loads(explain(token, "--json").stdout)
    assert (told["permitted"], told["check"], told["code"], told["status"]) == (False, check, code, 401)
    people = explain(token)
    assert people.exit_code == 1
    assert f"REFUSED 401 {code}: {told['detail']}" in people.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--token", "a.secret.token", "GET", "/"], "on standard input"),
        (["--token", "-", "--user", "ada"], "--token stands alone"),
        (["--token", "-", "--key-id", "1"], "--token stands alone"),
        (["--token", "-", "GET"], "METHOD and PATH"),
        (["--key-id", "1"], "METHOD and PATH"),
        (["--user", "ada"], "METHOD and PATH"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(config: Path, arguments: list[str], said: str) -> None:
    result = run(config, "explain", *arguments)
    assert result.exit_code == 2
    assert said in result.output
    assert "a.secret.token" not in result.output


def test_an_issuer_that_cannot_be_asked_is_an_outage_and_not_a_bad_token(
    config: Path, explain: Explaining, key: SigningKey
) -> None:
    config.write_text(config.read_text().replace("jwks: jwks.json", 'jwks: "http://127.0.0.1:1/keys"'))
    result = explain(key.token())
    assert result.exit_code == 1
    assert "cannot be fetched" in result.output
    assert "keys_unavailable" in result.output


def test_what_is_wrong_with_an_issuer_is_told_once(config: Path, key: SigningKey) -> None:
    config.write_text(config.read_text().replace("jwks: jwks.json", 'jwks: "http://127.0.0.1:1/keys"'))
    command = [sys.executable, "-m", "gateway", "-c", str(config), "explain", "--token", "-"]
    done = subprocess.run(command, input=key.token(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            "jwks: jwks.json",
            "secret: '-----BEGIN PUBLIC KEY----- aaaaaaaaaaaaaaaa'",
            "key or certificate file",
        ),
        ("    issuers:", "    key_sets: {ca: nothing.pem}\n    issuers:", "nothing.pem cannot be read"),
    ],
)
def test_keys_that_cannot_be_used_are_told_with_what_to_do(
    config: Path, explain: Explaining, key: SigningKey, before: str, after: str, said: str
) -> None:
    text = config.read_text().replace(before, after)
    config.write_text(text.replace("[ES256]", "[HS256]") if "secret" in after else text)
    result = explain(key.token())
    assert result.exit_code == 1
    assert said in result.output
    assert "gateway check" in result.output


def test_without_issuers_no_token_can_be_good(config: Path, key: SigningKey) -> None:
    config.write_text(config.read_text().split("authentication:")[0])
    result = run(config, "explain", "--token", "-", given=key.token())
    assert result.exit_code == 1
    assert "No bearer token can be good here" in result.output
