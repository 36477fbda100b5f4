"""What changed in the store, so that every reader can forget what it knew of it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ChangeKind(StrEnum):
    """What a change is about, closed."""

    KEY = "key"
    """One key; the subject is its id."""
    SCOPE = "scope"
    """One API Scope, and so every principal that has it; the subject is its id."""
    MEMBER = "member"
    """Who has which scope by a bearer token; the subject is `user:NAME`, `role:NAME` or `client:NAME`."""


EVERY_SUBJECT: Final = "*"
"""The subject of a change to many at once, such as an import of keys."""


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the change feed. `at` is seconds since the epoch."""

    seq: int
    at: float
    kind: ChangeKind
    subject: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reader missed since the number it last saw.

    `latest` is the number to ask after next time. With `gap` some of what was missed is no longer on record,
    so the reader must forget everything it knows.
    """

    rows: tuple[Change, ...]
    latest: int
    gap: bool = False
