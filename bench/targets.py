"""What the project holds itself to, as rows; a run says of each whether it was met."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from bench.case import DIRECT, GATEWAY
from bench.readings import Spread, Way, compared
from bench.results import Described, Measured, Results

AUTH_REQUEST: Final = "nginx-auth-request"
FLAT: Final = 1.05
"""What is flat, or as it was before, differs by no more."""

Figure = Callable[[Results], float | None]


class Target(NamedTuple):
    """A figure that is to be no more than a limit, or no less where `least` is set."""

    what: str
    limit: float
    figure: Figure
    unit: str = ""
    least: bool = False


class Verdict(NamedTuple):
    """What a target came to."""

    target: Target
    figure: float

    @property
    def met(self) -> bool:
        """Whether the figure is on the right side of the limit."""
        return self.figure >= self.target.limit if self.target.least else self.figure <= self.target.limit


def _middle(spread: Spread | None) -> float | None:
    return spread.middle if spread else None


def _ratio(case: str, row: str, beside: str, measure: str = "cpu_us") -> Figure:
    """A measure of a row over that of another of its case."""

    def figure(results: Results) -> float | None:
        found = results.case(case)
        return _middle(found.ratio(row, beside, measure)) if found else None

    return figure


def _gateway_over(peer: str) -> Figure:
    return _ratio("core", GATEWAY, peer)


def _added_over(peer: str, quantile: str) -> Figure:
    """How much more latency the gateway adds than a peer, in µs."""

    def figure(results: Results) -> float | None:
        found = results.case("latency") or results.case("core")
        if found is None:
            return None
        own, other = found.added(GATEWAY, DIRECT, quantile), found.added(peer, DIRECT, quantile)
        return own.middle - other.middle if own and other else None

    return figure


def _worst(case: str, measure: str, choose: Callable[[Described], bool], *, least: bool = False) -> Figure:
    """The worst ratio to the row beside, over all such rows of a case."""

    def figure(results: Results) -> float | None:
        found = results.case(case)
        ratios = list(_ratios(found, measure, choose)) if found else []
        return (min if least else max)(ratios, default=None)

    return figure


def _ratios(case: Measured, measure: str, choose: Callable[[Described], bool]) -> Iterator[float]:
    for row in case.rows:
        ratio = compared(case.readings, row.name, row.beside, measure, Way.RATIO)
        if row.beside and ratio and choose(row):
            yield ratio.middle


def _most(case: str, measure: str, choose: Callable[[Described], bool] = lambda _: True) -> Figure:
    """The greatest median of a measure among some rows of a case."""

    def figure(results: Results) -> float | None:
        found = results.case(case)
        spreads = [found.spread(row.name, measure) for row in found.rows if choose(row)] if found else []
        return max((spread.middle for spread in spreads if spread), default=None)

    return figure


def _any(_: Described) -> bool:
    return True


def _moves_a_gib(row: Described) -> bool:
    return "GiB" in row.name


def _of_gateway(row: Described) -> bool:
    return row.name.startswith(GATEWAY)


TARGETS: Final[tuple[Target, ...]] = (
    Target("CPU a request beside nginx `auth_request`", 1.0, _gateway_over(AUTH_REQUEST)),
    Target("CPU a request beside nginx `auth_request`, stretch", 0.9, _gateway_over(AUTH_REQUEST)),
    Target("CPU a request beside Envoy `api_key_auth` + `rbac`", 0.5, _gateway_over("envoy-api-key")),
    Target(
        "CPU a request beside Envoy `api_key_auth` + `rbac`, stretch", 0.45, _gateway_over("envoy-api-key")
    ),
    Target("CPU a request beside Envoy `ext_authz`", 0.3, _gateway_over("envoy-ext-authz")),
    Target("CPU a request beside Traefik `forwardAuth`", 0.3, _gateway_over("traefik")),
    Target("CPU a request beside Caddy `forward_auth`", 0.3, _gateway_over("caddy")),
    Target("CPU a request beside nginx forwarding only", 2.2, _gateway_over("nginx")),
    Target("CPU a request beside nginx forwarding only, stretch", 1.8, _gateway_over("nginx")),
    Target("p50 added, over what nginx `auth_request` adds", 0, _added_over(AUTH_REQUEST, "p50"), "µs"),
    Target("p99 added, over what nginx `auth_request` adds", 0, _added_over(AUTH_REQUEST, "p99"), "µs"),
    Target("CPU a request with a remembered JWT, over an API key", 1.1, _ratio("jwt", "jwt", "key")),
    Target("requests refused while an issuer changes its key", 0, _most("rotation", "refused")),
    Target("requests lost while an issuer changes its key", 0, _most("rotation", "failed")),
    Target(
        "refusals (scope) a second over permitted requests",
        1.5,
        _ratio("refusals", "out of scope", "permitted", "per_second"),
        least=True,
    ),
    Target("CPU a request, two workers over one", FLAT, _ratio("workers", "2 workers", "1 worker")),
    Target(
        "throughput of a 1 GiB body over nginx forwarding, the worse way",
        0.8,
        _worst("bodies", "mib_per_second", _moves_a_gib, least=True),
        least=True,
    ),
    Target("memory that large bodies add, the worst", 8, _most("bodies", "growth_mib", _of_gateway), "MiB"),
    Target("CPU a request, many routes over few", FLAT, _worst("routes", "cpu_us", _any)),
    Target("CPU a request, many keys over few, the worst", FLAT, _worst("keys", "cpu_us", _any)),
    Target("CPU a request, many scopes over one", FLAT, _worst("scopes", "cpu_us", _any)),
    Target("from start to the first good answer, many routes", 1000, _most("start", "ready_ms"), "ms"),
    Target("CPU a request now over before, the worst", FLAT, _worst("before", "cpu_us", _any)),
)


def verdicts(results: Results) -> Iterator[Verdict]:
    """Every target for which there is a figure."""
    for target in TARGETS:
        figure = target.figure(results)
        if figure is not None:
            yield Verdict(target, figure)
