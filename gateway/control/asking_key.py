"""An API key as the one who asks: its scopes, and the commands that change them."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.decision.explain import Edit, EditKind
from gateway.decision.holding import Holding, Side
from gateway.domain.key import KeyState
from gateway.domain.key_entry import KeyEntry
from gateway.domain.principal import Principal
from gateway.domain.rights import ModuleIndex
from gateway.domain.scope import Scope
from gateway.domain.scope_use import ScopeUse
from gateway.domain.verdict import Reason, Refusal
from gateway.identity.proof import KeyProof
from gateway.store.questions import Questions


@dataclass(frozen=True, slots=True)
class AskingKey:
    """A key, whose secret nobody needs to explain what it may do. See `Asker`."""

    entry: KeyEntry

    @property
    def called(self) -> str:
        """See Asker."""
        return f"key {self.entry.record.id}"

    def principal(self, index: ModuleIndex) -> Principal:
        """See Asker."""
        return KeyProof(self.entry.record).principal(index)

    def refusal(self, now: float) -> Refusal | None:
        """See Asker."""
        record = self.entry.record
        if record.state is not KeyState.ACTIVE:
            return Refusal(Reason.CREDENTIAL_REVOKED, f"Key {record.id} is {record.state}.")
        if record.expires_at is not None and record.expires_at <= now:
            return Refusal(Reason.CREDENTIAL_EXPIRED, f"Key {record.id} has expired.")
        if not self.entry.has_live_secret(now):
            return Refusal(Reason.CREDENTIAL_EXPIRED, f"Every secret of key {record.id} has expired.")
        return None

    async def holdings(self, store: Questions, *, permitted: bool) -> tuple[Holding, ...]:
        """See Asker."""
        del permitted
        scopes = self.entry.record.scopes
        shared = [scope.id for scope in scopes if self.others(await store.use_of(scope.id))]
        return (Holding(scopes, shared=frozenset(shared)),)

    def others(self, use: ScopeUse) -> ScopeUse:
        """See Asker."""
        mine = self.entry.record.id
        return ScopeUse(tuple(key for key in use.keys if key.key_id != mine), use.members)

    def holders(self, scope: Scope) -> str:
        """See Asker."""
        del scope
        return self.called

    def sources(self, scope: Scope, side: Side) -> tuple[str, ...]:
        """See Asker."""
        del scope, side
        return (self.called,)

    def commands(self, edits: Sequence[Edit], *, permitted: bool) -> list[str]:
        """See Asker. A key has its scopes by one command, which lists them all."""
        del permitted
        before = [scope.name for scope in self.entry.record.scopes]
        after = _names_after(before, edits)
        if after == before:
            return []
        given = [f"--scope {name}" for name in after]
        return [" ".join(["gateway keys update", str(self.entry.record.id), *given])]

    def also_touched(self, edit: Edit) -> str:
        """See Asker."""
        del edit
        return ""


def _names_after(names: Sequence[str], edits: Sequence[Edit]) -> list[str]:
    """The names of the key's scopes once the edits are made."""
    after = list(names)
    for edit in edits:
        if edit.kind in {EditKind.UNASSIGN, EditKind.CLONE}:
            after.remove(edit.scope.name)
        if edit.kind in {EditKind.ASSIGN, EditKind.CLONE, EditKind.CREATE} and edit.after is not None:
            after.append(edit.after.name)
    return after
