"""A gateway being watched: metrics, logs and probes after traffic that is known to the last request."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from commands import Commands
from conversations import Answered
from feeds import OK, Feed, Received
from gateways import GatewayUnderTest, write_configuration
from operations import (
    ask,
    counted,
    feed_beside,
    fetched,
    logged,
    readiness,
    said_by,
    samples,
    serving,
    told,
    until,
)

LOGGED = [
    *("ts", "request_id", "client", "method", "path", "feed", "route", "module", "action", "principal"),
    *("key_id", "outcome", "code", "scope", "status", "bytes_in", "bytes_out", "ms", "upstream_ms"),
    "would_deny",
]

FAMILIES = {
    "gateway_requests_total": {"feed", "module", "action", "outcome", "status"},
    "gateway_denied_total": {"feed", "module", "action", "reason"},
    "gateway_upstream_errors_total": {"feed", "kind"},
    "gateway_request_seconds_count": {"feed"},
    "gateway_upstream_seconds_count": {"feed"},
    "gateway_principal_cache_total": {"result"},
    "gateway_config_info": {"hash"},
    "gateway_in_flight": set(),
    "gateway_connections": set(),
    "gateway_policy_revision": set(),
    "gateway_log_dropped_total": set(),
}


def answer_of(request: Received) -> bytes | None:
    """A feed whose bookings cannot be read: it closes the connection instead."""
    return None if request.target.startswith("/v2/bookings") else OK


@dataclass
class Watched:
    """A gateway after known traffic, with what each request was answered, by name."""

    gateway: GatewayUnderTest
    secrets: list[str]
    answers: dict[str, Answered]

    def line(self, name: str) -> dict[str, Any]:
        """The line of the access log about a request."""
        wanted = self.answers[name].value("X-Request-Id")
        (line,) = [line for line in logged(self.gateway) if line["request_id"] == wanted]
        return line


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, commands: Commands) -> Iterator[Watched]:
    with feed_beside() as feed:
        feed.answer = answer_of
        file = write_configuration(
            tmp_path_factory.mktemp("watched"),
            [feed.port],
            main="authentication: {api_key: {header: X-API-Key, query: api_key}, realm: training feeds}",
        )
        run = commands.on(file)
        with serving(file) as gateway:
            run.scope("website", read="courses,bookings")
            run.scope("no-users", "deny", read="users")
            _, key = run.key("website")
            _, other = run.key("website", "no-users")
            yield Watched(gateway, [key, other], traffic(gateway, feed, key, other))


def traffic(gateway: GatewayUnderTest, feed: Feed, key: str, other: str) -> dict[str, Answered]:
    """A request of each kind, and until all are on record; the requests that reached the feed are as told."""
    answers = {
        "permitted": ask(gateway, "GET", "/v2/courses/17?page=2&secret=query-value", key=key),
        "again": ask(gateway, "GET", "/v2/courses/18", key=key),
        "posted": ask(gateway, "POST", "/v2/courses/search", key=key, body=b"0123456789"),
        "by query": ask(gateway, "GET", f"/v2/courses?api_key={key}&page=2"),
        "denied": ask(gateway, "POST", "/v2/courses", key=key, body=b"{}"),
        "denied by scope": ask(gateway, "GET", "/v2/users", key=other),
        "missing": ask(gateway, "GET", "/v2/courses"),
        "unknown": ask(gateway, "GET", "/v2/courses", key="sg_1_not-a-key-of-ours"),
        "bearer": ask(gateway, "GET", "/v2/courses", "Authorization: Bearer some-secret-token"),
        "unmapped": ask(gateway, "GET", "/v2/nowhere", key=key),
        "wrong method": ask(gateway, "DELETE", "/v2/status", key=key),
        "public": ask(gateway, "GET", "/v2/status"),
        "failing": ask(gateway, "GET", "/v2/bookings/1", key=key),
        "ambiguous": ask(gateway, "GET", "/v2/%2e%2e/users", key=key),
    }
    assert [sent.target for sent in feed.requests if not sent.target.startswith("/v2/bookings")] == [
        "/v2/courses/17?page=2&secret=query-value",
        "/v2/courses/18",
        "/v2/courses/search",
        "/v2/courses?page=2",
        "/v2/status",
    ]
    until(lambda: len(logged(gateway)) >= len(answers))
    return answers


def test_each_request_is_answered_as_the_contract_has_it(watched: Watched) -> None:
    assert {name: told(answer) for name, answer in watched.answers.items()} == {
        "permitted": (200, None),
        "again": (200, None),
        "posted": (200, None),
        "by query": (200, None),
        "denied": (403, "scope_denied"),
        "denied by scope": (403, "scope_denied"),
        "missing": (401, "credential_missing"),
        "unknown": (401, "credential_invalid"),
        "bearer": (401, "credential_invalid"),
        "unmapped": (404, "route_unmapped"),
        "wrong method": (405, "method_unmapped"),
        "public": (200, None),
        "failing": (502, "upstream_unreachable"),
        "ambiguous": (400, "path_ambiguous"),
    }
    assert watched.answers["missing"].values("WWW-Authenticate") == [
        'Bearer realm="training feeds"',
        'ApiKey realm="training feeds"',
    ]
    assert 'error="invalid_token"' in watched.answers["unknown"].values("WWW-Authenticate")[0]
    assert watched.answers["wrong method"].value("Allow") == "GET"
    for answer in watched.answers.values():
        ours = told(answer)[1] is not None
        assert (answer.value("Proxy-Status") or "").startswith("scopegate; error=") == ours
        assert answer.value("X-Request-Id")


def test_the_access_log_has_one_line_a_request_with_exactly_the_fields_of_the_contract(
    watched: Watched,
) -> None:
    lines = logged(watched.gateway)
    assert len(lines) == len(watched.answers)
    for line in lines:
        assert list(line) == LOGGED
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["ts"])
        assert line["client"] == "127.0.0.1"
        assert 0 <= line["ms"] < 10_000
        assert "?" not in line["path"]


def test_a_permitted_request_is_on_record_with_everything_that_led_to_it(watched: Watched) -> None:
    line = watched.line("permitted")
    known = {name: line[name] for name in LOGGED if name not in {"ts", "request_id", "ms", "upstream_ms"}}
    assert known == {
        "client": "127.0.0.1",
        "method": "GET",
        "path": "/v2/courses/17",
        "feed": "test",
        "route": "/v2/courses/{id}",
        "module": "courses",
        "action": "read",
        "principal": "key:1",
        "key_id": 1,
        "outcome": "permit",
        "code": None,
        "scope": "website",
        "status": 200,
        "bytes_in": 0,
        "bytes_out": 5,
        "would_deny": None,
    }
    assert line["upstream_ms"] <= line["ms"]
    posted = watched.line("posted")
    assert (posted["bytes_in"], posted["action"]) == (10, "read")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "denied",
            {"code": "scope_denied", "module": "courses", "action": "create", "key_id": 1, "scope": None},
        ),
        ("denied by scope", {"code": "scope_denied", "scope": "no-users", "key_id": 2, "upstream_ms": None}),
        ("missing", {"code": "credential_missing", "principal": None, "key_id": None, "feed": "test"}),
        ("unknown", {"code": "credential_invalid", "principal": None, "key_id": None}),
        ("unmapped", {"code": "route_unmapped", "route": None, "module": None, "principal": "key:1"}),
        ("wrong method", {"code": "method_unmapped", "status": 405, "route": "/v2/status"}),
        ("ambiguous", {"code": "path_ambiguous", "status": 400, "method": "GET"}),
    ],
)
def test_a_refusal_is_on_record_in_both_logs(
    watched: Watched, name: str, expected: dict[str, object]
) -> None:
    line = watched.line(name)
    assert {field: line[field] for field in expected} == expected
    assert line["outcome"] == "refuse"
    assert line in logged(watched.gateway, "denied.log")


def test_a_feeds_failure_is_an_error_and_not_a_denial(watched: Watched) -> None:
    line = watched.line("failing")
    assert (line["outcome"], line["code"], line["status"]) == ("error", "upstream_unreachable", 502)
    denied = logged(watched.gateway, "denied.log")
    assert line not in denied
    assert {entry["outcome"] for entry in denied} == {"refuse"}
    assert len(denied) == 8


def test_no_credential_and_no_query_value_is_in_any_log_metric_or_error_body(watched: Watched) -> None:
    directory = watched.gateway.file.parent
    texts = [
        (directory / "access.log").read_text(),
        (directory / "denied.log").read_text(),
        said_by(watched.gateway),
        fetched(watched.gateway, "/metrics")[1],
        fetched(watched.gateway, "/readyz")[1],
        *(answer.body.decode() + repr(answer.headers) for answer in watched.answers.values()),
    ]
    for secret in (
        *watched.secrets,
        *(key.rsplit("_", 1)[1] for key in watched.secrets),
        "query-value",
        "not-a-key-of-ours",
        "some-secret-token",
    ):
        assert not [text for text in texts if secret in text]


def test_every_metric_of_the_contract_is_there_with_its_labels(watched: Watched) -> None:
    found = samples(watched.gateway)
    for name, labels in FAMILIES.items():
        assert name in found, name
        assert {frozenset(row) for row, _ in found[name]} == {frozenset(labels)}, name


def test_the_numbers_are_those_of_the_traffic(watched: Watched) -> None:
    gateway = watched.gateway
    assert counted(gateway, "gateway_requests_total") == len(watched.answers)
    expected = [
        (4, {"feed": "test", "module": "courses", "action": "read", "outcome": "permit", "status": "200"}),
        (1, {"module": "courses", "action": "create", "outcome": "refuse", "status": "403"}),
        (1, {"module": "bookings", "action": "read", "outcome": "error", "status": "502"}),
        (3, {"outcome": "refuse", "status": "401"}),
        (1, {"outcome": "refuse", "status": "404"}),
    ]
    for number, labels in expected:
        assert counted(gateway, "gateway_requests_total", **labels) == number, labels
    reasons = {
        "scope_denied": 2,
        "credential_missing": 1,
        "credential_invalid": 2,
        "route_unmapped": 1,
        "method_unmapped": 1,
        "path_ambiguous": 1,
    }
    for reason, number in reasons.items():
        assert counted(gateway, "gateway_denied_total", reason=reason) == number, reason
    assert counted(gateway, "gateway_denied_total") == sum(reasons.values())
    assert counted(gateway, "gateway_request_seconds_count") == len(watched.answers)
    assert counted(gateway, "gateway_upstream_errors_total", feed="test") >= 1
    assert counted(gateway, "gateway_in_flight") == 0
    assert counted(gateway, "gateway_log_dropped_total") == 0
    assert counted(gateway, "gateway_principal_cache_total", result="hit") >= 1
    assert counted(gateway, "gateway_principal_cache_total", result="miss") >= 2
    assert samples(gateway)["gateway_config_info"][0][1] == 1


def test_labels_come_from_closed_sets_whatever_is_sent(watched: Watched) -> None:
    before = {frozenset(row.items()) for rows in samples(watched.gateway).values() for row, _ in rows}
    for word in ("alpha", "beta", "gamma"):
        ask(watched.gateway, word.upper(), f"/{word}", host=f"{word}.example", key=word)
    after = {frozenset(row.items()) for rows in samples(watched.gateway).values() for row, _ in rows}
    assert not [row for row in after - before if any("alpha" in str(pair).lower() for pair in row)]
    assert len(after - before) <= 3


def test_the_probes_tell_that_all_is_well(watched: Watched) -> None:
    assert fetched(watched.gateway, "/livez")[0] == 200
    assert fetched(watched.gateway, "/readyz")[0] == 200
    ready = readiness(watched.gateway)
    assert ready["status"] == "ready"
    assert set(ready["checks"].values()) == {"ok"}
    assert any("authentication.api_key.query" in warning for warning in ready["warnings"])
    assert fetched(watched.gateway, "/nowhere")[0] == 404
    assert json.loads(fetched(watched.gateway, "/nowhere")[1])["status"] == 404


def test_the_query_key_counts_as_ambiguous_beside_another_credential(watched: Watched) -> None:
    key, other = watched.secrets
    for answer in (
        ask(watched.gateway, "GET", f"/v2/courses?api_key={key}", key=key),
        ask(watched.gateway, "GET", f"/v2/courses?api_key={key}&api_key={other}"),
        ask(watched.gateway, "GET", f"/v2/courses?api%5Fkey={key}", key=other),
        ask(watched.gateway, "GET", "/v2/courses", "Authorization: Bearer x", key=key),
    ):
        assert told(answer) == (400, "credential_ambiguous")
    hidden = ask(watched.gateway, "GET", f"/v2/courses?a=1&%61pi_key={key}")
    assert told(hidden) == (200, None)
