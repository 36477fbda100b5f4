"""The metric families: every name, label and meaning that `/metrics` offers, in one table.

Label values come from closed sets only: feeds, modules and actions are the operator's, the rest is ours.
Methods, paths, keys and callers are never labels.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

UNKNOWN: Final = "-"
"""The label value for a feed, module, action or status that is not known."""


class Kind(StrEnum):
    """What a family's numbers are; counters and histograms outlive the worker that counted them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family. `combine` joins the values that two workers report under the same labels."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    combine: Callable[[float, float], float] = operator.add


REQUESTS: Final = Family(
    "gateway_requests_total",
    Kind.COUNTER,
    ("feed", "module", "action", "outcome", "status"),
    "Exchanges that have ended.",
)
DENIED: Final = Family(
    "gateway_denied_total",
    Kind.COUNTER,
    ("feed", "module", "action", "reason"),
    "Requests the gateway refused.",
)
WOULD_DENY: Final = Family(
    "gateway_would_deny_total",
    Kind.COUNTER,
    ("feed", "module", "action", "reason"),
    "Requests let through that a trial set of scopes, or an enforcing feed, would have refused.",
)
REQUEST_SECONDS: Final = Family(
    "gateway_request_seconds",
    Kind.HISTOGRAM,
    ("feed",),
    "Time from the end of a request's head to the end of its exchange.",
)
UPSTREAM_SECONDS: Final = Family(
    "gateway_upstream_seconds",
    Kind.HISTOGRAM,
    ("feed",),
    "Time the feed took of forwarded requests.",
)
UPSTREAM_ERRORS: Final = Family(
    "gateway_upstream_errors_total",
    Kind.COUNTER,
    ("feed", "kind"),
    "Faults of feeds: connect, tls, timeout, reset, invalid.",
)
IN_FLIGHT: Final = Family("gateway_in_flight", Kind.GAUGE, (), "Requests being served.")
CONNECTIONS: Final = Family("gateway_connections", Kind.GAUGE, (), "Client connections that are open.")
PRINCIPAL_CACHE: Final = Family(
    "gateway_principal_cache_total",
    Kind.COUNTER,
    ("result",),
    "Look-ups in the cache of principals.",
)
POLICY_REVISION: Final = Family(
    "gateway_policy_revision",
    Kind.GAUGE,
    (),
    "The revision of keys, scopes and members that every worker has reached.",
    combine=min,
)
CONFIG_INFO: Final = Family(
    "gateway_config_info",
    Kind.GAUGE,
    ("hash",),
    "1 for each configuration in force; two hashes while workers swap, or when one could not.",
    combine=max,
)
FEED_OBSERVING: Final = Family(
    "gateway_feed_observing",
    Kind.GAUGE,
    ("feed",),
    "1 if the feed is only observed and refuses nothing for want of a credential, a route or a scope.",
    combine=max,
)
STORE_UP: Final = Family(
    "gateway_store_up",
    Kind.GAUGE,
    (),
    "1 if every worker could read the store's changes when it last tried.",
    combine=min,
)
STORE_UNREAD_SECONDS: Final = Family(
    "gateway_store_unread_seconds",
    Kind.GAUGE,
    (),
    "Seconds since the store's changes were last read, of the worker for which it is longest.",
    combine=max,
)
UPSTREAM_HEALTHY: Final = Family(
    "gateway_upstream_healthy",
    Kind.GAUGE,
    ("feed", "address"),
    "1 if every worker uses the address; 0 if one passes it over for failed requests or health checks.",
    combine=min,
)
LOG_DROPPED: Final = Family(
    "gateway_log_dropped_total",
    Kind.COUNTER,
    (),
    "Lines of the access and denied logs that were lost because their file could not be written.",
)

FAMILIES: Final = (
    REQUESTS,
    DENIED,
    WOULD_DENY,
    REQUEST_SECONDS,
    UPSTREAM_SECONDS,
    UPSTREAM_ERRORS,
    IN_FLIGHT,
    CONNECTIONS,
    PRINCIPAL_CACHE,
    POLICY_REVISION,
    CONFIG_INFO,
    FEED_OBSERVING,
    STORE_UP,
    STORE_UNREAD_SECONDS,
    UPSTREAM_HEALTHY,
    LOG_DROPPED,
)
"""Everything a worker reports, in the order it is shown."""

BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The upper bounds of histogram buckets, in seconds; above the last one is the bucket without bound."""
