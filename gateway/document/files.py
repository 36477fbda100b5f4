"""The files of a configuration, each read once, so that all who judge by them judge the same text."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

NONE: Final[Mapping[str, str]] = MappingProxyType({})


class Files:
    """Files by their absolute path: what was handed over, else what the disk has, kept from then on.

    The parent process reads a configuration through this and hands its texts to the workers: then a file that
    is being edited while one of them starts, or is bad, or gone, changes nothing for it.
    """

    def __init__(self, texts: Mapping[str, str] = NONE) -> None:
        self._read = {name: text.encode() for name, text in texts.items()}

    def read(self, path: Path, most: int) -> bytes | None:
        """The first `most` bytes of a file; None if it is something else. Raises OSError and ValueError."""
        name = str(path.absolute())
        held = self._read.get(name)
        if held is not None:
            return held
        if path.exists() and not path.is_file():
            return None
        with path.open("rb") as file:
            held = self._read[name] = file.read(most)
        return held

    def texts(self) -> dict[str, str]:
        """Every file that was read, as text. Raises UnicodeDecodeError; no good configuration does."""
        return {name: raw.decode("utf-8-sig") for name, raw in self._read.items()}
