"""The store: questions answered at once, changes made in one transaction each."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import Result, Row, Select, bindparam, case, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.domain.change import Changes
from gateway.store.address import StoreAddress
from gateway.store.connecting import BEGIN, begin_writing, for_reading
from gateway.store.faults import told_as
from gateway.store.file_watch import FileWatch
from gateway.store.questions import Questions
from gateway.store.schema import api_keys
from gateway.store.writing import Writing

_USED = update(api_keys).where(api_keys.c.id == bindparam("key_id"))
RECORD_USE = _USED.values(
    last_used_at=case(
        (api_keys.c.last_used_at > bindparam("used_at"), api_keys.c.last_used_at),
        else_=bindparam("used_at"),
    )
)


class Store(Questions):
    """An open store; `open_store` makes one. Implements `KeySource` and `ScopeSource` for the data plane.

    Every method raises StoreUnavailableError when the database does not answer.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        address: StoreAddress,
        *,
        clock: Callable[[], float],
        kept_changes: int,
    ) -> None:
        self._standalone = _Standalone(for_reading(engine), address)
        super().__init__(self._standalone)
        self._engine = engine
        self._address = address
        self._clock = clock
        self._kept_changes = kept_changes

    @property
    def place(self) -> str:
        """Where the store is, for messages; without a password."""
        return self._address.shown

    def now(self) -> float:
        """The store's clock, in seconds since the epoch."""
        return self._clock()

    async def changes_after(self, seq: int) -> Changes:
        """See Questions. A store that is another file since the last time is one gap."""
        changes = await super().changes_after(seq)
        replaced, self._standalone.replaced = self._standalone.replaced, False
        return replace(changes, gap=True) if replaced else changes

    async def record_last_use(self, used: Mapping[int, float]) -> None:
        """Note when keys were last used: key id to seconds since the epoch. Older times change nothing.

        Not a change to the keys: readers need not forget anything, so the change feed has no row of it.
        """
        if not used:
            return
        rows = [{"key_id": key_id, "used_at": at} for key_id, at in sorted(used.items())]
        with told_as(self._address):
            async with self._engine.connect() as plain:
                connection = await plain.execution_options(**{BEGIN: "BEGIN IMMEDIATE"})
                async with connection.begin():
                    await connection.execute(RECORD_USE, rows)

    @asynccontextmanager
    async def writing(self, actor: str) -> AsyncIterator[Writing]:
        """A transaction in the name of an actor, alone in the store; committed at the end of the block.

        An exception in the block undoes everything. One that changes something without an audit entry is a
        mistake in the house, and is undone as well.
        """
        with told_as(self._address):
            connection = await begin_writing(self._engine)
        try:
            writing = Writing(connection, self._address, actor, self._clock(), self._kept_changes)
            yield writing
            await writing.finish()
        finally:
            with told_as(self._address):
                await asyncio.shield(connection.close())


class _Standalone:
    """Questions asked one at a time, each on whatever connection is free."""

    def __init__(self, engine: AsyncEngine, address: StoreAddress) -> None:
        self._engine = engine
        self._address = address
        self._file = FileWatch(address.path)
        self.replaced = False
        """Whether the store has become another file, and nobody was told yet."""

    async def rows(self, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Row[Any]]:
        """All rows of the answer; asked again once when the connection had died while it lay idle."""
        with told_as(self._address):
            if self._file.is_another():
                self.replaced = True
                await self._engine.dispose()
            try:
                return await self._rows(statement, values)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
            return await self._rows(statement, values)

    async def _rows(self, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Row[Any]]:
        async with self._engine.connect() as connection:
            result: Result[Any] = await connection.execute(statement, values)
            return result.all()
