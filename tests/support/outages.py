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

HOLD: Final = """
import fcntl, sys
with open(sys.argv[1], "r+b") as shared:
    fcntl.lockf(shared, fcntl.LOCK_EX, 8, 120)
    print("held", flush=True)
    sys.stdin.read()
"""
"""Takes the eight locks by which SQLite's readers share a write-ahead log (its walIndex format)."""


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


def replaced(store: Path, by: Path) -> None:
    """Put another file in the place of a store, as a restore does."""
    for file in files_of(store)[1:]:
        file.unlink()
    by.rename(store)
