"""One transaction that changes the store: its checks, its changes, their feed rows and their audit."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson
from sqlalchemy import Column, Executable, Insert, Result, Row, Select, delete, insert, or_, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.action import Action
from gateway.domain.change import EVERY_SUBJECT, ChangeKind
from gateway.domain.key import KeyState
from gateway.domain.new_key import NewKey
from gateway.domain.scope import Scope
from gateway.domain.scope_use import MemberUse
from gateway.store.address import StoreAddress
from gateway.store.faults import told_as
from gateway.store.questions import Questions
from gateway.store.schema import api_keys, audit, changes, key_scopes, key_secrets, members, scopes

KEPT_CHANGES: Final = 10_000
"""How many rows the change feed keeps; a reader that missed more forgets everything."""

CHANGES_WORTH_LISTING: Final = 1_000
"""From how many subjects of a kind in one transaction on the feed says "all of them"."""


LAST_KEY_ID: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'api_keys'"
"""SQLite's own record of the largest id ever used (AUTOINCREMENT)."""

DRAW_KEY_IDS: Final = "SELECT nextval('api_keys_id_seq') FROM generate_series(1, :count)"


class Writing(Questions):
    """A transaction in progress. Nobody else writes until it ends, so what it reads stays true.

    Every change notes its feed row; `finish` writes them with the commit. Times are the transaction's `now`.
    """

    def __init__(
        self, connection: AsyncConnection, address: StoreAddress, actor: str, now: float, kept_changes: int
    ) -> None:
        super().__init__(_WithinTransaction(connection, address))
        self.now = now
        self._connection = connection
        self._address = address
        self._actor = actor
        self._kept_changes = kept_changes
        self._changed: dict[ChangeKind, dict[str, None]] = {}
        self._audited = False

    async def add_scope(self, scope: Scope) -> Scope:
        """Put a new scope on record; the one given has no id of its own yet, the one returned has."""
        scope_id = await self._insert_one(insert(scopes).values(_scope_columns(scope)), scopes.c.id)
        self._note(ChangeKind.SCOPE, scope_id)
        return replace(scope, id=scope_id)

    async def replace_scope(self, scope: Scope) -> None:
        """Put a scope in place of the one with its id."""
        await self._run(update(scopes).where(scopes.c.id == scope.id).values(_scope_columns(scope)))
        self._note(ChangeKind.SCOPE, scope.id)

    async def remove_scope(self, scope_id: int) -> None:
        """Take a scope away, from everyone who has it."""
        await self._run(delete(key_scopes).where(key_scopes.c.scope_id == scope_id))
        for member in (await self.use_of(scope_id)).members:
            self._note(ChangeKind.MEMBER, f"{member.kind}:{member.name}")
        await self._run(delete(members).where(members.c.scope_id == scope_id))
        await self._run(delete(scopes).where(scopes.c.id == scope_id))
        self._note(ChangeKind.SCOPE, scope_id)

    async def add_member(self, scope_id: int, member: MemberUse) -> None:
        """Give a user, a role or a client a scope it does not have."""
        row = {"scope_id": scope_id, "kind": member.kind, "name": member.name}
        await self._run(insert(members).values(row))
        self._note(ChangeKind.MEMBER, f"{member.kind}:{member.name}")

    async def remove_member(self, scope_id: int, member: MemberUse) -> None:
        """Take a scope from a user, a role or a client that has it."""
        same = members.c.kind == member.kind, members.c.name == member.name
        await self._run(delete(members).where(members.c.scope_id == scope_id, *same))
        self._note(ChangeKind.MEMBER, f"{member.kind}:{member.name}")

    async def add_key(self, label: str, expires_at: float | None) -> int:
        """Put a new key on record, active, without secret or scope; returns its id."""
        key_id = await self._insert_one(
            insert(api_keys).values(
                label=label,
                state=KeyState.ACTIVE,
                on_trial=False,
                created_at=self.now,
                expires_at=expires_at,
            ),
            api_keys.c.id,
        )
        self._note(ChangeKind.KEY, key_id)
        return key_id

    async def add_keys(self, keys: Sequence[NewKey]) -> list[int]:
        """Put many keys on record, active, each with secret and scopes; returns their ids in order."""
        numbered = list(zip(await self._fresh_key_ids(len(keys)), keys, strict=True))
        rows = [
            {
                "id": key_id,
                "label": key.label,
                "state": KeyState.ACTIVE,
                "on_trial": False,
                "created_at": self.now,
                "expires_at": key.expires_at,
            }
            for key_id, key in numbered
        ]
        await self._run_many(insert(api_keys), rows)
        secrets = [{"key_id": i, "digest": key.digest, "created_at": self.now} for i, key in numbered]
        await self._run_many(insert(key_secrets), secrets)
        granted = [{"key_id": i, "trial": False, "scope_id": s} for i, key in numbered for s in key.scope_ids]
        await self._run_many(insert(key_scopes), granted)
        for key_id, _ in numbered:
            self._note(ChangeKind.KEY, key_id)
        return [key_id for key_id, _ in numbered]

    async def add_secret(self, key_id: int, digest: bytes) -> None:
        """Let a key be proven by one more secret, known by its SHA-256."""
        row = {"key_id": key_id, "digest": digest, "created_at": self.now}
        await self._run(insert(key_secrets).values(row))
        self._note(ChangeKind.KEY, key_id)

    async def end_secrets(self, key_id: int, at: float) -> None:
        """Let the secrets a key has now end at a time, unless they end sooner."""
        late = or_(key_secrets.c.expires_at.is_(None), key_secrets.c.expires_at > at)
        await self._run(update(key_secrets).where(key_secrets.c.key_id == key_id, late).values(expires_at=at))
        self._note(ChangeKind.KEY, key_id)

    async def set_label(self, key_id: int, label: str) -> None:
        """Call a key something else."""
        await self._set(key_id, label=label)

    async def set_state(self, key_id: int, state: KeyState) -> None:
        """Let a key be used, or not."""
        await self._set(key_id, state=state)

    async def set_expiry(self, key_id: int, expires_at: float | None) -> None:
        """Let a key end at a time, or never."""
        await self._set(key_id, expires_at=expires_at)

    async def set_scopes(
        self, key_id: int, scope_ids: Iterable[int], *, full_access_after: str | None = None
    ) -> None:
        """Give a key these scopes and no others; say after which deletion, if nobody chose them."""
        await self._replace_scopes(key_id, scope_ids, trial=False)
        await self._set(key_id, full_access_after=full_access_after)

    async def set_trial(self, key_id: int, scope_ids: Iterable[int] | None) -> None:
        """Watch these scopes beside a key's own; None ends the trial."""
        await self._replace_scopes(key_id, scope_ids or (), trial=True)
        await self._set(key_id, on_trial=scope_ids is not None)

    async def record(self, action: str, subject: str, detail: Mapping[str, object] | None = None) -> None:
        """Put on record what the actor does here. Never give it a secret."""
        row = {
            "at": self.now,
            "actor": self._actor,
            "action": action,
            "subject": subject,
            "detail": orjson.dumps(dict(detail or {})).decode(),
        }
        await self._run(insert(audit).values(row))
        self._audited = True

    async def finish(self) -> None:
        """Write the feed rows and commit. Raises RuntimeError for a change without an audit entry."""
        if self._changed:
            if not self._audited:
                raise RuntimeError("a change of the store without an audit entry")
            await self._publish()
        with told_as(self._address):
            await self._connection.commit()

    async def _publish(self) -> None:
        """Number this transaction's changes on from the newest, and drop those too old to be kept."""
        rows = [(kind, subject) for kind, all_of in self._changed.items() for subject in _listed(all_of)]
        first = await self.latest_change() + 1
        await self._run_many(
            insert(changes),
            [
                {"seq": seq, "at": self.now, "kind": kind, "subject": subject}
                for seq, (kind, subject) in enumerate(rows, start=first)
            ],
        )
        newest = first + len(rows) - 1
        await self._run(delete(changes).where(changes.c.seq <= newest - max(self._kept_changes, 1)))

    async def _set(self, key_id: int, **columns: object) -> None:
        await self._run(update(api_keys).where(api_keys.c.id == key_id).values(columns))
        self._note(ChangeKind.KEY, key_id)

    async def _replace_scopes(self, key_id: int, scope_ids: Iterable[int], *, trial: bool) -> None:
        mine = (key_scopes.c.key_id == key_id, key_scopes.c.trial.is_(trial))
        await self._run(delete(key_scopes).where(*mine))
        rows = [{"key_id": key_id, "trial": trial, "scope_id": scope_id} for scope_id in set(scope_ids)]
        await self._run_many(insert(key_scopes), rows)

    async def _fresh_key_ids(self, count: int) -> list[int]:
        """Ids that no key has or had; nobody else takes them, for this transaction writes alone."""
        with told_as(self._address):
            if self._connection.dialect.name == "sqlite":
                last = await self._connection.scalar(text(LAST_KEY_ID))
                return list(range((last or 0) + 1, (last or 0) + 1 + count))
            drawn = await self._connection.scalars(text(DRAW_KEY_IDS), {"count": count})
            return sorted(int(key_id) for key_id in drawn)

    async def _insert_one(self, statement: Insert, column: Column[int]) -> int:
        with told_as(self._address):
            return int((await self._connection.execute(statement.returning(column))).scalar_one())

    async def _run(self, statement: Executable) -> None:
        with told_as(self._address):
            await self._connection.execute(statement)

    async def _run_many(self, statement: Executable, rows: Sequence[Mapping[str, object]]) -> None:
        if rows:
            with told_as(self._address):
                await self._connection.execute(statement, [dict(row) for row in rows])

    def _note(self, kind: ChangeKind, subject: object) -> None:
        self._changed.setdefault(kind, {})[str(subject)] = None


class _WithinTransaction:
    """Questions that see what their own transaction has changed."""

    def __init__(self, connection: AsyncConnection, address: StoreAddress) -> None:
        self._connection = connection
        self._address = address

    async def rows(self, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Row[Any]]:
        """All rows of the answer."""
        with told_as(self._address):
            result: Result[Any] = await self._connection.execute(statement, values)
            return result.all()


def _scope_columns(scope: Scope) -> dict[str, object]:
    sets = {f"{action.word}_modules": " ".join(scope.selection(action).listed()) for action in Action}
    return {
        "name": scope.name,
        "label": scope.label,
        "mode": scope.mode.value,
        "bypass_enabled_flag": scope.bypass_enabled_flag,
        **sets,
    }


def _listed(subjects: Mapping[str, None]) -> list[str]:
    """The subjects of one kind, or that they are too many to list."""
    return list(subjects) if len(subjects) < CHANGES_WORTH_LISTING else [EVERY_SUBJECT]
