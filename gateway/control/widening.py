"""What somebody could do more of by losing a scope: a denial goes, or none is left where that is everything.

Computed from scopes alone, over every module that a scope names and "any other", so that no route map is
needed and a module mapped tomorrow counts. Whoever a token speaks for may have scopes by its roles, which
only the token knows: what some role could add is counted in, and so are tokens that name scopes themselves.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.control.gain import Gain
from gateway.control.refused import WideningError
from gateway.decision.pairs import Pairs
from gateway.domain.action import Action
from gateway.domain.key import KeyState
from gateway.domain.key_entry import KeyEntry
from gateway.domain.rights import ModuleIndex, Rights
from gateway.domain.scope import Mode, Scope
from gateway.domain.scope_use import MemberKind, MemberUse
from gateway.domain.token import WithoutScope
from gateway.store.questions import Questions

_EVERYTHING: Final = WithoutScope.FULL_ACCESS

PARTNERS: Final = {
    MemberKind.USER: frozenset({MemberKind.ROLE}),
    MemberKind.CLIENT: frozenset({MemberKind.ROLE}),
    MemberKind.ROLE: frozenset(MemberKind),
}
"""Whose scopes can be added to those of a member, in one token."""


@dataclass(frozen=True, slots=True)
class BearerTerms:
    """What the configuration says of those whom tokens speak for.

    `tokens_name_scopes`: whether a token's own `scope` claim counts, for some issuer.
    """

    without_scope: WithoutScope = WithoutScope.DENY
    tokens_name_scopes: bool = False


DENYING: Final = BearerTerms()
"""Who has no scope may do nothing, and tokens name none."""


def refuse_widening(deed: str, gains: Sequence[Gain], *, meant: bool) -> None:
    """Raise WideningError for a deed that widens what somebody may do, unless that is meant."""
    if gains and not meant:
        raise WideningError(deed, gains)


async def gains_without(
    store: Questions,
    lost: Scope,
    keys: Iterable[KeyEntry],
    members: Collection[MemberUse],
    terms: BearerTerms,
) -> list[Gain]:
    """Who gains by losing a scope that they have now, of these keys and members."""
    index = _every_module(await store.scopes())
    own = await store.memberships(members)
    others = await store.memberships() if lost.mode is Mode.DENY and members else own
    found = [_gain_of_key(entry, lost, index) for entry in keys]
    for member in members:
        left = tuple(row.scope for row in own if row.member == member and row.scope.id != lost.id)
        if not left and member.kind is not MemberKind.CLIENT and terms.without_scope is _EVERYTHING:
            found.append(Gain(_shown(member), None, surely=False))
        else:
            partners = {row.scope for row in others if _go_together(row.member, member)}
            found.append(_gain_of_bearer(_shown(member), left, lost, partners, index))
    return [gain for gain in found if gain is not None]


async def gain_of_tokens(store: Questions, lost: Scope, terms: BearerTerms) -> list[Gain]:
    """What tokens gain that name a scope in their `scope` claim, by its deletion."""
    scopes = await store.scopes()
    if not terms.tokens_name_scopes:
        return []
    gain = _gain_of_bearer("a token that names it", (), lost, scopes, _every_module(scopes))
    return [] if gain is None else [gain]


def _go_together(one: MemberUse, other: MemberUse) -> bool:
    """Whether a token can have the scopes of both."""
    return one.kind in PARTNERS[other.kind] and one != other


def _every_module(scopes: Iterable[Scope]) -> ModuleIndex:
    return ModuleIndex.of(
        name for scope in scopes for action in Action for name in scope.selection(action).names
    )


def _gain_of_key(entry: KeyEntry, lost: Scope, index: ModuleIndex) -> Gain | None:
    record = entry.record
    left = tuple(scope for scope in record.scopes if scope.id != lost.id)
    pairs = _named(Pairs.between(Rights.of(record.scopes, index), Rights.of(left, index), index))
    if not pairs or record.state is KeyState.REVOKED:
        return None
    return Gain(f"key {record.id} ({record.label})", pairs, surely=True)


def _gain_of_bearer(
    who: str, left: tuple[Scope, ...], lost: Scope, partners: Iterable[Scope], index: ModuleIndex
) -> Gain | None:
    """The gain of a bearer with these scopes left, and any of the partners besides.

    One partner at a time is enough to find every pair: more of them only deny more.
    """
    if lost.mode is not Mode.DENY:
        return None
    surely = _gained(left, (), lost, index)
    pairs = _union([surely, *(_gained(left, (one,), lost, index) for one in partners if one.id != lost.id)])
    return Gain(who, _named(pairs), surely=pairs == surely) if len(pairs) else None


def _gained(left: tuple[Scope, ...], more: tuple[Scope, ...], lost: Scope, index: ModuleIndex) -> Pairs:
    after = (*left, *more)
    return Pairs.between(Rights.of((*after, lost), index), Rights.of(after, index), index)


def _union(found: Sequence[Pairs]) -> Pairs:
    masks = [0] * len(Action)
    for pairs in found:
        masks = [mask | more for mask, more in zip(masks, pairs.masks, strict=True)]
    return Pairs(tuple(masks), found[0].index)


def _shown(member: MemberUse) -> str:
    return f"{member.kind} {member.name}"


def _named(pairs: Pairs) -> tuple[str, ...]:
    names = [f"{action.word} {module}" for action, module in pairs.named()]
    return (*names, *(f"{action.word} any other module" for action in pairs.of_later()))
