"""Whether files were changed, told by looking: that works on every file system and for replaced files."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Final

LOOK_EVERY: Final = 0.5
"""How often to look, in seconds; a change is told once the files have been still that long."""

Sight = tuple[tuple[int, int, int] | None, ...]


def sight(files: Iterable[Path]) -> Sight:
    """What can be seen of files without reading them: inode, size, time of change; None for one not there."""
    return tuple(map(_seen, files))


async def changes(
    files: Callable[[], Iterable[Path]],
    since: Sight,
    every: float = LOOK_EVERY,
) -> AsyncIterator[None]:
    """Yield whenever one of the files was changed and all of them have come to rest.

    `since` is how they looked when they were read.
    """
    told = before = since
    while True:
        await asyncio.sleep(every)
        now = sight(files())
        if now == before and now != told:
            told = now
            yield
        before = now


def _seen(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
