"""What stands behind the peers: the feed, the feed for large bodies, and the server that decides."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bench.machine import CoreSet
from bench.peer import BODY, LARGE_BODY, LARGE_PATH, Bed, Command
from bench.peers.nginx import command, frame
from bench.process import Running, running, wait_for_port

FEED: Final = """\
    access_log off;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        default_type application/json;
        location / {{ return 200 '{body}'; }}
        location = {large_path} {{ alias {large}; }}
    }}"""


@contextmanager
def feeding(bed: Bed, cores: CoreSet) -> Iterator[Running]:
    """Run the feed until the block ends: nginx with one worker, `BODY` for everything but `LARGE_PATH`."""
    large = bed.directory / "large.json"
    large.write_bytes(LARGE_BODY)
    http = FEED.format(port=bed.upstream_port, body=BODY.decode(), large_path=LARGE_PATH, large=large)
    with running(command(bed, "feed.conf", frame(bed, http)), cores, bed.directory) as server:
        wait_for_port(bed.upstream_port, server)
        yield server


@contextmanager
def sinking(bed: Bed, cores: CoreSet) -> Iterator[Running]:
    """Run the feed for large bodies until the block ends."""
    program = Command.of(bed.tools["python"], "-m", "bench.sink", str(bed.upstream_port))
    with running(program, cores, bed.directory) as server:
        wait_for_port(bed.upstream_port, server)
        yield server


@contextmanager
def deciding(bed: Bed, status: int) -> Iterator[Running]:
    """Run a decision server on the peer's core until the block ends."""
    program = Command.of(bed.tools["python"], "-m", "bench.decision", str(bed.decision_port), str(status))
    with running(program, bed.peer_cores, bed.directory) as server:
        wait_for_port(bed.decision_port, server)
        yield server
