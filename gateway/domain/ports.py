"""What the data plane asks of the rest of the house; wiring gives it the rooms that can."""

from collections.abc import Collection
from typing import Protocol

from gateway.domain.change import Changes
from gateway.domain.exchange import Exchange
from gateway.domain.key import KeyRecord
from gateway.domain.scope import Scope
from gateway.domain.scope_use import MemberUse
from gateway.domain.token import TokenFacts
from gateway.domain.verdict import Refusal


class StoreUnavailableError(Exception):
    """The store did not answer; nobody's credential can be called good or bad. Says why, for operators."""


class KeysUnavailableError(Exception):
    """An issuer's keys, or its introspection, cannot be had; no token can be called good or bad. Says why."""


class KeySource(Protocol):
    """Where keys are looked up when the cache does not know them."""

    async def key_with_digest(self, digest: bytes) -> KeyRecord | None:
        """The key one of whose secrets has this SHA-256 digest (32 bytes), or None.

        Keys that are disabled, revoked or expired are found too; the caller tells them apart.
        Raises StoreUnavailableError.
        """
        ...


class ScopeSource(Protocol):
    """Where the API Scopes of a token's bearer are looked up."""

    async def scopes_of_members(self, members: Collection[MemberUse]) -> tuple[Scope, ...]:
        """Every scope that one of these users, roles or clients has, each once, in the order of their ids.

        Raises StoreUnavailableError.
        """
        ...

    async def scopes_named(self, names: Collection[str]) -> tuple[Scope, ...]:
        """The scopes among these names, in the order of their ids; a name that is none is left out.

        Raises StoreUnavailableError.
        """
        ...


class TokenProver(Protocol):
    """Who can tell whether a bearer token is good, and what it says."""

    async def prove(self, token: bytes) -> TokenFacts | Refusal:
        """What the token says, or why it is refused. Raises KeysUnavailableError."""
        ...

    def asked_of(self, token: bytes) -> str:
        """The issuer or the endpoint that may have to be asked about a token; empty for none of ours."""
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
