"""What the project holds itself to, as rows; a run says of each whether it was met."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from bench.case import DIRECT
from bench.peer import GATEWAY, GATEWAY_COMPILED
from bench.readings import Spread, Way, compared
from bench.results import Described, Measured, Results

AUTH_REQUEST: Final = "nginx-auth-request"
ONE_WORKER: Final = "1 worker"
TWO_WORKERS: Final = "2 workers"
FLAT: Final = 1.05
"""What is flat, or as it was before, differs by no more."""

Figure = Callable[[Results], float | None]


class Target(NamedTuple):
    """A figure that is to be no more than a limit, or no less where `least` is set; None: it is only told.

    `compiled` is the same figure of the compiled gateway.
    """

    what: str
    limit: float | None
    figure: Figure
    unit: str = ""
    least: bool = False
    compiled: Figure | None = None

    def met_by(self, figure: float) -> bool:
        """Whether a figure is on the right side of the limit."""
        if self.limit is None:
            return True
        return figure >= self.limit if self.least else figure <= self.limit


class Verdict(NamedTuple):
    """What a target came to."""

    target: Target
    figure: float
    compiled: float | None = None


def _middle(spread: Spread | None) -> float | None:
    return spread.middle if spread else None


def _ratio(case: str, row: str, beside: str, measure: str = "cpu_us") -> Figure:
    """A measure of a row over that of another of its case."""

    def figure(results: Results) -> float | None:
        found = results.case(case)
        return _middle(found.ratio(row, beside, measure)) if found else None

    return figure


def _added_over(own: str, peer: str, quantile: str) -> Figure:
    """How much more latency a gateway adds than a peer, in µs."""

    def figure(results: Results) -> float | None:
        found = results.case("latency") or results.case("core")
        if found is None:
            return None
        mine, other = found.added(own, DIRECT, quantile), found.added(peer, DIRECT, quantile)
        return mine.middle - other.middle if mine and other else None

    return figure


def _apart(figure: Figure, case: str, row: str) -> Figure:
    """A figure, where the load had cores of its own: where it had not, what strangers took is not known."""

    def found(results: Results) -> float | None:
        measured = results.case(case)
        return figure(results) if measured and measured.spread(row, "others") else None

    return found


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


def _beside(peer: str, what: str, limit: float | None, case: str = "core") -> Target:
    """CPU a request over that of a peer, plain and compiled."""
    compiled = _ratio(case, GATEWAY_COMPILED, peer)
    return Target(what, limit, _ratio(case, GATEWAY, peer), compiled=compiled)


def _adding(quantile: str) -> Target:
    """Latency added over what nginx adds that asks."""
    figure, compiled = (_added_over(own, AUTH_REQUEST, quantile) for own in (GATEWAY, GATEWAY_COMPILED))
    return Target(
        f"{quantile} added, over what nginx `auth_request` adds", 0, figure, "µs", compiled=compiled
    )


def _held(row: str, what: str) -> Target:
    """Memory of the process that serves."""
    return Target(f"memory of {what}", None, _most("memory", "worker_mib", lambda it: it.name == row), "MiB")


TARGETS: Final[tuple[Target, ...]] = (
    _beside(AUTH_REQUEST, "CPU a request beside nginx `auth_request`", 1.0),
    _beside(AUTH_REQUEST, "CPU a request beside nginx `auth_request`, stretch", 0.9),
    _beside("envoy-api-key", "CPU a request beside Envoy `api_key_auth` + `rbac`", 0.5),
    _beside("envoy-api-key", "CPU a request beside Envoy `api_key_auth` + `rbac`, stretch", 0.45),
    _beside("envoy-ext-authz", "CPU a request beside Envoy `ext_authz`", 0.3),
    _beside("traefik", "CPU a request beside Traefik `forwardAuth`", 0.3),
    _beside("caddy", "CPU a request beside Caddy `forward_auth`", 0.3),
    _beside("nginx", "CPU a request beside nginx forwarding only", 2.2),
    _beside("nginx", "CPU a request beside nginx forwarding only, stretch", 1.8),
    _adding("p50"),
    _adding("p99"),
    Target(
        "refusals (scope) a second over permitted requests",
        1.5,
        _ratio("refusals", "out of scope", "permitted", "per_second"),
        least=True,
        compiled=_ratio("refusals", "out of scope, compiled", "permitted, compiled", "per_second"),
    ),
    Target(
        "requests a second of two workers over one, the load apart from them",
        1.8,
        _apart(_ratio("workers", TWO_WORKERS, ONE_WORKER, "per_second"), "workers", TWO_WORKERS),
        least=True,
    ),
    Target("CPU a request, two workers over one", FLAT, _ratio("workers", TWO_WORKERS, ONE_WORKER)),
    _beside(AUTH_REQUEST, "POST of 1 KiB: CPU a request beside nginx `auth_request`", None, "post"),
    _beside(AUTH_REQUEST, "answer of 64 KiB: CPU a request beside nginx `auth_request`", None, "answer"),
    _beside(AUTH_REQUEST, "TLS: CPU a request beside nginx `auth_request`", None, "tls"),
    Target(
        "remembered JWT: CPU a request beside nginx `auth_request`",
        None,
        _ratio("jwt", "jwt", f"{AUTH_REQUEST}-jwt"),
    ),
    Target("CPU a request with a remembered JWT, over an API key", 1.1, _ratio("jwt", "jwt", "key")),
    Target("requests refused while an issuer changes its key", 0, _most("rotation", "refused")),
    Target("requests lost while an issuer changes its key", 0, _most("rotation", "failed")),
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
    _held("gateway at rest", "a worker at rest"),
    _held("gateway waited on", "a worker with many connections that wait"),
    _held("principals", "a worker with many callers remembered"),
    Target("from start to the first good answer, the worst", 1000, _most("start", "ready_ms"), "ms"),
    Target("CPU a request now over before, the worst", FLAT, _worst("before", "cpu_us", _any)),
)


def verdicts(results: Results) -> Iterator[Verdict]:
    """Every target for which there is a figure."""
    for target in TARGETS:
        figure = target.figure(results)
        if figure is not None:
            yield Verdict(target, figure, target.compiled and target.compiled(results))
