"""Settings of bearer tokens: what is read, what is refused by file and line, and no secret in a sentence."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from gateway.configuration import load_everything
from gateway.document.problem import SettingsError
from gateway.domain.token import ScopesFrom, WithoutScope
from gateway.identity.tokens import ISSUERS_WITHIN
from gateway.settings.bearer import LONGEST_WAIT, BearerSettings, TokenType

SECRET = "never-shown-0123456789-0123456789"
ROUTES = "feed: test\nmodules: {courses: Courses}\nroutes:\n  - {path: /courses, module: courses}\n"
HEAD = (
    "routes: [routes.yaml]\nfeeds: {test: {upstream: 'http://127.0.0.1:9000'}}\nauthentication:\n  bearer:\n"
)
FIRST_LINE = HEAD.count("\n") + 1
GOOD = {"issuer": "https://id.example.com", "audience": "feeds", "algorithms": "[ES256]"}
SYMMETRIC = {"algorithms": "HS256", "secret": SECRET}

Load = Callable[..., BearerSettings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Reads the lines under `authentication.bearer`."""
    (tmp_path / "routes.yaml").write_text(ROUTES)

    def from_lines(lines: str, **environment: str) -> BearerSettings:
        file = tmp_path / "gateway.yaml"
        file.write_text(HEAD + "".join(f"    {line}\n" for line in lines.splitlines()))
        return load_everything(file, environment).settings.authentication.bearer

    return from_lines


def issuers(*each: dict[str, str | None], rest: str = "") -> str:
    """Lines for issuers, a key a line; a key that is None is left out."""
    lines = ["issuers:"]
    for own in each:
        keys = [f"{key}: {value}" for key, value in {**GOOD, **own}.items() if value is not None]
        lines += [f"  {'  ' if number else '- '}{key}" for number, key in enumerate(keys)]
    return "\n".join([*lines, *rest.splitlines()])


def introspection(**own: str | None) -> str:
    terms = {
        "url": "https://id.example.com/introspect",
        "client_id": "gateway",
        "client_secret": SECRET,
        **own,
    }
    lines = [f"  {key}: {value}" for key, value in terms.items() if value is not None]
    return "\n".join(["introspection:", *lines])


def refused(load: Load, lines: str, **environment: str) -> list[str]:
    """The problems as people read them, without the file's name."""
    with pytest.raises(SettingsError) as caught:
        load(lines, **environment)
    assert "never-shown" not in str(caught.value) + repr(caught.value.problems)
    return [str(problem).partition("gateway.yaml:")[2] for problem in caught.value.problems]


def starts(told: Iterable[str], line: int, key: str) -> bool:
    """Whether a sentence is on that line, counted from the first under `bearer`, and on that key."""
    where = f"{FIRST_LINE + line}: authentication.bearer{key and '.'}{key}:"
    return any(sentence.startswith(where) for sentence in told)


# Refused


