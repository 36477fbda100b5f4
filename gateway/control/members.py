"""Members: the users, roles and OAuth2 clients that have API Scopes by a bearer token (CONTRACT 2)."""

from collections.abc import Collection
from dataclasses import dataclass

from gateway.control.refused import UnknownError
from gateway.control.scopes import scope_called
from gateway.control.widening import DENYING, BearerTerms, gains_without, refuse_widening
from gateway.control.words import member_name_of
from gateway.document.problem import nearest
from gateway.domain.scope import Mode, Scope
from gateway.domain.scope_use import MemberUse
from gateway.store.membership import Membership
from gateway.store.questions import Questions
from gateway.store.store import Store


@dataclass(frozen=True, slots=True)
class MemberChange:
    """Who has, or had, which scope; whether that was news; and what its operator should know."""

    membership: Membership
    changed: bool = True
    warnings: tuple[str, ...] = ()


async def list_members(
    store: Questions, reference: str | None = None, members: Collection[MemberUse] = ()
) -> list[Membership]:
    """Who has which scope: all, those of one scope, those of some members. Raises RefusedError."""
    wanted = [_checked(member) for member in members]
    scope = None if reference is None else await scope_called(store, reference)
    found = await store.memberships(wanted or None)
    return [row for row in found if scope is None or row.scope.id == scope.id]


async def add_member(store: Store, actor: str, reference: str, member: MemberUse) -> MemberChange:
    """Give a user, a role or a client a scope; who has it already keeps it. Raises RefusedError."""
    _checked(member)
    async with store.writing(actor) as writing:
        scope = await scope_called(writing, reference)
        membership = Membership(scope, member)
        if await writing.has_scope(member, scope.id):
            return MemberChange(membership, changed=False)
        own = await writing.scopes_of_members([member])
        await writing.add_member(scope.id, member)
        await writing.record("member.add", _subject(member), _detail(scope))
    return MemberChange(membership, warnings=_warnings(member, scope, own))


async def remove_member(  # noqa: PLR0913 - two of them say how far the operator means to go
    store: Store,
    actor: str,
    reference: str,
    member: MemberUse,
    *,
    widens: bool = False,
    terms: BearerTerms = DENYING,
) -> MemberChange:
    """Take a scope from a user, a role or a client.

    Raises RefusedError: for who does not have it, and, unless `widens`, where somebody may do more by it.
    """
    _checked(member)
    async with store.writing(actor) as writing:
        scope = await scope_called(writing, reference)
        if not await writing.has_scope(member, scope.id):
            raise await _no_member(writing, scope, member)
        gains = await gains_without(writing, scope, (), [member], terms)
        refuse_widening(f"Taking {scope.name!r} from {_shown(member)}", gains, meant=widens)
        await writing.remove_member(scope.id, member)
        gained = [gain.sentence for gain in gains]
        await writing.record("member.remove", _subject(member), {**_detail(scope), "widens": gained})
    return MemberChange(Membership(scope, member), warnings=tuple(f"Now {gain}." for gain in gained))


def described(membership: Membership) -> dict[str, object]:
    """A membership for programs."""
    scope, member = membership.scope, membership.member
    return {"scope": scope.name, "scope_id": scope.id, "kind": member.kind, "name": member.name}


def _checked(member: MemberUse) -> MemberUse:
    member_name_of(member.kind, member.name)
    return member


async def _no_member(store: Questions, scope: Scope, member: MemberUse) -> UnknownError:
    rows = (await store.use_of(scope.id)).members
    names = [row.name for row in rows if row.kind is member.kind]
    return UnknownError(
        f"The {_shown(member)} does not have the scope {scope.name!r}.",
        hint=nearest(member.name, names, what="those who have it"),
    )


def _warnings(member: MemberUse, scope: Scope, own: Collection[Scope]) -> tuple[str, ...]:
    warned = []
    if scope.mode is Mode.DENY and not any(other.mode is Mode.DENY for other in own):
        warned.append(
            f"{scope.name!r} is a deny scope: the {_shown(member)} may do everything that no scope denies."
        )
    if member.name != member.name.strip():
        warned.append("The name begins or ends with a space; names are compared exactly.")
    return tuple(warned)


def _shown(member: MemberUse) -> str:
    return f"{member.kind} {member.name}"


def _subject(member: MemberUse) -> str:
    return f"{member.kind}:{member.name}"


def _detail(scope: Scope) -> dict[str, object]:
    return {"scope": scope.name, "scope_id": scope.id}
