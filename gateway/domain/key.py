"""API keys as the store knows them: what is on record, never the secret."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.scope import Scope


class KeyState(StrEnum):
    """Whether a key may be used at all; expiry is a time and not a state."""

    ACTIVE = "active"
    DISABLED = "disabled"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One API key, found by the digest of one of its secrets or by its id.

    Times are seconds since the epoch. `expires_at` is the sooner of the key's own expiry and the end of the
    secret's overlap window after a rotation; None means never.
    """

    id: int
    label: str
    state: KeyState
    scopes: tuple[Scope, ...]
    trial: tuple[Scope, ...] | None = None
    expires_at: float | None = None
