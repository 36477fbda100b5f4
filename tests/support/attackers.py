"""Clients that mean harm, in a process of their own, each spending as little as it can.

`python attackers.py KIND PORT SECONDS` attacks for that long and prints what it cost: JSON with `sent`
(bytes), `times` (how often the attack was made) and `cpu` (seconds of this process).

`python attackers.py rows PORT FILE EVERY PROCESS…` makes a burst of every n-th row of a file, and prints a
line for each, with what it cost those processes beside.
"""

import json
import os
import socket
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any, Final

from costs import cpu, forget_highest_memory, highest_memory, memory

HEAD: Final = b"Host: feeds.test\r\n"
POST: Final = b"POST /v2/open HTTP/1.1\r\n" + HEAD
CHUNKED: Final = POST + b"Transfer-Encoding: chunked\r\n\r\n"
LAST: Final = b"0\r\n\r\n"
BLOCK: Final = 1 << 18
BROKEN: Final = [
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
    b"\0" * 100,
    POST + b"Content-Length: +5\r\n\r\nhello",
    CHUNKED + b"5\nhello\n0\n\n",
    b"GET /a//b/%2e%2e/c HTTP/1.1\r\nHost: a\r\n\r\n",
]
ROOM: Final = bytearray(1 << 16)

Attack = Callable[[int], tuple[int, int]]
"""One go at the gateway on a port: how many bytes were sent, and how many attacks that was."""


def connected(port: int) -> socket.socket:
    """A connection, made with as few steps as there can be."""
    client = socket.socket()
    client.settimeout(10)
    client.connect(("127.0.0.1", port))
    return client


def heard_out(client: socket.socket) -> None:
    """Wait until the other side closes, and close too; what it says is thrown away by the kernel."""
    try:
        while client.recv_into(ROOM, len(ROOM), socket.MSG_TRUNC):
            pass
    except OSError:
        pass  # it was cut
    client.close()


def said(client: socket.socket, pieces: Iterable[bytes]) -> int:
    """Say the pieces, then that nothing follows; how many bytes were taken."""
    sent = 0
    try:
        for piece in pieces:
            client.sendall(piece)
            sent += len(piece)
        client.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # refused while it still spoke
    return sent


def exchange(port: int, *pieces: bytes) -> int:
    """Say the pieces on a connection of their own; how many bytes were taken."""
    client = connected(port)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sent = said(client, pieces)
    heard_out(client)
    return sent


def burst(port: int, data: bytes, times: int) -> int:
    """Say the same on many connections, all before any is heard out; how many bytes were taken."""
    clients = [connected(port) for _ in repeat(None, times)]
    sent = sum(said(client, (data,)) for client in clients)
    for client in clients:
        heard_out(client)
    return sent


def broken_requests(port: int) -> tuple[int, int]:
    """What no request looks like, a connection each."""
    return sum(burst(port, data, 10) for data in BROKEN), 10 * len(BROKEN)


def byte_by_byte(data: bytes) -> Attack:
    """A request in one write a byte."""
    pieces = [data[at : at + 1] for at in range(len(data))]
    return lambda port: (exchange(port, *pieces), 1)


