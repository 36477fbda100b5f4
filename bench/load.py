"""Load at a fixed rate: requests leave on schedule whether or not earlier ones were answered (open loop).

Run as a program: `python -m bench.load PORT RATE SECONDS PATH HEADER VALUE`; prints one JSON object, times in
µs. A latency counts from the moment the request was due, so that a request which left late is not flattered.
Requests leave on the ticks of a kernel timer, which is finer than an event loop's; `late` tells how fine.
"""

import ctypes
import ctypes.util
import gc
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Sequence
from typing import Final

from bench.peer import BODY

TFD_NONBLOCK: Final = os.O_NONBLOCK
TFD_TIMER_ABSTIME: Final = 1
ENOUGH: Final = 32
"""Connections opened beforehand; more are opened only if all of them wait for an answer."""


class BadAnswerError(Exception):
    """An answer was not the feed's."""


class Ticks:
    """A kernel timer: a file descriptor that becomes readable once a period, counted from `start` (ns)."""

    def __init__(self, start: int, period: int) -> None:
        libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
        self.fd: int = libc.timerfd_create(time.CLOCK_MONOTONIC, TFD_NONBLOCK)
        spec = struct.pack("qqqq", *divmod(period, 10**9), *divmod(start, 10**9))
        if self.fd < 0 or libc.timerfd_settime(self.fd, TFD_TIMER_ABSTIME, spec, None) < 0:
            raise OSError(ctypes.get_errno(), "no kernel timer")

    def passed(self) -> int:
        """How many periods have passed since this was last asked."""
        (count,) = struct.unpack("Q", os.read(self.fd, 8))
        return int(count)


class Caller:
    """Some connections, the requests waiting on them, and what was learnt."""

    def __init__(self, port: int, request: bytes) -> None:
        self.port = port
        self.request = request
        self.poll = select.epoll()
        self.sockets: dict[int, socket.socket] = {}
        self.idle: list[int] = []
        self.due: dict[int, int] = {}
        self.read: dict[int, bytes] = {}
        self.took: list[int] = []
        self.late: list[int] = []
        for _ in range(ENOUGH):
            self.idle.append(self.dial())

    def dial(self) -> int:
        """Open one more connection."""
        one = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.settimeout(0)
        self.sockets[one.fileno()] = one
        self.poll.register(one.fileno(), select.EPOLLIN)
        return one.fileno()

    def ask(self, due: int) -> None:
        """Send a request that was due at this time."""
        fd = self.idle.pop(0) if self.idle else self.dial()
        self.due[fd] = due
        self.read[fd] = b""
        self.late.append(time.monotonic_ns() - due)
        self.sockets[fd].send(self.request)

    def hear(self, fd: int) -> None:
        """Take what has arrived; an answer is whole when the feed's body has come."""
        data = self.read[fd] + self.sockets[fd].recv(65536)
        now = time.monotonic_ns()
        if data.startswith(b"HTTP/1.1 200") and data.endswith(BODY):
            self.took.append(now - self.due.pop(fd))
            self.idle.append(fd)
        elif len(data) > len(self.read[fd]) and len(data) < 4096:  # noqa: PLR2004 - no peer's head is larger
            self.read[fd] = data
        else:
            raise BadAnswerError(data[:200].decode("latin-1"))

    def call(self, rate: int, seconds: float) -> None:
        """Ask that often for that long, then wait for the last answers."""
        period = 10**9 // rate
        start = time.monotonic_ns() + 10**7
        total = int(rate * seconds)
        ticks = Ticks(start, period)
        self.poll.register(ticks.fd, select.EPOLLIN)
        sent = 0
        give_up = time.monotonic() + seconds + 10
        while sent < total or self.due:
            for fd, _ in self.poll.poll(1.0):
                if fd != ticks.fd:
                    self.hear(fd)
                    continue
                for _ in range(min(ticks.passed(), total - sent)):
                    self.ask(start + sent * period)
                    sent += 1
            if time.monotonic() > give_up:
                raise BadAnswerError(f"{len(self.due)} requests were never answered")
        self.poll.unregister(ticks.fd)
        os.close(ticks.fd)


def quantile(ordered: Sequence[int], share: float) -> float:
    """The value below which that share of an ordered sequence lies, in µs for ns."""
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1000, 1)


def main(port: int, rate: int, seconds: float, path: str, field: str) -> None:
    """Warm up, call, and print what it took."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{field}\r\n\r\n".encode()
    caller = Caller(port, request)
    gc.disable()
    caller.call(rate, min(0.5, seconds))
    caller.took.clear()
    caller.late.clear()
    caller.call(rate, seconds)
    took, late = sorted(caller.took), sorted(caller.late)
    print(
        json.dumps(
            {
                "asked": len(took),
                "p50": quantile(took, 0.5),
                "p90": quantile(took, 0.9),
                "p99": quantile(took, 0.99),
                "p999": quantile(took, 0.999),
                "late_p50": quantile(late, 0.5),
                "late_p99": quantile(late, 0.99),
                "connections": len(caller.sockets),
            }
        )
    )


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4], ": ".join(sys.argv[5:7]))
    except (BadAnswerError, OSError) as error:
        sys.exit(f"load: {error}")
