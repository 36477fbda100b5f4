"""Published test rows of other projects, where they lie beside the checkout; nothing is copied here.

A row is bytes for one connection and what its source expects of them. It is played whole, in pieces, and
with a well-formed request behind it; a verdict is read off what reached the feed.
"""

import json
import re
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h11
from conversations import conversation
from feeds import OK, running_feed
from gateways import running_plane
from operations import PATIENCE
from scripts import turns
from seen import Seen
from writings import Way, write

CHECKOUT: Final = Path(__file__).parents[2]
CORPORA: Final = CHECKOUT.parent / "shared" / "corpora"
PRESENT: Final = (CORPORA / "play.py").is_file()

EVERYTHING: Final = """\
feed: test
modules: {any: Any}
routes:
  - {path: /**, public: true}
"""
"""One public route that maps all, so that nothing but the message itself is judged."""

FOLLOWER: Final = b"GET /follower HTTP/1.1\r\nHost: follower.test\r\n\r\n"
UNFINISHED: Final = b"ended before its end"
STATUS: Final = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) ")
ASKED: Final = re.compile(rb"^X-Asked: (\S+)\r$", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """One row: the bytes, what is expected of them, how binding that is, how many requests they may be."""

    name: str
    data: bytes
    expect: str
    level: str | None
    most: int


def smuggling_rows(every: int = 1) -> list[Row]:
    """The rows about requests that readers tell apart differently, or every n-th of them."""
    read = [json.loads(line) for line in (CORPORA / "smuggling.jsonl").read_text().splitlines()]
    return [_row(one) for one in read[::every]]


def _row(read: Mapping[str, Any]) -> Row:
    most = 0 if read["expect"] in {"reject", "incomplete"} else max(1, read.get("max_upstream") or 1)
    return Row(read["id"], b64decode(read["raw_b64"]), read["expect"], read.get("level"), most)


@dataclass(frozen=True)
class Played:
    """What became of a row: the requests that reached the feed whole, and what the client was told."""

    arrived: tuple[tuple[bytes, bytes, int], ...]
    """Method, target and body size of each."""
    statuses: tuple[bytes, ...]
    asked: tuple[bytes, ...]
    """The targets of the requests whose answers the client got from the feed."""
    size: int
    """Bytes at the feed, of whatever sort."""
    broken: tuple[str, ...]
    unfinished: bool
    """Whether it was refused only because the client said that nothing follows."""


def telling(request: h11.Request) -> bytes:
    """An answer that says which request it is to."""
    line = b"Content-Length: 5\r\nX-Asked: " + request.target
    answer = OK.replace(b"Content-Length: 5", line)
    return answer.removesuffix(b"hello") if request.method == b"HEAD" else answer


class Stage:
    """A plane that maps everything, in front of a feed that another parser reads."""

    def __init__(self, port: int, seen: Seen) -> None:
        self.port = port
        self._seen = seen

    async def play(self, data: bytes, way: Way) -> Played:
        """Say the bytes in a way, then that nothing follows, and hear the answers to the end."""
        self._seen.forget()
        async with conversation(self.port) as client:
            await write(client, way(data))
            with suppress(OSError):
                client.end()
            told = await client.closed(within=PATIENCE)
        await turns()
        seen = self._seen
        return Played(
            tuple((request.method, request.target, size) for request, size in seen.whole),
            tuple(STATUS.findall(told)),
            tuple(ASKED.findall(told)),
            seen.size,
            tuple(seen.broken),
            UNFINISHED in told,
        )


@asynccontextmanager
async def staged(directory: Path) -> AsyncIterator[Stage]:
    """A stage, as long as the block lasts."""
    seen = Seen(answer=telling)
    async with running_feed() as feed, running_plane(directory, feed.port, routes=EVERYTHING) as plane:
        feed.script = seen.read
        yield Stage(plane.port, seen)
