"""API keys: issued, changed, rotated and taken out of use by operators."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from gateway.control.refused import InvalidError, StateError, UnknownError
from gateway.control.scopes import scopes_called
from gateway.control.words import label_of
from gateway.domain.key import KeyState
from gateway.domain.key_entry import KeyEntry
from gateway.domain.key_format import digest, new_key
from gateway.domain.scope import Scope
from gateway.store.questions import Questions
from gateway.store.store import Store
from gateway.store.writing import Writing

WITHOUT_SCOPE: Final = "A key needs at least one scope; without one it could do nothing."


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key with its new secret, which is in no other place: it does not print, and is to be shown once."""

    entry: KeyEntry
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyEdit:
    """What is to be different about a key; None leaves a part as it is.

    `expires` holds the new expiry, itself None for never. `trial` is the set to watch, `ends_trial` ends it.
    """

    label: str | None = None
    scopes: Collection[str] | None = None
    trial: Collection[str] | None = None
    ends_trial: bool = False
    expires: tuple[float | None] | None = None

    def __bool__(self) -> bool:
        parts = (self.label, self.scopes, self.trial, self.expires)
        return self.ends_trial or any(part is not None for part in parts)


async def key_numbered(store: Questions, key_id: int) -> KeyEntry:
    """The key with that id. Raises UnknownError."""
    entry = await store.key_with_id(key_id)
    if entry is None:
        raise UnknownError(f"There is no key {key_id}.", hint="`gateway keys list` shows those there are")
    return entry


async def create_key(
    store: Store, actor: str, label: str, scopes: Iterable[str], expires_at: float | None = None
) -> IssuedKey:
    """A new key with its secret. Raises RefusedError, as for a key without a scope."""
    label_of(label)
    async with store.writing(actor) as writing:
        granted = await _at_least_one(writing, scopes)
        key_id = await writing.add_key(label, expires_at)
        secret = await _issue(writing, key_id)
        await writing.set_scopes(key_id, [scope.id for scope in granted])
        detail = {"label": label, "scopes": _names(granted), "expires_at": expires_at}
        await writing.record("key.create", f"key:{key_id}", detail)
        return IssuedKey(await key_numbered(writing, key_id), secret)


async def rotate_key(store: Store, actor: str, key_id: int, overlap: float) -> IssuedKey:
    """A new secret for a key; those it has end after `overlap` seconds. Raises RefusedError."""
    async with store.writing(actor) as writing:
        await _not_revoked(writing, key_id, "rotated")
        await writing.end_secrets(key_id, writing.now + overlap)
        secret = await _issue(writing, key_id)
        await writing.record("key.rotate", f"key:{key_id}", {"overlap_seconds": overlap})
        return IssuedKey(await key_numbered(writing, key_id), secret)


async def update_key(store: Store, actor: str, key_id: int, edit: KeyEdit) -> KeyEntry:
    """A changed key. Raises RefusedError."""
    if not edit:
        raise InvalidError("Nothing to change was given.")
    if edit.trial is not None and edit.ends_trial:
        raise InvalidError("A trial cannot be set and ended at once.")
    async with store.writing(actor) as writing:
        before = await _not_revoked(writing, key_id, "changed")
        await _apply(writing, before, edit)
        after = await key_numbered(writing, key_id)
        await writing.record(
            "key.update", f"key:{key_id}", {"before": described(before), "after": described(after)}
        )
        return after


async def adopt_trial(store: Store, actor: str, key_id: int) -> KeyEntry:
    """Make a key's trial set its scopes, and end the trial. Raises RefusedError."""
    async with store.writing(actor) as writing:
        before = await _not_revoked(writing, key_id, "changed")
        trial = before.record.trial
        if trial is None:
            raise StateError(f"Key {key_id} has no trial set.", hint="begin one with --trial")
        if not trial:
            raise StateError(f"The trial set of key {key_id} is empty. {WITHOUT_SCOPE}")
        await writing.set_scopes(key_id, [scope.id for scope in trial])
        await writing.set_trial(key_id, None)
        detail = {"before": _names(before.record.scopes), "after": _names(trial)}
        await writing.record("key.adopt", f"key:{key_id}", detail)
        return await key_numbered(writing, key_id)


