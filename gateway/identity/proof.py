"""What was proven of a caller, and what it rests on: facts, from which the principal is compiled."""

from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import Protocol

from gateway.domain.change import EVERY_SUBJECT, ChangeKind
from gateway.domain.key import KeyRecord
from gateway.domain.principal import Principal, PrincipalKind
from gateway.domain.rights import ModuleIndex
from gateway.domain.scope import Scope
from gateway.domain.token import ScopesFrom, TokenFacts, WithoutScope
from gateway.identity.bearers import members_of, principal_of_bearer

Subject = tuple[ChangeKind, str]
"""What a change is about."""

ANY_SCOPE: Subject = (ChangeKind.SCOPE, EVERY_SUBJECT)
"""What rests on which scopes there are, and not only on those that were found."""


class Proof(Protocol):
    """Facts that make somebody known; kept as long as nothing they rest on has changed."""

    @property
    def expires_at(self) -> float:
        """Seconds since the epoch, inf for never."""
        ...

    @property
    def age(self) -> float:
        """Seconds since somebody else than the store was asked; no look-up makes that any younger."""
        ...

    def rests_on(self) -> frozenset[Subject]:
        """What must not change."""
        ...

    def principal(self, index: ModuleIndex) -> Principal:
        """The principal, its scopes compiled against the mapped modules."""
        ...


@dataclass(frozen=True, slots=True)
class KeyProof:
    """An API key that was found, and is good."""

    record: KeyRecord

    @property
    def expires_at(self) -> float:
        """See Proof."""
        return inf if self.record.expires_at is None else self.record.expires_at

    @property
    def age(self) -> float:
        """See Proof: the store knows all there is to know of a key."""
        return 0.0

    def rests_on(self) -> frozenset[Subject]:
        """The key itself, and every scope it has."""
        scopes = (*self.record.scopes, *(self.record.trial or ()))
        return frozenset(((ChangeKind.KEY, str(self.record.id)), *_each(scopes)))

    def principal(self, index: ModuleIndex) -> Principal:
        """See Proof."""
        record, trial = self.record, self.record.trial
        return Principal(
            PrincipalKind.KEY,
            f"key:{record.id}",
            record.label,
            record.scopes,
            index.rights_of(record.scopes),
            trial,
            None if trial is None else index.rights_of(trial),
            record.id,
        )


@dataclass(frozen=True, slots=True)
class BearerProof:
    """A bearer token that was verified, with the API Scopes of its bearer and those it names.

    `verified_at` is in monotonic seconds.
    """

    facts: TokenFacts
    member_scopes: tuple[Scope, ...]
    token_scopes: tuple[Scope, ...]
    without_scope: WithoutScope = WithoutScope.DENY
    full_access: Scope | None = None
    verified_at: float = field(default_factory=monotonic)

    @property
    def expires_at(self) -> float:
        """See Proof."""
        return self.facts.expires_at

    @property
    def age(self) -> float:
        """See Proof."""
        return monotonic() - self.verified_at

    def rests_on(self) -> frozenset[Subject]:
        """Who is a member of what, each scope that gave; and on any scope, where the token names some."""
        subjects = set(_each(self.member_scopes))
        if self.facts.scopes_from is not ScopesFrom.TOKEN:
            subjects.update((ChangeKind.MEMBER, f"{m.kind}:{m.name}") for m in members_of(self.facts))
        if self.facts.scopes_from is not ScopesFrom.MEMBERS:
            subjects.add(ANY_SCOPE)
        return frozenset(subjects)

    def principal(self, index: ModuleIndex) -> Principal:
        """See Proof."""
        return principal_of_bearer(
            self.facts, self.member_scopes, self.token_scopes, index, self.without_scope, self.full_access
        )


def _each(scopes: tuple[Scope, ...]) -> list[Subject]:
    return [(ChangeKind.SCOPE, str(scope.id)) for scope in scopes]
