"""What one measurement of one peer in one round yielded; also the shape of the raw samples' file."""

from typing import NamedTuple


class Saturated(NamedTuple):
    """Under as much load as it can take. CPU is in µs a request, all processes of the peer together.

    `used` is the peer's share of its core, `others` what strangers took of it meanwhile, `stolen` what the
    hypervisor withheld; all three as shares of the time.
    """

    requests: int
    seconds: float
    cpu_us: float
    per_second: float
    used: float
    others: float
    stolen: float


class AtRate(NamedTuple):
    """At a fixed rate; latencies in µs from the moment a request was due, `late` how late the client was."""

    asked: int
    p50: float
    p90: float
    p99: float
    p999: float
    late_p50: float
    late_p99: float
    connections: int


class Sample(NamedTuple):
    """One peer in one round; memory in bytes after saturation, `logged` is lines logged for each request."""

    name: str
    turn: int
    ready_seconds: float
    saturated: Saturated
    at_rate: AtRate | None
    resident: int
    proportional: int
    logged: float | None