def chunks(one: bytes, size: int) -> Attack:
    """Many chunks of one kind, in few writes."""
    block = one * (BLOCK // len(one))
    pieces = [CHUNKED, *[block] * (size // len(block)), LAST]
    return lambda port: (exchange(port, *pieces), 1)


def bodies(coded: bytes, times: int) -> Attack:
    """Requests on one connection, each with a body as costly as it may be."""
    block = (CHUNKED + coded) * times
    return lambda port: (exchange(port, block), times)


def of_sizes(*sizes: int) -> bytes:
    """Chunks of these sizes."""
    return b"".join(b"%x\r\n%b\r\n" % (size, b"x" * size) for size in sizes)


def unlike_headers(count: int, width: int) -> Attack:
    """Header sections that differ from one another, so that none is remembered."""
    return lambda port: (exchange(port, *(_section(count, width) for _ in range(20))), 20)


def _section(count: int, width: int) -> bytes:
    value = os.urandom(8).hex().encode()
    fields = b"".join(b"A%d:%b\r\n" % (number, b"x" * width) for number in range(count))
    return b"GET /v2/courses HTTP/1.1\r\n" + HEAD + b"V: " + value + b"\r\n" + fields + b"\r\n"


def endless_header(port: int) -> tuple[int, int]:
    """A header section without an end."""
    return exchange(port, b"GET / HTTP/1.1\r\nA: ", *[b"x" * 4096] * 64), 1


def random_keys(port: int) -> tuple[int, int]:
    """Guesses, as fast as they go."""
    guesses = os.urandom(16 * 100).hex().encode()
    asked = [
        b"GET /v2/courses HTTP/1.1\r\n" + HEAD + b"X-API-Key: %b\r\n\r\n" % guesses[at : at + 32]
        for at in range(0, len(guesses), 32)
    ]
    return exchange(port, b"".join(asked)), len(asked)


def connections(port: int) -> tuple[int, int]:
    """Connections that say nothing and go."""
    for _ in range(50):
        connected(port).close()
    return 50, 50


def held_connections(port: int) -> tuple[int, int]:
    """Connections that hold a header section open, as large as may be."""
    piece = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: %b\r\n" % (b"x" * 1000) * 30
    clients = [connected(port) for _ in range(200)]
    for client in clients:
        client.sendall(piece)
    time.sleep(0.2)  # held for a moment, for that is the attack
    for client in clients:
        client.close()
    return len(piece) * len(clients), len(clients)


def slow(beginning: bytes, byte: bytes) -> Attack:
    """Connections that say a byte now and then, and never come to an end."""

    def attack(port: int) -> tuple[int, int]:
        clients = [connected(port) for _ in range(100)]
        for client in clients:
            client.sendall(beginning)
        for _ in range(10):
            time.sleep(0.02)  # slowness is the attack
            for client in clients:
                client.sendall(byte)
        for client in clients:
            client.close()
        return (len(beginning) + 10) * len(clients), len(clients)

    return attack


def _every_size() -> Iterator[int]:
    yield from range(1, 256)


KINDS: Final[dict[str, Attack]] = {
    "broken requests": broken_requests,
    "a head byte by byte": byte_by_byte(_section(40, 20)),
    "a body byte by byte": byte_by_byte(POST + b"Content-Length: 2000\r\n\r\n" + b"x" * 2000),
    "chunks byte by byte": byte_by_byte(CHUNKED + b"1\r\nx\r\n" * 300 + LAST),
    "slow heads": slow(b"GET / HTTP/1.1\r\nA: ", b"x"),
    "slow bodies": slow(POST + b"Content-Length: 2000\r\n\r\n", b"x"),
    "slow chunks": slow(CHUNKED, b"1\r\nx\r\n"),
    "chunks of 1 byte": chunks(of_sizes(1), 4 << 20),
    "chunks of 1 byte, padded sizes": chunks(b"00000000000001\r\nx\r\n", 4 << 20),
    "chunks of 1 to 3 bytes": chunks(of_sizes(1, 2, 3), 4 << 20),
    "chunks of 1 and 16 bytes": chunks(of_sizes(1, 16), 4 << 20),
    "chunks of 16 bytes": chunks(of_sizes(16), 4 << 20),
    "chunks of every size to 255": chunks(of_sizes(*_every_size()), 4 << 20),
    "chunks of 1 and 256 bytes": chunks(of_sizes(1, 256), 4 << 20),
    "chunk extensions": chunks(b"1;a\r\nx\r\n", 1 << 18),
    "chunk extensions as many as may be": bodies(b"1;a\r\nx\r\n" * 256 + LAST, 20),
    "trailers as many as may be": bodies(b"0\r\n" + b"A:\r\n" * 4000 + b"\r\n", 10),
    "unlike headers, large": unlike_headers(90, 300),
    "unlike headers, many": unlike_headers(90, 0),
    "an endless header": endless_header,
    "random keys": random_keys,
    "refused requests": lambda port: (
        exchange(port, b"GET /v2/courses HTTP/1.1\r\nHost: a\r\n\r\n" * 100),
        100,
    ),
    "connections": connections,
    "held connections": held_connections,
}


TIMES: Final = 25
"""How often a row is said: what one costs is less than a clock can tell."""

AGAIN: Final = 3
"""How often a row is measured that seems dear; something else may have run meanwhile."""

DEAR: Final = 20.0
SETTLED_AFTER: Final = 0.004
"""Seconds that the gateway has for what it does after a connection's end."""


def cost_of_row(port: int, data: bytes, processes: list[int]) -> dict[str, Any]:
    """What a burst of one row costs both sides, the least of a few times."""
    least: dict[str, Any] = {}
    for _ in range(AGAIN):
        forget_highest_memory(processes)
        held, before, own = memory(processes), cpu(processes), time.process_time()
        sent = burst(port, data, TIMES)
        own = time.process_time() - own
        time.sleep(SETTLED_AFTER)
        used, grown = cpu(processes) - before, max(0, highest_memory(processes) - held)
        if not least or used / own < least["gateway"] / least["cpu"]:
            least = {"sent": sent, "times": TIMES, "cpu": own, "gateway": used, "grown": grown}
        if used / own < DEAR:
            break
    return least


def attack_with_rows(port: str, file: str, every: str, *processes: str) -> None:
    """Say every n-th row, and tell of each what it cost."""
    for line in Path(file).read_text().splitlines()[:: int(every)]:
        row = json.loads(line)
        cost = cost_of_row(int(port), b64decode(row["raw_b64"]), [int(process) for process in processes])
        print(json.dumps({"row": row["id"], **cost}))  # noqa: T201 - its answer


def main(kind: str, port: str, seconds: str) -> None:
    """Attack and print what it cost."""
    attack = KINDS[kind]
    sent = times = 0
    before, until = time.process_time(), time.monotonic() + float(seconds)
    while not times or time.monotonic() < until:
        more, made = attack(int(port))
        sent, times = sent + more, times + made
    print(json.dumps({"sent": sent, "times": times, "cpu": time.process_time() - before}))  # noqa: T201 - its answer


if __name__ == "__main__":
    if sys.argv[1] == "rows":
        attack_with_rows(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
