"""A store filled by SQL: a million keys would take the command line minutes.

The rows are those that `gateway keys import` would have written; that the keys are good is proved, like
everything else, by asking the gateway before anything is measured.
"""

import hashlib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

BATCH: Final = 100_000


def existing_key(n: int) -> str:
    """A key as another product might have made it; the same in every run."""
    return f"old-{n:07}-{hashlib.sha256(b'bench %d' % n).hexdigest()[:40]}"


def fill_with_keys(store: Path, keys: int, scope: str) -> None:
    """Put so many existing keys with one scope into a SQLite store that has been upgraded."""
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("PRAGMA cache_size = -262144")
        scope_id = _scope_id(connection, scope)
        (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM api_keys").fetchone()
        for first in range(0, keys, BATCH):
            numbers = range(first, min(keys, first + BATCH))
            _put_keys(connection, {last + 1 + n: existing_key(n) for n in numbers}, scope_id)


def _put_keys(connection: sqlite3.Connection, keys: dict[int, str], scope_id: int) -> None:
    now = time.time()
    connection.executemany(
        "INSERT INTO api_keys (id, label, state, on_trial, created_at) VALUES (?, ?, 'active', 0, ?)",
        ((key_id, f"integration {key_id}", now) for key_id in keys),
    )
    connection.executemany(
        "INSERT INTO key_secrets (key_id, digest, created_at) VALUES (?, ?, ?)", _digests(keys, now)
    )
    connection.executemany(
        "INSERT INTO key_scopes (key_id, trial, scope_id) VALUES (?, 0, ?)",
        ((key_id, scope_id) for key_id in keys),
    )


def _digests(keys: dict[int, str], now: float) -> Iterator[tuple[int, bytes, float]]:
    """In the order of their digests, which is the order of the index they go into."""
    rows = sorted((hashlib.sha256(key.encode()).digest(), key_id) for key_id, key in keys.items())
    return ((key_id, digest, now) for digest, key_id in rows)


def give_scopes(store: Path, key_id: int, like: str, scopes: int) -> None:
    """Give a key scopes that are copies of the one it has, until it has so many."""
    with closing(sqlite3.connect(store)) as connection, connection:
        first = _scope_id(connection, like)
        for n in range(2, scopes + 1):
            made = connection.execute(
                "INSERT INTO scopes (name, label, mode, create_modules, read_modules, update_modules,"
                " delete_modules, bypass_enabled_flag, locked) SELECT name || ?, label, mode, create_modules,"
                " read_modules, update_modules, delete_modules, bypass_enabled_flag, locked"
                " FROM scopes WHERE id = ?",
                (f"-{n:02}", first),
            )
            connection.execute(
                "INSERT INTO key_scopes (key_id, trial, scope_id) VALUES (?, 0, ?)", (key_id, made.lastrowid)
            )


def _scope_id(connection: sqlite3.Connection, name: str) -> int:
    (scope_id,) = connection.execute("SELECT id FROM scopes WHERE name = ?", (name,)).fetchone()
    assert isinstance(scope_id, int)  # noqa: S101 - tells the type checker what the column holds
    return scope_id
