"""An existing key that is being put on record."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key from elsewhere, known by the SHA-256 of its secret; `expires_at` as seconds since the epoch."""

    label: str
    digest: bytes
    scope_ids: frozenset[int]
    expires_at: float | None = None
