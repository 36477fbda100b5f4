"""The principal that a proven bearer token amounts to: its facts, with the API Scopes of its bearer."""

from typing import Final
from urllib.parse import quote

from gateway.domain.principal import Principal, PrincipalKind
from gateway.domain.rights import ModuleIndex
from gateway.domain.scope import Scope
from gateway.domain.scope_use import MemberKind, MemberUse
from gateway.domain.token import ScopesFrom, TokenFacts, WithoutScope

PLAIN: Final = "!#$&'()*+,/:;=?@[]^`{|}~"
"""What stands for itself in a principal's name, beside letters, digits and `_.-~`; all else is escaped."""

_MEMBER_KIND: Final = {PrincipalKind.USER: MemberKind.USER, PrincipalKind.CLIENT: MemberKind.CLIENT}


def members_of(facts: TokenFacts) -> tuple[MemberUse, ...]:
    """The user or client a token speaks for, and its roles: those whose API Scopes it has."""
    bearer = MemberUse(_MEMBER_KIND[facts.kind], facts.name)
    return (bearer, *(MemberUse(MemberKind.ROLE, role) for role in dict.fromkeys(facts.roles)))


def principal_of_bearer(  # noqa: PLR0913 - one argument a fact, all of them needed together
    facts: TokenFacts,
    member_scopes: tuple[Scope, ...],
    token_scopes: tuple[Scope, ...],
    index: ModuleIndex,
    without_scope: WithoutScope,
    full_access: Scope | None,
) -> Principal:
    """The principal of a token's bearer, compiled against the mapped modules.

    `member_scopes` are those of the bearer and its roles, `token_scopes` those that the token names. Only a
    user without any of the former can have `full_access` instead: a token that names no API Scope was given
    none, and a client is no user.
    """
    if not member_scopes and _has_it_all(facts, without_scope) and full_access is not None:
        member_scopes = (full_access,)
    scopes = token_scopes if facts.scopes_from is ScopesFrom.TOKEN else member_scopes
    named = token_scopes if facts.scopes_from is ScopesFrom.BOTH else None
    return Principal(
        facts.kind,
        f"{facts.kind}:{shown(facts.name)}",
        facts.name,
        scopes,
        index.rights_of(scopes) if named is None else index.rights_of(scopes, named),
        token_scopes=named,
    )


def shown(name: str) -> str:
    """A name as logs and feeds are told it: printable ASCII, the rest percent-encoded as UTF-8."""
    return quote(name, safe=PLAIN)


def _has_it_all(facts: TokenFacts, without_scope: WithoutScope) -> bool:
    return facts.kind is PrincipalKind.USER and without_scope is WithoutScope.FULL_ACCESS
