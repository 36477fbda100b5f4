"""Waiting for a condition, never for a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from stopwatch import Stopwatch

LOOK_EVERY: Final = 0.02
AT_MOST: Final = 60.0
"""Seconds after which a wait is in vain, whatever held it up."""


async def until(happened: Callable[[], bool], within: float = 5.0) -> None:
    """Wait until something is so. Raises TimeoutError."""

    async def asked() -> bool:
        return happened()

    await until_so(asked, within)


async def until_so(happened: Callable[[], Awaitable[bool]], within: float = 5.0) -> None:
    """Wait until an awaited question is answered with yes. Raises TimeoutError."""
    watch = Stopwatch()
    async with asyncio.timeout(AT_MOST):
        while not await happened():
            if watch.is_past(within):
                raise TimeoutError
            await asyncio.sleep(LOOK_EVERY)
