"""What a worker counts, how counts of several workers add up, and how they are shown."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gateway.domain.exchange import Exchange, Outcome
from gateway.domain.verdict import Reason
from gateway.observe import families
from gateway.observe.exposition import render
from gateway.observe.families import FAMILIES, UNKNOWN, Kind
from gateway.observe.metrics import Metrics, Sources
from gateway.observe.snapshot import Snapshot, empty, lasting, merge, value_of

PERMIT = Exchange(
    ts=1_700_000_000.5,
    request_id="a1",
    client="192.0.2.7",
    method="GET",
    path="/v2/courses",
    feed="training",
    route="/v2/courses",
    module="courses",
    action="read",
    principal="key:1",
    key_id=1,
    outcome=Outcome.PERMIT,
    code=None,
    scope="website",
    status=200,
    bytes_in=0,
    bytes_out=186,
    ms=1.5,
    upstream_ms=1.0,
    would_deny=None,
)
REFUSE = PERMIT._replace(outcome=Outcome.REFUSE, code=Reason.SCOPE_DENIED, status=403, upstream_ms=None)
UNREAD = REFUSE._replace(
    feed=None, module=None, action=None, method=None, path=None, code=Reason.REQUEST_MALFORMED, status=400
)
WATCHED = PERMIT._replace(would_deny=Reason.SCOPE_DENIED)
OUTAGE = REFUSE._replace(outcome=Outcome.ERROR, code=Reason.STORE_UNAVAILABLE, status=503)


def counted(*records: Exchange) -> Snapshot:
    metrics = Metrics()
    for record in records:
        metrics.exchange(record)
    return metrics.snapshot()


def shown(snapshot: Snapshot) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text, _ = render(snapshot)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def sample(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def test_the_families_and_labels_are_those_of_the_contract() -> None:
    assert {family.name: family.labels for family in FAMILIES} == {
        "gateway_requests_total": ("feed", "module", "action", "outcome", "status"),
        "gateway_denied_total": ("feed", "module", "action", "reason"),
        "gateway_would_deny_total": ("feed", "module", "action", "reason"),
        "gateway_request_seconds": ("feed",),
        "gateway_upstream_seconds": ("feed",),
        "gateway_upstream_errors_total": ("feed", "kind"),
        "gateway_in_flight": (),
        "gateway_connections": (),
        "gateway_principal_cache_total": ("result",),
        "gateway_policy_revision": (),
        "gateway_config_info": ("hash",),
        "gateway_feed_observing": ("feed",),
        "gateway_store_up": (),
        "gateway_store_unread_seconds": (),
        "gateway_upstream_healthy": ("feed", "address"),
        "gateway_log_dropped_total": (),
    }


@pytest.mark.parametrize(
    ("record", "family", "labels"),
    [
        (PERMIT, families.REQUESTS, ["training", "courses", "read", "permit", "200"]),
        (REFUSE, families.REQUESTS, ["training", "courses", "read", "refuse", "403"]),
        (REFUSE, families.DENIED, ["training", "courses", "read", "scope_denied"]),
        (UNREAD, families.REQUESTS, ["-", "-", "-", "refuse", "400"]),
        (UNREAD, families.DENIED, ["-", "-", "-", "request_malformed"]),
        (WATCHED, families.WOULD_DENY, ["training", "courses", "read", "scope_denied"]),
        (OUTAGE, families.REQUESTS, ["training", "courses", "read", "error", "503"]),
    ],
)
def test_an_exchange_is_counted_under_its_facts(
    record: Exchange, family: families.Family, labels: list[str]
) -> None:
    rows = counted(record, record)["values"][family.name]
    assert rows == [(labels, 2)]


@pytest.mark.parametrize("record", [PERMIT, OUTAGE, WATCHED])
def test_only_refusals_are_counted_as_denied(record: Exchange) -> None:
    assert value_of(counted(record), families.DENIED) == 0


@pytest.mark.parametrize("status", [0, 99, 600, 999, -1, 10**9])
def test_a_status_no_server_may_send_is_no_label(status: int) -> None:
    rows = counted(PERMIT._replace(status=status))["values"][families.REQUESTS.name]
    assert rows == [(["training", "courses", "read", "permit", UNKNOWN], 1)]


@given(st.text(), st.text(), st.text())
def test_nothing_a_client_writes_becomes_a_label(path: str, method: str, client: str) -> None:
    record = PERMIT._replace(path=path, method=method, client=client, request_id=path, principal=client)
    assert counted(record) == counted(PERMIT)


@pytest.mark.parametrize(
    ("ms", "edge"),
    [(0.0, "0.0005"), (0.5, "0.0005"), (0.51, "0.001"), (30_000.0, "30.0"), (30_001.0, "+Inf")],
)
def test_a_duration_falls_into_the_bucket_that_bounds_it(ms: float, edge: str) -> None:
    samples = shown(merge([counted(PERMIT._replace(ms=ms))]))
    edges = [*map(str, families.BOUNDS), "+Inf"]
    for place, bound in enumerate(edges):
        seen = samples[sample("gateway_request_seconds_bucket", feed="training", le=bound)]
        assert seen == (1 if place >= edges.index(edge) else 0)


def test_durations_are_shown_in_seconds() -> None:
    samples = shown(merge([counted(PERMIT, PERMIT)]))
    assert samples[sample("gateway_request_seconds_sum", feed="training")] == pytest.approx(0.003)
    assert samples[sample("gateway_upstream_seconds_sum", feed="training")] == pytest.approx(0.002)
    assert samples[sample("gateway_upstream_seconds_count", feed="training")] == 2


def test_a_request_that_was_not_forwarded_says_nothing_of_the_upstream() -> None:
    assert counted(REFUSE)["histograms"][families.UPSTREAM_SECONDS.name] == []


def test_faults_of_feeds_are_counted_by_kind() -> None:
    metrics = Metrics()
    for kind in ("connect", "timeout", "timeout"):
        metrics.upstream_error("training", kind)
    assert metrics.snapshot()["values"][families.UPSTREAM_ERRORS.name] == [
        (["training", "connect"], 1),
        (["training", "timeout"], 2),
    ]


def worker(revision: int, config: str, *, observing: bool) -> Snapshot:
    metrics = Metrics(
        Sources(
            in_flight=lambda: 3,
            connections=lambda: 10,
            principal_cache=lambda: {"hit": 7, "miss": 2},
            policy_revision=lambda: revision,
            config_hash=lambda: config,
            observing=lambda: {"training": observing, "legacy": False},
            log_dropped=lambda: 4,
        )
    )
    metrics.exchange(PERMIT)
    return metrics.snapshot()


def test_workers_add_up_but_revision_and_configuration_do_not() -> None:
    samples = shown(merge([worker(41, "aa", observing=True), worker(42, "bb", observing=False)]))
    expected = {
        sample("gateway_in_flight"): 6,
        sample("gateway_connections"): 20,
        sample("gateway_principal_cache_total", result="hit"): 14,
        sample("gateway_principal_cache_total", result="miss"): 4,
        sample("gateway_policy_revision"): 41,
        sample("gateway_config_info", hash="aa"): 1,
        sample("gateway_config_info", hash="bb"): 1,
        sample("gateway_feed_observing", feed="training"): 1,
        sample("gateway_feed_observing", feed="legacy"): 0,
        sample("gateway_log_dropped_total"): 8,
        sample("gateway_request_seconds_count", feed="training"): 2,
    }
    assert {key: samples[key] for key in expected} == expected


def test_a_worker_that_ended_leaves_its_counts_and_takes_its_gauges() -> None:
    samples = shown(merge([lasting(worker(41, "aa", observing=True)), worker(42, "bb", observing=False)]))
    assert samples[sample("gateway_in_flight")] == 3
    assert samples[sample("gateway_policy_revision")] == 42
    assert sample("gateway_config_info", hash="aa") not in samples
    assert samples[sample("gateway_log_dropped_total")] == 8
    assert samples[sample("gateway_request_seconds_count", feed="training")] == 2


records = st.builds(
    PERMIT._replace,
    feed=st.sampled_from(["training", "legacy", None]),
    module=st.sampled_from(["courses", "bookings", None]),
    outcome=st.sampled_from(Outcome),
    code=st.sampled_from([None, Reason.SCOPE_DENIED, Reason.SCOPE_NONE]),
    status=st.sampled_from([200, 403, 502]),
    ms=st.integers(0, 40_000).map(float),
    upstream_ms=st.none() | st.integers(0, 40_000).map(float),
    would_deny=st.sampled_from([None, Reason.SCOPE_DENIED]),
)


@given(st.lists(st.lists(records, max_size=6), max_size=4))
def test_merging_workers_shows_what_one_worker_would_have_counted(shares: list[list[Exchange]]) -> None:
    apart = merge([json.loads(json.dumps(counted(*share))) for share in shares])
    together = merge([counted(*(record for share in shares for record in share))])
    events = [f.name for f in FAMILIES if f.kind is not Kind.GAUGE]
    for name in events:
        assert _table(apart, name) == pytest.approx(_table(together, name))


def _table(snapshot: Snapshot, name: str) -> dict[object, float]:
    table: dict[object, float] = {
        tuple(labels): value for labels, value in snapshot["values"].get(name, []) if value
    }
    for labels, counts, total in snapshot["histograms"].get(name, []):
        table |= {(*labels, place): float(count) for place, count in enumerate(counts)}
        table[(*labels, "sum")] = total
    return table


def test_nothing_counted_is_shown_as_every_family_and_no_sample() -> None:
    text, media_type = render(empty())
    assert media_type.startswith("text/plain")
    for family in FAMILIES:
        assert f"# HELP {family.name}" in text.decode()


def test_openmetrics_is_spoken_to_those_who_ask_for_it() -> None:
    text, media_type = render(counted(PERMIT), "application/openmetrics-text; version=1.0.0")
    assert media_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")
