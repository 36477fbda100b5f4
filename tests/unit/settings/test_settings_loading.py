"""The main file becomes settings, or everything that is wrong with it."""

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest

from gateway.document.problem import SettingsError
from gateway.domain.feed import Enforcement
from gateway.domain.header_policy import Credentials, Overrides
from gateway.settings.address import Address, Upstream
from gateway.settings.loading import load_settings
from gateway.settings.model import PathRelaxation, Settings

SMALLEST = "routes: [routes.yaml]\nfeeds:\n  training:\n    upstream: http://127.0.0.1:9000\n"
SECRET = "s3cret-never-shown"

Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def from_text(text: str, **environment: str) -> Settings:
        (tmp_path / "gateway.yaml").write_text(text)
        return load_settings(tmp_path / "gateway.yaml", environment)

    return from_text


def with_feed(lines: str) -> str:
    return SMALLEST + "".join(f"    {line}\n" for line in lines.splitlines())


def problems(load: Load, text: str, **environment: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(text, **environment)
    return [str(problem).partition("gateway.yaml:")[2] for problem in caught.value.problems]


def test_the_smallest_file_has_the_contracts_defaults(load: Load, tmp_path: Path) -> None:
    settings = load(SMALLEST)
    assert settings.listen == Address("127.0.0.1", 8080)
    assert settings.admin.listen == Address("127.0.0.1", 8081)
    assert settings.store.url == "sqlite:///var/scopegate.db"
    assert settings.workers == 1
    assert settings.routes == (tmp_path / "routes.yaml",)
    feed = settings.feeds["training"]
    assert feed.upstream == (Upstream("http", "127.0.0.1", 9000),)
    assert (feed.enabled, feed.enforcement) == (True, Enforcement.ENFORCE)
    assert feed.credentials.kind is Credentials.STRIP
    assert (feed.timeouts.connect, feed.timeouts.response, feed.timeouts.idle) == (2, 30, 60)
    assert (feed.host, feed.prefix) == ((), "")
    assert settings.authentication.realm == "feeds"
    assert settings.authentication.api_key.header == "X-API-Key"
    assert settings.authentication.api_key.query is None
    assert settings.authentication.bearer.without_scope == "deny"
    assert (settings.cache.principals, settings.cache.ttl, settings.cache.negative_ttl) == (100_000, 60, 5)
    limits = settings.limits
    assert (limits.request_line, limits.headers, limits.header_count) == (8192, 32768, 100)
    assert (limits.body, limits.connections) == (16 << 20, 10_000)
    assert (limits.header_timeout, limits.body_idle_timeout, limits.keepalive_timeout) == (10, 30, 75)
    assert limits.underscore_headers == "drop"
    assert settings.paths.allow == frozenset()
    assert settings.method_override is Overrides.REJECT
    assert settings.trusted_proxies == ()
    assert (settings.logs.access, settings.logs.denied) == (Path("var/access.log"), Path("var/denied.log"))


def test_every_setting_can_be_said(load: Load) -> None:
    settings = load(
        """
listen: "[::1]:8080"
admin: {listen: localhost:0}
store: postgresql://${USER}@db/scopegate
workers: 4
routes: routes.yaml
feeds:
  training:
    upstream: [http://a.example, "http://[::1]:81/"]
    enabled: no
    enforcement: observe
    credentials: {header: X-Feed-Key, value: ${FEED_KEY}}
    timeouts: {connect: 500ms, response: 2m, idle: 1h}
    host: [Feeds.Example.com]
    prefix: /training/v2
  other:
    upstream: http://127.0.0.1:9001
    credentials: pass
    host: other.example
authentication:
  realm: no
  api_key: {header: Api-Key, query: api_key}
  bearer: {without_scope: full-access}
cache: {principals: 5, ttl: 0s, negative_ttl: 1s}
limits: {body: 1GiB, header_count: 7, underscore_headers: reject, header_timeout: 1.5s}
paths: {allow: [encoded-slash, semicolon]}
method_override: honour
trusted_proxies: [10.0.0.0/8, "::1"]
logs: {access: "-", denied: /tmp/denied.log}
""",
        USER="app",
        FEED_KEY=SECRET,
    )
    feed = settings.feeds["training"]
    assert str(settings.listen) == "[::1]:8080"
    assert settings.admin.listen == Address("localhost", 0)
    assert settings.store.url == "postgresql://app@db/scopegate"
    assert settings.routes[0].name == "routes.yaml"
    assert [str(upstream) for upstream in feed.upstream] == ["http://a.example:80", "http://[::1]:81"]
    assert (feed.enabled, feed.enforcement) == (False, Enforcement.OBSERVE)
    assert (feed.credentials.kind, feed.credentials.header) == (Credentials.SET, "X-Feed-Key")
    assert feed.credentials.value is not None
    assert feed.credentials.value.get_secret_value() == SECRET
    assert (feed.timeouts.connect, feed.timeouts.response, feed.timeouts.idle) == (0.5, 120, 3600)
    assert (feed.host, feed.prefix) == (("feeds.example.com",), "/training/v2")
    assert settings.feeds["other"].credentials.kind is Credentials.PASS
    assert settings.authentication.realm == "no"
    assert settings.authentication.api_key.query == "api_key"
    assert settings.limits.header_timeout == 1.5
    assert settings.paths.allow == {PathRelaxation.ENCODED_SLASH, PathRelaxation.SEMICOLON}
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    assert (settings.logs.access, settings.logs.denied) == (None, Path("/tmp/denied.log"))  # noqa: S108 - a name


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("feeds: {a: {upstream: http://h}}\n", "1: routes: is required"),
        ("routes: [r.yaml]\n", "1: feeds: is required"),
        ("routes: [r.yaml]\nfeeds: {}\n", "2: feeds: must not be empty"),
        ("routes: []\nfeeds: {a: {upstream: http://h}}\n", "1: routes: must not be empty"),
        (
            "routes: [a, a]\nfeeds: {a: {upstream: http://h}}\n",
            "1: routes: holds the same file twice; keep one",
        ),
        ("routes: [r]\nfeeds: [a]\n", "2: feeds: must be a mapping of keys to values"),
        ("routes: {a: b}\nfeeds: {a: {upstream: http://h}}\n", "1: routes: must be a list"),
        ("routes: [r]\nfeeds: {A b: {upstream: http://h}}\n", "2: feeds.A b: 'A b' cannot name a feed"),
        (SMALLEST + "wokers: 3", "5: wokers: unknown key; did you mean workers?"),
        (SMALLEST + "zzz: 3", "5: zzz: unknown key; known keys: admin, authentication, cache,"),
        (SMALLEST + "limits: {boddy: 3}", "5: limits.boddy: unknown key; did you mean body?"),
        (with_feed("upstrem: x"), "5: feeds.training.upstrem: unknown key; did you mean upstream?"),
        (
            with_feed("timeouts: {idel: 1s}"),
            "5: feeds.training.timeouts.idel: unknown key; did you mean idle?",
        ),
        (SMALLEST + "cache:", "5: cache: has no value; give one, or leave the key out"),
        (SMALLEST + "limits: {body: }", "5: limits.body: has no value"),
        (SMALLEST + "workers: 0", "5: workers: '0' must be at least 1"),
        (SMALLEST + "workers: two", "5: workers: 'two' must be a whole number"),
        (SMALLEST + "workers: 1.5", "5: workers: '1.5' must be a whole number"),
        (SMALLEST + "workers: [1]", "5: workers: must be a whole number"),
        (SMALLEST + f"workers: {'9' * 5000}", "must be a whole number of ordinary size"),
        (SMALLEST + "admin: true", "5: admin: 'true' must be a mapping of keys to values"),
        (SMALLEST + "listen: 8080", "5: listen: '8080' is not an address; write host:port"),
        (SMALLEST + "listen: h:99999", "5: listen: 'h:99999' has no port from 0 to 65535"),
        (SMALLEST + "listen: ::1:80", "5: listen: '::1:80' has no good host; write host:port"),
        (SMALLEST + "listen: 'a b:80'", "has no good host"),
        (SMALLEST + "listen: '[1.2.3.4]:80'", "has no good host"),
        (SMALLEST + "listen: 300.1.1.1:80", "has no good host"),
        (SMALLEST + "listen: {host: a, port: 1}", "5: listen: "),
        (SMALLEST + "store: mysql://x", "5: store: the value is not a store; write sqlite:///"),
        (SMALLEST + "cache: {ttl: 60}", "5: cache.ttl: '60' is not a duration; write a number and its unit"),
        (SMALLEST + "limits: {body: 16MB}", "5: limits.body: '16MB' is not a size"),
        (SMALLEST + "limits: {headers: 0}", "5: limits.headers: '0' must be more than 0"),
        (SMALLEST + "limits: {header_timeout: 0s}", "must be more than 0"),
        (SMALLEST + "limits: {underscore_headers: keep}", "'keep' must be 'drop', 'reject' or 'allow'"),
        (
            SMALLEST + "paths: {allow: [dots]}",
            "5: paths.allow[0]: 'dots' must be 'encoded-slash', 'semicolon' or",
        ),
        (
            SMALLEST + "method_override: yes",
            "5: method_override: 'yes' must be 'reject', 'strip' or 'honour'",
        ),
        (SMALLEST + "trusted_proxies: [10.0.0.1/8]", "has bits set beyond its prefix"),
        (SMALLEST + "trusted_proxies: [all]", "5: trusted_proxies[0]: 'all' is not a network"),
        (SMALLEST + "logs: {access: ''}", "5: logs.access: '' is not a file"),
        (SMALLEST + "authentication: {realm: 'a\"b'}", "is not a realm"),
        (SMALLEST + 'authentication: {realm: "a\\nb"}', "is not a realm"),
        (SMALLEST + "authentication: {api_key: {header: Authorization}}", "has a meaning of its own"),
        (SMALLEST + "authentication: {api_key: {header: 'X Key'}}", "'X Key' is not a header name"),
        (SMALLEST + "authentication: {api_key: {header: Host}}", "cannot carry a credential"),
        (SMALLEST + "authentication: {api_key: {header: X-Gateway-Key}}", "cannot carry a credential"),
        (SMALLEST + "authentication: {api_key: {query: 'a&b'}}", "is not a query parameter's name"),
        (SMALLEST + "authentication: {bearer: {without_scope: allow}}", "must be 'deny' or 'full-access'"),
        (
            SMALLEST + "authentication: {bearer: {issuers: [{issuer: a, audience: b, algorithms: [RS256]}]}}",
            "5: authentication.bearer.issuers[0]: has an issuer that cannot be asked for its keys, for",
        ),
        (
            SMALLEST + "authentication: {bearer: {introspection: {url: u, client_id: i, client_secret: s}}}",
            "5: authentication.bearer.introspection.url: the value is no URL",
        ),
        (
            SMALLEST
            + "authentication: {bearer: {issuers: [{issuer: a, audience: b, algorithms: ES256, rolls: r}]}}",
            "5: authentication.bearer.issuers[0].rolls: unknown key; did you mean roles?",
        ),
        (with_feed("enabled: maybe"), "5: feeds.training.enabled: 'maybe' must be true or false"),
        (with_feed("enforcement: watch"), "'watch' must be 'enforce' or 'observe'"),
        (
            with_feed("credentials: keep"),
            "5: feeds.training.credentials: the value is not a rule for credentials",
        ),
        (with_feed("credentials: {header: X}"), "needs both a header and a value"),
        (with_feed("credentials: {}"), "needs both a header and a value"),
        (with_feed("credentials: {kind: pass}"), "has the unknown key kind"),
        (with_feed("credentials: {header: Connection, value: x}"), "cannot carry a credential"),
        (
            with_feed("host: feeds.example:80"),
            "5: feeds.training.host[0]: 'feeds.example:80' is not a host name",
        ),
        (with_feed("host: '*.example'"), "is not a host name"),
        (with_feed("host: [a, A]"), "holds the same entry twice"),
        (with_feed("prefix: v2"), "5: feeds.training.prefix: 'v2' is not a path prefix"),
        (with_feed("prefix: /v2/"), "is not a path prefix"),
        (with_feed("prefix: /v2/../x"), "is not a path prefix"),
        (with_feed("prefix: /"), "is not a path prefix"),
        (SMALLEST + "paths: {allow: ${WHAT}}", "5: paths.allow: the environment variable WHAT is not set"),
        (SMALLEST + "listen: ${WHERE}", "5: listen: the environment variable WHERE is not set; set WHERE"),
    ],
)
def test_a_problem_has_line_key_and_what_to_do(load: Load, text: str, problem: str) -> None:
    told = problems(load, text)
    assert len(told) == 1, told
    assert problem in told[0]


