"""Whether an embedded store is still the file that was opened."""

from pathlib import Path


class FileWatch:
    """Knows the file a store was opened as; a store on a server has none, and is never another.

    SQLite goes on with the open file when its name is taken away or given to another, as by restoring a
    backup: keys revoked in the new file would stay good here, and unknown ones be called bad for ever.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen = self._found()

    def is_another(self) -> bool:
        """Whether the name means another file than it did when last asked. Raises OSError without a file."""
        if self._path is None:
            return False
        now = self._now()
        another = now != self._seen
        self._seen = now
        return another

    def _found(self) -> tuple[int, int] | None:
        """The file there is, or None: it may be away, and come back."""
        try:
            return self._now()
        except OSError:
            return None

    def _now(self) -> tuple[int, int] | None:
        if self._path is None:
            return None
        found = self._path.stat()
        return found.st_dev, found.st_ino
