"""A worker process of the tests' own: the real link, life and listening socket, and a protocol of one word.

A client sends a line and is told one: `pid`; `config`, what the configuration file held when it was read;
`die`, and the process is gone; `slow`, an answer after the file `<config>.go` is there.
"""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

from gateway.document.problem import Problem, SettingsError
from gateway.domain.exchange import Exchange, Outcome
from gateway.link import WorkerLink
from gateway.observe.health import worker_health
from gateway.observe.metrics import Metrics
from gateway.supervisor.sockets import BACKLOG
from gateway.worker import main

EXCHANGE = Exchange(
    ts=0.0,
    request_id="toy",
    client="127.0.0.1",
    method="GET",
    path="/",
    feed="toy",
    route="/",
    module="courses",
    action="read",
    principal=None,
    key_id=None,
    outcome=Outcome.PERMIT,
    code=None,
    scope=None,
    status=200,
    bytes_in=0,
    bytes_out=0,
    ms=1.0,
    upstream_ms=None,
    would_deny=None,
)


class Toy:
    """What the worker serves."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.metrics = Metrics()
        self.text = ""
        self.busy = 0

    async def reload(self) -> None:
        """Read the file again."""
        text = self.config.read_text()
        if text.startswith("unwanted"):
            raise SettingsError([Problem(str(self.config), 1, "toy", text)])
        if text.startswith("broken"):
            raise RuntimeError(text)
        self.text = text

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one word."""
        self.busy += 1
        word = (await reader.readline()).decode().strip()
        if word == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        while word == "slow" and not self.config.with_suffix(".go").exists():  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.01)
        self.metrics.exchange(EXCHANGE)
        answers = {"pid": str(os.getpid()), "config": self.text, "slow": "done"}
        writer.write(answers.get(word, "?").encode() + b"\n")
        await writer.drain()
        writer.close()
        self.busy -= 1


async def run_worker(config: Path, listener: socket.socket, link: WorkerLink) -> int:
    toy = Toy(config)
    await toy.reload()
    while toy.text.startswith("stuck"):  # noqa: ASYNC110 - for ever
        await asyncio.sleep(0.01)
    link.on_reload(toy.reload)
    link.on_metrics(toy.metrics.snapshot)
    link.on_health(lambda: worker_health({"store": None}, ["a toy is at work"]))
    server = await asyncio.start_server(toy.converse, sock=listener, backlog=BACKLOG)
    await link.ready()
    await link.drain_requested.wait()
    server.close()
    while toy.busy:  # noqa: ASYNC110 - a toy may look
        await asyncio.sleep(0.01)
    return 0


if __name__ == "__main__":
    sys.exit(main(run_worker, sys.argv[1:]))
