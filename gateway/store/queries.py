"""The questions in SQL, made once, and the rows of their answers as the house's nouns."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Row, Select, and_, bindparam, func, or_, select

from gateway.domain.key import KeyRecord, KeyState
from gateway.domain.key_entry import KeyEntry, SecretEntry
from gateway.domain.scope import Mode, ModuleSet, Scope
from gateway.domain.scope_use import MemberKind, MemberUse
from gateway.store.membership import Membership
from gateway.store.schema import api_keys, audit, changes, key_scopes, key_secrets, members, scopes

Rows = Sequence[Row[Any]]

MOST_SHARED: Final = 4096
"""How many scopes, and how many sets of them, are one object for all callers that have the same."""

_SCOPE: Final = (
    scopes.c.id.label("scope_id"),
    scopes.c.name,
    scopes.c.label.label("scope_label"),
    scopes.c.mode,
    scopes.c.create_modules,
    scopes.c.read_modules,
    scopes.c.update_modules,
    scopes.c.delete_modules,
    scopes.c.bypass_enabled_flag,
    scopes.c.locked,
)
_KEY: Final = (
    api_keys.c.id,
    api_keys.c.label,
    api_keys.c.state,
    api_keys.c.on_trial,
    api_keys.c.expires_at,
)
_WITH_SCOPES: Final = api_keys.outerjoin(key_scopes, key_scopes.c.key_id == api_keys.c.id).outerjoin(
    scopes, scopes.c.id == key_scopes.c.scope_id
)

ALL_SCOPES: Final[Select[Any]] = select(*_SCOPE).order_by(scopes.c.name)
SCOPE_BY_NAME: Final[Select[Any]] = select(*_SCOPE).where(scopes.c.name == bindparam("name"))
SCOPE_BY_ID: Final[Select[Any]] = select(*_SCOPE).where(scopes.c.id == bindparam("id"))
SCOPES_NAMED: Final[Select[Any]] = select(*_SCOPE).where(
    scopes.c.name.in_(bindparam("names", expanding=True))
)

KEY_BY_DIGEST: Final[Select[Any]] = (
    select(*_KEY, key_secrets.c.expires_at.label("secret_expires_at"), key_scopes.c.trial, *_SCOPE)
    .select_from(_WITH_SCOPES.join(key_secrets, key_secrets.c.key_id == api_keys.c.id))
    .where(key_secrets.c.digest == bindparam("digest"))
    .order_by(scopes.c.name)
)
"""A key with all its scopes in one round trip: a row a scope, or one row without any."""

_ENTRIES: Final[Select[Any]] = (
    select(
        *_KEY,
        api_keys.c.created_at,
        api_keys.c.last_used_at,
        api_keys.c.full_access_after,
        key_scopes.c.trial,
        *_SCOPE,
    )
    .select_from(_WITH_SCOPES)
    .order_by(api_keys.c.id, scopes.c.name)
)
_SECRETS: Final[Select[Any]] = select(
    key_secrets.c.key_id, key_secrets.c.id, key_secrets.c.created_at, key_secrets.c.expires_at
).order_by(key_secrets.c.id)

ALL_KEYS: Final = _ENTRIES
ALL_SECRETS: Final = _SECRETS
KEY_BY_ID: Final[Select[Any]] = _ENTRIES.where(api_keys.c.id == bindparam("id"))
SECRETS_OF: Final[Select[Any]] = _SECRETS.where(key_secrets.c.key_id == bindparam("id"))
KNOWN_DIGESTS: Final[Select[Any]] = select(key_secrets.c.digest, key_secrets.c.key_id).where(
    key_secrets.c.digest.in_(bindparam("digests", expanding=True))
)

KEYS_WITH_SCOPE: Final[Select[Any]] = (
    select(api_keys.c.id, api_keys.c.label, key_scopes.c.trial)
    .join(key_scopes, key_scopes.c.key_id == api_keys.c.id)
    .where(key_scopes.c.scope_id == bindparam("id"))
    .order_by(api_keys.c.id, key_scopes.c.trial)
)
MEMBERS_WITH_SCOPE: Final[Select[Any]] = (
    select(members.c.kind, members.c.name)
    .where(members.c.scope_id == bindparam("id"))
    .order_by(members.c.kind, members.c.name)
)

_ONE_OF: Final = or_(
    *(
        and_(members.c.kind == kind, members.c.name.in_(bindparam(kind.value, expanding=True)))
        for kind in MemberKind
    )
)
"""Members by kind and name, each kind with its list: `user`, `role` and `client`."""

SCOPES_OF_MEMBERS: Final[Select[Any]] = select(*_SCOPE).where(
    scopes.c.id.in_(select(members.c.scope_id).where(_ONE_OF))
)
ALL_MEMBERSHIPS: Final[Select[Any]] = select(
    *_SCOPE, members.c.kind, members.c.name.label("member_name")
).join(members, members.c.scope_id == scopes.c.id)
MEMBERSHIPS_OF: Final = ALL_MEMBERSHIPS.where(_ONE_OF)
MEMBERSHIP: Final[Select[Any]] = select(members.c.id).where(
    members.c.scope_id == bindparam("scope_id"),
    members.c.kind == bindparam("kind"),
    members.c.name == bindparam("name"),
)

LATEST_CHANGE: Final[Select[Any]] = select(func.max(changes.c.seq).label("latest"))
_SPAN: Final = select(
    func.min(changes.c.seq).label("first"), func.max(changes.c.seq).label("latest")
).subquery()
CHANGES_AFTER: Final[Select[Any]] = (
    select(_SPAN.c.first, _SPAN.c.latest, changes.c.seq, changes.c.at, changes.c.kind, changes.c.subject)
    .select_from(_SPAN.outerjoin(changes, and_(changes.c.seq > bindparam("seq"))))
    .order_by(changes.c.seq)
)
"""The rows after a number, and the span of those kept, in one statement and so at one moment."""

AUDIT: Final[Select[Any]] = (
    select(audit.c.at, audit.c.actor, audit.c.action, audit.c.subject, audit.c.detail)
    .order_by(audit.c.id.desc())
    .limit(bindparam("limit"))
)


def module_set(text: str) -> ModuleSet:
    """A set as its column keeps it: names separated by a space, or `*`."""
    return ModuleSet.of(text.split())


def scope_of(row: Row[Any]) -> Scope:
    """The scope in a row."""
    return _scope(
        row.scope_id,
        row.name,
        row.scope_label,
        row.mode,
        (row.create_modules, row.read_modules, row.update_modules, row.delete_modules),
        row.bypass_enabled_flag,
        row.locked,
    )


@lru_cache(MOST_SHARED)
def _scope(  # noqa: PLR0913 - one argument a column
    scope_id: int,
    name: str,
    label: str,
    mode: str,
    module_sets: tuple[str, str, str, str],
    bypass_enabled_flag: bool,  # noqa: FBT001 - a column
    locked: bool,  # noqa: FBT001 - a column
) -> Scope:
    """The scope with these columns, read once however many have it: it is most of what a caller takes."""
    create, read, update, delete = map(module_set, module_sets)
    return Scope(scope_id, name, label, Mode(mode), create, read, update, delete, bypass_enabled_flag, locked)


@lru_cache(MOST_SHARED)
def shared(scopes_of: tuple[Scope, ...]) -> tuple[Scope, ...]:
    """These scopes, as the one object that all who have the same hold."""
    return scopes_of


def membership_of(row: Row[Any]) -> Membership:
    """The scope in a row, and who has it."""
    return Membership(scope_of(row), MemberUse(MemberKind(row.kind), row.member_name))


def record_of(rows: Rows, expires_at: float | None) -> KeyRecord:
    """The key that all these rows are of, a row a scope."""
    first = rows[0]
    scopes_of = tuple(scope_of(row) for row in rows if row.trial is not None and not row.trial)
    trial = tuple(scope_of(row) for row in rows if row.trial)
    return KeyRecord(
        id=first.id,
        label=first.label,
        state=KeyState(first.state),
        scopes=shared(scopes_of),
        trial=shared(trial) if first.on_trial else None,
        expires_at=expires_at,
    )


def entry_of(rows: Rows, secrets: Iterable[Row[Any]]) -> KeyEntry:
    """The key that all these rows are of, with its history."""
    first = rows[0]
    return KeyEntry(
        record=record_of(rows, first.expires_at),
        created_at=first.created_at,
        last_used_at=first.last_used_at,
        full_access_after=first.full_access_after,
        secrets=tuple(SecretEntry(row.id, row.created_at, row.expires_at) for row in secrets),
    )
