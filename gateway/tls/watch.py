"""New certificates taken up while the gateway runs, without a restart and without ending a connection."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from gateway.tls.contexts import ServerTerms, UnfitFileError, server_context

LOOK_EVERY: Final = 2.0
"""Seconds between two looks at the files."""

Sight = tuple[tuple[int, int, int] | None, ...]

log = logging.getLogger(__name__)


class CertificateWatch:
    """The context in force for clients, made anew when a file was changed and has come to rest.

    `trouble` says why changed files could not be taken up; the context before stays then.
    """

    def __init__(self, terms: ServerTerms) -> None:
        """Raises UnfitFileError."""
        self.terms = terms
        self.trouble: str | None = None
        self._taken = self._before = _sight(terms.files())
        self._context = server_context(terms)

    def wrap(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        """The server's side of a session, with the certificates of now."""
        return self._context.wrap_bio(incoming, outgoing, server_side=True)

    async def look(self) -> None:
        """Take up files that were changed and have not changed again since the last look."""
        now = await asyncio.to_thread(_sight, self.terms.files())
        if now != self._taken and now == self._before:
            self._taken = now
            await self._take_up()
        self._before = now

    async def _take_up(self) -> None:
        try:
            self._context = await asyncio.to_thread(server_context, self.terms)
        except UnfitFileError as unfit:
            self.trouble = f"{unfit}; the certificates before stay in use"
            log.warning("new certificates are not taken up: %s", self.trouble)
        else:
            self.trouble = None
            log.info("new certificates are in use")


async def keep_looking(watched: Callable[[], CertificateWatch | None], every: float = LOOK_EVERY) -> None:
    """Look at the files of whatever is in force, for good."""
    while True:
        await asyncio.sleep(every)
        watch = watched()
        if watch is not None:
            await watch.look()


def _sight(files: Iterable[Path]) -> Sight:
    """What can be seen of files without reading them; None for one that is not there."""
    return tuple(map(_seen, files))


def _seen(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
