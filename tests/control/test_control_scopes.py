"""API Scopes as operators manage them."""

import pytest

from gateway.control.keys import KeyEdit, create_key, key_numbered, update_key, warnings_about
from gateway.control.refused import (
    InUseError,
    InvalidError,
    LockedError,
    RefusedError,
    TakenError,
    UnknownError,
)
from gateway.control.scopes import (
    Fallback,
    ScopeEdit,
    clone_scope,
    create_scope,
    delete_scope,
    scope_called,
    update_scope,
)
from gateway.domain.action import Action
from gateway.domain.scope import Mode, ModuleSet
from gateway.domain.scope_use import MemberKind, MemberUse
from gateway.store.store import Store

MODULES = frozenset({"courses", "bookings", "users"})


async def website(store: Store, name: str = "website", **edit: object) -> None:
    await create_scope(store, "ada", name, ScopeEdit(modules={Action.READ: ["courses"]}, **edit), MODULES)  # type: ignore[arg-type] # parts of an edit


async def names_of(store: Store, key_id: int) -> list[str]:
    return [scope.name for scope in (await key_numbered(store, key_id)).record.scopes]


async def test_a_scope_is_made_as_it_was_asked_for_and_audited(store: Store) -> None:
    edit = ScopeEdit("No deletion", Mode.DENY, {Action.DELETE: ["*"], Action.READ: ["users"]}, True)  # noqa: FBT003 - the flag
    made = (await create_scope(store, "ada", "careful", edit, MODULES)).scope
    assert made == await scope_called(store, "careful") == await scope_called(store, str(made.id))
    assert (made.label, made.mode, made.bypass_enabled_flag, made.locked) == (
        "No deletion",
        Mode.DENY,
        True,
        False,
    )
    assert (made.delete, made.read, made.create) == (
        ModuleSet.of(["*"]),
        ModuleSet.of(["users"]),
        ModuleSet(),
    )
    entry = (await store.audit())[0]
    assert (entry.actor, entry.action, entry.subject) == ("ada", "scope.create", "scope:careful")
    assert entry.detail["delete"] == ["*"]


@pytest.mark.parametrize("name", ["", "Website", "-x", "a b", "a" * 65, "ünï", "a\n", "../etc", "*", "a,b"])
async def test_a_name_that_breaks_the_rule_is_refused(store: Store, name: str) -> None:
    with pytest.raises(InvalidError, match="cannot name a scope"):
        await website(store, name)
    with pytest.raises(InvalidError, match="cannot name a scope"):
        await clone_scope(store, "ada", "api-v2", name)


@pytest.mark.parametrize("label", ["", "   ", "x" * 201, "a\tb", "a\nb", "\x1b[2J", "a\u200bb", "\udcff"])
async def test_a_label_that_breaks_the_rule_is_refused(store: Store, label: str) -> None:
    with pytest.raises(InvalidError, match="label"):
        await website(store, label=label)


async def test_labels_of_every_script_and_of_the_longest_length_are_kept(store: Store) -> None:
    for number, label in enumerate(["Интеграция сайта 🌍", "x" * 200, "a'; DROP TABLE scopes; --", "%s {}"]):
        await website(store, f"s{number}", label=label)
        assert (await scope_called(store, f"s{number}")).label == label


async def test_every_unknown_module_is_told_with_its_nearest_known_one(store: Store) -> None:
    edit = ScopeEdit("", modules={Action.READ: ["coures", "users"], Action.DELETE: ["zzz"]})
    with pytest.raises(InvalidError) as refused:
        await create_scope(store, "ada", "website", edit, MODULES)
    told = "\n".join(refused.value.sentences)
    assert "did you mean courses?" in told
    assert "'zzz'" in told
    assert "label is empty" in told
    assert await store.scope_named("website") is None
    assert await store.audit() == []


async def test_a_taken_name_is_refused(store: Store) -> None:
    await website(store)
    for attempt in (website(store), clone_scope(store, "ada", "power-bi", "website")):
        with pytest.raises(TakenError):
            await attempt


async def test_an_unknown_scope_is_refused_with_the_nearest(store: Store) -> None:
    with pytest.raises(UnknownError) as refused:
        await scope_called(store, "power-bl")
    assert refused.value.hint == "did you mean power-bi?"
    for odd in ("", "0", "9" * 40, "²", "-1", "x" * 9999):
        with pytest.raises(UnknownError):
            await scope_called(store, odd)


async def test_an_update_replaces_the_sets_it_names_and_leaves_the_rest(store: Store) -> None:
    await website(store)
    after = await update_scope(
        store, "ada", "website", ScopeEdit(modules={Action.UPDATE: ["users"]}), MODULES
    )
    assert (after.scope.read, after.scope.update) == (ModuleSet.of(["courses"]), ModuleSet.of(["users"]))
    emptied = await update_scope(
        store, "ada", "website", ScopeEdit(modules={Action.READ: [], Action.UPDATE: []}), MODULES
    )
    assert (emptied.scope.read, emptied.scope.update) == (ModuleSet(), ModuleSet())
    assert "allows nothing" in emptied.warnings[0]


