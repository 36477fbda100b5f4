"""A peer while it is running: started, put to the proof, stopped."""

import http.client
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple

from peer import BODY, KEY_HEADER, READ_PATH, WRONG_KEY, Checks, Stand
from peers.scopegate import DENIED_PATH, UNMAPPED_PATH
from process import READY_SECONDS, PeerFailedError, Running, all_running
from upstream import deciding

OK: Final = 200


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


class Claim(NamedTuple):
    """What a peer says it answers."""

    what: str
    method: str
    path: str
    key: str | None
    status: int


@contextmanager
def standing(stand: Stand, core: int) -> Iterator[Subject]:
    """Start a peer, wait for its first good answer, and stop it when the block ends."""
    with ExitStack() as stack:
        servers = (stack.enter_context(deciding(stand.bed, OK)),) if stand.asks_decision else ()
        started = time.monotonic()
        programs = stack.enter_context(all_running(stand.commands, core, stand.bed.directory))
        _wait_for_answer(stand, OK, programs)
        yield Subject(stand, (*programs, *servers), time.monotonic() - started)


def prove(stand: Stand, checks: Checks, core: int) -> None:
    """See that a peer does what it claims: the feed's answer whole, and no to what it says it checks.

    A peer that asks a decision server must refuse when that server does. Raises PeerFailedError.
    """
    with standing(stand, core):
        for claim in _claims(stand.load.keys[0], checks):
            _demand(stand, claim)
    if checks is Checks.DECISION:
        with deciding(stand.bed, 403), all_running(stand.commands, core, stand.bed.directory) as programs:
            _wait_for_answer(stand, 403, programs)


def ask(port: int, method: str, path: str, key: str | None) -> tuple[int, bytes]:
    """One request over a connection of its own: status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, headers={KEY_HEADER: key} if key else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _claims(key: str, checks: Checks) -> Iterator[Claim]:
    yield Claim("the feed's answer", "GET", READ_PATH, key, OK)
    if checks in {Checks.KEY_AND_RULE, Checks.SCOPES}:
        yield Claim("a wrong key", "GET", READ_PATH, WRONG_KEY, 401)
        yield Claim("no key", "GET", READ_PATH, None, 401)
        yield Claim("what the key may not do", "DELETE", READ_PATH, key, 403)
    if checks is Checks.SCOPES:
        yield Claim("a module out of scope", "GET", DENIED_PATH, key, 403)
        yield Claim("an unmapped path", "GET", UNMAPPED_PATH, key, 404)


def _demand(stand: Stand, claim: Claim) -> None:
    """Raise PeerFailedError unless a claim holds; 200 stands for the feed's body, and nothing else has it."""
    status, body = ask(stand.bed.port, claim.method, claim.path, claim.key)
    if status != claim.status or (status == OK) != (body == BODY):
        raise PeerFailedError(
            f"{claim.what}: {claim.method} {claim.path} was answered {status} with {len(body)} bytes,"
            f" not {claim.status}: {body[:200]!r}"
        )


def _wait_for_answer(stand: Stand, status: int, programs: tuple[Running, ...]) -> None:
    """Ask until the answer has this status; until then connections fail and answers differ."""
    deadline = time.monotonic() + READY_SECONDS
    seen = "no connection"
    while time.monotonic() < deadline:
        for program in programs:
            program.demand_alive()
        try:
            got, _ = ask(stand.bed.port, "GET", READ_PATH, stand.load.keys[0])
        except (OSError, http.client.HTTPException) as error:
            seen = str(error)
        else:
            if got == status:
                return
            seen = f"status {got}"
        time.sleep(0.005)
    raise PeerFailedError(f"no answer with status {status} within {READY_SECONDS} s; the last was {seen}")
