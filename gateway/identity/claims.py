"""Whom a token's claims speak for, read as the operator says they are laid out; anything odd is a flaw."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeGuard

from gateway.domain.principal import PrincipalKind
from gateway.domain.scope_use import LONGEST_MEMBER
from gateway.domain.token import ScopesFrom, TokenFacts
from gateway.jose.flaw import Check, Flaw

MOST_SHARED: Final = 4096
"""How many words of tokens are held once."""

LONGEST_SHARED: Final = 256

MOST_ROLES: Final = 500

CLIENT: Final = "client_id"
"""The claim that names the client (RFC 9068 §2.2)."""

AUTHORIZED_PARTY: Final = "azp"
"""The claim that names it where an issuer writes no `client_id`."""

ASTRAY: Final = object()
"""What stands at a path that leads through something else than objects: no name, and no list of names."""

BOUND: Final = Flaw(
    Check.CONFIRMATION, "The token is bound to a key of its holder's, and is no bearer token (RFC 7800)."
)


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Which claims hold what, and what is put before the names found there."""

    issuer: str
    user: str = "sub"
    roles: str = "roles"
    client: str = CLIENT
    scope: str = "scope"
    prefix: str = ""
    scopes_from: ScopesFrom = ScopesFrom.MEMBERS


def facts_in(claims: Mapping[str, object], names: ClaimNames, expires_at: float) -> TokenFacts | Flaw:
    """What verified claims say of the bearer, or the first claim that cannot be believed.

    A client speaks for itself where the token names no user and has no subject, or one that is the client
    (RFC 9068 §2.2). A token of a user that lacks the configured claim is nobody's: least of all its client's.
    Roles and scopes that many tokens name are held once.
    """
    if "cnf" in claims:
        return BOUND
    longest = LONGEST_MEMBER - len(names.prefix)
    client = _name(claims, names.client, longest)
    if client is None and names.client == CLIENT:
        client = _name(claims, AUTHORIZED_PARTY, longest)
    user, subject = _name(claims, names.user, longest), _name(claims, "sub", longest)
    roles, scopes = _names(claims, names.roles, longest), _values(claims, names.scope)
    for found in (client, user, subject, roles, scopes):
        if isinstance(found, Flaw):
            return found
    itself = client is not None and (subject == client or (subject is None and user is None))
    name = client if itself else user
    if not isinstance(name, str) or not isinstance(roles, tuple) or not isinstance(scopes, tuple):
        return Flaw(Check.CLAIMS, f"The token has no claim '{names.user}', which names the user.")
    return TokenFacts(
        PrincipalKind.CLIENT if itself else PrincipalKind.USER,
        names.prefix + name,
        names.issuer,
        tuple(_shared(names.prefix + role) for role in roles),
        scopes,
        names.scopes_from,
        expires_at,
    )


@lru_cache(MOST_SHARED)
def _one_for_all(word: str) -> str:
    return word


def _shared(word: str) -> str:
    """The word as the one object that stands for all that are equal to it, as far as it came lately."""
    return _one_for_all(word) if len(word) <= LONGEST_SHARED else word


def _at(claims: Mapping[str, object], path: str) -> object:
    """The claim called so, or else the one at the dotted path; None without one."""
    if path in claims:
        return claims[path]
    found: object = claims
    for step in path.split("."):
        if found is None:
            return None
        if not isinstance(found, Mapping):
            return ASTRAY
        found = found.get(step)
    return found


def _name(claims: Mapping[str, object], path: str, longest: int) -> str | Flaw | None:
    name = _at(claims, path)
    if name is None or _nameable(name, longest):
        return name
    return _odd(path, f"a name of printable characters, {longest} at most")


def _nameable(name: object, longest: int) -> TypeGuard[str]:
    """Whether somebody can be called so, and be a member of a scope under that name."""
    return isinstance(name, str) and len(name) <= longest and name.isprintable() and name.strip() != ""


def _names(claims: Mapping[str, object], path: str, longest: int) -> tuple[str, ...] | Flaw:
    """A list of names, or a single one."""
    found = _at(claims, path)
    listed = [] if found is None else [found] if isinstance(found, str) else found
    if not isinstance(listed, list) or not all(_nameable(name, longest) for name in listed):
        return _odd(path, f"a list of names of printable characters, {longest} at most")
    if len(listed) > MOST_ROLES:
        return _odd(path, f"a list of at most {MOST_ROLES} names")
    return tuple(dict.fromkeys(listed))


def _values(claims: Mapping[str, object], path: str) -> tuple[str, ...] | Flaw:
    """The values of a scope claim: a text with spaces (RFC 8693 §4.2), or a list, as some issuers write."""
    found = _at(claims, path)
    listed = [] if found is None else found.split(" ") if isinstance(found, str) else found
    if not isinstance(listed, list) or not all(isinstance(value, str) for value in listed):
        return _odd(path, "a text of scopes, or a list of them")
    return tuple(dict.fromkeys(_shared(value) for value in listed if value))


def _odd(path: str, wanted: str) -> Flaw:
    return Flaw(Check.CLAIMS, f"The token's claim '{path}' is not {wanted}.")
