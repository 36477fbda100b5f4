"""Large bodies through a peer, both ways: how fast, and how much its memory grows meanwhile."""

import http.client
import json
import socket
import time
from collections.abc import Callable
from contextlib import closing
from typing import Final, NamedTuple

from machine import Cores
from measure import forget_peak, peak
from peer import KEY_HEADER, Stand
from process import PeerFailedError
from subject import OK, Subject, ask, standing

MIB: Final = 2**20
BUFFER: Final = 2**18


class Transfer(NamedTuple):
    """Bodies of one size in one direction; `growth` is peak memory over what was held before, in bytes."""

    name: str
    turn: int
    direction: str
    size: int
    times: int
    mib_per_second: float
    growth: int


def transfer(stand: Stand, name: str, turn: int, sizes: dict[int, int], cores: Cores) -> list[Transfer]:
    """Send and fetch bodies of each size so many times, one after another. Raises PeerFailedError."""
    done: list[Transfer] = []
    for size, times in sizes.items():
        for direction, move in (("download", _download), ("upload", _upload)):
            with standing(stand, cores.peer) as subject:
                rate, growth = _watched(subject, move, size, times)
            done.append(Transfer(name, turn, direction, size, times, rate, growth))
    return done


def _watched(
    subject: Subject, move: Callable[[socket.socket, int, str], None], size: int, times: int
) -> tuple[float, int]:
    """MiB a second, and growth in bytes."""
    key, port = subject.stand.load.keys[0], subject.stand.bed.port
    ask(port, "GET", "/v2/files/1", key)
    pids = subject.pids
    before, began = forget_peak(pids), time.monotonic()
    with closing(socket.create_connection(("127.0.0.1", port), timeout=60)) as connection:
        for _ in range(times):
            move(connection, size, f"Host: 127.0.0.1:{port}\r\n{KEY_HEADER}: {key}\r\n")
    took = time.monotonic() - began
    return size * times / MIB / took, peak(pids) - before


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
