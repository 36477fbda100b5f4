"""What reached a feed, read by h11 over whole connections: a request hidden in another is found."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import h11
from feeds import OK


def hello(request: h11.Request) -> bytes:
    """The plainest answer to a request."""
    return OK.removesuffix(b"hello") if request.method == b"HEAD" else OK


@dataclass
class Seen:
    """Requests that came whole with the size of their bodies, those that were cut, and what was no HTTP."""

    whole: list[tuple[h11.Request, int]] = field(default_factory=list)
    cut: list[h11.Request] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    """The bodies of those that came whole."""
    size: int = 0
    """Bytes that came, of whatever sort."""
    answer: Callable[[h11.Request], bytes] = hello

    def forget(self) -> None:
        """Make room for what comes next."""
        self.whole, self.cut, self.broken, self.bodies, self.size = [], [], [], [], 0

    async def read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read and answer one connection to its end; a script for a Feed."""
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 18)
        head: h11.Request | None = None
        body = bytearray()
        while True:
            try:
                event = parser.next_event()
            except h11.RemoteProtocolError as wrong:
                if head is None or "without sending complete" not in str(wrong):
                    self.broken.append(str(wrong))
                else:
                    self.cut.append(head)
                return
            if event is h11.NEED_DATA:
                piece = await reader.read(1 << 16)
                self.size += len(piece)
                parser.receive_data(piece)
            elif isinstance(event, h11.Request):
                head, body = event, bytearray()
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                self.whole.append((head, len(body)))
                self.bodies.append(bytes(body))
                parser.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                parser.send(h11.EndOfMessage())
                writer.write(self.answer(head))
                if parser.our_state is not h11.DONE or parser.their_state is not h11.DONE:
                    return
                parser.start_next_cycle()
                head = None
            else:
                return
