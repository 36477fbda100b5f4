"""A connection that is being made for one exchange, and given up when nobody waits for it any more."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from gateway.forward.client_side import ClientSide


class Attempt:
    """Stands in the place of what an exchange has taken, until its connection is made or cannot be.

    So whoever ends the exchange meanwhile, by `room.leave()`, ends the attempt as well.
    """

    __slots__ = ("_client", "_room", "_task")

    def __init__(self, client: ClientSide) -> None:
        self._client = client
        self._room = client.room
        self._task: asyncio.Task[None] | None = None

    def begin(self, making: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Make the connection, in a task of its own."""
        self._client.room = self
        self._task = asyncio.get_running_loop().create_task(making)
        return self._task

    def done(self) -> None:
        """The connection is made, or cannot be: the exchange goes on without us."""
        if self._client.room is self:
            self._client.room = self._room

    def leave(self) -> None:
        """The exchange is over: stop connecting, and give back what it had taken."""
        self.done()
        if self._task is not None:
            self._task.cancel()
        if self._room is not None:
            self._room.leave()
