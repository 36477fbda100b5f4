"""`gateway explain` about the bearers of tokens, as operators and programs type it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main

SECRET = "a shared secret of enough bytes, and some more of them"
ISSUERS = [
    {"issuer": "https://a.example"},
    {"issuer": "https://both.example", "scopes_from": "both"},
    {"issuer": "https://partner.example", "scopes_from": "token", "prefix": "partner:"},
]
ROUTES = """\
feed: demo
modules: {courses: Courses, bookings: Bookings}
routes:
  - {path: /v2/courses, module: courses}
  - {path: /v2/bookings, module: bookings}
"""
Gateway = Callable[..., Result]


def gateway_in(directory: Path, *issuers: dict[str, str]) -> Gateway:
    told = [{"audience": "feeds", "algorithms": ["HS256"], "secret": SECRET, **issuer} for issuer in issuers]
    config = directory / "gateway.yaml"
    settings = {
        "store": f"sqlite:///{directory}/var/store.db",
        "routes": ["routes.yaml"],
        "feeds": {"demo": {"upstream": "http://127.0.0.1:9"}},
        "authentication": {"bearer": {"issuers": told}},
    }
    config.write_text(json.dumps(settings))
    (directory / "routes.yaml").write_text(ROUTES)

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(main, ["-c", str(config), *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    assert run("scopes", "create", "reads-courses", "--read", "courses").exit_code == 0
    run("members", "add", "reads-courses", "--user", "ada")
    run("members", "add", "reads-courses", "--role", "trainers")
    return run


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return gateway_in(tmp_path, *ISSUERS)


def trace_of(result: Result) -> dict[str, object]:
    trace = json.loads(result.stdout)
    assert result.exit_code == (0 if trace["permitted"] else 1)
    return trace


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Say who asks"),
        (["--issuer", "https://a.example"], "Say who asks"),
        (["--token-scope", "power-bi"], "Say who asks"),
        (["--user", "ada", "--client", "shop"], "for a user or for a client"),
        (["--key-id", "1", "--user", "ada"], "--key-id stands alone"),
        (["--key-id", "1", "--user", ""], "--key-id stands alone"),
        (["--key-id", "1", "--role", "x"], "--key-id stands alone"),
        (["--key-id", "1", "--client", "x"], "--key-id stands alone"),
        (["--key-id", "1", "--token-scope", "x"], "--key-id stands alone"),
        (["--key-id", "1", "--issuer", "https://a.example"], "--key-id stands alone"),
        (["--user", ""], "user's name is empty"),
        (["--client", ""], "client's name is empty"),
        (["--user", "ada", "--role", ""], "role's name is empty"),
        (["--user", "a\nb"], "U+000A"),
        (["--role", "\u202ex"], "U+202E"),
        (["--client", "x" * 10_240], "10240 characters"),
        (["--user", "\udcff"], "U+DCFF"),
        (["--user", "ada", "--issuer", "https://evil.example"], "No issuer 'https://evil.example'"),
        (["--user", "ada", "--issuer", ""], "https://a.example, https://both.example"),
        (["--user", "ada", "--issuer", "https://a.example/"], "No issuer"),
        (["--user", "ada", "--issuer", "https://partner.example"], "is it 'partner:ada'?"),
        (["--role", "x", "--issuer", "https://partner.example"], "is it 'partner:x'?"),
    ],
)
def test_who_asks_is_said_in_one_way_or_the_command_line_is_wrong(
    gateway: Gateway, arguments: list[str], said: str
) -> None:
    result = gateway("explain", *arguments, "GET", "/v2/courses")
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert result.stderr.replace("\n", "").isprintable()


def test_a_permit_of_a_user_is_told_to_programs_with_where_it_comes_from(gateway: Gateway) -> None:
    asked = ("--user", "ada", "--role", "trainers", "--role", "trainers", "--issuer", "https://a.example")
    trace = trace_of(gateway("explain", *asked, "GET", "/v2/courses", "--json"))
    assert (trace["permitted"], trace["key"], trace["trial_votes"]) == (True, None, None)
    assert trace["bearer"] == {
        "kind": "user",
        "name": "ada",
        "roles": ["trainers"],
        "issuer": "https://a.example",
        "scopes_from": "members",
        "token_scopes": [],
        "no_scopes": [],
    }
    assert trace["votes"] == [
        {
            "scope": "reads-courses",
            "id": 11000,
            "mode": "allow",
            "vote": "allow",
            "from": ["user ada", "role trainers"],
            "decides": True,
        }
    ]
    assert trace["deciding_scope"] == "reads-courses"


def test_a_refusal_of_a_user_whose_token_must_permit_too(gateway: Gateway) -> None:
    asked = ("--user", "ada", "--issuer", "https://both.example", "--token-scope", "openid  power-bi email")
    trace = trace_of(gateway("explain", *asked, "POST", "/v2/courses", "--json"))
    assert (trace["code"], trace["bearer"]["scopes_from"]) == ("scope_denied", "both")
    assert trace["bearer"]["token_scopes"] == ["openid", "power-bi", "email"]
    assert trace["bearer"]["no_scopes"] == ["openid", "email"]
    assert [(vote["scope"], vote["from"]) for vote in trace["votes"]] == [
        ("reads-courses", ["user ada"]),
        ("power-bi", ["token"]),
    ]
    steps = trace["changes"][0]["steps"]
    assert len(steps) == 2
    assert any("token" in step for step in steps)


def test_people_read_who_asks_by_which_rules_and_what_the_token_names(gateway: Gateway) -> None:
    asked = ("--client", "partner:shop", "--issuer", "https://partner.example", "--token-scope", "x power-bi")
    shown = gateway("explain", *asked, "GET", "/v2/courses")
    assert shown.exit_code == 0
    fields = dict(line.split("  ", 1) for line in shown.stdout.split("\n\n")[0].splitlines())
    assert fields["bearer"].strip() == "client partner:shop"
    assert fields["scopes from"].strip() == "token"
    assert fields["token names"].strip() == "x, power-bi (no API Scope: x)"
    assert shown.stdout.split("\n\n")[1].splitlines()[-1].split() == [
        *("power-bi", "allow", "allow", "yes", "token")
    ]
    refused = gateway("explain", "--role", "nobody", "GET", "/v2/courses")
    assert refused.exit_code == 1
    assert "whoever has the roles" in refused.stdout
    assert "REFUSED 403 scope_none" in refused.stdout
    assert "gateway members add reads-courses --role nobody" in refused.stdout


def test_where_issuers_differ_it_is_said_that_none_was_named(gateway: Gateway, tmp_path: Path) -> None:
    unnamed = gateway("explain", "--user", "ada", "--token-scope", "x", "GET", "/v2/courses")
    assert "--issuer says by whose rules" in unnamed.stderr
    assert "x (no API Scope: x) (not heeded)" in unnamed.stdout
    (tmp_path / "one").mkdir()
    only = gateway_in(tmp_path / "one", ISSUERS[1])("explain", "--user", "ada", "GET", "/v2/courses")
    assert (only.exit_code, only.stderr) == (1, "")
    assert "https://both.example" in only.stdout
    (tmp_path / "none").mkdir()
    none = gateway_in(tmp_path / "none")("explain", "--user", "ada", "GET", "/v2/courses")
    assert (none.exit_code, none.stderr) == (0, "")


def test_a_name_with_a_space_or_a_quote_is_quoted_in_what_is_to_be_typed(gateway: Gateway) -> None:
    shown = gateway("explain", "--user", "O'Neil $(id)", "GET", "/v2/courses")
    assert """gateway members add reads-courses --user 'O'"'"'Neil $(id)'""" in shown.stdout
