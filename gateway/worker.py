"""One data-plane process: `python -m gateway.worker LISTENER LINK`, started by the supervisor alone.

The first ones are forked by it instead, and call `serve`. LISTENER and LINK are inherited file descriptors:
the listening socket, and the link to the parent process. The first message on the link says what to serve.
SIGTERM and SIGINT drain; so does the parent's end.
"""

import asyncio
import ctypes
import logging
import resource
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import uvloop

from gateway.document.problem import SettingsError
from gateway.domain.ports import StoreUnavailableError
from gateway.link import Link, WorkerLink
from gateway.messages import Start
from gateway.observe.process_log import LogFormat, log_to_standard_error

Run = Callable[[Path, socket.socket, WorkerLink], Awaitable[int]]
"""What serves: the configuration file, the listening socket, the link; answers with the exit status."""

OPERATORS_FAULTS: Final = (SettingsError, StoreUnavailableError, OSError)
"""What an operator can mend, so that the sentence is enough; anything else is told with its traceback."""

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
PR_SET_PDEATHSIG: Final = 1
DRAIN_AT_MOST: Final = 40.0
"""When a drain has taken that many seconds, what still runs is cut off."""

log = logging.getLogger("gateway.worker")


def main(run: Run, arguments: Sequence[str]) -> int:
    """Serve until drained; the exit status."""
    listener_fd, link_fd = map(int, arguments)
    return serve(run, socket.socket(fileno=listener_fd), socket.socket(fileno=link_fd))


def serve(run: Run, listener: socket.socket, link: socket.socket) -> int:
    """Serve on a listening socket until drained; the exit status."""
    end_with_the_parent()
    raise_open_files()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work(run, listener, link))


async def work(run: Run, listener: socket.socket, link_socket: socket.socket) -> int:
    """Wait to be told what to serve, serve it, and tell the parent why not if that cannot be."""
    link = await Link.over(link_socket)
    start = await link.hear()
    if not isinstance(start, Start):
        return 0
    log_to_standard_error(f"worker {start.number}", LogFormat(start.log_format))
    worker_link = WorkerLink(link, start)
    _heed_signals(worker_link.drain_requested)
    answering = asyncio.create_task(worker_link.serve())
    try:
        return await _run_or_say_why(run, Path(start.config), listener, worker_link)
    finally:
        await worker_link.last_counts()
        answering.cancel()
        link.close()


async def _run_or_say_why(run: Run, config: Path, listener: socket.socket, link: WorkerLink) -> int:
    serving = asyncio.ensure_future(run(config, listener, link))
    draining = asyncio.create_task(link.drain_requested.wait())
    await asyncio.wait({serving, draining}, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait({serving}, timeout=DRAIN_AT_MOST)
    if not serving.done():
        log.warning("the drain took longer than %d s; what was still in flight is cut off", DRAIN_AT_MOST)
        serving.cancel()
    try:
        return await serving
    except asyncio.CancelledError:
        return 0
    except OPERATORS_FAULTS as fault:
        await link.failed(str(fault))
    except Exception as broken:
        log.exception("the worker broke")
        await link.failed(f"{type(broken).__name__}: {broken}")
    finally:
        draining.cancel()
    return 1


def _heed_signals(drain_requested: asyncio.Event) -> None:
    """Drain on SIGTERM and SIGINT; leave SIGHUP and SIGUSR2 to the parent, who is in our process group.

    The parent starts us with these signals blocked, so that none arrives before we can heed it.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, drain_requested.set)
    for number in (signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def end_with_the_parent() -> None:
    """Have the kernel send SIGTERM when the parent dies; the link's end says the same where it cannot."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def raise_open_files() -> None:
    """Allow as many open files as the system lets us: every connection is one, and so is its upstream."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    from gateway.wiring.worker import run_worker

    sys.exit(main(run_worker, sys.argv[1:]))
