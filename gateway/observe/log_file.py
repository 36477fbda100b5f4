"""One log file and the thread that writes it, so that no disk ever makes a request wait.

Lines wait in memory, up to a bound, while the file cannot be written; beyond the bound they are dropped and
counted. Several processes may append to one file: a lock is held for the length of a write, and a write that
a full disk cuts short is cut back to its last whole line before the lock is let go.
"""

import fcntl
import logging
import os
import stat
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

STANDARD_OUTPUT: Final = "standard output"
STDOUT_FILENO: Final = 1
HELD_BYTES: Final = 32 * 1024 * 1024
"""How much may wait for one file, in bytes."""
WRITE_BYTES: Final = 1024 * 1024
"""About how much one write takes, in bytes."""
RETRY_EVERY: Final = 0.25
"""How long to wait after a write failed, in seconds."""
WARN_EVERY: Final = 60.0
"""How often a failing file is warned about, in seconds."""
MODE: Final = 0o640
OPEN: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY

log = logging.getLogger("gateway.logs")


class LogFile:
    """A log's lines on their way to its file. `path` None is standard output.

    `offer`, `reopen` and `close` are for the event loop and never block it; all else is the thread's.
    """

    def __init__(
        self,
        path: Path | None,
        held_bytes: int = HELD_BYTES,
        retry_every: float = RETRY_EVERY,
    ) -> None:
        self.where = STANDARD_OUTPUT if path is None else str(path)
        self.dropped = 0
        self._held_bytes = held_bytes
        self._retry_every = retry_every
        self._held = 0
        self._lines: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._reopen = False
        self._closing = False
        self._give_up_at = float("inf")
        self._ended = threading.Event()
        self._target = _Target(path)
        self._complaint = _Complaint(self.where)
        self._thread = threading.Thread(target=self._run, name=f"log {self.where}", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def offer(self, lines: Sequence[bytes]) -> None:
        """Take lines, or drop and count those that there is no room for."""
        with self._changed:
            for line in lines:
                if self._held + len(line) > self._held_bytes:
                    self.dropped += 1
                    continue
                self._held += len(line)
                self._lines.append(line)
            self._changed.notify()

    def reopen(self) -> None:
        """Open the file anew before the next write; for rotation."""
        with self._changed:
            self._reopen = True
            self._changed.notify()

    def close(self, within: float) -> None:
        """Write what waits for at most that many seconds, then give up; `ended` tells when."""
        with self._changed:
            self._closing = True
            self._give_up_at = time.monotonic() + within
            self._changed.notify()

    def ended(self, within: float) -> bool:
        """Wait until the thread has ended; False if it did not in that many seconds. Blocks."""
        return self._ended.wait(within)

    @property
    def failing(self) -> str:
        """Why the file cannot be written now; empty if it can."""
        return self._complaint.why

    def _run(self) -> None:
        self._attempt(b"")
        while (batch := self._next_batch()) is not None:
            rest = batch or self._attempt(b"")
            while rest:
                rest = self._attempt(rest)
                if rest and self._gave_up():
                    self._lose(rest)
                    break
            with self._changed:
                self._held -= len(batch)
        self._target.close()
        self._ended.set()

    def _next_batch(self) -> bytes | None:
        """About WRITE_BYTES of whole lines, empty to open the file; None when closing and all is written."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._lines or self._closing or self._reopen,
                self._retry_every if self._complaint.why else None,
            )
            if self._reopen:
                self._reopen = False
                self._target.close()
            if not self._lines:
                return None if self._closing else b""
            batch: list[bytes] = []
            size = 0
            while self._lines and size < WRITE_BYTES:
                batch.append(self._lines.popleft())
                size += len(batch[-1])
            return b"".join(batch)

    def _attempt(self, data: bytes) -> bytes:
        """Write once; what is still to be written. Waits a little if nothing could be."""
        try:
            written = self._target.append(data)
        except OSError as fault:
            self._complaint.failed(fault, self.dropped)
            self._pause()
            return data
        if written == len(data):
            self._complaint.works(self.dropped)
        return data[written:]

    def _pause(self) -> None:
        with self._changed:
            if not self._closing:
                self._changed.wait_for(lambda: self._closing, self._retry_every)
                return
        time.sleep(min(self._retry_every, max(0.0, self._give_up_at - time.monotonic())))

    def _gave_up(self) -> bool:
        with self._changed:
            return self._closing and time.monotonic() >= self._give_up_at

    def _lose(self, rest: bytes) -> None:
        with self._changed:
            lost = rest.count(b"\n") + len(self._lines)
            self.dropped += lost
            self._lines.clear()
        log.error("%s: %d lines could not be written before the end and are lost", self.where, lost)


class _Target:
    """The open file: found again when it was moved or removed, and never left with half a line in it."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._fd = -1

    def append(self, data: bytes) -> int:
        """Append whole lines; how many bytes of them stand in the file. Raises OSError if none could be."""
        if not self._is_current():
            self.close()
        if self._fd < 0:
            self._fd = self._opened()
        with _locked(self._fd):
            return self._write(data) if data else 0

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0 and self._path is not None:
            with suppress(OSError):
                os.close(self._fd)
        self._fd = -1

    def _opened(self) -> int:
        if self._path is None:
            return STDOUT_FILENO
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(self._path, OPEN, MODE)

    def _is_current(self) -> bool:
        if self._fd < 0 or self._path is None:
            return self._fd >= 0
        try:
            there, ours = self._path.stat(), os.fstat(self._fd)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def _write(self, data: bytes) -> int:
        before = os.fstat(self._fd)
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError:
            whole = self._cut_back(data, before, written) if stat.S_ISREG(before.st_mode) else written
            if not whole:
                raise
            return whole
        return written

    def _cut_back(self, data: bytes, before: os.stat_result, written: int) -> int:
        """Take the half line at the end away again; how many bytes are left standing.

        If that cannot be, or somebody without the lock wrote meanwhile, the rest of the line must follow.
        """
        whole = data.rfind(b"\n", 0, written) + 1
        with suppress(OSError):
            if os.fstat(self._fd).st_size == before.st_size + written:
                os.ftruncate(self._fd, before.st_size + whole)
                return whole
        return written


@contextmanager
def _locked(fd: int) -> Iterator[None]:
    """Hold the file against other processes that append to it; where locks are not offered, go on without."""
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX)
    except OSError:
        yield
        return
    try:
        yield
    finally:
        fcntl.lockf(fd, fcntl.LOCK_UN)


class _Complaint:
    """What the process log is told of a file that cannot be written: at most one warning a minute."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._next = 0.0
        self._dropped_before = 0
        self.why = ""

    def failed(self, fault: OSError, dropped: int) -> None:
        """The file could not be written just now."""
        if not self.why:
            self._dropped_before = dropped
        self.why = f"{self._where}: {fault.strerror or fault}"
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + WARN_EVERY
            log.warning(
                "log %s; requests go on and lines wait, %d lost so far; make room or mend the file's access",
                self.why,
                dropped,
            )

    def works(self, dropped: int) -> None:
        """The file could be written again."""
        if self.why:
            self.why = ""
            log.warning("log %s: written again, %d lines lost", self._where, dropped - self._dropped_before)
