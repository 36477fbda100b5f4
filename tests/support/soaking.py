"""Requests of mixed kinds by the hundred thousand, and a feed quick enough for them.

Nine in ten are good HTTP, of which some are refused; one in ten is broken, and ends its connection.
"""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from typing import Final, cast

import httptools

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n"
BODY: Final = b'{"id": 1234}'
KEY: Final = b"@key@"
BROKEN: Final = -1
"""Stands for a refusal of the connection: any 400, or an end."""


@dataclass(frozen=True)
class Kind:
    """One kind of request: its bytes, the status it must get, and how many of twenty are like it."""

    data: bytes
    status: int
    share: int
    bodiless: bool = False
    """Whether the answer ends with its head, whatever length that tells."""


HEAD: Final = b" HTTP/1.1\r\nHost: feeds.test\r\nX-API-Key: @key@\r\n"
KINDS: Final = (
    Kind(b"GET /v2/courses/17?page=2" + HEAD + b"Accept: application/json\r\n\r\n", 200, 8),
    Kind(b"GET /v2/courses" + HEAD + b"X-Number: @n@\r\n\r\n", 200, 2),
    Kind(b"HEAD /v2/courses" + HEAD + b"\r\n", 200, 1, bodiless=True),
    Kind(b"POST /v2/bookings" + HEAD + b"Content-Length: 1000\r\n\r\n" + b"x" * 1000, 200, 1),
    Kind(
        b"POST /v2/bookings" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\nx\r\n0\r\n\r\n",
        200,
        1,
    ),
    Kind(b"DELETE /v2/courses/1" + HEAD + b"\r\n", 403, 1),
    Kind(b"GET /v2/nowhere/@n@" + HEAD + b"\r\n", 404, 1),
    Kind(b"GET /v2/courses/%2e%2e/users" + HEAD + b"\r\n", 400, 1),
    Kind(b"GET /v2/courses HTTP/1.1\r\nHost: feeds.test\r\nX-API-Key: guess-@n@\r\n\r\n", 401, 1),
    Kind(b"GET /v2/courses HTTP/1.1\r\nHost: feeds.test\r\n\r\n", 401, 1),
    Kind(b"POST /v2/bookings" + HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", BROKEN, 1),
    Kind(b"\x16\x03\x01 no HTTP @n@ \r\n\r\n", BROKEN, 1),
)
assert sum(kind.share for kind in KINDS) == 20


class QuickFeed(asyncio.Protocol):
    """A connection of a feed that answers everything alike."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Answer a whole request."""
        head = self._parser.get_method() == b"HEAD"
        self._transport.write(OK if head else OK + BODY)


@dataclass
class Tally:
    """What was sent, and what came of it."""

    sent: int = 0
    answered: Counter[int] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    """What should not have been, by what it was."""


class Client:
    """One client: asks on, on a new connection whenever the last one ended."""

    def __init__(self, port: int, key: bytes, tally: Tally, numbers: "count[int]") -> None:
        self._port = port
        self._key = key
        self._tally = tally
        self._numbers = numbers
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, kinds: tuple[Kind, ...]) -> None:
        """One request of each kind, in order."""
        for kind in kinds:
            self._tally.sent += 1
            status = await self._asked(kind)
            self._tally.answered[status] += 1
            if status != kind.status and not (kind.status == BROKEN and status in {0, 400}):
                self._tally.wrong[f"{kind.data[:30]!r} was answered {status}"] += 1
            if kind.status == BROKEN:
                self.leave()

    async def _asked(self, kind: Kind) -> int:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        data = kind.data.replace(KEY, self._key)
        if b"@n@" in data:
            data = data.replace(b"@n@", b"%d" % next(self._numbers))
        try:
            writer.write(data)
            head = await reader.readuntil(b"\r\n\r\n")
            at = head.find(b"Content-Length: ")
            if at >= 0 and not kind.bodiless:
                await reader.readexactly(int(head[at + 16 : head.find(b"\r", at)]))
            return int(head[9:12])
        except (ConnectionError, asyncio.IncompleteReadError):
            self.leave()
            return 0

    def leave(self) -> None:
        """End the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def said(tally: Tally) -> str:
    """A tally in one line."""
    answered = {str(status): number for status, number in sorted(tally.answered.items())}
    return f"sent {tally.sent}, answered {json.dumps(answered)}, not as expected {sum(tally.wrong.values())}"
