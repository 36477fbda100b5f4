"""Whether the gateway can serve, and if not, why: what `/readyz` answers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict


class WorkerHealth(TypedDict):
    """What one worker says of itself, JSON-able.

    `checks` maps what must hold for requests to be served to None, or to a sentence that says why it does
    not; `warnings` are sentences about what holds but should be known: a feed that is only observed, a store
    that has been away for a while, logs that are being dropped.
    """

    checks: dict[str, str | None]
    warnings: list[str]


def worker_health(
    checks: Mapping[str, str | None] | None = None,
    warnings: Iterable[str] = (),
) -> WorkerHealth:
    """A worker's report, from what it knows."""
    return {"checks": dict(checks or {}), "warnings": list(warnings)}


@dataclass(frozen=True, slots=True)
class Health:
    """Every check with None or why it fails, and the warnings, of the whole gateway."""

    checks: Mapping[str, str | None]
    warnings: tuple[str, ...] = field(default=())

    @property
    def ready(self) -> bool:
        """Whether requests can be served."""
        return not any(self.checks.values())

    def document(self) -> dict[str, Any]:
        """The answer's body: `status`, and per check `ok` or why not."""
        return {
            "status": "ready" if self.ready else "not ready",
            "checks": {name: why or "ok" for name, why in self.checks.items()},
            "warnings": list(self.warnings),
        }


def joined(
    reports: Mapping[int, WorkerHealth],
    checks: Mapping[str, str | None],
    warnings: Iterable[str] = (),
) -> Health:
    """The workers' reports, by worker number, and the parent's own findings as one.

    A check fails if it fails in any worker; a warning that several workers share is told once.
    """
    told = dict(checks)
    for name in dict.fromkeys(name for report in reports.values() for name in report["checks"]):
        told[name] = _why(name, reports)
    shared = dict.fromkeys([*warnings, *(w for report in reports.values() for w in report["warnings"])])
    return Health(told, tuple(shared))


def _why(name: str, reports: Mapping[int, WorkerHealth]) -> str | None:
    failing = {number: why for number, report in reports.items() if (why := report["checks"].get(name))}
    if not failing:
        return None
    why = next(iter(failing.values()))
    if len(failing) == len(reports):
        return why
    return f"worker {', '.join(map(str, failing))} of {len(reports)}: {why}"