@pytest.mark.parametrize(
    ("upstream", "problem"),
    [
        ("unix://feed.sock", "names no socket"),
        ("unix:///", "names no socket"),
        (f"unix:///{'a' * 108}", "is a path of more than 107 bytes"),
        ("ftp://feed.example", "is not an http, https or unix URL"),
        ("feed.example:80", "is not a URL"),
        ("http://", "has no good host"),
        ("http://user:pw@feed.example", "holds a user or a password"),
        ("http://feed.example/v2", "has a path, a query or a fragment"),
        ("http://feed.example?x", "has a path, a query or a fragment"),
        ("http://feed.example#x", "has a path, a query or a fragment"),
        ("http://feed.example:0", "has no port from 1 to 65535"),
        ("http://feed.example:", "has no port from 1 to 65535"),
        ("http://feed.example:8O", "has no port from 1 to 65535"),
        ("http://[::1", "has no good host"),
        ("http://fe ed", "has no good host"),
    ],
)
def test_an_upstream_is_an_http_host_and_port(load: Load, upstream: str, problem: str) -> None:
    told = problems(load, SMALLEST.replace("http://127.0.0.1:9000", f"'{upstream}'"))
    assert len(told) == 1
    assert problem in told[0]
    assert "pw" not in told[0]


def test_all_problems_are_told_at_once_in_the_files_order(load: Load) -> None:
    text = with_feed("upstrem: x\nenabled: maybe") + "listen: here\nworkers: 0\nworkers: 1\ncache: {ttl: 1}\n"
    keys = [line.split(": ")[:2] for line in problems(load, text)]
    assert keys == [
        ["5", "feeds.training.upstrem"],
        ["6", "feeds.training.enabled"],
        ["7", "listen"],
        ["8", "workers"],
        ["9", "workers"],
        ["10", "cache.ttl"],
    ]


