"""Waiting for a condition, never for a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

LOOK_EVERY: Final = 0.02


async def until(happened: Callable[[], bool], within: float = 5.0) -> None:
    """Wait until something is so. Raises TimeoutError."""

    async def asked() -> bool:
        return happened()

    await until_so(asked, within)


async def until_so(happened: Callable[[], Awaitable[bool]], within: float = 5.0) -> None:
    """Wait until an awaited question is answered with yes. Raises TimeoutError."""
    async with asyncio.timeout(within):
        while not await happened():  # noqa: ASYNC110 - what is waited for is outside, and announces nothing
            await asyncio.sleep(LOOK_EVERY)
