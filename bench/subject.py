"""A peer while it is running: started, put to the proof, stopped."""

import http.client
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from bench.effort import MIB
from bench.machine import CoreSet
from bench.measure import memory
from bench.peer import OK, READ_PATH, Checks, Load, Stand
from bench.peers.scopegate import DENIED_PATH, UNMAPPED_PATH
from bench.process import READY_SECONDS, PeerFailedError, Running, all_running
from bench.readings import Figures
from bench.upstream import deciding


@dataclass(frozen=True, slots=True)
class Subject:
    """A running peer and the programs that are counted as its own."""

    stand: Stand
    programs: tuple[Running, ...]
    ready_seconds: float

    @property
    def pids(self) -> tuple[int, ...]:
        """Every process of the peer, its children and its decision server."""
        for program in self.programs:
            program.demand_alive()
        return tuple(pid for program in self.programs for pid in program.pids)

    @property
    def workers(self) -> tuple[int, ...]:
        """Those of its processes that serve: the children of its first, or that alone if it has none."""
        if not self.stand.commands:
            return ()
        leader, *_ = self.programs
        return tuple(pid for pid in leader.pids if pid != leader.popen.pid) or leader.pids

    def held(self) -> Figures:
        """What its processes hold now."""
        return {"memory_mib": memory(self.pids) / MIB, "worker_mib": memory(self.workers) / MIB}


class Claim(NamedTuple):
    """What a peer says it answers."""

    what: str
    method: str
    path: str
    credential: str | None
    status: int


@contextmanager
def standing(stand: Stand, cores: CoreSet | None = None) -> Iterator[Subject]:
    """Start a peer, wait for its first good answer, and stop it when the block ends."""
    with ExitStack() as stack:
        servers = (stack.enter_context(deciding(stand.bed, OK)),) if stand.asks_decision else ()
        started = time.monotonic()
        programs = stack.enter_context(
            all_running(stand.commands, cores or stand.bed.peer_cores, stand.bed.directory)
        )
        _wait_for_answer(stand, stand.load.status, programs)
        yield Subject(stand, (*programs, *servers), time.monotonic() - started)


def prove(stand: Stand, checks: Checks) -> None:
    """See that a peer does what it claims: the feed's answer whole, and no to what it says it checks.

    A peer that asks a decision server must refuse when that server does. Raises PeerFailedError.
    """
    with standing(stand):
        for claim in claims(stand.load, checks):
            _demand(stand, claim)
    if checks is Checks.DECISION:
        with (
            deciding(stand.bed, 403),
            all_running(stand.commands, stand.bed.peer_cores, stand.bed.directory) as programs,
        ):
            _wait_for_answer(stand, 403, programs)


def ask(stand: Stand, method: str, path: str, credential: str | None, body: bytes = b"") -> tuple[int, bytes]:
    """One request over a connection of its own: status and body."""
    connection = _connection(stand)
    try:
        headers = {stand.load.header: credential} if credential else {}
        connection.request(method, path, body=body or None, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _connection(stand: Stand) -> http.client.HTTPConnection:
    if stand.bed.certificate is None:
        return http.client.HTTPConnection("127.0.0.1", stand.bed.port, timeout=10)
    trust = ssl.create_default_context(cafile=str(stand.bed.certificate[0]))
    return http.client.HTTPSConnection("127.0.0.1", stand.bed.port, timeout=10, context=trust)


def claims(load: Load, checks: Checks) -> Iterator[Claim]:
    """What a peer that checks this must answer, what it is loaded with first."""
    credential = load.credentials[0]
    yield Claim("what it is loaded with", load.method, load.paths[0], credential, load.status)
    yield Claim("what it is loaded with last", load.method, load.paths[-1], load.credentials[-1], load.status)
    itself = {Checks.KEY_AND_RULE, Checks.TOKEN_AND_RULE, Checks.SCOPES}
    if checks in itself:
        yield Claim("a wrong credential", "GET", READ_PATH, load.wrong, 401)
        yield Claim("no credential", "GET", READ_PATH, None, 401)
    if checks in itself and load.status != http.HTTPStatus.UNAUTHORIZED:
        yield Claim("what the caller may not do", "DELETE", READ_PATH, credential, 403)
    if checks is Checks.SCOPES and load.status != http.HTTPStatus.UNAUTHORIZED:
        yield Claim("a module out of scope", "GET", DENIED_PATH, credential, 403)
        yield Claim("an unmapped path", "GET", UNMAPPED_PATH, credential, 404)


def _demand(stand: Stand, claim: Claim) -> None:
    """Raise PeerFailedError unless a claim holds; 200 stands for the feed's body, and nothing else has it."""
    sent = b"x" * stand.load.body_bytes if claim.method == stand.load.method else b""
    status, body = ask(stand, claim.method, claim.path, claim.credential, sent)
    if status != claim.status or (status == OK) != (body == stand.load.answer):
        raise PeerFailedError(
            f"{claim.what}: {claim.method} {claim.path} was answered {status} with {len(body)} bytes,"
            f" not {claim.status}: {body[:200]!r}"
        )


def _wait_for_answer(stand: Stand, status: int, programs: tuple[Running, ...]) -> None:
    """Ask until the answer has this status; until then connections fail and answers differ."""
    deadline = time.monotonic() + READY_SECONDS
    load, seen = stand.load, "no connection"
    while time.monotonic() < deadline:
        for program in programs:
            program.demand_alive()
        try:
            got, _ = ask(stand, load.method, load.paths[0], load.credentials[0], b"x" * load.body_bytes)
        except (OSError, http.client.HTTPException) as error:
            seen = str(error)
        else:
            if got == status:
                return
            seen = f"status {got}"
        time.sleep(0.005)
    raise PeerFailedError(f"no answer with status {status} within {READY_SECONDS} s; the last was {seen}")
