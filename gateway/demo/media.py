"""What takes time or volume: file downloads with ranges, a slow report, and the event stream."""

import asyncio
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import orjson
from aiohttp import web

from gateway.demo.catalogue import pounds
from gateway.demo.files import StoredFile
from gateway.demo.platform import Platform
from gateway.demo.shape import BadRequestError

PIECE: Final = 64 * 1024
SLOWEST: Final = 120.0
USUAL_DELAY: Final = 5.0
HEARTBEAT: Final = 15.0
QUICKEST_HEARTBEAT: Final = 0.1
MOST_EVENTS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Media:
    """The handlers, and the sign that ends the streams when the feed stops."""

    platform: Platform
    files: Mapping[str, StoredFile]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def routes(self) -> list[web.RouteDef]:
        """Where they answer."""
        return [
            web.get("/v2/files", self.list_files),
            web.get("/v2/files/{path:.+}", self.download),
            web.get("/v2/reports/slow", self.slow_report),
            web.get("/v2/events", self.events),
        ]

    async def stop(self, _app: web.Application) -> None:
        """End what streams and waits."""
        self.stopping.set()
        self.platform.changes.publish("feed.stopping", {})

    async def list_files(self, request: web.Request) -> web.Response:
        """The files there are."""
        del request
        told = [{"path": f"/v2/files/{path}", "type": file.content_type} for path, file in self.files.items()]
        return web.Response(body=orjson.dumps({"data": told}), content_type="application/json")

    async def download(self, request: web.Request) -> web.StreamResponse:
        """A file, or one range of it (RFC 9110 §14), piece by piece."""
        path = request.match_info["path"]
        file = self.files.get(path)
        if file is None:
            raise web.HTTPNotFound(text="There is no such file; GET /v2/files lists those there are.")
        headers = {"ETag": file.tag, "Accept-Ranges": "bytes", "Content-Type": file.content_type}
        if request.headers.get("If-None-Match") == file.tag:
            return web.Response(status=304, headers=headers)
        part = _range(request, file)
        response = web.StreamResponse(headers=headers)
        if part != range(len(file.content)):
            response.set_status(206)
            response.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{len(file.content)}"
        response.content_length = len(part)
        await response.prepare(request)
        if request.method == "GET":
            await _write(response, (file.content[at : min(at + PIECE, part.stop)] for at in part[::PIECE]))
        return response

    async def slow_report(self, request: web.Request) -> web.Response:
        """What each account was invoiced, after as many seconds as `seconds` says."""
        seconds = _seconds(request, "seconds", USUAL_DELAY)
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            told = {"report": "invoiced", "seconds": seconds, "data": _invoiced(self.platform)}
            return web.Response(
                body=orjson.dumps(told, option=orjson.OPT_INDENT_2), content_type="application/json"
            )
        raise web.HTTPServiceUnavailable(text="The feed is stopping.")

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Every change from now on, as server-sent events; what `Last-Event-ID` has missed comes first.

        `count` ends the stream after as many events, the greeting included. A comment keeps a quiet stream
        open, every `every` seconds.
        """
        every = _seconds(request, "every", HEARTBEAT, least=QUICKEST_HEARTBEAT)
        left = _whole(request.query.get("count"), MOST_EVENTS)
        changes = self.platform.changes
        seen = min(_whole(request.headers.get("Last-Event-ID"), changes.number), changes.number)
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        left -= await _write(response, [_event("hello", changes.number, {"latest": changes.number})])
        while left > 0 and not self.stopping.is_set() and request.transport is not None:
            news = changes.since(seen)[:left]
            if news:
                left -= await _write(response, [_event(one.event, one.number, one.data) for one in news])
                seen = news[-1].number
            elif not await changes.wait(every):
                await _write(response, [b": still here\n\n"])
        return response


async def _write(response: web.StreamResponse, pieces: Iterable[bytes]) -> int:
    """Write the pieces and count them; a reader who has left gets no more, which is no fault."""
    written = 0
    with suppress(ConnectionResetError):
        for piece in pieces:
            await response.write(piece)
            written += 1
    return written


def _range(request: web.Request, file: StoredFile) -> range:
    """The bytes asked for; all of them when nothing, several ranges, or a range of another version is."""
    size = len(file.content)
    if request.headers.get("If-Range", file.tag) != file.tag:
        return range(size)
    try:
        asked = request.http_range
    except ValueError:
        return range(size)
    part = range(size)[asked]
    if not part:
        raise web.HTTPRequestRangeNotSatisfiable(
            text=f"The file has {size} bytes.", headers={"Content-Range": f"bytes */{size}"}
        )
    return part


def _seconds(request: web.Request, name: str, usual: float, least: float = 0) -> float:
    """A number of seconds in the query. Raises BadRequestError."""
    told = request.query.get(name)
    if told is None:
        return usual
    try:
        seconds = float(told)
    except ValueError:
        seconds = math.nan
    if not least <= seconds <= SLOWEST:
        complaint = f"must be a number from {least:g} to {SLOWEST:g}"
        raise BadRequestError("That is no time, or too long a time.", {name: complaint})
    return seconds


def _whole(told: str | None, otherwise: int) -> int:
    """A small whole number, or what stands for none; an unclear one counts as none told."""
    small = told is not None and told.isascii() and told.isdigit() and len(told) < len(str(MOST_EVENTS))
    return int(told or "0") if small else otherwise


def _event(event: str, number: int, data: Mapping[str, object]) -> bytes:
    return b"event: %b\nid: %d\ndata: %b\n\n" % (event.encode(), number, orjson.dumps(data))


def _invoiced(platform: Platform) -> list[dict[str, object]]:
    pence: dict[object, int] = {}
    for invoice in platform.collections["invoices"].records.values():
        amount = int(str(invoice["gross"]).replace(".", ""))
        pence[invoice["account_id"]] = pence.get(invoice["account_id"], 0) + amount
    names = platform.collections["accounts"].records
    ranked = sorted(pence.items(), key=lambda row: -row[1])
    return [
        {"account": names[id_]["name"], "gross": pounds(total)}
        for id_, total in ranked
        if isinstance(id_, int) and id_ in names
    ]
