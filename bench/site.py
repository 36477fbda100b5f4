"""Where a case is laid out: directories and ports, the feeds, and who is told how it goes."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.certificate import made_certificate
from bench.effort import Plan
from bench.machine import Cores, CoreSet
from bench.peer import Bed, Checks, Peer, Stand
from bench.process import PeerFailedError, free_port
from bench.subject import prove
from bench.tools import Toolbox
from bench.upstream import feeding, sinking

FEED: Final = "feed"
SINK: Final = "sink"


@dataclass(slots=True)
class Site:
    """One case's ground. What `servers` holds lasts as long as the case.

    `all_cores` are those of the machine, `peers` the names that the core table is limited to, empty for all;
    `tree` is what to measure beside.
    """

    tools: Toolbox
    cores: Cores
    plan: Plan
    work: Path
    servers: ExitStack
    all_cores: CoreSet = ()
    peers: tuple[str, ...] = ()
    tree: str = ""
    trees: Path = Path()
    left_out: list[str] = field(default_factory=list)
    failures: int = 0
    _ports: dict[str, int] = field(default_factory=dict)

    def done(self, line: str) -> None:
        """Say how it goes."""
        print(line, file=sys.stderr, flush=True)

    def missing(self, name: str, why: str) -> None:
        """Say what cannot be had here, and keep it for the report."""
        self.left_out.append(f"{name}: {why}")
        print(f"left out: {name}: {why}", file=sys.stderr, flush=True)

    def failed(self, name: str, why: str) -> None:
        """Say what should have worked and did not."""
        self.failures += 1
        self.missing(name, why)

    @property
    def feed(self) -> int:
        """The port of the small feed, started when it is first asked for."""
        if FEED not in self._ports:
            bed = self._bare_bed(FEED, free_port())
            self.servers.enter_context(feeding(bed, self.cores.load))
            self._ports[FEED] = bed.upstream_port
        return self._ports[FEED]

    @property
    def sink(self) -> int:
        """The port of the feed for large bodies."""
        if SINK not in self._ports:
            bed = self._bare_bed(SINK, free_port())
            self.servers.enter_context(sinking(bed, self.cores.load))
            self._ports[SINK] = bed.upstream_port
        return self._ports[SINK]

    def bed(
        self, name: str, *, upstream: int | None = None, connections: int = 4096, tls: bool = False
    ) -> Bed:
        """A directory and ports for one peer, before the small feed unless another is named."""
        bare = self._bare_bed(name, upstream or self.feed)
        certificate = made_certificate(self.work) if tls else None
        return Bed(
            *(bare.tools, bare.directory, bare.port, bare.decision_port, bare.upstream_port, bare.peer_cores),
            connections=connections,
            certificate=certificate,
        )

    def stand(self, name: str, checks: Checks, lay_out: Callable[[], Stand]) -> Iterator[Stand]:
        """A stand that is laid out now and put to the proof; none, and a line about it, if that fails."""
        try:
            stand = lay_out()
        except (PeerFailedError, OSError) as error:
            self.failed(name, str(error))
            return
        yield from self.proven(name, checks, stand)

    def proven(self, name: str, checks: Checks, stand: Stand) -> Iterator[Stand]:
        """A stand that does what it claims; none, and a line about it, if it does not."""
        try:
            prove(stand, checks)
        except (PeerFailedError, OSError) as error:
            self.failed(name, str(error))
            return
        self.done(f"{name} answers as it claims ({checks})")
        yield stand

    def has(self, peer: Peer) -> bool:
        """Whether a peer's programs are here; if not, a line about it is kept."""
        if not self.tools.has(peer.needs):
            self.missing(peer.name, self.tools.why_not(peer.needs))
            return False
        return True

    def _bare_bed(self, name: str, upstream: int) -> Bed:
        directory = self.work / name
        directory.mkdir(parents=True, exist_ok=True)
        return Bed(self.tools, directory, free_port(), free_port(), upstream, self.cores.peer)
