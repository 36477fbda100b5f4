"""What can be asked of a store, by readers and, within its transaction, by a writer."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, Protocol, TypeVar

import orjson
from sqlalchemy import Row, Select

from gateway.domain.audit import AuditEntry
from gateway.domain.change import Change, ChangeKind, Changes
from gateway.domain.key import KeyRecord
from gateway.domain.key_entry import KeyEntry
from gateway.domain.scope import SCOPE_NAME, Scope
from gateway.domain.scope_use import LONGEST_MEMBER, KeyUse, MemberKind, MemberUse, ScopeUse
from gateway.store import queries
from gateway.store.membership import Membership

T = TypeVar("T")

MAX_ID: Final = 2**63 - 1
"""The largest id either database can hold; a larger one is nobody's."""

VALUES_AT_ONCE: Final = 500
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
        found: dict[bytes, int] = {}
        for part in _parts(list(digests)):
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

    async def scopes_named(self, names: Collection[str]) -> tuple[Scope, ...]:
        """The scopes among these names, in the order of their ids; a name that is none is left out."""
        possible = [name for name in dict.fromkeys(names) if SCOPE_NAME.fullmatch(name)]
        found: dict[int, Scope] = {}
        for part in _parts(possible):
            rows = await self._ask(queries.SCOPES_NAMED, names=part)
            found |= {row.scope_id: queries.scope_of(row) for row in rows}
        return _by_id(found)

    async def scopes_of_members(self, members: Collection[MemberUse]) -> tuple[Scope, ...]:
        """Every scope that one of these users, roles or clients has, each once, in the order of their ids."""
        found: dict[int, Scope] = {}
        for part in _parts(_possible(members)):
            rows = await self._ask(queries.SCOPES_OF_MEMBERS, **_by_kind(part))
            found |= {row.scope_id: queries.scope_of(row) for row in rows}
        return _by_id(found)

    async def memberships(self, members: Collection[MemberUse] | None = None) -> list[Membership]:
        """Who has which scope by a bearer token: of these members, or of all; by scope, kind and name."""
        rows: list[Row[Any]] = []
        if members is None:
            rows += await self._ask(queries.ALL_MEMBERSHIPS)
        else:
            for part in _parts(_possible(members)):
                rows += await self._ask(queries.MEMBERSHIPS_OF, **_by_kind(part))
        return sorted(map(queries.membership_of, rows), key=_reading_order)

    async def has_scope(self, member: MemberUse, scope_id: int) -> bool:
        """Whether a user, a role or a client has a scope itself."""
        if not _possible([member]):
            return False
        return bool(
            await self._ask(queries.MEMBERSHIP, scope_id=scope_id, kind=member.kind, name=member.name)
        )

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


def _parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values, as many at a time as one statement carries."""
    for start in range(0, len(values), VALUES_AT_ONCE):
        yield values[start : start + VALUES_AT_ONCE]


def _possible(members: Iterable[MemberUse]) -> list[MemberUse]:
    """Those that can be on record at all, each once: a token may name its bearer anything."""
    return [member for member in dict.fromkeys(members) if _is_storable(member.name)]


def _is_storable(name: str) -> bool:
    """Whether a text column can hold a name: of bounded length, without NUL, and all of it Unicode text."""
    if len(name) > LONGEST_MEMBER or "\0" in name:
        return False
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _by_kind(members: Iterable[MemberUse]) -> dict[str, list[str]]:
    """The names of members under the word of their kind."""
    names: dict[str, list[str]] = {kind.value: [] for kind in MemberKind}
    for member in members:
        names[member.kind.value].append(member.name)
    return names


def _by_id(scopes: Mapping[int, Scope]) -> tuple[Scope, ...]:
    return queries.shared(tuple(scopes[number] for number in sorted(scopes)))


def _reading_order(membership: Membership) -> tuple[str, int, str]:
    member = membership.member
    return membership.scope.name, list(MemberKind).index(member.kind), member.name
