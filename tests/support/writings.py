"""Ways for the same bytes to arrive: a reader of HTTP must not notice the difference."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from conversations import Conversation

Way = Callable[[bytes], list[bytes]]


def at_once(data: bytes) -> list[bytes]:
    """All of it in one write."""
    return [data]


def byte_by_byte(data: bytes) -> list[bytes]:
    """A write a byte."""
    return [data[at : at + 1] for at in range(len(data))]


def line_by_line(data: bytes) -> list[bytes]:
    """Cut after every CRLF."""
    lines = data.split(b"\r\n")
    return [piece for piece in (*(line + b"\r\n" for line in lines[:-1]), lines[-1]) if piece]


def within_line_ends(data: bytes) -> list[bytes]:
    """Cut between every CR and its LF."""
    parts = data.split(b"\r\n")
    return [
        piece for piece in (parts[0] + b"\r", *(b"\n" + part + b"\r" for part in parts[1:-1])) if piece
    ] + [b"\n" + parts[-1]]


WAYS: Final[Mapping[str, Way]] = {
    "at once": at_once,
    "byte by byte": byte_by_byte,
    "line by line": line_by_line,
    "within line ends": within_line_ends,
}


async def write(client: Conversation, pieces: list[bytes]) -> None:
    """Write the pieces so that each is read by itself; the other side may have ended the connection."""
    try:
        for piece in pieces:
            await client.send(piece)
            # both ends share this loop: a turn for the write to leave, and one for it to be read
            await asyncio.sleep(0)
            await asyncio.sleep(0)
    except ConnectionError:
        pass
