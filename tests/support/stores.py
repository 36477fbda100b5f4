"""Embedded stores with nothing in them: made by the migrations once a process, and copied since.

Migrations take most of what a short test does; what they do is told by tests/contract and tests/end_to_end.
"""

import asyncio
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from gateway.store.opening import upgrade_store


def put_new_store(file: Path) -> None:
    """Put a store where a gateway would make one; one that is there stays as it is."""
    if not file.exists():
        with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as opened:
            opened.write(_new_store())


@cache
def _new_store() -> bytes:
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(1) as beside:
        file = Path(place) / "store.db"  # made beside whatever loop the test runs
        beside.submit(asyncio.run, upgrade_store(f"sqlite:///{file}")).result()
        return file.read_bytes()
