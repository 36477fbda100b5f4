"""What can be asked of a store, by readers and, within its transaction, by a writer."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, Protocol

import orjson
from sqlalchemy import Row, Select

from gateway.domain.audit import AuditEntry
from gateway.domain.change import Change, ChangeKind, Changes
from gateway.domain.key import KeyRecord
from gateway.domain.key_entry import KeyEntry
from gateway.domain.scope import Scope
from gateway.domain.scope_use import KeyUse, MemberKind, MemberUse, ScopeUse
from gateway.store import queries

MAX_ID: Final = 2**63 - 1
"""The largest id either database can hold; a larger one is nobody's."""

DIGESTS_AT_ONCE: Final = 500
"""How many values one statement carries."""


class Reading(Protocol):
    """How a question reaches the database."""

    async def rows(self, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Row[Any]]:
        """All rows of the answer. Raises StoreUnavailableError."""
        ...


class Questions:
    """The questions of the house, in its words. All raise StoreUnavailableError when nothing answers."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    async def key_with_digest(self, digest: bytes) -> KeyRecord | None:
        """The key one of whose secrets has this SHA-256 digest, whatever its state, or None."""
        rows = await self._ask(queries.KEY_BY_DIGEST, digest=digest)
        if not rows:
            return None
        ends = [end for end in (rows[0].expires_at, rows[0].secret_expires_at) if end is not None]
        return queries.record_of(rows, min(ends, default=None))

    async def key_with_id(self, key_id: int) -> KeyEntry | None:
        """The key with that id and its history, or None."""
        if not 0 < key_id <= MAX_ID:
            return None
        rows = await self._ask(queries.KEY_BY_ID, id=key_id)
        if not rows:
            return None
        return queries.entry_of(rows, await self._ask(queries.SECRETS_OF, id=key_id))

    async def keys(self) -> list[KeyEntry]:
        """Every key, in the order they were made."""
        secrets: defaultdict[int, list[Row[Any]]] = defaultdict(list)
        for row in await self._ask(queries.ALL_SECRETS):
            secrets[row.key_id].append(row)
        rows = await self._ask(queries.ALL_KEYS)
        return [
            queries.entry_of(list(of_key), secrets[key_id])
            for key_id, of_key in groupby(rows, key=lambda row: row.id)
        ]

    async def owners_of(self, digests: Iterable[bytes]) -> dict[bytes, int]:
        """Which of these digests are on record, and the id of the key each belongs to."""
        wanted = list(digests)
        found: dict[bytes, int] = {}
        for start in range(0, len(wanted), DIGESTS_AT_ONCE):
            part = wanted[start : start + DIGESTS_AT_ONCE]
            for row in await self._ask(queries.KNOWN_DIGESTS, digests=part):
                found[bytes(row.digest)] = row.key_id
        return found

    async def scopes(self) -> list[Scope]:
        """Every scope, in the order of their names."""
        return [queries.scope_of(row) for row in await self._ask(queries.ALL_SCOPES)]

    async def scope_named(self, name: str) -> Scope | None:
        """The scope with that name, or None."""
        rows = await self._ask(queries.SCOPE_BY_NAME, name=name)
        return queries.scope_of(rows[0]) if rows else None

    async def scope_with_id(self, scope_id: int) -> Scope | None:
        """The scope with that id, or None."""
        if not 0 < scope_id <= MAX_ID:
            return None
        rows = await self._ask(queries.SCOPE_BY_ID, id=scope_id)
        return queries.scope_of(rows[0]) if rows else None

    async def use_of(self, scope_id: int) -> ScopeUse:
        """Who has a scope."""
        keys = await self._ask(queries.KEYS_WITH_SCOPE, id=scope_id)
        members = await self._ask(queries.MEMBERS_WITH_SCOPE, id=scope_id)
        return ScopeUse(
            keys=tuple(KeyUse(row.id, row.label, row.trial) for row in keys),
            members=tuple(MemberUse(MemberKind(row.kind), row.name) for row in members),
        )

    async def latest_change(self) -> int:
        """The number of the newest change, 0 when nothing ever changed."""
        rows = await self._ask(queries.LATEST_CHANGE)
        return rows[0].latest or 0

    async def changes_after(self, seq: int) -> Changes:
        """What changed after a number.

        With `gap` some of it is no longer on record, or the store was put back to an older state.
        """
        rows = await self._ask(queries.CHANGES_AFTER, seq=seq)
        first, latest = rows[0].first or 0, rows[0].latest or 0
        missed = tuple(
            Change(row.seq, row.at, ChangeKind(row.kind), row.subject) for row in rows if row.seq is not None
        )
        return Changes(missed, latest, gap=seq > latest or seq < first - 1)

    async def audit(self, limit: int = 100) -> list[AuditEntry]:
        """The newest deeds on record, newest first."""
        rows = await self._ask(queries.AUDIT, limit=limit)
        return [AuditEntry(r.at, r.actor, r.action, r.subject, orjson.loads(r.detail)) for r in rows]

    async def _ask(self, statement: Select[Any], **values: Any) -> Sequence[Row[Any]]:  # noqa: ANN401 - binds
        return await self._reading.rows(statement, values)
