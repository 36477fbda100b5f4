"""The sample feed as a process of its own: `python -m gateway.demo.feed --port 9000`.

A training platform's API under `/v2`, in memory and open to everybody who reaches it. Every answer is JSON
but the files and the event stream; every error is `{"error": {"status", "message", "fields"}}`.
"""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import orjson
from aiohttp import web

from gateway.demo.collection import Collection, Page
from gateway.demo.files import stored_files
from gateway.demo.media import Media
from gateway.demo.platform import Platform
from gateway.demo.query import query_in_body, query_in_url
from gateway.demo.shape import BadRequestError, Complaints

LARGEST_BODY: Final = 1024 * 1024
GRACE: Final = 2.0
"""Seconds that open requests have to end when the feed stops."""
CREDENTIAL_HEADERS: Final = ("Authorization", "X-API-Key", "Cookie")
TRACE_HEADERS: Final = ("Forwarded", "Via", "X-Request-Id", "Traceparent")
TRACE_PREFIXES: Final = ("x-gateway-", "x-forwarded-")

log = logging.getLogger("gateway.demo.feed")


def in_json(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer in JSON, laid out for people to read."""
    text = orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    return web.Response(body=text, status=status, headers=headers, content_type="application/json")


def error_in_json(
    status: int, message: str, fields: Complaints | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    """An error as this feed tells it."""
    return in_json({"error": {"status": status, "message": message, "fields": fields or {}}}, status, headers)


@web.middleware
async def errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Tell every error as JSON; what is broken is logged and told as 500 without its insides."""
    try:
        return await handler(request)
    except BadRequestError as error:
        return error_in_json(error.status, error.message, error.complaints)
    except web.HTTPException as error:
        kept = {name: error.headers[name] for name in ("Allow", "Content-Range") if name in error.headers}
        return error_in_json(error.status, error.text or error.reason, headers=kept)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return error_in_json(500, "The feed failed to answer.")


@dataclass(frozen=True, slots=True)
class Records:
    """The handlers of every module that holds records."""

    platform: Platform

    def routes(self) -> list[web.RouteDef]:
        """Where they answer."""
        return [
            web.get("/v2/{module}", self.listed),
            web.post("/v2/{module}", self.create),
            web.post("/v2/{module}/search", self.search),
            web.get("/v2/{module}/fields", self.fields),
            web.get(r"/v2/{module}/{id:\d{1,15}}", self.read),
            web.put(r"/v2/{module}/{id:\d{1,15}}", self.replace),
            web.patch(r"/v2/{module}/{id:\d{1,15}}", self.amend),
            web.delete(r"/v2/{module}/{id:\d{1,15}}", self.remove),
        ]

    async def listed(self, request: web.Request) -> web.Response:
        """A page of a module's records."""
        collection = self._collection(request)
        page = collection.found(query_in_url(collection.shape, request.query.items()))
        return in_json({**_told(page), "links": _links(request, page)})

    async def search(self, request: web.Request) -> web.Response:
        """A page of the records that meet criteria; the next page is asked for in the body."""
        collection = self._collection(request)
        query = query_in_body(collection.shape, await json_object(request))
        return in_json(_told(collection.found(query)))

    async def fields(self, request: web.Request) -> web.Response:
        """What a record of the module holds."""
        shape = self._collection(request).shape
        told = [field.described() for field in shape.fields.values()]
        return in_json({"module": shape.module, "label": shape.label, "fields": told})

    async def create(self, request: web.Request) -> web.Response:
        """Add a record."""
        collection = self._collection(request)
        record = self.platform.create(collection.shape.module, await json_object(request))
        id_ = int(record["id"] or 0)
        headers = {"Location": f"/v2/{collection.shape.module}/{id_}", "ETag": collection.tag(id_)}
        return in_json(record, 201, headers)

    async def read(self, request: web.Request) -> web.Response:
        """One record; 304 when the caller has it already."""
        collection, id_ = self._record(request)
        tag = {"ETag": collection.tag(id_)}
        if _listed_in(request.headers.get("If-None-Match"), tag["ETag"]):
            return web.Response(status=304, headers=tag)
        return in_json(collection.records[id_], headers=tag)

    async def replace(self, request: web.Request) -> web.Response:
        """Put a whole record in another's place."""
        body = await json_object(request)
        collection, id_ = self._record(request)
        record = self.platform.replace(collection.shape.module, id_, body)
        return in_json(record, headers={"ETag": collection.tag(id_)})

    async def amend(self, request: web.Request) -> web.Response:
        """Change some fields of a record."""
        body = await json_object(request)
        collection, id_ = self._record(request)
        record = self.platform.amend(collection.shape.module, id_, body)
        return in_json(record, headers={"ETag": collection.tag(id_)})

    async def remove(self, request: web.Request) -> web.Response:
        """Take a record away."""
        collection, id_ = self._record(request)
        self.platform.remove(collection.shape.module, id_)
        return web.Response(status=204)

    def _collection(self, request: web.Request) -> Collection:
        collection = self.platform.collections.get(request.match_info["module"])
        if collection is None:
            raise web.HTTPNotFound(text=f"There is no module {request.match_info['module']!r}.")
        return collection

    def _record(self, request: web.Request) -> tuple[Collection, int]:
        """The record that the path names, as the caller last saw it (RFC 9110 §13.1.1)."""
        collection, id_ = self._collection(request), int(request.match_info["id"])
        if id_ not in collection.records:
            raise web.HTTPNotFound(text=f"{collection.shape.module} has no record {id_}.")
        expected = request.headers.get("If-Match")
        if expected is not None and not _listed_in(expected, collection.tag(id_)):
            raise web.HTTPPreconditionFailed(text="The record has changed since it was read.")
        return collection, id_


def _told(page: Page) -> dict[str, object]:
    return {
        "data": page.records,
        "page": page.number,
        "page_size": page.size,
        "total": page.total,
        "pages": page.pages,
    }


def _links(request: web.Request, page: Page) -> dict[str, str]:
    """The pages beside this one, as paths, so that they hold behind any gateway."""
    numbers = {
        "self": page.number,
        "first": 1,
        "previous": page.number - 1,
        "next": page.number + 1,
        "last": page.pages,
    }
    rest = [(name, value) for name, value in request.query.items() if name not in {"page", "page_size"}]
    return {
        name: f"{request.path}?{urlencode([*rest, ('page', number), ('page_size', page.size)])}"
        for name, number in numbers.items()
        if 1 <= number <= page.pages or name == "self"
    }


def _listed_in(header: str | None, tag: str) -> bool:
    """Whether an entity tag is among those of an `If-Match` or `If-None-Match`."""
    return header is not None and (header.strip() == "*" or tag in [one.strip() for one in header.split(",")])


async def json_object(request: web.Request) -> Mapping[str, object]:
    """The request's body, which must be a JSON object. Raises BadRequestError and web.HTTPException."""
    if request.content_type != "application/json" and not request.content_type.endswith("+json"):
        raise web.HTTPUnsupportedMediaType(text="The body must be JSON: Content-Type: application/json.")
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise BadRequestError(f"The body is not JSON ({where}): {error.msg}.", {}) from error
    if not isinstance(body, dict):
        raise BadRequestError("The body must be a JSON object.", {})
    return body


@dataclass(frozen=True, slots=True)
class Front:
    """What the feed tells of itself, and of what has reached it."""

    platform: Platform

    def routes(self) -> list[web.RouteDef]:
        """Where it answers."""
        return [web.get("/v2/status", self.status), web.get("/v2/whoami", self.whoami)]

    async def status(self, request: web.Request) -> web.Response:
        """That the feed is there, for everybody."""
        del request
        counts = {module: len(each.records) for module, each in self.platform.collections.items()}
        return in_json({"status": "ok", "records": counts})

    async def whoami(self, request: web.Request) -> web.Response:
        """Who calls, as the gateway has told it; and which credentials have come through, by name only."""
        told = {
            str(name): ", ".join(map(_as_latin, request.headers.getall(name)))
            for name in request.headers
            if name.title() in TRACE_HEADERS or name.lower().startswith(TRACE_PREFIXES)
        }
        return in_json(
            {"headers": told, "credentials": [n for n in CREDENTIAL_HEADERS if n in request.headers]}
        )


def _as_latin(value: str) -> str:
    """A field's value with a character for each byte that is no UTF-8 (RFC 9110 §5.5)."""
    return value.encode(errors="surrogateescape").decode("latin-1")


async def _name_the_platform(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "brightwell-training"


def make_feed(seed: int) -> web.Application:
    """The feed's application, with the records of a seed."""
    platform = Platform.from_seed(seed)
    feed = web.Application(middlewares=[errors_as_json], client_max_size=LARGEST_BODY)
    media = Media(platform, stored_files(platform))
    feed.on_response_prepare.append(_name_the_platform)
    feed.on_shutdown.append(media.stop)
    feed.add_routes([*Front(platform).routes(), *media.routes(), *Records(platform).routes()])
    return feed


async def serve(host: str, port: int, seed: int, *, until_input_ends: bool) -> None:
    """Serve until SIGTERM or SIGINT, or until standard input ends. Raises OSError when it cannot listen."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if until_input_ends:
        loop.add_reader(sys.stdin.fileno(), _watch_input, loop, stopped)
    runner = web.AppRunner(make_feed(seed), access_log=None, shutdown_timeout=GRACE)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        name, bound = runner.addresses[0][:2]
        sys.stdout.write(f"ready: feed http://{name}:{bound}\n")
        sys.stdout.flush()
        await stopped.wait()
    finally:
        await runner.cleanup()


def _watch_input(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 1024):
        loop.remove_reader(sys.stdin.fileno())
        stopped.set()


def _why(error: OSError | OverflowError) -> str:
    """Why an address cannot be listened on, and what to do."""
    if isinstance(error, OverflowError):
        return "a port is a number from 0 to 65535"
    if isinstance(error, socket.gaierror):
        return "the host cannot be found; choose another with --host"
    return f"{os.strerror(error.errno or 0)}; choose another with --port"


def main() -> int:
    """Run the feed; 1 when it cannot listen."""
    options = argparse.ArgumentParser(
        prog="python -m gateway.demo.feed", description="The gateway's sample feed."
    )
    options.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    options.add_argument("--port", type=int, default=9000, help="port, 0 for any (default %(default)s)")
    options.add_argument(
        "--seed", type=int, default=1, help="another seed, other records (default %(default)s)"
    )
    options.add_argument("--until-input-ends", action="store_true", help="stop when standard input is closed")
    told = options.parse_args()
    try:
        asyncio.run(serve(told.host, told.port, told.seed, until_input_ends=told.until_input_ends))
    except (OSError, OverflowError) as error:
        sys.stderr.write(f"feed: cannot listen on {told.host}:{told.port}: {_why(error)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
