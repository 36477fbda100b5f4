"""`make soak`: a million requests of mixed kinds to a gateway of real processes; memory and files stay flat.

`--requests N` makes it longer or shorter, `--minutes N` bounds it. Exits 1 when something grew, when an
answer was not as it must be, or when time ran out.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from costs import cpu, memory, open_files, workers_of
from gateways import GatewayUnderTest, running_gateway
from soaking import KINDS, Client, Kind, QuickFeed, Tally, said

CLIENTS = 16
SAMPLES = 20
WARM = 0.3
"""The share of the requests after which caches are full and buffers have their size."""

MOST_GROWN = 4 << 20
"""Bytes of memory that may be taken on after that, whatever the number of requests."""

COMING_AND_GOING = 8
"""Files that may be open by chance: connections that end while another begins."""

ROUTES = """\
feed: test
modules: {courses: Courses, bookings: Bookings, users: Users}
routes:
  - {path: /v2/courses, module: courses}
  - {path: "/v2/courses/{id}", module: courses}
  - {path: /v2/bookings, module: bookings}
"""
LIMITS = "cache: {principals: 1000, negative_ttl: 1s}"
"""Bounds small enough to be reached while it warms up."""


def say(line: str) -> None:
    """Tell whoever watches."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def soak(gateway: GatewayUnderTest, key: bytes, requests: int, minutes: float) -> bool:
    """Ask that many times; whether all was well."""
    workers = workers_of(gateway.process.pid)
    tally, numbers = Tally(), count()
    clients = [Client(gateway.port, key, tally, numbers) for _ in range(CLIENTS)]
    kinds = tuple(kind for kind in KINDS for _ in range(kind.share))
    rounds = max(1, requests // SAMPLES // CLIENTS // len(kinds))
    files: list[int] = []
    sizes: list[tuple[int, int]] = []
    began = time.monotonic()
    for _ in range(SAMPLES):
        await asyncio.gather(*(many(client, kinds, rounds) for client in clients))
        sizes.append((tally.sent, memory(workers)))
        files.append(open_files(workers))
        say(f"{tally.sent:9} requests  {sizes[-1][1] / 1024:8.0f} KiB  {files[-1]} files")
        if time.monotonic() - began > minutes * 60:
            say(f"{minutes} minutes are over")
            return False
    for client in clients:
        client.leave()
    await asyncio.sleep(1)  # what was left is noticed
    took = time.monotonic() - began
    say(f"{said(tally)}; {tally.sent / took:.0f} a second, {cpu(workers) / tally.sent * 1e6:.0f} µs CPU each")
    for what, number in tally.wrong.items():
        say(f"  {number} times: {what}")
    grown, opened = not flat(sizes), not few(files, open_files(workers))
    return not (tally.wrong or grown or opened)


async def many(client: Client, kinds: tuple[Kind, ...], rounds: int) -> None:
    """Let a client ask for a while."""
    for _ in range(rounds):
        await client.ask(kinds)


def flat(sizes: list[tuple[int, int]]) -> bool:
    """Whether memory stayed as it was once warm; says how it went."""
    warm = [(sent, size) for sent, size in sizes if sent >= WARM * sizes[-1][0]]
    middle = sum(sent for sent, _ in warm) / len(warm)
    mean = sum(size for _, size in warm) / len(warm)
    slope = sum((sent - middle) * (size - mean) for sent, size in warm) / sum(
        (sent - middle) ** 2 for sent, _ in warm
    )
    grown = slope * (warm[-1][0] - warm[0][0])
    say(f"once warm: {mean / 1024:.0f} KiB, {slope:.3f} bytes a request, {grown / 1024:+.0f} KiB in all")
    return grown <= MOST_GROWN


def few(during: list[int], after: int) -> bool:
    """Whether no more files are open than while it warmed up, but for a few that come and go."""
    first, last = max(during[: len(during) // 2]), max(during[len(during) // 2 :])
    say(f"open files: {first} at most in the first half, {last} in the second, {after} afterwards")
    return max(last, after) <= first + COMING_AND_GOING


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=30)
    chosen = parser.parse_args()

    async def run() -> bool:
        feed = await asyncio.get_running_loop().create_server(QuickFeed, "127.0.0.1", 0)
        port = feed.sockets[0].getsockname()[1]
        with (
            tempfile.TemporaryDirectory() as directory,
            running_gateway(Path(directory), port, routes=ROUTES, main=LIMITS) as gateway,
        ):
            gateway.scope("some", read="courses", create="bookings")
            key = gateway.key("some")["key"].encode()
            well = await soak(gateway, key, chosen.requests, chosen.minutes)
            feed.close()
            return well

    return 0 if uvloop.run(run()) else 1


if __name__ == "__main__":
    sys.exit(main())
