"""Feeds as operators run them: several side by side, switched off, and only observed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from commands import Commands
from feeds import Feed
from gateways import GatewayUnderTest, write_configuration
from operations import (
    ask,
    counted,
    feed_beside,
    fetched,
    logged_by,
    readiness,
    said_by,
    samples,
    serving,
    status,
    told,
)

ANOTHER_FEED = """\
feed: {name}
modules: {{{module}: Things}}
routes:
  - {{path: {path}, module: {module}}}
"""


@pytest.fixture
def beside() -> Iterator[Callable[[], Feed]]:
    """Starts feeds that end with the test."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(feed_beside())


def several_feeds(directory: Path, ports: list[int]) -> Path:
    """Three feeds: one by host, one by prefix, one for whatever else; the last has two route files."""
    first, second, third = (f"http://127.0.0.1:{port}" for port in ports)
    (directory / "by-host.yaml").write_text(
        ANOTHER_FEED.format(name="by-host", module="courses", path="/things")
    )
    (directory / "by-prefix.yaml").write_text(
        ANOTHER_FEED.format(name="by-prefix", module="users", path="/people/things")
    )
    (directory / "rest.yaml").write_text(ANOTHER_FEED.format(name="rest", module="invoices", path="/things"))
    (directory / "more.yaml").write_text(ANOTHER_FEED.format(name="rest", module="files", path="/files/**"))
    file = directory / "gateway.yaml"
    file.write_text(
        f"""\
listen: 127.0.0.1:0
admin: {{listen: '127.0.0.1:0'}}
store: sqlite:///{directory}/scopegate.db
routes: [by-host.yaml, by-prefix.yaml, rest.yaml, more.yaml]
feeds:
  by-host: {{upstream: "{first}", host: training.example}}
  by-prefix: {{upstream: "{second}", prefix: /people}}
  rest: {{upstream: "{third}"}}
logs: {{access: {directory}/access.log, denied: {directory}/denied.log}}
"""
    )
    return file


def test_feeds_are_told_apart_by_host_and_by_prefix(
    tmp_path: Path, commands: Commands, beside: Callable[[], Feed]
) -> None:
    feeds = [beside() for _ in range(3)]
    by_host, by_prefix, rest = feeds
    run = commands.on(several_feeds(tmp_path, [feed.port for feed in feeds]))
    run.scope("courses-only", read="courses")
    _, key = run.key("api-v2")
    _, narrow = run.key("courses-only")
    with serving(run.file) as gateway:
        for host in ("training.example", "TRAINING.example:8080"):
            assert ask(gateway, "GET", "/things?a=1", key=key, host=host).status == 200
        assert ask(gateway, "GET", "/people/things", key=key).status == 200
        assert ask(gateway, "GET", "/things", key=key).status == 200
        assert ask(gateway, "GET", "/files/a/b.pdf", key=key).status == 200
        assert [sent.target for sent in by_host.requests] == ["/things?a=1"] * 2
        assert [sent.target for sent in by_prefix.requests] == ["/people/things"]
        assert [sent.target for sent in rest.requests] == ["/things", "/files/a/b.pdf"]
        assert [feed.requests[-1].value("X-Gateway-Module") for feed in feeds] == [
            "courses",
            "users",
            "files",
        ]

        assert told(ask(gateway, "GET", "/things", key=narrow)) == (403, "scope_denied")
        assert told(ask(gateway, "GET", "/things", key=narrow, host="training.example")) == (200, None)
        assert told(ask(gateway, "GET", "/people/files/x", key=key)) == (404, "route_unmapped")
        assert told(ask(gateway, "GET", "/files/x", key=key, host="training.example")) == (
            404,
            "route_unmapped",
        )
        assert counted(gateway, "gateway_requests_total", feed="by-host", outcome="permit") == 3
        assert counted(gateway, "gateway_requests_total", feed="by-prefix", outcome="permit") == 1
        assert counted(gateway, "gateway_denied_total", feed="rest", module="invoices") == 1


@pytest.fixture
def switched_off(
    tmp_path: Path, commands: Commands, beside: Callable[[], Feed]
) -> Iterator[tuple[GatewayUnderTest, Commands, Feed]]:
    feed = beside()
    run = commands.on(write_configuration(tmp_path, [feed.port], feed="enabled: false"))
    with serving(run.file) as gateway:
        yield gateway, run, feed


