"""The web application of the admin listener: `/metrics`, `/livez`, `/readyz`.

The admin API and its pages are added to the same application, with `app.add_subapp` or `app.add_routes`,
before it is served; refusals of theirs come out as problem documents too.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.observe.health import Health

PROBLEM: Final = "application/problem+json"
SERVER: Final = "scopegate"


@dataclass(frozen=True, slots=True)
class Findings:
    """Where the application asks.

    `metrics` takes a scraper's `Accept` header and answers text and media type; neither call raises.
    """

    metrics: Callable[[str], Awaitable[tuple[bytes, str]]]
    health: Callable[[], Awaitable[Health]]


FINDINGS: Final = web.AppKey("FINDINGS", Findings)


def admin_app(findings: Findings) -> web.Application:
    """The application, ready to be served or added to."""
    app = web.Application(middlewares=[problems])
    app[FINDINGS] = findings
    app.on_response_prepare.append(_name_the_server)
    app.add_routes([web.get("/metrics", metrics), web.get("/livez", livez), web.get("/readyz", readyz)])
    return app


async def metrics(request: web.Request) -> web.Response:
    """Everything the workers counted, added up."""
    text, media_type = await request.app[FINDINGS].metrics(request.headers.get("Accept", ""))
    return web.Response(body=text, headers={"Content-Type": media_type, **NOT_STORED})


async def livez(request: web.Request) -> web.Response:
    """200 as long as the parent's loop turns."""
    del request
    return web.Response(text="alive\n", headers=NOT_STORED)


async def readyz(request: web.Request) -> web.Response:
    """200 if requests can be served, else 503; either way why, check by check."""
    health = await request.app[FINDINGS].health()
    return web.Response(
        body=orjson.dumps(health.document(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE),
        status=HTTPStatus.OK if health.ready else HTTPStatus.SERVICE_UNAVAILABLE,
        content_type="application/json",
        headers=NOT_STORED,
    )


NOT_STORED: Final = {"Cache-Control": "no-store"}


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer refusals of the application as problem documents (RFC 9457)."""
    try:
        return await handler(request)
    except web.HTTPError as refused:
        if refused.content_type == PROBLEM:
            raise
        return _problem(refused)


def _problem(refused: web.HTTPError) -> web.Response:
    status = HTTPStatus(refused.status)
    document = {"type": "about:blank", "title": status.phrase, "status": status.value}
    headers = {"Allow": refused.headers["Allow"]} if "Allow" in refused.headers else {}
    return web.Response(
        body=orjson.dumps(document),
        status=status,
        content_type=PROBLEM,
        headers=headers,
    )


async def _name_the_server(request: web.Request, response: web.StreamResponse) -> None:
    """Say whose answer it is, without the versions that the library would tell."""
    del request
    response.headers["Server"] = SERVER
