"""What the project holds itself to, as rows; a run says of each whether it was met."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from results import GATEWAY, Results, Spread
from transfer import MIB

AUTH_REQUEST: Final = "nginx-auth-request"


class Target(NamedTuple):
    """A figure that is to be no more than a limit, or no less where `least` is set."""

    what: str
    limit: float
    figure: Callable[[Results], float | None]
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


def _ratio(peer: str) -> Callable[[Results], float | None]:
    return lambda results: _middle(results.ratio(peer))


def _added_over(peer: str, quantile: str) -> Callable[[Results], float | None]:
    """How much more latency the gateway adds than a peer, in µs."""

    def figure(results: Results) -> float | None:
        own, other = results.added(GATEWAY, quantile), results.added(peer, quantile)
        return own.middle - other.middle if own and other else None

    return figure


def _flat(kind: str) -> Callable[[Results], float | None]:
    """Many over few of something; the cases begin with few."""

    def figure(results: Results) -> float | None:
        names = list(dict.fromkeys(s.name for s in results.cases if s.name.endswith(f" {kind}")))
        return _middle(results.case_ratio(names[-1], names[0])) if len(names) > 1 else None

    return figure


def _refusals(results: Results) -> float | None:
    rates = {
        name: Spread.of([s.saturated.per_second for s in results.cases if s.name == name])
        for name in ("permitted", "refused (scope)")
    }
    permitted, refused = rates.values()
    return refused.middle / permitted.middle if permitted and refused else None


def _growth(results: Results) -> float | None:
    largest = max((t.size for t in results.transfers if t.name == GATEWAY), default=0)
    grown = [t.growth / MIB for t in results.transfers if t.name == GATEWAY and t.size == largest]
    return max(grown, default=None)


TARGETS: Final[tuple[Target, ...]] = (
    Target("CPU a request beside nginx `auth_request`", 1.5, _ratio(AUTH_REQUEST)),
    Target("CPU a request beside nginx `auth_request`, once tuned", 1.0, _ratio(AUTH_REQUEST)),
    Target("CPU a request beside Envoy `api_key_auth` + `rbac`", 1.0, _ratio("envoy-api-key")),
    Target("CPU a request beside Envoy `api_key_auth` + `rbac`, once tuned", 0.5, _ratio("envoy-api-key")),
    Target("CPU a request beside Envoy `ext_authz`, once tuned", 0.3, _ratio("envoy-ext-authz")),
    Target("CPU a request beside Traefik `forwardAuth`, once tuned", 0.3, _ratio("traefik")),
    Target("CPU a request beside Caddy `forward_auth`, once tuned", 0.3, _ratio("caddy")),
    Target("CPU a request beside nginx forwarding only, once tuned", 2.2, _ratio("nginx")),
    Target("p50 added, over what nginx `auth_request` adds", 0, _added_over(AUTH_REQUEST, "p50"), "µs"),
    Target("p99 added, over what nginx `auth_request` adds", 0, _added_over(AUTH_REQUEST, "p99"), "µs"),
    Target("refusals a second over permitted requests", 1.5, _refusals, least=True),
    Target("CPU a request, many routes over few", 1.1, _flat("routes")),
    Target("CPU a request, many keys over few", 1.1, _flat("keys")),
    Target("memory that the largest body adds, either way, the worst of all", 8, _growth, "MiB"),
)


def verdicts(results: Results) -> Iterator[Verdict]:
    """Every target for which there is a figure."""
    for target in TARGETS:
        figure = target.figure(results)
        if figure is not None:
            yield Verdict(target, figure)
