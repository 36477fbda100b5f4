"""An issuer that changes its key while tokens are used: every request is counted, and so is every refusal."""

import http.client
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Self

from bench.peer import Stand
from bench.process import PeerFailedError
from bench.readings import Figures
from bench.signing import SigningKey, bearer, key_set
from bench.subject import standing

CLIENTS: Final = 4
EVERY_SECONDS: Final = 0.5
"""How long a key is the newest."""


class Keys(BaseHTTPRequestHandler):
    """Answers every question with the key set of the moment."""

    server: "KeyServer"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        body = self.server.document.encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/jwk-set+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class KeyServer(ThreadingHTTPServer):
    """A server of one document."""

    daemon_threads = True
    document: str = ""


@dataclass(slots=True)
class Issuer:
    """An issuer that publishes its newest key and the one before."""

    server: KeyServer
    key: SigningKey = field(default_factory=lambda: SigningKey.made("ES256", "key-0"))
    rotations: int = 0

    @property
    def address(self) -> str:
        """Where its key set is."""
        return f"http://127.0.0.1:{self.server.server_address[1]}/keys"

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        """An issuer on loopback until the block ends."""
        with KeyServer(("127.0.0.1", 0), Keys) as server:
            issuer = cls(server)
            server.document = key_set(issuer.key)
            serving = threading.Thread(target=server.serve_forever, daemon=True)
            serving.start()
            try:
                yield issuer
            finally:
                server.shutdown()
                serving.join()

    def rotate(self) -> None:
        """Publish a new key beside the last, then sign with it."""
        self.rotations += 1
        new = SigningKey.made("ES256", f"key-{self.rotations}")
        self.server.document = key_set(self.key, new)
        self.key = new


@dataclass(slots=True)
class Tally:
    """What one client was answered."""

    requests: int = 0
    refused: int = 0
    failed: int = 0


def rotated(stand: Stand, issuer: Issuer, seconds: int) -> Figures:
    """Use tokens that are always new while the key changes; what came of it. Raises PeerFailedError."""
    with standing(stand.under(credentials=(bearer(issuer.key.sign().token),))), _changing(issuer) as changes:
        began = time.monotonic()
        with ThreadPoolExecutor(CLIENTS) as clients:
            tallies = list(clients.map(lambda _: _use_tokens(stand, issuer, began + seconds), range(CLIENTS)))
        took = time.monotonic() - began
    requests = sum(one.requests for one in tallies)
    if not requests or not issuer.rotations > changes:
        raise PeerFailedError("nothing was asked while the key changed")
    return {
        "rotations": issuer.rotations - changes,
        "requests": requests,
        "refused": sum(one.refused for one in tallies),
        "failed": sum(one.failed for one in tallies),
        "per_second": requests / took,
        "seconds": took,
    }


@contextmanager
def _changing(issuer: Issuer) -> Iterator[int]:
    """Change the key again and again until the block ends; yields how often it was changed before."""
    ended = threading.Event()

    def change() -> None:
        while not ended.wait(EVERY_SECONDS):
            issuer.rotate()

    changing = threading.Thread(target=change, daemon=True)
    before = issuer.rotations
    changing.start()
    try:
        yield before
    finally:
        ended.set()
        changing.join()


def _use_tokens(stand: Stand, issuer: Issuer, until: float) -> Tally:
    """One client on a kept connection, a new token a request."""
    tally, load = Tally(), stand.load
    connection = http.client.HTTPConnection("127.0.0.1", stand.bed.port, timeout=10)
    while time.monotonic() < until:
        token = issuer.key.sign(jti=f"{threading.get_ident()}-{tally.requests}").token
        try:
            connection.request(load.method, load.paths[0], headers={load.header: bearer(token)})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            tally.failed += 1
            connection.close()
            continue
        tally.requests += 1
        tally.refused += answer.status != load.status or body != load.answer
    connection.close()
    return tally
