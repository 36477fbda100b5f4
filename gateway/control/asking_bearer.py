"""The bearer of a token as the one who asks: a user or a client with roles, and what the token names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Final, Self

from gateway.decision.explain import Edit, EditKind
from gateway.decision.holding import Holding, Side
from gateway.domain.action import Action
from gateway.domain.principal import Principal, PrincipalKind
from gateway.domain.rights import ModuleIndex
from gateway.domain.scope import FULL_ACCESS, Mode, ModuleSet, Scope
from gateway.domain.scope_use import MemberKind, MemberUse, ScopeUse
from gateway.domain.token import ScopesFrom, TokenFacts, WithoutScope
from gateway.domain.verdict import Refusal
from gateway.identity.bearers import members_of
from gateway.identity.proof import BearerProof
from gateway.store.membership import Membership
from gateway.store.questions import Questions

BY_DEFAULT: Final = "without_scope: full-access"
"""Where the scope of a user without any comes from."""

SIDES: Final = {
    ScopesFrom.MEMBERS: (Side.GIVEN,),
    ScopesFrom.TOKEN: (Side.NAMED,),
    ScopesFrom.BOTH: (Side.GIVEN, Side.NAMED),
}
"""Who must permit."""

_GIVING: Final = frozenset({EditKind.ASSIGN, EditKind.CREATE, EditKind.CLONE})
_TAKING: Final = frozenset({EditKind.UNASSIGN, EditKind.CLONE})


@dataclass(frozen=True, slots=True)
class AskingBearer:
    """What a token says, and what the store has for it. See `Asker`.

    A user without a name stands for anybody who has the roles. `full_access` is what users without any scope
    have by the configuration, None for nothing.
    """

    facts: TokenFacts
    memberships: tuple[Membership, ...]
    token_scopes: tuple[Scope, ...]
    full_access: Scope | None

    @classmethod
    async def of(cls, store: Questions, facts: TokenFacts, without_scope: WithoutScope) -> Self:
        """The bearer that a token with these facts would have."""
        everything = without_scope is WithoutScope.FULL_ACCESS
        return cls(
            facts,
            tuple(await store.memberships(members_of(facts))),
            await store.scopes_named(facts.scopes),
            await store.scope_named(FULL_ACCESS) if everything else None,
        )

    @property
    def called(self) -> str:
        """See Asker."""
        return _shown(self._receiver)

    def principal(self, index: ModuleIndex) -> Principal:
        """See Asker."""
        without = WithoutScope.DENY if self.full_access is None else WithoutScope.FULL_ACCESS
        proof = BearerProof(self.facts, self._member_scopes, self.token_scopes, without, self.full_access)
        return proof.principal(index)

    def refusal(self, now: float) -> Refusal | None:
        """See Asker. Whether a token is good is not asked here."""
        del now
        return None

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides that must permit, in the order of the principal's."""
        return SIDES[self.facts.scopes_from]

    async def holdings(self, store: Questions, *, permitted: bool) -> tuple[Holding, ...]:
        """See Asker."""
        named = Holding(self.token_scopes, Side.NAMED, frozenset(scope.id for scope in self.token_scopes))
        sides = self.sides
        given = [await self._given(store, permitted=permitted)] if Side.GIVEN in sides else []
        return (*given, named) if Side.NAMED in sides else tuple(given)

    async def _given(self, store: Questions, *, permitted: bool) -> Holding:
        scopes, own = self._member_scopes, self._scopes_of(self._receiver)
        shared = [one.id for one in scopes if self.others(await store.use_of(one.id))]
        pooled = [row.scope.id for row in self.memberships if not self._is_asking(row.member)]
        by_default = self._by_default
        return Holding(
            scopes or by_default,
            shared=frozenset(shared),
            pooled=frozenset(pooled),
            kept=frozenset(one.id for one in scopes if self._is_kept(one, permitted=permitted)),
            lapsing=by_default[0].id if by_default and not scopes else None,
            base=own or by_default,
        )

    @property
    def _by_default(self) -> tuple[Scope, ...]:
        """What a user has for want of any scope."""
        is_user = self.facts.kind is PrincipalKind.USER
        return (self.full_access,) if is_user and self.full_access is not None else ()

    def _is_kept(self, scope: Scope, *, permitted: bool) -> bool:
        """Whether taking a scope away could open something for other tokens of those who have it.

        Without its last scope a user may do everything, if the configuration says so; and a deny scope that
        goes may let through what other roles allow.
        """
        last = any(len(self._scopes_of(member)) == 1 for member in self._members_with(scope))
        denies = any(scope.selection(action) != ModuleSet() for action in Action)
        return (self.full_access is not None and last) or (permitted and scope.mode is Mode.DENY and denies)

    def others(self, use: ScopeUse) -> ScopeUse:
        """See Asker. A role is not its bearer's alone."""
        return ScopeUse(use.keys, tuple(one for one in use.members if not self._is_asking(one)))

    def holders(self, scope: Scope) -> str:
        """See Asker."""
        return " and ".join(map(_shown, self._members_with(scope))) or self.called

    def sources(self, scope: Scope, side: Side) -> tuple[str, ...]:
        """See Asker."""
        if side is Side.NAMED:
            return ("token",)
        return tuple(map(_shown, self._members_with(scope))) or (BY_DEFAULT,)

    def commands(self, edits: Sequence[Edit], *, permitted: bool) -> list[str]:
        """See Asker. Nobody is without a scope in between: what is given comes before what is taken."""
        given = [edit for edit in edits if edit.side is Side.GIVEN]
        added = (command for edit in given for command in self._additions(edit))
        removed = (command for edit in given for command in self._removals(edit, permitted=permitted))
        return [*dict.fromkeys(added), *dict.fromkeys(removed)]

    def _additions(self, edit: Edit) -> Iterator[str]:
        """A copy goes to those who had the scope."""
        if edit.kind in _GIVING and edit.after is not None:
            had = self._members_with(edit.scope) if edit.kind is EditKind.CLONE else ()
            for member in had or (self._receiver,):
                yield f"gateway members add {edit.after.name} {_option(member)}"

    def _removals(self, edit: Edit, *, permitted: bool) -> Iterator[str]:
        if edit.kind in _TAKING:
            widens = " --widens" if edit.scope.mode is Mode.DENY and not permitted else ""
            for member in self._members_with(edit.scope):
                yield f"gateway members remove {edit.scope.name} {_option(member)}{widens}"

    def also_touched(self, edit: Edit) -> str:
        """See Asker."""
        if edit.in_place and Side.NAMED in self.sides:
            return f"Any token may name the scope {edit.scope.name!r}."
        if edit.side is Side.NAMED or edit.kind not in _TAKING:
            return ""
        roles = [_shown(one) for one in self._members_with(edit.scope) if not self._is_asking(one)]
        instead = "gets the clone instead" if edit.kind is EditKind.CLONE else f"loses {edit.scope.name!r}"
        return f"Whoever has the {' or the '.join(roles)} {instead}, too." if roles else ""

    @property
    def _receiver(self) -> MemberUse:
        """Who is given a scope: the user or the client, else the first of the roles."""
        members = members_of(self.facts)
        return members[0] if self.facts.name else members[1]

    @property
    def _member_scopes(self) -> tuple[Scope, ...]:
        found = {row.scope.id: row.scope for row in self.memberships}
        return tuple(found[number] for number in sorted(found))

    def _members_with(self, scope: Scope) -> tuple[MemberUse, ...]:
        return tuple(row.member for row in self.memberships if row.scope.id == scope.id)

    def _scopes_of(self, member: MemberUse) -> tuple[Scope, ...]:
        return tuple(row.scope for row in self.memberships if row.member == member)

    def _is_asking(self, member: MemberUse) -> bool:
        """Whether a member is who asks, and not a role that others have too."""
        return member.kind is not MemberKind.ROLE or not self.facts.name


def _shown(member: MemberUse) -> str:
    return f"{member.kind} {member.name}"


def _option(member: MemberUse) -> str:
    return f"--{member.kind} {quote(member.name)}"
