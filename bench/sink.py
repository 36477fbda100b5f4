"""A feed for large bodies: swallows what is sent and counts it, sends as much as is asked for.

Run as a program: `python -m bench.sink PORT`. `GET …/N` with N digits is answered with N bytes,
anything with a body with `{"received": N}`; memory is bounded both ways.
"""

import asyncio
import json
import sys
from typing import Final, cast

import httptools
import uvloop

from bench.peer import BODY

CHUNK: Final = b"\xa5" * 65536


class Exchange(asyncio.Protocol):
    """One kept connection."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.target = b""
        self.received = 0
        self.left = 0
        self.full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        """Begin anew."""
        self.target = b""
        self.received = 0

    def on_url(self, url: bytes) -> None:
        """Take the target, which may come in pieces."""
        self.target += url

    def on_body(self, body: bytes) -> None:
        """Count and forget."""
        self.received += len(body)

    def on_message_complete(self) -> None:
        """Answer."""
        wanted = self.target.rpartition(b"/")[2]
        if self.parser.get_method() == b"GET" and b"/files/" in self.target and wanted.isdigit():
            self.left = int(wanted)
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self.left)
            self.send()
            return
        body = json.dumps({"received": self.received}).encode() if self.received else BODY
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self.transport.write(head % len(body) + body)

    def send(self) -> None:
        """Send what is left until the other side is full."""
        while self.left and not self.full:
            piece = CHUNK[: self.left]
            self.left -= len(piece)
            self.transport.write(piece)

    def pause_writing(self) -> None:
        """Stop sending."""
        self.full = True

    def resume_writing(self) -> None:
        """Send on."""
        self.full = False
        self.send()


async def serve(port: int) -> None:
    """Answer until ended."""
    server = await asyncio.get_running_loop().create_server(Exchange, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
