"""An API key as operators see it: its record, and its history."""

from dataclasses import dataclass

from gateway.domain.key import KeyRecord


@dataclass(frozen=True, slots=True)
class SecretEntry:
    """One secret of a key, known by its digest alone. Times are seconds since the epoch, None is never."""

    id: int
    created_at: float
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A key's record with what only operators ask for. Here `record.expires_at` is the key's own expiry.

    `full_access_after` names the deleted scope whose loss gave the key full access; None when none did, or
    when somebody has chosen the key's scopes since.
    """

    record: KeyRecord
    created_at: float
    last_used_at: float | None = None
    full_access_after: str | None = None
    secrets: tuple[SecretEntry, ...] = ()

    def has_live_secret(self, now: float) -> bool:
        """Whether any secret of the key is still in its time."""
        return any(secret.expires_at is None or secret.expires_at > now for secret in self.secrets)
