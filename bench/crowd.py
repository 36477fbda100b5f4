"""Many clients at once: connections that wait, and callers that come one after another."""

import http.client
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from bench.peer import Stand
from bench.process import PeerFailedError

TOGETHER: Final = 32
"""How many ask before the first is heard."""

SPARE_FILES: Final = 200

PATIENCE_SECONDS: Final = 20
TRIES: Final = 5
LATER_SECONDS: Final = 1.0


def asking(stand: Stand, credential: str) -> bytes:
    """A request's bytes."""
    load = stand.load
    host = f"Host: 127.0.0.1:{stand.bed.port}"
    return f"{load.method} {load.paths[0]} HTTP/1.1\r\n{host}\r\n{load.header}: {credential}\r\n\r\n".encode()


@contextmanager
def waited_on(stand: Stand, connections: int) -> Iterator[None]:
    """So many connections, each answered once, then idle until the block ends. Raises PeerFailedError.

    None of them may have been closed by then.
    """
    allow_files(connections + SPARE_FILES)
    with ExitStack() as stack:
        crowd = [stack.enter_context(_dialled(stand)) for _ in range(connections)]
        credentials = stand.load.credentials
        for first in range(0, connections, TOGETHER):
            if _ask_together(stand, crowd[first : first + TOGETHER], credentials[:1] * TOGETHER):
                raise PeerFailedError("one of many connections was told to come later")
        yield
        for client in crowd:
            client.settimeout(0)
            try:
                heard = client.recv(1)
            except BlockingIOError:
                continue
            raise PeerFailedError(f"a connection that only waited was {'answered' if heard else 'closed'}")


def called_by_all(stand: Stand, credentials: tuple[str, ...]) -> None:
    """Ask with every credential until each has had its answer, over a few connections.

    Who is told to come later (503) does, a few times. Raises PeerFailedError.
    """
    with ExitStack() as stack:
        crowd = [stack.enter_context(_dialled(stand)) for _ in range(TOGETHER)]
        for first in range(0, len(credentials), TOGETHER):
            left = credentials[first : first + TOGETHER]
            for _ in range(TRIES):
                left = _ask_together(stand, crowd, left)
                if not left:
                    break
                time.sleep(LATER_SECONDS)
            else:
                raise PeerFailedError(f"{len(left)} of many were told to come later, {TRIES} times in a row")


def allow_files(files: int) -> None:
    """See that this process may open so many files. Raises PeerFailedError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= files:
        return
    if hard != resource.RLIM_INFINITY and hard < files:
        raise PeerFailedError(f"{files} open files are needed, and {hard} are allowed (ulimit -n)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))


def _dialled(stand: Stand) -> socket.socket:
    return socket.create_connection(("127.0.0.1", stand.bed.port), timeout=PATIENCE_SECONDS)


def _ask_together(stand: Stand, crowd: list[socket.socket], credentials: tuple[str, ...]) -> tuple[str, ...]:
    """Each client asks with the credential of its place, then each is heard; those who are to come later."""
    asked = list(zip(crowd, credentials, strict=False))
    for client, credential in asked:
        client.sendall(asking(stand, credential))
    return tuple(credential for client, credential in asked if not _heard(stand, client))


def _heard(stand: Stand, client: socket.socket) -> bool:
    """Read one answer, which has to be the feed's; False if it says to come later. Raises PeerFailedError."""
    answer = http.client.HTTPResponse(client, method=stand.load.method)
    try:
        answer.begin()
        body = answer.read()
    except http.client.HTTPException as error:
        raise PeerFailedError(f"one of many had no answer: {error!r}") from error
    if answer.status == http.HTTPStatus.SERVICE_UNAVAILABLE and answer.getheader("Retry-After"):
        return False
    if answer.status != stand.load.status or body != stand.load.answer:
        raise PeerFailedError(f"one of many was answered {answer.status}: {body[:100]!r}")
    return True