@pytest.mark.parametrize(
    ("written", "url", "stale_for"),
    [
        ("sqlite:///x.db", "sqlite:///x.db", 300.0),
        ("{url: 'sqlite:///x.db'}", "sqlite:///x.db", 300.0),
        ("{stale_for: 90s}", "sqlite:///var/scopegate.db", 90.0),
        ("{url: 'postgresql://app@db/gate', stale_for: 0s}", "postgresql://app@db/gate", 0.0),
    ],
)
def test_a_store_is_a_url_or_a_mapping(load: Load, written: str, url: str, stale_for: float) -> None:
    store = load(SMALLEST + f"store: {written}\n").store
    assert (store.url, store.stale_for) == (url, stale_for)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("nonsense", "store: the value is not a store"),
        ("{url: nonsense}", "store.url: the value is not a store"),
        ("{stale_for: soon}", "store.stale_for"),
        ("{uri: 'sqlite:///x.db'}", "store.uri: unknown key"),
        ("[sqlite:///x.db]", "store: must be a mapping"),
    ],
)
def test_what_is_no_store_is_told_with_its_key(load: Load, written: str, said: str) -> None:
    assert any(said in problem for problem in problems(load, SMALLEST + f"store: {written}\n"))


SECRETIVE = (
    with_feed("credentials: {header: X-Feed-Key, value: ${KEY}}") + "store: postgresql://u:${KEY}@db/name\n"
)


