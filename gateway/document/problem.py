"""What is wrong with a file an operator wrote: where, what, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

Location = tuple[str | int, ...]
"""Where a value is in a file: keys, and the places in lists counted from 0."""

LISTED: Final = 12
"""How many known words a hint lists at most."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One complaint. `line` counts from 1, None when the file as a whole is meant; no text holds a secret."""

    file: str
    line: int | None
    key: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        said = f"{self.message}; {self.hint}" if self.hint else self.message
        return ": ".join(part for part in (place, self.key, said) if part)

    def as_dict(self) -> dict[str, str | int | None]:
        """The problem for programs."""
        return {
            "file": self.file,
            "line": self.line,
            "key": self.key or None,
            "message": self.message,
            "hint": self.hint or None,
        }


class SettingsError(Exception):
    """The configuration is not good; `problems` holds everything that is wrong with it, in file order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def dotted(location: Location) -> str:
    """The location as people read it: `feeds.accessplanit.upstream[0]`."""
    text = ""
    for step in location:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def nearest(word: str, known: Iterable[str], *, what: str = "known") -> str:
    """The hint for a misspelt word: the nearest known one, or what there is to choose from."""
    words = sorted(known)
    close = get_close_matches(word, words, n=1)
    if close:
        return f"did you mean {close[0]}?"
    if not words:
        return ""
    more = ", …" if len(words) > LISTED else ""
    return f"{what}: {', '.join(words[:LISTED])}{more}"
