"""Opening a store: the one way in, from a URL to questions and changes."""

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.domain.ports import StoreUnavailableError
from gateway.store import upgrading
from gateway.store.address import StoreAddress
from gateway.store.connecting import make_engine
from gateway.store.faults import told_as
from gateway.store.schema import REVISION
from gateway.store.store import Store
from gateway.store.upgrading import Upgrade
from gateway.store.writing import KEPT_CHANGES

LOCK_PATIENCE_S: Final = 30.0
"""How long to wait for another process that is upgrading the same embedded store."""


@asynccontextmanager
async def open_store(
    url: str,
    *,
    create: bool = True,
    look: bool = True,
    clock: Callable[[], float] = time.time,
    kept_changes: int = KEPT_CHANGES,
) -> AsyncIterator[Store]:
    """The store a URL names, ready to use, closed at the end.

    An embedded store (SQLite) is made and upgraded on the way, unless `create` is False; a server's is
    upgraded by `gateway db upgrade` alone. With `look` False nobody looks whether it is fit for use: it may
    be away, and come back. Raises StoreUnavailableError, as every method of the store does.
    """
    address = StoreAddress.parse(url)
    engine = _engine(address)
    try:
        if look:
            await _ready(engine, address, create=create)
        yield Store(engine, address, clock=clock, kept_changes=kept_changes)
    finally:
        await engine.dispose()


async def upgrade_store(url: str) -> Upgrade:
    """Bring a store to this release's revision, making an embedded one. Raises StoreUnavailableError."""
    address = StoreAddress.parse(url)
    engine = _engine(address)
    try:
        with told_as(address):
            if address.path is None:
                return await upgrading.upgrade(engine, address)
            _make_file(address.path)
            async with _directory_lock(address, fcntl.LOCK_EX):
                return await upgrading.upgrade(engine, address)
    finally:
        await engine.dispose()


def _engine(address: StoreAddress) -> AsyncEngine:
    with told_as(address):
        return make_engine(address)


async def _ready(engine: AsyncEngine, address: StoreAddress, *, create: bool) -> None:
    """Leave the store at this release's revision, or raise StoreUnavailableError saying how to get there."""
    with told_as(address):
        if address.path is None:
            revision = await upgrading.revision_of(engine, address)
        else:
            if create:
                _make_file(address.path)
            async with _directory_lock(address, fcntl.LOCK_SH):
                revision = await upgrading.revision_of(engine, address)
        upgrading.refuse_foreign(revision, address)
        if revision == REVISION:
            return
        if address.path is None or not create:
            standing = "has not been prepared" if revision is None else f"is at the older revision {revision}"
            raise StoreUnavailableError(f"The store {address.shown} {standing}; run `gateway db upgrade`.")
        async with _directory_lock(address, fcntl.LOCK_EX):
            await upgrading.upgrade(engine, address)


def _make_file(path: Path) -> None:
    """Make the folder and an empty file that its owner alone may read; one that is there stays as it is."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


@asynccontextmanager
async def _directory_lock(address: StoreAddress, kind: int) -> AsyncIterator[None]:
    """Hold a lock on the store's folder, so that several first openings do not disturb one another.

    The folder and not the file: closing any descriptor of a SQLite file drops the locks SQLite has on it
    (SQLite documentation, "How To Corrupt An SQLite Database File", 2.2), and a lock file would be litter.
    """
    if address.path is None:
        raise ValueError("only an embedded store has a folder")
    folder = os.open(address.path.parent, os.O_RDONLY)
    try:
        async with asyncio.timeout(LOCK_PATIENCE_S):
            while not _locked(folder, kind):  # noqa: ASYNC110 - another process gives it back, unannounced
                await asyncio.sleep(0.02)
        yield
    finally:
        os.close(folder)


def _locked(folder: int, kind: int) -> bool:
    try:
        fcntl.flock(folder, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