def test_a_secret_is_in_no_repr_and_no_dump(load: Load) -> None:
    settings = load(SECRETIVE, KEY=SECRET)
    shown = f"{settings!r} {settings} {settings.feeds!r} {settings.model_dump()} {settings.model_dump_json()}"
    assert SECRET not in shown
    assert settings.store.url == f"postgresql://u:{SECRET}@db/name"


@pytest.mark.parametrize(
    "line",
    [
        "workers: ${KEY}",
        "listen: ${KEY}",
        "store: ${KEY}",
        "cache: {ttl: ${KEY}, principals: 'x${KEY}'}",
        "limits: {body: ${KEY}, underscore_headers: ${KEY}}",
        "trusted_proxies: [ ${KEY} ]",
        "paths: {allow: ${KEY}}",
        "authentication: {realm: '\"${KEY}', api_key: {header: '${KEY} ', query: '&${KEY}'}}",
        "store: 'mysql://u:s3cret-never-shown@db/name'",
        "zzz: ${KEY}",
        "logs: ${KEY}",
    ],
)
def test_a_value_from_the_environment_is_in_no_error(load: Load, line: str) -> None:
    assert SECRET not in "".join(problems(load, SMALLEST + line, KEY=SECRET))


@pytest.mark.parametrize(
    "line",
    [
        f"credentials: {SECRET}",
        "credentials: ${KEY}",
        "credentials: {header: X-Key, value: 's3cret-never-shown\n\n      more'}",
        "credentials: {header: '${KEY} ', value: ${KEY}}",
        f"upstream: http://u:{SECRET}@h",
        "host: ' ${KEY}'",
        "prefix: ${KEY}",
        "enforcement: ${KEY}",
    ],
)
def test_a_secret_of_a_feed_is_in_no_error(load: Load, line: str) -> None:
    text = with_feed(line).replace("upstream: http://127.0.0.1:9000", "enabled: true")
    assert SECRET not in "".join(problems(load, text, KEY=SECRET))


@pytest.mark.parametrize("value", ["", " x", "a\r\nEvil: 1", "a\nb", "ключ", "a\x00b"])
def test_a_secret_that_cannot_stand_in_a_header_is_refused(load: Load, value: str) -> None:
    told = problems(load, SECRETIVE.replace("store", "# store"), KEY=value)
    assert len(told) == 1
    assert "feeds.training.credentials.value: the value cannot stand in a header" in told[0]


def test_settings_never_change(load: Load) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(SMALLEST).workers = 2  # type: ignore[misc] # that is the point


@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe" * 100, b"{{{{", b"- a", b"a: &a [*a]"])
def test_garbage_is_a_settings_error(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        load_settings(file, {})
    assert caught.value.problems


def test_a_missing_file_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.yaml: there is no such file"):
        load_settings(tmp_path / "none.yaml", {})
