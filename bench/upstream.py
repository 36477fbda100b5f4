"""What stands behind the peers: the feed, the feed for large bodies, and the server that decides."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from peer import BODY, Bed, Command
from peers.nginx import command, frame
from process import Running, running, wait_for_port

FEED: Final = """\
    access_log off;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        default_type application/json;
        return 200 '{body}';
    }}"""


@contextmanager
def feeding(bed: Bed, core: int) -> Iterator[Running]:
    """Run the feed until the block ends: nginx with one worker that answers everything with `BODY`."""
    text = frame(bed, FEED.format(port=bed.upstream_port, body=BODY.decode()))
    with running(command(bed, "feed.conf", text), core, bed.directory) as server:
        wait_for_port(bed.upstream_port, server)
        yield server


@contextmanager
def sinking(bed: Bed, core: int) -> Iterator[Running]:
    """Run the feed for large bodies until the block ends."""
    program = Command.of(bed.tools["python"], "sink.py", str(bed.upstream_port))
    with running(program, core, bed.directory) as server:
        wait_for_port(bed.upstream_port, server)
        yield server


@contextmanager
def deciding(bed: Bed, status: int) -> Iterator[Running]:
    """Run a decision server on the peer's core until the block ends."""
    program = Command.of(bed.tools["python"], "decision.py", str(bed.decision_port), str(status))
    with running(program, bed.peer_core, bed.directory) as server:
        wait_for_port(bed.decision_port, server)
        yield server