def test_a_feed_that_is_switched_off_serves_only_those_who_bypass_the_flag(
    switched_off: tuple[GatewayUnderTest, Commands, Feed],
) -> None:
    gateway, run, feed = switched_off
    run.scope("inside", "allow", "--bypass-enabled-flag", read="courses")
    run.scope("outside", "allow", read="courses,users")
    _, bypassing = run.key("inside")
    _, both = run.key("inside", "outside")
    _, everything = run.key("api-v2")
    assert told(ask(gateway, "GET", "/v2/courses", key=everything)) == (403, "feed_disabled")
    assert told(ask(gateway, "GET", "/v2/status")) == (403, "feed_disabled")
    assert told(ask(gateway, "GET", "/v2/courses")) == (401, "credential_missing")
    assert feed.requests == []
    assert told(ask(gateway, "GET", "/v2/courses", key=bypassing)) == (200, None)
    assert told(ask(gateway, "POST", "/v2/courses", key=bypassing)) == (403, "scope_denied")
    assert told(ask(gateway, "GET", "/v2/users", key=both)) == (200, None)
    assert [sent.target for sent in feed.requests] == ["/v2/courses", "/v2/users"]
    assert any("feed test is switched off" in warning for warning in readiness(gateway)["warnings"])
    assert "feed test is switched off" in said_by(gateway)
    assert counted(gateway, "gateway_denied_total", reason="feed_disabled") == 2


OBSERVED = [
    ("GET", "/v2/courses", None, "credential_missing"),
    ("GET", "/v2/courses", "no-such-key", "credential_invalid"),
    ("GET", "/v2/nowhere", None, "credential_missing"),
    ("GET", "/v2/nowhere", "website", "route_unmapped"),
    ("PURGE", "/v2/courses", "website", "method_unmapped"),
    ("GET", "/v2/users", "website", "scope_denied"),
    ("POST", "/v2/courses", "website", "scope_denied"),
    ("GET", "/v2/courses", "website", None),
    ("GET", "/v2/courses", "revoked", "credential_revoked"),
]


def test_an_observed_feed_refuses_nothing_for_want_of_a_credential_a_route_or_a_scope(
    tmp_path: Path, commands: Commands, beside: Callable[[], Feed]
) -> None:
    feed = beside()
    run = commands.on(write_configuration(tmp_path, [feed.port], feed="enforcement: observe"))
    run.scope("website", read="courses")
    keys = {"website": run.key("website")[1], "no-such-key": "no-such-key"}
    number, keys["revoked"] = run.key("website")
    run.gets("keys", "revoke", number)
    with serving(run.file) as gateway:
        for method, path, name, would_deny in OBSERVED:
            key = keys[name] if name else None
            answer = ask(gateway, method, path, "X-Gateway-Principal: forged", key=key)
            assert told(answer) == (200, None), (method, path, name)
            sent = feed.requests[-1]
            assert (sent.method, sent.target) == (method, path)
            assert sent.value("X-Gateway-Principal") in ({None, "key:1"} if name == "website" else {None})
            if would_deny is not None:
                assert sent.value("X-API-Key") == key, would_deny
            line = logged_by(gateway, sent.value("X-Request-Id"))
            assert (line["outcome"], line["would_deny"], line["code"]) == ("permit", would_deny, None)
        for name, reason in (("-", "credential_missing"), ("courses", "scope_denied")):
            assert counted(gateway, "gateway_would_deny_total", feed="test", module=name, reason=reason) == 1
        assert counted(gateway, "gateway_would_deny_total") == len(OBSERVED) - 1
        assert counted(gateway, "gateway_denied_total") == 0

        seen = len(feed.requests)
        assert told(ask(gateway, "GET", "/v2/%2e%2e/users")) == (400, "path_ambiguous")
        twice = ask(gateway, "GET", "/v2/courses", "X-API-Key: other", key=keys["website"])
        assert told(twice) == (400, "credential_ambiguous")
        overriding = ask(gateway, "GET", "/v2/courses", "X-HTTP-Method-Override: DELETE")
        assert told(overriding) == (400, "method_override")
        too_large = ask(gateway, "POST", "/v2/courses", "Content-Length: 99999999999")
        assert told(too_large) == (413, "body_too_large")
        assert len(feed.requests) == seen

        assert status(gateway, "GET", "/v2/status") == 200
        assert any("feed test is only observed" in warning for warning in readiness(gateway)["warnings"])
        assert "feed test is only observed" in said_by(gateway)
        assert samples(gateway)["gateway_feed_observing"] == [({"feed": "test"}, 1.0)]
        assert fetched(gateway, "/readyz")[0] == 200
