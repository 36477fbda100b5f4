"""What one would write in an afternoon: an aiohttp server, an aiohttp client, one cached check.

Run as a program: `python -m bench.peers.aiohttp_proxy PORT UPSTREAM_PORT ACCESS_LOG`.
"""

import hashlib
import logging
import sys
from collections.abc import AsyncIterator
from importlib.metadata import version
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import Final

import aiohttp
import uvloop
from aiohttp import web

from bench.peer import BENCH_KEY, KEY_HEADER, Bed, Checks, Command, Peer, Stand
from bench.tools import Toolbox

HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "host",
    }
)
SESSION: Final = web.AppKey("session", aiohttp.ClientSession)
UPSTREAM: Final = web.AppKey("upstream", str)
GRANTS: Final = web.AppKey("grants", dict[bytes, frozenset[tuple[str, str]]])
LOG_FORMAT: Final = '{"ts":"%t","client":"%a","request":"%r","status":%s,"bytes_out":%b,"s":%Tf}'


async def forward(request: web.Request) -> web.StreamResponse:
    """Check the key's digest against the cached grants, then pass the request on."""
    digest = hashlib.sha256(request.headers.get(KEY_HEADER, "").encode()).digest()
    grants = request.app[GRANTS].get(digest)
    if grants is None:
        return web.json_response({"code": "credential_invalid"}, status=401)
    if (request.method, request.path.split("/")[2]) not in grants:
        return web.json_response({"code": "scope_denied"}, status=403)
    headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
    url = request.app[UPSTREAM] + request.raw_path
    body = request.content if request.body_exists else None
    async with request.app[SESSION].request(request.method, url, headers=headers, data=body) as answer:
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
        return web.Response(status=answer.status, headers=kept, body=await answer.read())


async def session(app: web.Application) -> AsyncIterator[None]:
    """Keep connections to the feed for the life of the server."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as client:
        app[SESSION] = client
        yield


def _log_to(file: Path) -> logging.Logger:
    """A logger that writes in batches, as the gateway does."""
    logger = logging.getLogger("access")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(MemoryHandler(256, flushLevel=logging.ERROR, target=logging.FileHandler(file)))
    return logger


def serve(port: int, upstream_port: int, access_log: Path) -> None:
    """Forward until ended."""
    app = web.Application(client_max_size=2**31)
    app[UPSTREAM] = f"http://127.0.0.1:{upstream_port}"
    app[GRANTS] = {hashlib.sha256(BENCH_KEY.encode()).digest(): frozenset({("GET", "courses")})}
    app.cleanup_ctx.append(session)
    app.router.add_route("*", "/{path:.*}", forward)
    web.run_app(
        app,
        host="127.0.0.1",
        port=port,
        access_log=_log_to(access_log),
        access_log_format=LOG_FORMAT,
        print=None,
        loop=uvloop.new_event_loop(),
        backlog=4096,
    )


def _lay_out(bed: Bed) -> Stand:
    python = bed.tools["python"]
    argv = (python, "-m", "bench.peers.aiohttp_proxy", str(bed.port), str(bed.upstream_port), bed.access_log)
    return Stand((Command.of(*argv),), bed)


def _version(tools: Toolbox) -> str:
    del tools
    return f"aiohttp {version('aiohttp')}"


PEER: Final = Peer(
    "aiohttp",
    "aiohttp server + client, one cached check",
    Checks.KEY_AND_RULE,
    "a JSON line a request to a file",
    ("python",),
    _lay_out,
    _version,
)

if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
