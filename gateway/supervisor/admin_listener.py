"""The parent's own listener: what `observe.admin` answers, on the admin socket.

What this needs (aiohttp, the Prometheus client) costs as much time as half a worker's start, so the parent
imports it while its workers start.
"""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from gateway.observe.admin import Findings, admin_app
from gateway.observe.exposition import render
from gateway.observe.families import Family
from gateway.observe.health import Health
from gateway.observe.snapshot import Snapshot

Counted = tuple[Snapshot, Sequence[tuple[Family, float]]]
"""What the workers counted together, and what the parent counts of them."""


@asynccontextmanager
async def answering(
    bound: socket.socket,
    counted: Callable[[], Awaitable[Counted]],
    health: Callable[[], Awaitable[Health]],
) -> AsyncIterator[None]:
    """Answer on a listening socket as long as the block lasts; neither call raises."""

    async def metrics(accept: str) -> tuple[bytes, str]:
        snapshot, of_workers = await counted()
        return render(snapshot, accept, of_workers)

    app = admin_app(Findings(metrics, health))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, bound, backlog=128).start()
        yield
    finally:
        await runner.cleanup()
