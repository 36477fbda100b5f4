"""The first workers: forked from the parent, with everything it has imported and read.

A worker that is spawned (`python -m gateway.worker`) imports and reads all of that again, which takes longer
than the rest of a start together. Only a process with one thread and no event loop can be forked safely, so
this is for the start alone: whoever takes a worker's place later is spawned.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from gateway.supervisor.worker_process import signals_blocked

log = logging.getLogger(__name__)

Serve = Callable[[socket.socket, socket.socket], int]
"""What a worker does with its listening socket and its end of the link; answers with the exit status."""

LAST_STANDARD: Final = 2
"""The highest of the descriptors that are standard input, output and error."""

ENDS_WITHIN: Final = 1.0
"""Seconds that a thread which has nothing more to do may take to end."""


@dataclass(frozen=True, slots=True)
class Forked:
    """A worker that was forked: its process, and the parent's end of the link to it."""

    process: "ForkedProcess"
    link: socket.socket


def fork_workers(
    listeners: Sequence[socket.socket], of_the_parent: Sequence[socket.socket], serve: Serve
) -> list[Forked]:
    """A worker for each listening socket, none of which has the sockets of another or of the parent.

    None where a fork would not be safe or its end would not be told. Each waits to be told what to serve.
    """
    if not _ends_are_told() or not _is_alone():
        return []
    forked: list[Forked] = []
    gc.freeze()  # the collector's marks on what is shared would make copies of it
    with signals_blocked():
        for listener in listeners:
            strangers = {*listeners, *of_the_parent, *(one.link for one in forked)} - {listener}
            try:
                forked.append(_fork(listener, strangers, serve))
            except OSError as why:  # those that are missing are spawned
                log.warning("a worker cannot be forked: %s", why)
                break
    return forked


def _ends_are_told() -> bool:
    """Whether an event loop can be told that a process ended: on Linux since 5.3, unless it is filtered."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


def _is_alone() -> bool:
    """Whether this is the only thread: others would be missing in a fork, with whatever locks they hold."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(ENDS_WITHIN)
    return threading.active_count() == 1


def _fork(listener: socket.socket, strangers: set[socket.socket], serve: Serve) -> Forked:
    ours, theirs = socket.socketpair()
    _flush()
    pid = os.fork()
    if pid == 0:
        _work(listener, theirs, {*strangers, ours}, serve)
    theirs.close()
    return Forked(ForkedProcess(pid), ours)


def _flush() -> None:
    """Leave nothing unwritten that both would write; a stream that was closed at the start is None."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _close_all_but(*kept: int) -> None:
    """Close what else the parent was given by whoever started it: it is nothing for who faces the network."""
    first = LAST_STANDARD + 1
    for one in sorted(kept):
        if one >= first:
            os.closerange(first, one)
            first = one + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def _work(
    listener: socket.socket, link: socket.socket, strangers: set[socket.socket], serve: Serve
) -> NoReturn:
    """Be the worker; nothing that the parent was about to do is done here, whatever happens."""
    status = 1
    try:
        for stranger in strangers:
            stranger.close()
        _close_all_but(listener.fileno(), link.fileno())
        if sys.stdin is not None:  # else 0 may be a socket of ours
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, sys.stdin.fileno())
            os.close(nothing)
        status = serve(listener, link)
        _flush()
    except BaseException:  # noqa: BLE001 - the parent's own handling of it, further up, must not be run here
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


class ForkedProcess:
    """A forked process, as the event loop's own look: `asyncio.subprocess.Process`."""

    def __init__(self, pid: int) -> None:
        self.pid: Final = pid
        self._status: int | None = None

    async def wait(self) -> int:
        """The exit status, once it has ended; the number of the signal that ended it, negative."""
        if self._status is None:
            await self._ended()
            _, status = os.waitpid(self.pid, 0)  # noqa: ASYNC222 - it has ended, so there is nothing to wait for
            self._status = os.waitstatus_to_exitcode(status)
        return self._status

    async def _ended(self) -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        watched = os.pidfd_open(self.pid)
        try:
            loop.add_reader(watched, ended.set)
            await ended.wait()
        finally:
            loop.remove_reader(watched)
            os.close(watched)

    def kill(self) -> None:
        """End it at once. Raises ProcessLookupError for one that has ended."""
        if self._status is not None:
            raise ProcessLookupError(self.pid)
        os.kill(self.pid, signal.SIGKILL)
