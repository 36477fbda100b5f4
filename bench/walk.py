"""The path of a request, walked in one process: the gateway whole, its connections in memory.

Run as a program by its file, so that it takes whatever gateway the interpreter has:
`python bench/walk.py DIRECTORY REQUESTS STATUS`. The directory holds what `gateway serve` would be given
(`gateway.yaml` and its store), the bytes of a request, and those of the feed's answer. A worker is put
together as `serve` does it, with its metrics and logs; what is not there is the kernel's network, and the
event loop that waits for it. Each request is handed over in one piece, and so is its answer.
"""

import asyncio
import gc
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from gateway.configuration import load_everything
from gateway.observe.logs import LogPlaces, open_logs
from gateway.store.opening import open_store
from gateway.wiring.worker import Worker

TURN: Final = 32
"""After how many requests the loop has its turn, and the logs with it: as with so many busy connections."""

WARM_UP: Final = 320
NAP_SECONDS: Final = 0.2
"""Long, so that it does not count how long the store took to answer."""

PATIENCE_SECONDS: Final = 60
REFUSED: Final = 400


class WrongWayError(Exception):
    """A request was not answered as it must be, or not put on record."""


class Wire(asyncio.Transport):
    """A connection that leads nowhere; the last that the gateway wrote to it is kept."""

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self.protocol = protocol
        self.sent = b""
        self._ends = socket.socketpair()
        self._closed = False

    def get_extra_info(self, name: str, default: object = None) -> Any:  # noqa: ANN401 - as asyncio has it
        """See asyncio.BaseTransport."""
        return {"socket": self._ends[0], "peername": ("127.0.0.1", 1)}.get(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """See asyncio.BaseTransport."""
        self.protocol = protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See asyncio.WriteTransport."""
        self.sent = cast("bytes", data)

    def writelines(self, list_of_data: Any) -> None:  # noqa: ANN401 - as asyncio has it
        """See asyncio.WriteTransport."""
        self.sent = b"".join(list_of_data)

    def close(self) -> None:
        """See asyncio.BaseTransport."""
        self._closed = True

    def abort(self) -> None:
        """See asyncio.WriteTransport."""
        self._closed = True

    def is_closing(self) -> bool:
        """See asyncio.BaseTransport."""
        return self._closed

    def get_write_buffer_size(self) -> int:
        """See asyncio.WriteTransport: all that is written is gone at once."""
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """See asyncio.WriteTransport."""

    def pause_reading(self) -> None:
        """See asyncio.ReadTransport."""

    def resume_reading(self) -> None:
        """See asyncio.ReadTransport."""


class Loop(asyncio.SelectorEventLoop):
    """An event loop that dials nobody: who asks for a connection is given a wire."""

    def __init__(self) -> None:
        super().__init__()
        self.welcome: Callable[[], asyncio.BaseProtocol] | None = None
        self.dialled: Wire | None = None

    async def create_server(self, protocol_factory: Any, *words: Any, **options: Any) -> Any:  # noqa: ANN401 - as asyncio has it
        """See asyncio.AbstractEventLoop; who would be welcomed comes by `come_in`."""
        self.welcome = protocol_factory
        return await super().create_server(protocol_factory, *words, **options)

    async def create_connection(self, protocol_factory: Any, *_words: Any, **_options: Any) -> Any:  # noqa: ANN401 - as asyncio has it
        """See asyncio.AbstractEventLoop."""
        self.dialled = _connected(protocol_factory())
        return self.dialled, self.dialled.protocol

    def come_in(self) -> Wire:
        """Be a client."""
        if self.welcome is None:
            raise WrongWayError("the worker does not accept clients")
        return _connected(self.welcome())


def _connected(protocol: asyncio.BaseProtocol) -> Wire:
    wire = Wire(protocol)
    protocol.connection_made(wire)
    return wire


async def heard(wire: Callable[[], Wire | None]) -> Wire:
    """Wait until there is a wire, and something was written to it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not ((found := wire()) and found.sent):  # noqa: ASYNC110 - a wire announces nothing
            await asyncio.sleep(NAP_SECONDS)
    return found


async def walk(loop: Loop, request: bytes, answer: bytes, requests: int, status: int) -> None:
    """Ask that often, after some that nobody counts. Raises WrongWayError."""
    client = loop.come_in()
    receive = cast("asyncio.Protocol", client.protocol).data_received
    receive(request)
    answered: Callable[[bytes], object] = len
    if status < REFUSED:
        feed = await heard(lambda: loop.dialled)
        answered = cast("asyncio.Protocol", feed.protocol).data_received
        answered(answer)
    await heard(lambda: client)
    for asked in range(WARM_UP + requests):
        receive(request)
        answered(answer)
        if asked % TURN == 0:
            _demand(client.sent, answer, status)
            client.sent = b""
            await asyncio.sleep(0)
        if asked == WARM_UP:
            _settle()


def _settle() -> None:
    """Leave what the start has made out of all collections to come, else some runs would have one more."""
    gc.collect()
    gc.freeze()


def _demand(sent: bytes, answer: bytes, status: int) -> None:
    """Raise WrongWayError unless this is the answer that a client has to have, in one piece."""
    body = answer.partition(b"\r\n\r\n")[2]
    if not sent.startswith(b"HTTP/1.1 %d " % status) or (status < REFUSED) != sent.endswith(body):
        raise WrongWayError(f"a client was not answered with {status}, but {sent[:60]!r}")


async def serve(loop: Loop, directory: Path, requests: int, status: int) -> None:
    """Put a worker together and walk. Raises WrongWayError."""
    file = directory / "gateway.yaml"
    configuration = load_everything(file, os.environ)
    settings = configuration.settings
    request, answer = ((directory / name).read_bytes() for name in ("request", "answer"))
    places = LogPlaces(settings.logs.access, settings.logs.denied)
    async with open_store(settings.store.url) as store, open_logs(places) as logs:
        worker = Worker(file, configuration, store, logs)
        with socket.create_server(("127.0.0.1", 0)) as bound:
            await worker.listen(bound)
            await walk(loop, request, answer, requests, status)
            await worker.drain(0.0)
    assert settings.logs.access is not None  # noqa: S101 - tells the type checker what was laid out
    lines = settings.logs.access.read_bytes().count(b"\n")
    settings.logs.access.unlink()
    if lines != 1 + WARM_UP + requests:
        raise WrongWayError(f"{1 + WARM_UP + requests} requests made {lines} lines in the log")


def main(directory: Path, requests: int, status: int) -> None:
    """Walk, and be done."""
    loop = Loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(serve(loop, directory, requests, status))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    except TimeoutError:
        sys.exit("walk: nothing was answered in time")
    except (WrongWayError, OSError) as error:
        sys.exit(f"walk: {error}")
