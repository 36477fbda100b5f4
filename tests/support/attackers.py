"""Clients that mean harm, in a process of their own, each spending as little as it can.

`python attackers.py KIND PORT SECONDS [FILE]` attacks for that long and prints what it cost: JSON with `sent`
(bytes), `times` (how often the attack was made) and `cpu` (seconds of this process).
"""

import json
import os
import socket
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

HEAD: Final = b"Host: feeds.test\r\n"
POST: Final = b"POST /v2/open HTTP/1.1\r\n" + HEAD
CHUNKED: Final = POST + b"Transfer-Encoding: chunked\r\n\r\n"
BLOCK: Final = 1 << 18
BROKEN: Final = [
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
    b"\0" * 100,
    POST + b"Content-Length: +5\r\n\r\nhello",
    CHUNKED + b"5\nhello\n0\n\n",
    b"GET /a//b/%2e%2e/c HTTP/1.1\r\nHost: a\r\n\r\n",
]

Attack = Callable[[int], tuple[int, int]]
"""One go at the gateway on a port: how many bytes were sent, and how many attacks that was."""


def _exchange(port: int, *pieces: bytes, end: bool = True) -> int:
    """Send pieces on a new connection, and read until the other side closes."""
    sent = 0
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        room = bytearray(1 << 16)
        try:
            for piece in pieces:
                client.sendall(piece)
                sent += len(piece)
            if end:
                client.shutdown(socket.SHUT_WR)
            while client.recv_into(room):
                pass
        except (ConnectionError, OSError):
            pass  # refused while it still spoke
    return sent


def _pipelined(port: int, requests: Iterator[bytes], batches: int) -> tuple[int, int]:
    """Send requests by the batch on one connection, reading what comes meanwhile."""
    sent = 0
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        room = bytearray(1 << 18)
        try:
            for _ in range(batches):
                batch = next(requests)
                client.sendall(batch)
                sent += len(batch)
                answers = batch.count(b"\r\n\r\n")
                while answers > 0:
                    size = client.recv_into(room)
                    if not size:
                        return sent, batches
                    answers -= room.count(b"\r\n\r\n", 0, size)
        except (ConnectionError, OSError):
            pass  # refused while it still spoke
    return sent, batches


def broken_requests(rows: list[bytes]) -> Attack:
    """What no request looks like, a connection each."""

    def attack(port: int) -> tuple[int, int]:
        return sum(_exchange(port, row) for row in rows), len(rows)

    return attack


def byte_by_byte(data: bytes) -> Attack:
    """A request in one write a byte."""
    pieces = [data[at : at + 1] for at in range(len(data))]
    return lambda port: (_exchange(port, *pieces), 1)


def chunks(one: bytes, size: int) -> Attack:
    """Many chunks of one kind, in few writes."""
    block = one * (BLOCK // len(one))
    pieces = [CHUNKED, *[block] * (size // len(block)), b"0\r\n\r\n"]
    return lambda port: (_exchange(port, *pieces), 1)


def unlike_headers(count: int, width: int) -> Attack:
    """Header sections that differ from one another, so that none is remembered."""

    def batches() -> Iterator[bytes]:
        while True:
            yield b"".join(_section(count, width) for _ in range(10))

    return lambda port: _pipelined(port, batches(), 10)


def _section(count: int, width: int) -> bytes:
    value = os.urandom(8).hex().encode()
    fields = b"".join(b"A%d:%b\r\n" % (number, b"x" * width) for number in range(count))
    return b"GET /v2/courses HTTP/1.1\r\n" + HEAD + b"V: " + value + b"\r\n" + fields + b"\r\n"


def endless_header(port: int) -> tuple[int, int]:
    """A header section without an end."""
    return _exchange(port, b"GET / HTTP/1.1\r\nA: ", *[b"x" * 4096] * 64), 1


def random_keys(port: int) -> tuple[int, int]:
    """Guesses, as fast as they go."""

    def batches() -> Iterator[bytes]:
        while True:
            yield b"".join(
                b"GET /v2/courses HTTP/1.1\r\n" + HEAD + b"X-API-Key: %b\r\n\r\n" % guess
                for guess in (os.urandom(16).hex().encode() for _ in range(50))
            )

    return _pipelined(port, batches(), 4)


def refused_requests(port: int) -> tuple[int, int]:
    """The shortest request that is refused, a hundred in a write."""
    batch = b"GET /v2/courses HTTP/1.1\r\nHost: a\r\n\r\n" * 100

    def batches() -> Iterator[bytes]:
        while True:
            yield batch

    return _pipelined(port, batches(), 10)


def connections(port: int) -> tuple[int, int]:
    """Connections that say nothing and go."""
    for _ in range(50):
        socket.create_connection(("127.0.0.1", port)).close()
    return 50, 50


def held_connections(port: int) -> tuple[int, int]:
    """Connections that hold a header section open, as large as may be."""
    piece = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: %b\r\n" % (b"x" * 1000) * 30
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    for client in clients:
        client.sendall(piece)
    time.sleep(0.2)  # held for a moment, for that is the attack
    for client in clients:
        client.close()
    return len(piece) * len(clients), len(clients)


KINDS: Final[dict[str, Attack]] = {
    "broken requests": broken_requests(BROKEN),
    "a head byte by byte": byte_by_byte(_section(40, 20)),
    "a body byte by byte": byte_by_byte(POST + b"Content-Length: 2000\r\n\r\n" + b"x" * 2000),
    "chunks byte by byte": byte_by_byte(CHUNKED + b"1\r\nx\r\n" * 300 + b"0\r\n\r\n"),
    "chunks of 1 byte": chunks(b"1\r\nx\r\n", 4 << 20),
    "chunks of 1 byte, padded sizes": chunks(b"00000000000001\r\nx\r\n", 4 << 20),
    "chunks of 1 to 3 bytes": chunks(b"1\r\nx\r\n2\r\nxx\r\n3\r\nxxx\r\n", 4 << 20),
    "chunks of 16 bytes": chunks(b"10\r\n" + b"x" * 16 + b"\r\n", 4 << 20),
    "chunk extensions": chunks(b"1;a\r\nx\r\n", 1 << 18),
    "unlike headers, large": unlike_headers(90, 300),
    "unlike headers, many": unlike_headers(90, 0),
    "an endless header": endless_header,
    "random keys": random_keys,
    "refused requests": refused_requests,
    "connections": connections,
    "held connections": held_connections,
}


def main(kind: str, port: str, seconds: str, file: str | None = None) -> None:
    """Attack and print what it cost."""
    attack = KINDS[kind]
    if file is not None:
        lines = Path(file).read_text().splitlines()
        attack = broken_requests([b64decode(json.loads(line)["raw_b64"]) for line in lines])
    sent = times = 0
    before, until = time.process_time(), time.monotonic() + float(seconds)
    while not times or time.monotonic() < until:
        more, made = attack(int(port))
        sent, times = sent + more, times + made
    print(json.dumps({"sent": sent, "times": times, "cpu": time.process_time() - before}))  # noqa: T201 - its answer


if __name__ == "__main__":
    main(*sys.argv[1:])