async def disable_key(store: Store, actor: str, key_id: int) -> KeyEntry:
    """Refuse a key until it is enabled again. Raises RefusedError for a revoked one."""
    return await _turn(store, actor, key_id, KeyState.DISABLED)


async def enable_key(store: Store, actor: str, key_id: int) -> KeyEntry:
    """Accept a disabled key again. Raises RefusedError for a revoked one."""
    return await _turn(store, actor, key_id, KeyState.ACTIVE)


async def revoke_key(store: Store, actor: str, key_id: int) -> KeyEntry:
    """Refuse a key for good. Raises UnknownError."""
    return await _turn(store, actor, key_id, KeyState.REVOKED)


def described(entry: KeyEntry) -> dict[str, object]:
    """A key for programs and for the audit: everything but its secrets, which nobody has."""
    record = entry.record
    return {
        "id": record.id,
        "label": record.label,
        "state": record.state,
        "scopes": _names(record.scopes),
        "trial": None if record.trial is None else _names(record.trial),
        "created_at": entry.created_at,
        "expires_at": record.expires_at,
        "last_used_at": entry.last_used_at,
        "full_access_after": entry.full_access_after,
        "secrets": [
            {"id": secret.id, "created_at": secret.created_at, "expires_at": secret.expires_at}
            for secret in entry.secrets
        ],
    }


def warnings_about(entry: KeyEntry) -> list[str]:
    """What an operator who looks at a key should be told, for as long as it is so."""
    record, warned = entry.record, []
    if entry.full_access_after is not None:
        warned.append(
            f"Key {record.id} has full access since the scope {entry.full_access_after!r} was deleted; "
            f"choose its scopes with `gateway keys update {record.id} --scope …`."
        )
    if not record.scopes and record.state is not KeyState.REVOKED:
        warned.append(
            f"Key {record.id} has no scope and is refused; give it one with "
            f"`gateway keys update {record.id} --scope …`."
        )
    return warned


async def _apply(writing: Writing, before: KeyEntry, edit: KeyEdit) -> None:
    key_id = before.record.id
    if edit.label is not None:
        await writing.set_label(key_id, label_of(edit.label))
    if edit.scopes is not None:
        granted = await _at_least_one(writing, edit.scopes)
        await writing.set_scopes(key_id, [scope.id for scope in granted])
    if edit.trial is not None:
        watched = await _at_least_one(writing, edit.trial)
        await writing.set_trial(key_id, [scope.id for scope in watched])
    if edit.ends_trial:
        if before.record.trial is None:
            raise StateError(f"Key {key_id} has no trial set to end.")
        await writing.set_trial(key_id, None)
    if edit.expires is not None:
        await writing.set_expiry(key_id, edit.expires[0])


async def _turn(store: Store, actor: str, key_id: int, state: KeyState) -> KeyEntry:
    async with store.writing(actor) as writing:
        entry = await key_numbered(writing, key_id)
        before = entry.record.state
        if before is state:
            return entry
        if before is KeyState.REVOKED:
            raise StateError(f"Key {key_id} is revoked for good.", hint="create a new key")
        await writing.set_state(key_id, state)
        await writing.record("key.state", f"key:{key_id}", {"before": before, "after": state})
        return await key_numbered(writing, key_id)


async def _not_revoked(writing: Writing, key_id: int, done: str) -> KeyEntry:
    entry = await key_numbered(writing, key_id)
    if entry.record.state is KeyState.REVOKED:
        raise StateError(f"Key {key_id} is revoked for good and cannot be {done}.", hint="create a new key")
    return entry


async def _issue(writing: Writing, key_id: int) -> str:
    secret = new_key(key_id)
    await writing.add_secret(key_id, digest(secret.encode("ascii")))
    return secret


async def _at_least_one(store: Questions, references: Iterable[str]) -> list[Scope]:
    scopes = await scopes_called(store, references)
    if not scopes:
        raise InvalidError(WITHOUT_SCOPE, hint="`gateway scopes list` shows those there are")
    return scopes


def _names(scopes: Iterable[Scope]) -> list[str]:
    return [scope.name for scope in scopes]