async def test_an_update_of_nothing_is_refused(store: Store) -> None:
    await website(store)
    with pytest.raises(InvalidError, match="Nothing to change"):
        await update_scope(store, "ada", "website", ScopeEdit(), MODULES)


async def test_a_module_that_is_no_longer_mapped_is_kept_with_a_warning(store: Store) -> None:
    await website(store)
    edit = ScopeEdit(label="Site", modules={Action.READ: ["courses", "users"]})
    saved = await update_scope(store, "ada", "website", edit, frozenset({"users"}))
    assert saved.scope.read == ModuleSet.of(["courses", "users"])
    assert "'courses'" in saved.warnings[0]
    edit = ScopeEdit(modules={Action.READ: ["bookings"]})
    with pytest.raises(InvalidError):
        await update_scope(store, "ada", "website", edit, frozenset({"users"}))


async def test_standard_scopes_are_neither_edited_nor_deleted(store: Store) -> None:
    for name in ("api-v2", "power-bi", "mailchimp", "10000"):
        with pytest.raises(LockedError):
            await update_scope(store, "ada", name, ScopeEdit(label="mine"), MODULES)
        with pytest.raises(LockedError):
            await delete_scope(store, "ada", name, Fallback.DENY)
    assert len(await store.scopes()) == 3


async def test_the_clone_of_a_standard_scope_is_ones_own(store: Store) -> None:
    clone = (await clone_scope(store, "ada", "power-bi", "reports")).scope
    assert (clone.locked, clone.read, clone.label) == (False, ModuleSet.of(["*"]), "Copy of Power BI")
    await update_scope(store, "ada", "reports", ScopeEdit(label="Reports"), MODULES)
    await delete_scope(store, "ada", "reports")
    assert len(await store.scopes()) == 3


async def test_a_scope_in_use_is_not_deleted_and_all_its_users_are_named(store: Store) -> None:
    await website(store)
    await create_key(store, "ada", "Shop", ["website"])
    other = await create_key(store, "ada", "Watch", ["power-bi"])
    await update_key(store, "ada", other.entry.record.id, KeyEdit(trial=["website"]))
    scope = await scope_called(store, "website")
    async with store.writing("ada") as writing:
        await writing.add_member(scope.id, MemberUse(MemberKind.ROLE, "trainers"))
        await writing.record("member.add", "scope:website")
    with pytest.raises(InUseError) as refused:
        await delete_scope(store, "ada", "website")
    assert "key 1 (Shop), key 2 (Watch, trial), role trainers" in refused.value.sentences[0]
    assert "--fallback" in refused.value.hint


async def test_with_the_fallback_deny_a_key_loses_what_the_scope_gave(store: Store) -> None:
    await website(store)
    alone = (await create_key(store, "ada", "Alone", ["website"])).entry.record.id
    both = (await create_key(store, "ada", "Both", ["website", "power-bi"])).entry.record.id
    gone = await delete_scope(store, "ada", "website", Fallback.DENY)
    assert (await names_of(store, alone), await names_of(store, both)) == ([], ["power-bi"])
    assert gone.given_full_access == ()
    assert gone.warnings == (f"Key {alone} has no scope now and is refused.",)
    assert "no scope" in warnings_about(await key_numbered(store, alone))[0]


async def test_with_the_fallback_full_access_a_key_left_with_nothing_may_do_everything(store: Store) -> None:
    await website(store)
    alone = (await create_key(store, "ada", "Alone", ["website"])).entry.record.id
    both = (await create_key(store, "ada", "Both", ["website", "power-bi"])).entry.record.id
    gone = await delete_scope(store, "ada", "website", Fallback.FULL_ACCESS)
    assert gone.given_full_access == (alone,)
    assert (await names_of(store, alone), await names_of(store, both)) == (["api-v2"], ["power-bi"])
    assert "full access" in gone.warnings[0]
    audited = [(entry.action, entry.subject) for entry in await store.audit()]
    assert ("key.full-access", f"key:{alone}") in audited
    assert ("scope.delete", "scope:website") in audited
    assert "'website'" in warnings_about(await key_numbered(store, alone))[0]
    assert warnings_about(await key_numbered(store, both)) == []


async def test_the_warning_about_full_access_stays_until_somebody_chooses_the_scopes(store: Store) -> None:
    await website(store)
    key_id = (await create_key(store, "ada", "Alone", ["website"])).entry.record.id
    await delete_scope(store, "ada", "website", Fallback.FULL_ACCESS)
    await update_key(store, "ada", key_id, KeyEdit(label="Other"))
    assert warnings_about(await key_numbered(store, key_id))
    await update_key(store, "ada", key_id, KeyEdit(scopes=["api-v2"]))
    assert warnings_about(await key_numbered(store, key_id)) == []


async def test_a_refused_change_leaves_no_trace(store: Store) -> None:
    await website(store)
    before = (await store.latest_change(), len(await store.audit()))
    attempts = [
        website(store),
        update_scope(store, "ada", "nobody", ScopeEdit(label="x"), MODULES),
        delete_scope(store, "ada", "api-v2"),
    ]
    for attempt in attempts:
        with pytest.raises(RefusedError):
            await attempt
    assert (await store.latest_change(), len(await store.audit())) == before
