"""What the benchmark stands on: a store filled by SQL, crowds of clients, an issuer, proofs of tokens."""

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import pytest

from bench import crowd
from bench.certificate import made_certificate
from bench.filling import existing_key, fill_with_keys, give_scopes
from bench.peer import BODY, KEY_HEADER, Bed, Stand
from bench.process import PeerFailedError
from bench.proving import NotProvedError, demand, prover_for, rates
from bench.rotation import Issuer
from bench.signing import SigningKey
from bench.tools import Toolbox
from gateway.control.keys import create_key
from gateway.control.scopes import ScopeEdit, create_scope
from gateway.domain.action import Action
from gateway.domain.key import KeyState
from gateway.domain.scope import Mode
from gateway.store.opening import open_store

# A store filled by SQL


async def test_keys_filled_in_by_sql_are_what_the_store_takes_for_keys(tmp_path: Path) -> None:
    file = tmp_path / "scopegate.db"
    async with open_store(f"sqlite:///{file}") as store:
        edit = ScopeEdit(label="Web", mode=Mode.ALLOW, modules={Action.READ: ["courses"]})
        await create_scope(store, "tests", "web", edit, ("courses",))
        own = await create_key(store, "tests", "own", ("web",), None)
        fill_with_keys(file, 250, "web")
        give_scopes(file, own.entry.record.id, "web", 5)
        for n in (0, 100, 249):
            found = await store.key_with_digest(hashlib.sha256(existing_key(n).encode()).digest())
            assert found is not None
            assert (found.state, [scope.name for scope in found.scopes]) == (KeyState.ACTIVE, ["web"])
        assert await store.key_with_digest(hashlib.sha256(existing_key(250).encode()).digest()) is None
        mine = await store.key_with_digest(hashlib.sha256(own.secret.encode()).digest())
        assert mine is not None
        assert sorted(scope.name for scope in mine.scopes) == ["web", *(f"web-0{n}" for n in range(2, 6))]


# Crowds


class Door(ThreadingHTTPServer):
    """Answers each caller with the next of these statuses, or 200 when they have run out."""

    daemon_threads = True

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.statuses = list(statuses)
        self.callers: list[str] = []


class Answering(BaseHTTPRequestHandler):
    """One connection to the door."""

    server: Door
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        self.server.callers.append(self.headers[KEY_HEADER])
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        body = BODY if status == 200 else b"{}"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 503:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def door(*statuses: int) -> Iterator[tuple[Door, Stand]]:
    """A door, and the stand that it is for those who ask."""
    with Door(*statuses) as server:
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        try:
            bed = Bed(Toolbox({}, {}), Path(), server.server_address[1], 0, 0, (0,))
            yield server, Stand((), bed)
        finally:
            server.shutdown()
            serving.join()


def test_every_caller_is_answered_and_who_is_told_to_come_later_does() -> None:
    callers = tuple(f"key-{n}" for n in range(70))
    with door(200, 503) as (server, stand):
        crowd.called_by_all(stand, callers)
    assert set(server.callers) == set(callers)
    assert len(server.callers) == len(callers) + 1


def test_a_caller_that_is_refused_ends_the_measurement() -> None:
    with door(200, 401) as (_, stand), pytest.raises(PeerFailedError, match="one of many was answered 401"):
        crowd.called_by_all(stand, ("a", "b"))


def test_connections_wait_open_until_the_block_ends() -> None:
    with door() as (server, stand), crowd.waited_on(stand, 40):
        assert len(server.callers) == 40


def test_a_connection_that_was_closed_while_it_waited_is_told_of() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer_and_close() -> None:
            client, _ = listening.accept()
            client.recv(65536)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY))
            client.close()

        closing = threading.Thread(target=answer_and_close, daemon=True)
        closing.start()
        stand = Stand((), Bed(Toolbox({}, {}), Path(), listening.getsockname()[1], 0, 0, (0,)))
        with pytest.raises(PeerFailedError, match="only waited was closed"), crowd.waited_on(stand, 1):
            closing.join()


def test_more_open_files_than_are_allowed_are_asked_for_in_vain() -> None:
    with pytest.raises(PeerFailedError, match="ulimit -n"):
        crowd.allow_files(2**40)


# Tokens and certificates


def test_an_issuer_publishes_its_newest_key_and_the_one_before() -> None:
    with Issuer.running() as issuer:
        issuer.rotate()
        issuer.rotate()
        with urlopen(issuer.address, timeout=5) as answer:  # noqa: S310 - the address is our own
            published = [key["kid"] for key in json.load(answer)["keys"]]
    assert published == ["key-1", "key-2"]
    assert issuer.key.kid == "key-2"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_proofs_and_bare_calls_are_counted_beside_each_other(algorithm: str) -> None:
    found = await rates(algorithm, 0.01)
    assert found["proofs"] > 0
    assert found["bare"] > 0
    assert found["times_bare"] > 0


async def test_a_prover_that_does_not_believe_the_key_is_not_measured() -> None:
    token = SigningKey.made("ES256").sign().token.encode()
    with pytest.raises(NotProvedError, match="a good token was refused"):
        await demand(prover_for(SigningKey.made("ES256")), [token])


def test_a_token_is_not_shown_where_it_is_printed() -> None:
    signed = SigningKey.made("ES256").sign()
    assert signed.token not in repr(signed)


def test_the_certificate_is_made_once_a_run(tmp_path: Path) -> None:
    first = made_certificate(tmp_path)
    before = [file.read_bytes() for file in first]
    assert made_certificate(tmp_path) == first
    assert [file.read_bytes() for file in first] == before
