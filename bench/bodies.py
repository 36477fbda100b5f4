"""Large bodies through a peer, both ways: how fast, and how much its memory grows meanwhile."""

import http.client
import json
import socket
import time
from contextlib import closing
from types import MappingProxyType
from typing import Final

from bench.effort import GIB, MIB
from bench.measure import at_rest, cpu_ns, forget_peak, peak
from bench.peer import OK, Stand
from bench.process import PeerFailedError
from bench.readings import Figures
from bench.subject import ask, standing

BUFFER: Final = 2**18


def moved(stand: Stand, direction: str, size: int, times: int) -> Figures:
    """Bodies of this size one way, one after another. Raises PeerFailedError."""
    load, port = stand.load, stand.bed.port
    with standing(stand) as subject:
        ask(stand, "GET", "/v2/files/1", load.credentials[0])
        pids = subject.pids
        at_rest(pids)
        before, cpu, began = forget_peak(pids), cpu_ns(pids), time.monotonic()
        with closing(socket.create_connection(("127.0.0.1", port), timeout=60)) as connection:
            for _ in range(times):
                headers = f"Host: 127.0.0.1:{port}\r\n{load.header}: {load.credentials[0]}\r\n"
                DIRECTIONS[direction](connection, size, headers)
        took = time.monotonic() - began
        amount = size * times
        return {
            "mib_per_second": amount / MIB / took,
            "cpu_ms_a_gib": (cpu_ns(pids) - cpu) / 1e6 / (amount / GIB),
            "growth_mib": (peak(pids) - before) / MIB,
            "seconds": took,
        }


def _download(connection: socket.socket, size: int, headers: str) -> None:
    connection.sendall(f"GET /v2/files/{size} HTTP/1.1\r\n{headers}\r\n".encode())
    answer = http.client.HTTPResponse(connection, method="GET")
    answer.begin()
    room, got = memoryview(bytearray(BUFFER)), 0
    while (read := answer.readinto(room)) > 0:
        got += read
    if answer.status != OK or got != size:
        raise PeerFailedError(f"a download of {size} bytes was answered {answer.status} with {got}")


def _upload(connection: socket.socket, size: int, headers: str) -> None:
    connection.sendall(f"PUT /v2/files/1 HTTP/1.1\r\n{headers}Content-Length: {size}\r\n\r\n".encode())
    piece, left = memoryview(bytes(BUFFER)), size
    while left:
        part = piece[: min(left, BUFFER)]
        connection.sendall(part)
        left -= len(part)
    answer = http.client.HTTPResponse(connection, method="PUT")
    answer.begin()
    body = answer.read()
    if answer.status != OK or json.loads(body) != {"received": size}:
        raise PeerFailedError(f"an upload of {size} bytes was answered {answer.status}: {body[:200]!r}")


DIRECTIONS: Final = MappingProxyType({"down": _download, "up": _upload})
"""Which way bodies go → how one is moved."""