REFUSED: dict[str, tuple[str, int, str, str]] = {
    "no issuer": (issuers({"issuer": None}), 1, "issuers[0].issuer", "is required"),
    "an empty issuer": (issuers({"issuer": "''"}), 1, "issuers[0].issuer", "must not be empty"),
    "an issuer in clear": (
        issuers({"issuer": "http://id.example.com"}),
        1,
        "issuers[0]",
        "has an issuer that cannot be asked for its keys, for it is not https",
    ),
    "an issuer that is no URL": (
        issuers({"issuer": "id"}),
        1,
        "issuers[0]",
        "give its https URL, or say in jwks where the keys are",
    ),
    "no audience": (issuers({"audience": None}), 1, "issuers[0].audience", "is required"),
    "nobody": (issuers({"audience": "[]"}), 2, "issuers[0].audience", "must not be empty"),
    "an empty audience": (issuers({"audience": "''"}), 2, "issuers[0].audience[0]", "must not be empty"),
    "one empty of two": (issuers({"audience": "[a, '']"}), 2, "issuers[0].audience[1]", "must not be empty"),
    "a null audience": (issuers({"audience": "null"}), 2, "issuers[0].audience", "has no value"),
    "no algorithm": (issuers({"algorithms": None}), 1, "issuers[0].algorithms", "is required"),
    "none of them": (issuers({"algorithms": "[]"}), 3, "issuers[0].algorithms", "must not be empty"),
    "none": (issuers({"algorithms": "none"}), 3, "issuers[0].algorithms[0]", "'none' must be 'RS256'"),
    "None": (issuers({"algorithms": "[ES256, None]"}), 3, "issuers[0].algorithms[1]", "'None' must be"),
    "lower case": (issuers({"algorithms": "es256"}), 3, "issuers[0].algorithms[0]", "'es256' must be"),
    "another curve": (issuers({"algorithms": "ES256K"}), 3, "issuers[0].algorithms[0]", "'ES256K' must be"),
    "encryption": (issuers({"algorithms": "RSA-OAEP"}), 3, "issuers[0].algorithms[0]", "must be"),
    "HS without a secret": (
        issuers({"algorithms": "HS256"}),
        1,
        "issuers[0]",
        "allows HS256 and has no secret",
    ),
    "HS with a key set": (
        issuers({"algorithms": "HS256", "jwks": "https://id.example.com/keys"}),
        1,
        "issuers[0]",
        "no secret",
    ),
    "both of them": (
        issuers({**SYMMETRIC, "jwks": "https://id.example.com/keys"}),
        1,
        "issuers[0]",
        "mixes a secret",
    ),
    "a secret for a signature": (
        issuers({"secret": SECRET}),
        1,
        "issuers[0]",
        "mixes a secret with a key set",
    ),
    "a secret for all": (
        issuers({**SYMMETRIC, "algorithms": "[HS256, RS256]"}),
        1,
        "issuers[0]",
        "mixes a secret",
    ),
    "a short secret": (
        issuers({**SYMMETRIC, "secret": "never-shown-too-short"}),
        4,
        "issuers[0].secret",
        "fewer than 32 bytes",
    ),
    "a secret for less": (
        issuers({**SYMMETRIC, "algorithms": "[HS256, HS512]"}),
        1,
        "issuers[0]",
        "the algorithms need 64 bytes",
    ),
    "a secret that is a list": (
        issuers({**SYMMETRIC, "secret": f"[{SECRET}]"}),
        4,
        "issuers[0].secret",
        "must be one value",
    ),
    "a secret that is a mapping": (
        issuers({**SYMMETRIC, "secret": f"{{a: {SECRET}}}"}),
        4,
        "issuers[0].secret",
        "must be one value",
    ),
    "a secret that others know": (
        issuers({**SYMMETRIC, "secret": f"'-----BEGIN PUBLIC KEY-----{SECRET}'"}),
        4,
        "issuers[0].secret",
        "file",
    ),
    "a secret nobody set": (
        issuers({**SYMMETRIC, "secret": "${NOT_SET}"}),
        4,
        "issuers[0].secret",
        "NOT_SET is not set",
    ),
    "no place of keys": (issuers({"jwks": "''"}), 4, "issuers[0].jwks", "is no place of a key set"),
    "keys in clear": (issuers({"jwks": "http://id.example.com/k"}), 4, "issuers[0].jwks", "is not https"),
    "keys by another way": (
        issuers({"jwks": "ftp://id.example.com/k"}),
        4,
        "issuers[0].jwks",
        "is not https",
    ),
    "keys with a password": (
        issuers({"jwks": f"https://me:{SECRET}@id.example.com/"}),
        4,
        "issuers[0].jwks",
        "holds a user",
    ),
    "keys in no file": (issuers({"jwks": "nowhere.json"}), 4, "issuers[0].jwks", "cannot be read"),
    "keys in a file of others": (issuers({"jwks": "routes.yaml"}), 4, "issuers[0].jwks", "cannot be used"),
    "one issuer twice": (
        issuers({}, {"issuer": "https://other.example.com"}, {"audience": "b"}),
        -1,
        "",
        "the same issuer twice, in issuers[0] and issuers[2]",
    ),
    "clocks far apart": (issuers({"leeway": "6m"}), 4, "issuers[0].leeway", "is more than clocks may differ"),
    "clocks backwards": (issuers({"leeway": "-1s"}), 4, "issuers[0].leeway", "is not a duration"),
    "a number of clocks": (issuers({"leeway": "5"}), 4, "issuers[0].leeway", "is not a duration"),
    "another type": (issuers({"token_type": "jwt"}), 4, "issuers[0].token_type", "must be 'any' or 'at+jwt'"),
    "an empty claim": (issuers({"user": "''"}), 4, "issuers[0].user", "is not the name of a claim"),
    "a claim with a space": (issuers({"roles": "a b"}), 4, "issuers[0].roles", "is not the name of a claim"),
    "two claims": (issuers({"roles": "[a, b]"}), 4, "issuers[0].roles", "must be one value"),
    "a claim that breaks": (
        issuers({"scope": '"a\\nb"'}),
        4,
        "issuers[0].scope",
        "is not the name of a claim",
    ),
    "a prefix that breaks": (issuers({"prefix": '"a\\r\\n"'}), 4, "issuers[0].prefix", "cannot stand before"),
    "a prefix with a space": (
        issuers({"prefix": "a b"}),
        4,
        "issuers[0].prefix",
        "cannot stand before a name",
    ),
    "a long prefix": (issuers({"prefix": "a" * 65}), 4, "issuers[0].prefix", "cannot stand before a name"),
    "scopes from elsewhere": (
        issuers({"scopes_from": "tokens"}),
        4,
        "issuers[0].scopes_from",
        "must be 'members'",
    ),
    "audiences": (issuers({"audiences": "a"}), 4, "issuers[0].audiences", "did you mean audience?"),
    "jwks_uri": (issuers({"jwks_uri": "https://a.example"}), 4, "issuers[0].jwks_uri", "did you mean jwks?"),
    "rolse": (issuers({"rolse": "a"}), 4, "issuers[0].rolse", "did you mean roles?"),
    "algorithm": (issuers({"algorithm": "ES256"}), 4, "issuers[0].algorithm", "did you mean algorithms?"),
    "an issuer of issuers": ("issuer: []", 0, "issuer", "did you mean issuers?"),
    "issuers that are one": ("issuers: {issuer: https://id.example.com}", 0, "issuers", "must be a list"),
    "issuers that are a name": ("issuers: https://id.example.com", 0, "issuers", "must be a list"),
    "introspections": ("introspections: {}", 0, "introspections", "did you mean introspection?"),
    "introspection of nobody": (introspection(client_id=None), 0, "introspection.client_id", "is required"),
    "introspection by nobody": (
        introspection(client_id="''"),
        2,
        "introspection.client_id",
        "must not be empty",
    ),
    "introspection without": (
        introspection(client_secret=None),
        0,
        "introspection.client_secret",
        "is required",
    ),
    "an empty client secret": (
        introspection(client_secret="''"),
        3,
        "introspection.client_secret",
        "must not be empty",
    ),
    "client secrets": (
        introspection(client_secret=f"[{SECRET}]"),
        3,
        "introspection.client_secret",
        "must be one value",
    ),
    "introspection in clear": (
        introspection(url="http://id.example.com/"),
        1,
        "introspection.url",
        "is not https",
    ),
    "introspection nowhere": (introspection(url="introspect"), 1, "introspection.url", "is no URL"),
    "an endpoint's password": (
        introspection(url=f"https://me:{SECRET}@id.example.com/"),
        1,
        "introspection.url",
        "holds a user",
    ),
    "introspection for ever": (
        introspection(timeout="9s"),
        4,
        "introspection.timeout",
        "is longer than any caller waits",
    ),
    "introspection at once": (introspection(timeout="0s"), 4, "introspection.timeout", "must be more than 0"),
    "introspection's issuer": (introspection(issuer="a"), 4, "introspection.issuer", "unknown key"),
    "no answer for who has none": (
        "without_scope: allow",
        0,
        "without_scope",
        "must be 'deny' or 'full-access'",
    ),
    "a fetch without pause": (
        issuers({}, rest="key_sets: {refresh: 999ms}"),
        4,
        "key_sets.refresh",
        "too short",
    ),
    "a refetch without pause": (
        issuers({}, rest="key_sets: {refetch: 1ms}"),
        4,
        "key_sets.refetch",
        "too short",
    ),
    "keys for no time": (
        issuers({}, rest="key_sets: {stale_for: 0s}"),
        4,
        "key_sets.stale_for",
        "more than 0",
    ),
    "authorities nowhere": (issuers({}, rest="key_sets: {ca: no.pem}"), 4, "key_sets.ca", "cannot be read"),
    "a resource nobody serves": ("resource: {identifier: https://a.example}", -1, "", "serves none"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_configuration_is_refused_with_the_line_the_key_and_the_reason(load: Load, what: str) -> None:
    lines, line, key, said = REFUSED[what]
    told = refused(load, lines)
    assert starts(told, line, key), told
    assert any(said in sentence for sentence in told), told


RESOURCES = {
    "{identifier: ''}": "is no URL",
    "{identifier: feeds}": "is no URL",
    "{identifier: http://feeds.example.com}": "is not https",
    "{identifier: https://feeds.example.com/#a}": "has a fragment",
    "{identifier: 'https://feeds.example.com/?a=b'}": "has a query",
    "{identifier: 'https://feeds.example.com/a?b'}": "has a query",
    "{identifier: https://feeds.example.com/%61pi}": "can be written otherwise",
    "{identifier: https://feeds.example.com/a%2Fb}": "can be written otherwise",
    "{identifier: https://feeds.example.com//a}": "can be written otherwise",
    "{identifier: https://feeds.example.com/a//b}": "can be written otherwise",
    "{identifier: https://feeds.example.com/../a}": "can be written otherwise",
    "{identifier: https://feeds.example.com/a/..}": "can be written otherwise",
    "{identifier: https://feeds.example.com/./a}": "can be written otherwise",
    "{identifier: 'https://feeds.example.com/a;b'}": "can be written otherwise",
    '{identifier: "https://feeds.example.com/\\r\\nX: y"}': "must be percent-encoded",
    "{identifier: 'https://feeds.example.com/\"'}": "must be percent-encoded",
    "{identifier: 'https://feeds.example.com/\\'}": "must be percent-encoded",
    "{name: Feeds}": "is required",
    "{identifier: https://feeds.example.com, name: ''}": "must not be empty",
    "{identifier: https://feeds.example.com, documentation: docs.html}": "is no URL",
    "{identifier: https://feeds.example.com, documentation: 'javascript://a/%0aalert(1)'}": "is not https",
    "{identifier: https://feeds.example.com, documentation: 'https://a.example/\"'}": "percent-encoded",
    "{identifier: https://feeds.example.com, scopes: 'a b'}": "is no scope that a client could ask for",
    "{identifier: https://feeds.example.com, scopes: ['a\"']}": "is no scope that a client could ask for",
    "{identifier: https://feeds.example.com, scopes: [a, '']}": "is no scope that a client could ask for",
    "{identifier: https://feeds.example.com, scopes: ['ä']}": "is no scope that a client could ask for",
    "{identifiers: https://feeds.example.com}": "did you mean identifier?",
}


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_resource_that_clients_could_not_find_or_read_is_refused(load: Load, resource: str) -> None:
    told = refused(load, issuers({}, rest=f"resource: {resource}"))
    assert any(RESOURCES[resource] in sentence for sentence in told), told
    assert all(sentence.startswith(f"{FIRST_LINE + 4}: authentication.bearer.resource") for sentence in told)


def test_all_problems_are_told_at_once(load: Load) -> None:
    told = refused(load, issuers({"algorithms": "none", "rolse": "a"}, {"leeway": "6m", "issuer": "''"}))
    assert len(told) == 4


# Read


def test_what_is_not_said_has_its_default(load: Load) -> None:
    nothing = load("without_scope: deny")
    assert (nothing.served, nothing.issuers, nothing.introspection, nothing.resource) == (
        False,
        (),
        None,
        None,
    )
    settings = load(issuers({}))
    [issuer] = settings.issuers
    assert settings.served
    assert settings.without_scope is WithoutScope.DENY
    assert (issuer.audience, issuer.place, issuer.secret) == (("feeds",), "discover", None)
    assert (issuer.token_type, issuer.leeway, issuer.scopes_from) == (TokenType.ANY, 5.0, ScopesFrom.MEMBERS)
    assert (issuer.user, issuer.roles, issuer.client, issuer.scope) == ("sub", "roles", "client_id", "scope")
    assert issuer.prefix == ""
    keys = settings.key_sets
    assert (keys.refresh, keys.stale_for, keys.refetch, keys.timeout) == (300.0, 3600.0, 10.0, 5.0)


def test_everything_can_be_said(load: Load) -> None:
    claims = {
        "user": "https://example.com/name",
        "roles": "realm_access.roles",
        "client": "azp",
        "scope": "scp",
        "prefix": "'partner:'",
        "scopes_from": "both",
        "token_type": "at+jwt",
        "leeway": "0s",
    }
    resource = (
        "resource: {identifier: https://feeds.example.com:8443/v2/training, name: Fäden,"
        " documentation: 'https://feeds.example.com/docs?for=you', scopes: [courses:read, 'a/b']}"
    )
    lines = issuers({"audience": "[a, b]", **claims}, rest=f"{resource}\n{introspection(audience='c')}")
    settings = load(lines)
    [issuer] = settings.issuers
    assert (issuer.audience, issuer.leeway, issuer.scopes_from) == (("a", "b"), 0.0, ScopesFrom.BOTH)
    assert (issuer.user, issuer.roles, issuer.client) == (claims["user"], claims["roles"], "azp")
    assert settings.introspection is not None
    assert settings.introspection.audience == ("c",)
    assert settings.resource is not None
    assert settings.resource.scopes == ("courses:read", "a/b")


@pytest.mark.parametrize("one", ["http://localhost:9000", "http://127.0.0.1", "http://[::1]:80/realm"])
def test_plain_http_is_for_this_machine(load: Load, one: str) -> None:
    assert load(issuers({"issuer": f"'{one}'"})).issuers[0].issuer == one


def test_an_issuer_whose_keys_are_elsewhere_may_be_called_anything(load: Load) -> None:
    """RFC 7519 §4.1.1: `iss` is a string or a URI; and no two spellings are one issuer."""
    named = load(
        issuers(
            {"issuer": "legacy-login", "jwks": "https://id.example.com/keys"},
            {"issuer": "https://id.example.com"},
            {"issuer": "https://id.example.com/"},
        )
    )
    assert len(named.issuers) == 3


@pytest.mark.parametrize(("algorithm", "size"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_a_secret_as_long_as_the_hash_will_do_in_bytes(load: Load, algorithm: str, size: int) -> None:
    secret = "ä" * (size // 2)
    [issuer] = load(issuers({"algorithms": algorithm, "secret": "${LOGIN}"}), LOGIN=secret).issuers
    assert issuer.secret is not None
    assert issuer.secret.get_secret_value() == secret
    short = refused(load, issuers({"algorithms": algorithm, "secret": "${LOGIN}"}), LOGIN=secret[:-1])
    assert any("too short" in sentence for sentence in short)


def test_settings_print_no_secret(load: Load) -> None:
    settings = load(f"{issuers(SYMMETRIC)}\n{introspection()}")
    for shown in (repr(settings), str(settings), settings.model_dump_json(), f"{settings.issuers[0]}"):
        assert "never-shown" not in shown


def test_no_endpoint_is_given_longer_than_callers_wait() -> None:
    assert LONGEST_WAIT == ISSUERS_WITHIN
