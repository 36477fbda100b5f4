"""What the data plane asks of the rest of the house; wiring gives it the rooms that can."""

from typing import Protocol

from gateway.domain.change import Changes
from gateway.domain.exchange import Exchange
from gateway.domain.key import KeyRecord


class StoreUnavailableError(Exception):
    """The store did not answer; nobody's credential can be called good or bad. Says why, for operators."""


class KeySource(Protocol):
    """Where keys are looked up when the cache does not know them."""

    async def key_with_digest(self, digest: bytes) -> KeyRecord | None:
        """The key one of whose secrets has this SHA-256 digest (32 bytes), or None.

        Keys that are disabled, revoked or expired are found too; the caller tells them apart.
        Raises StoreUnavailableError.
        """
        ...


class ChangeListener(Protocol):
    """Who must know what changed in the store, and whether it can be known at all."""

    def heard(self, changes: Changes) -> None:
        """The change feed was read to its end; `changes` may be none."""
        ...

    def missed(self) -> None:
        """The change feed could not be read this time."""
        ...


class Observer(Protocol):
    """Who watches from the side. Nothing here blocks, raises, or is awaited."""

    def exchange(self, record: Exchange) -> None:
        """Take the record of an exchange that has ended."""
        ...

    def upstream_error(self, feed: str, kind: str) -> None:
        """Count a fault of a feed; `kind` is from a closed set (connect, tls, timeout, reset, invalid)."""
        ...
