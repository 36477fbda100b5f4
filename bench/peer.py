"""The nouns of the benchmark: what a peer is, where it stands, what is asked of it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from bench.machine import CoreSet
from bench.tools import Toolbox

GATEWAY: Final = "gateway"
GATEWAY_COMPILED: Final = "gateway-compiled"
"""The row of the gateway whose hot rooms were compiled."""

BODY: Final = (
    b'{"id":17,"code":"FAW-3D","title":"First Aid at Work","module":"courses","days":3,"price":"349.00",'
    b'"currency":"GBP","provider":"Northern Safety","language":"en","seats":120,"active":true}'
)
"""What the feed answers: a small JSON object of 186 bytes."""

LARGE_BODY: Final = ((BODY + b"\n") * 351)[: 64 * 1024]
"""What it answers where 64 KiB are asked for."""

KEY_HEADER: Final = "X-API-Key"
BENCH_KEY: Final = "bench_17_Zk3vN8qTq0yVb5mXe7rLw2uJh9cDf4sGa6pRi1tYo0x"
"""The key that peers without a key store of their own are configured with."""

WRONG_KEY: Final = "bench_17_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
READ_PATH: Final = "/v2/courses/17"
LARGE_PATH: Final = "/v2/courses/large"
CREATE_PATH: Final = "/v2/courses"
OK: Final = 200


class Checks(StrEnum):
    """What a peer claims to check; the claim is put to the proof before anything is measured."""

    NOTHING = "nothing"
    DECISION = "asks a server that says yes"
    KEY_AND_RULE = "the key, then method and path"
    TOKEN_AND_RULE = "the token, then method and path"  # noqa: S105 - what is checked, and no token
    SCOPES = "key, route, scopes"


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked over and over: every path with every credential in turn, and what has to be answered.

    `credentials` are values of `header`, `wrong` one that is nobody's, `answer` the whole body of a 200. With
    `traces` that many requests take turns which differ in a trace id, and in nothing else.
    """

    paths: tuple[str, ...] = (READ_PATH,)
    credentials: tuple[str, ...] = field(default=(BENCH_KEY,), repr=False)
    header: str = KEY_HEADER
    wrong: str = field(default=WRONG_KEY, repr=False)
    method: str = "GET"
    body_bytes: int = 0
    status: int = OK
    answer: bytes = field(default=BODY, repr=False)
    traces: int = 0

    @property
    def refused(self) -> bool:
        """Whether every request is to be refused."""
        return self.status != OK

    @property
    def always_the_same(self) -> bool:
        """Whether one request, prepared once, is all there is to send."""
        return len(self.paths) == 1 and len(self.credentials) == 1 and not self.traces


@dataclass(frozen=True, slots=True)
class Bed:
    """Where a peer is laid out: its own directory and ports, the feed behind it and the cores it may use.

    `connections` is how many clients it has to take at a time, `certificate` its certificate and key for TLS.
    """

    tools: Toolbox
    directory: Path
    port: int
    decision_port: int
    upstream_port: int
    peer_cores: CoreSet
    connections: int = 4096
    certificate: tuple[Path, Path] | None = None

    def write(self, name: str, text: str) -> Path:
        """Write a configuration file into the peer's directory."""
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        return path

    @property
    def scheme(self) -> str:
        """What clients speak to it."""
        return "https" if self.certificate else "http"

    @property
    def access_log(self) -> Path:
        """Where the peer writes its access log."""
        return self.directory / "access.log"


@dataclass(frozen=True, slots=True)
class Command:
    """One program to run for a peer. What it prints goes to `output`, or to a log of its own if None."""

    argv: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    output: Path | None = None

    @classmethod
    def of(cls, *argv: str | Path, output: Path | None = None, **environment: str) -> Self:
        """A command from its words."""
        return cls(tuple(map(str, argv)), environment, output)


@dataclass(frozen=True, slots=True)
class Stand:
    """A peer laid out and ready to be started any number of times: how, where, and what to ask of it."""

    commands: tuple[Command, ...]
    bed: Bed
    load: Load = Load()
    asks_decision: bool = False
    logs: bool = True

    def under(self, **changes: object) -> Self:
        """The same peer under its load with these changes."""
        return replace(self, load=replace(self.load, **changes))  # type: ignore[arg-type] # fields of Load


@dataclass(frozen=True, slots=True)
class Peer:
    """Something that stands between an integration and a feed, as its users would run it.

    `needs` names the programs it takes, `logs` says what its access log holds, `version` asks for its own.
    """

    name: str
    title: str
    checks: Checks
    logs: str
    needs: tuple[str, ...]
    lay_out: Callable[[Bed], Stand]
    version: Callable[[Toolbox], str]
