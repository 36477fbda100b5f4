"""Real ways to lose an embedded store while a gateway uses it.

Nothing here opens the store's files in this process: closing them again would drop the locks that SQLite
has on them (SQLite documentation, "How To Corrupt An SQLite Database File", 2.2).
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

HOLD: Final = """
import fcntl, sys
with open(sys.argv[1], "r+b") as shared:
    fcntl.lockf(shared, fcntl.LOCK_EX, 8, 120)
    print("held", flush=True)
    sys.stdin.read()
"""
"""Takes the eight locks by which SQLite's readers share a write-ahead log (its walIndex format)."""


BACK_UP: Final = """
import sqlite3, sys
store, copy = map(sqlite3.connect, sys.argv[1:])
store.backup(copy)
"""


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Keep everybody from reading a store, as a process that recovers its write-ahead log does."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, f"{store}-shm"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield
        holder.kill()


def files_of(store: Path) -> list[Path]:
    """A store's file, and those SQLite keeps beside it."""
    return [file for file in (store, Path(f"{store}-wal"), Path(f"{store}-shm")) if file.exists()]


def removed(store: Path) -> Path:
    """Take a store away; the folder where its files are now."""
    folder = store.with_suffix(".away")
    folder.mkdir()
    for file in files_of(store):
        file.rename(folder / file.name)
    return folder


def restored(folder: Path, store: Path) -> None:
    """Put copies of the files in a folder back, as from a backup."""
    for file in files_of(folder / store.name):
        if not file.name.endswith("-shm"):
            subprocess.run(["cp", str(file), str(store.parent / file.name)], check=True)


def backed_up(store: Path, copy: Path) -> None:
    """Make a copy of a store that is in use."""
    subprocess.run([sys.executable, "-c", BACK_UP, str(store), str(copy)], check=True)


def replaced(store: Path, by: Path) -> None:
    """Put another file in the place of a store, as a restore does."""
    for file in files_of(store)[1:]:
        file.unlink()
    by.rename(store)


def damaged(store: Path) -> None:
    """Overwrite a store where it lies, as a bad disk does: every page but the first, and its log."""
    for file, kept in ((store, 4096), (Path(f"{store}-wal"), 0)):
        size = file.stat().st_size - kept
        if size > 0:
            overwrite = ["dd", "if=/dev/zero", f"of={file}", "bs=1", f"seek={kept}", f"count={size}"]
            subprocess.run([*overwrite, "conv=notrunc", "status=none"], check=True)


def cut_short(store: Path) -> None:
    """Take away the second half of a store, and its log."""
    subprocess.run(["truncate", "--size=0", f"{store}-wal"], check=True)
    subprocess.run(["truncate", f"--size={store.stat().st_size // 2}", str(store)], check=True)


def no_folder(store: Path) -> None:
    """Take the folder of a store away, as when a volume is gone."""
    store.parent.rename(store.parent.with_suffix(".away"))


@contextmanager
def disk_of_its_own(place: Path) -> Iterator[None]:
    """Put a folder on a disk of 1 MiB; skips where this user may not."""
    _allowed("mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place))
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def filled(store: Path) -> Iterator[None]:
    """Leave no room on a store's disk."""
    ballast = store.parent / "ballast"
    fill = ["dd", "if=/dev/zero", f"of={ballast}", "bs=4k", "status=none"]
    assert subprocess.run(fill, capture_output=True, check=False).returncode
    yield
    ballast.unlink()


@contextmanager
def read_only(store: Path) -> Iterator[None]:
    """Let nobody open anything in a store's folder for writing, root included; skips where that cannot be."""
    place = store.parent
    _allowed("mount", "--bind", str(place), str(place))
    try:
        _allowed("mount", "-o", "remount,bind,ro", str(place))
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def immutable(store: Path) -> Iterator[None]:
    """Let nobody write to a store and its log, who has them open included; skips where that cannot be."""
    files = [str(file) for file in files_of(store) if not file.name.endswith("-shm")]
    _allowed("chattr", "+i", *files)
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", *files], check=True)


def _allowed(*command: str) -> None:
    """Do what takes root, and a file system that can."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{command[0]} is not possible here: {done.stderr.strip()}")
