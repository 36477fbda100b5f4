"""What every store does, whichever database it is."""

import asyncio
import sys
from collections.abc import Callable

import pytest

from gateway.domain.change import EVERY_SUBJECT, ChangeKind
from gateway.domain.key import KeyState
from gateway.domain.new_key import NewKey
from gateway.domain.scope import Mode, ModuleSet, Scope
from gateway.domain.scope_use import KeyUse, MemberKind, MemberUse, ScopeUse
from gateway.store.opening import open_store
from gateway.store.store import Store

WEBSITE = Scope(
    id=0,
    name="website",
    label="Website Integration",
    mode=Mode.ALLOW,
    read=ModuleSet.of(["courses", "course-dates"]),
    bypass_enabled_flag=True,
)
EVERYONE = ModuleSet.of(["*"])
DIGEST = bytes(range(32))
OTHER_DIGEST = bytes(32)


async def a_key(store: Store, *, digest: bytes = DIGEST, expires_at: float | None = None) -> int:
    async with store.writing("ada") as writing:
        key_id = await writing.add_key("Website", expires_at)
        await writing.add_secret(key_id, digest)
        await writing.set_scopes(key_id, [10_000])
        await writing.record("key.create", f"key:{key_id}")
    return key_id


async def a_scope(store: Store, scope: Scope = WEBSITE) -> Scope:
    async with store.writing("ada") as writing:
        added = await writing.add_scope(scope)
        await writing.record("scope.create", f"scope:{added.name}")
    return added


async def test_the_standard_scopes_are_in_every_store_and_locked(store: Store) -> None:
    contacts = ModuleSet.of(["users", "accounts", "delegates", "bookings"])
    assert await store.scopes() == [
        Scope(10_000, "api-v2", "API v2", Mode.ALLOW, EVERYONE, EVERYONE, EVERYONE, EVERYONE, locked=True),
        Scope(10_002, "mailchimp", "Mailchimp", Mode.ALLOW, read=contacts, locked=True),
        Scope(10_001, "power-bi", "Power BI", Mode.ALLOW, read=EVERYONE, locked=True),
    ]


async def test_a_scope_comes_back_as_it_was_put_on_record(store: Store) -> None:
    added = await a_scope(store)
    assert await store.scope_named("website") == await store.scope_with_id(added.id) == added


async def test_the_ids_of_scopes_never_meet_those_of_standard_ones_and_are_not_used_twice(
    store: Store,
) -> None:
    first = await a_scope(store)
    async with store.writing("ada") as writing:
        await writing.remove_scope(first.id)
        await writing.record("scope.delete", "scope:website")
    assert first.id == 11_000
    assert (await a_scope(store)).id == 11_001


async def test_what_is_not_there_is_none(store: Store) -> None:
    assert await store.scope_named("nobody") is None
    assert await store.key_with_digest(DIGEST) is None
    for number in (0, -1, 17, 2**63 - 1, 2**63, 2**200):
        assert await store.scope_with_id(number) is None
        assert await store.key_with_id(number) is None


async def test_a_key_is_found_by_its_digest_with_its_scopes_and_its_trial(store: Store) -> None:
    website = await a_scope(store)
    key_id = await a_key(store)
    async with store.writing("ada") as writing:
        await writing.set_scopes(key_id, [website.id, 10_001])
        await writing.set_trial(key_id, [10_001])
        await writing.record("key.update", f"key:{key_id}")
    found = await store.key_with_digest(DIGEST)
    assert found is not None
    assert found == (await store.keys())[0].record
    assert [scope.name for scope in found.scopes] == ["power-bi", "website"]
    assert found.scopes[1] == website
    assert [scope.name for scope in found.trial or ()] == ["power-bi"]


async def test_an_empty_trial_set_is_a_trial_and_none_is_none(store: Store) -> None:
    key_id = await a_key(store)
    seen = []
    for trial in ([], None, [10_002]):
        async with store.writing("ada") as writing:
            await writing.set_trial(key_id, trial)
            await writing.record("key.update", f"key:{key_id}")
        found = await store.key_with_digest(DIGEST)
        assert found is not None
        seen.append(found.trial if found.trial is None else [scope.id for scope in found.trial])
    assert seen == [[], None, [10_002]]


async def test_a_key_without_scopes_is_found_without_scopes(store: Store) -> None:
    key_id = await a_key(store)
    async with store.writing("ada") as writing:
        await writing.set_scopes(key_id, [])
        await writing.record("key.update", f"key:{key_id}")
    found = await store.key_with_digest(DIGEST)
    assert found is not None
    assert found.scopes == ()


@pytest.mark.parametrize("state", list(KeyState))
async def test_a_key_is_found_whatever_its_state(store: Store, state: KeyState) -> None:
    key_id = await a_key(store)
    async with store.writing("ada") as writing:
        await writing.set_state(key_id, state)
        await writing.record("key.update", f"key:{key_id}")
    found = await store.key_with_digest(DIGEST)
    assert found is not None
    assert found.state is state


async def test_a_rotated_key_has_two_secrets_and_the_old_one_ends_first(store: Store) -> None:
    key_id = await a_key(store, expires_at=5_000.0)
    async with store.writing("ada") as writing:
        await writing.end_secrets(key_id, 3_000.0)
        await writing.end_secrets(key_id, 4_000.0)
        await writing.add_secret(key_id, OTHER_DIGEST)
        await writing.record("key.rotate", f"key:{key_id}")
    old, new = await store.key_with_digest(DIGEST), await store.key_with_digest(OTHER_DIGEST)
    assert old is not None
    assert new is not None
    assert (old.id, old.expires_at, new.id, new.expires_at) == (key_id, 3_000.0, key_id, 5_000.0)
    entry = await store.key_with_id(key_id)
    assert entry is not None
    assert entry.record.expires_at == 5_000.0
    assert [secret.expires_at for secret in entry.secrets] == [3_000.0, None]
    assert entry.has_live_secret(4_000.0)


async def test_the_owner_of_each_known_digest_is_told(store: Store) -> None:
    key_id = await a_key(store)
    unknown = [number.to_bytes(32, "big") for number in range(1, 1_200)]
    assert await store.owners_of([*unknown, DIGEST]) == {DIGEST: key_id}


async def test_last_use_is_noted_in_batches_and_never_goes_back(store: Store) -> None:
    key_id, other = await a_key(store), await a_key(store, digest=OTHER_DIGEST)
    before = await store.latest_change()
    await store.record_last_use({})
    await store.record_last_use({key_id: 50.0, other: 60.0, 999: 1.0})
    await store.record_last_use({key_id: 40.0, other: 70.0})
    assert [entry.last_used_at for entry in await store.keys()] == [50.0, 70.0]
    assert await store.latest_change() == before


async def test_everyone_who_has_a_scope_is_listed_and_loses_it_with_its_removal(store: Store) -> None:
    scope = await a_scope(store)
    key_id = await a_key(store)
    async with store.writing("ada") as writing:
        await writing.set_scopes(key_id, [scope.id, 10_001])
        await writing.set_trial(key_id, [scope.id])
        await writing.add_member(scope.id, MemberUse(MemberKind.USER, "grace"))
        await writing.add_member(scope.id, MemberUse(MemberKind.ROLE, "trainers"))
        await writing.record("key.update", f"key:{key_id}")
    assert await store.use_of(scope.id) == ScopeUse(
        keys=(KeyUse(key_id, "Website", trial=False), KeyUse(key_id, "Website", trial=True)),
        members=(MemberUse(MemberKind.ROLE, "trainers"), MemberUse(MemberKind.USER, "grace")),
    )
    async with store.writing("ada") as writing:
        await writing.remove_scope(scope.id)
        await writing.record("scope.delete", "scope:website")
    assert not await store.use_of(scope.id)
    found = await store.key_with_digest(DIGEST)
    assert found is not None
    assert ([scope.name for scope in found.scopes], found.trial) == (["power-bi"], ())


async def test_each_change_has_its_row_in_the_feed(store: Store, clock: Callable[[], float]) -> None:
    assert (await store.changes_after(0)).latest == 0
    scope = await a_scope(store)
    key_id = await a_key(store)
    seen = await store.changes_after(0)
    assert [(row.seq, row.at, row.kind, row.subject) for row in seen.rows] == [
        (1, clock(), ChangeKind.SCOPE, str(scope.id)),
        (2, clock(), ChangeKind.KEY, str(key_id)),
    ]
    assert (seen.latest, seen.gap, await store.latest_change()) == (2, False, 2)
    assert (await store.changes_after(2)).rows == ()
    assert [row.seq for row in (await store.changes_after(1)).rows] == [2]


async def test_a_reader_that_missed_rows_is_told_of_the_gap(url: str) -> None:
    async with open_store(url, kept_changes=3) as store:
        for number in range(6):
            await a_key(store, digest=bytes([number]) * 32)
        assert [(await store.changes_after(seq)).gap for seq in range(7)] == [True] * 3 + [False] * 4
        assert (await store.changes_after(0)).latest == 6


async def test_a_reader_from_the_future_is_told_of_the_gap(store: Store) -> None:
    """A store put back from a backup has forgotten numbers that readers have seen."""
    assert (await store.changes_after(5)).gap
    await a_key(store)
    assert (await store.changes_after(5)).gap


async def test_a_change_to_a_thousand_keys_is_one_row(store: Store) -> None:
    async with store.writing("ada") as writing:
        for _ in range(1_000):
            await writing.add_key("imported", None)
        await writing.record("key.import", "key:*")
    assert [(row.kind, row.subject) for row in (await store.changes_after(0)).rows] == [
        (ChangeKind.KEY, EVERY_SUBJECT)
    ]


async def test_what_a_failed_block_wrote_is_undone(store: Store) -> None:
    async def fail_half_way() -> None:
        async with store.writing("ada") as writing:
            await writing.add_scope(WEBSITE)
            await writing.record("scope.create", "scope:website")
            raise LookupError

    with pytest.raises(LookupError):
        await fail_half_way()
    assert await store.scope_named("website") is None
    assert await store.latest_change() == 0
    assert await store.audit() == []


async def test_a_change_without_an_audit_entry_is_undone(store: Store) -> None:
    async def forget_the_audit() -> None:
        async with store.writing("ada") as writing:
            await writing.add_scope(WEBSITE)

    with pytest.raises(RuntimeError, match="audit"):
        await forget_the_audit()
    assert await store.scope_named("website") is None


async def test_the_audit_tells_who_did_what_and_when_newest_first(
    store: Store, clock: Callable[[], float]
) -> None:
    await a_scope(store)
    async with store.writing("grace") as writing:
        await writing.record("scope.view", "scope:website", {"note": "ünïcode", "count": 2})
    newest, oldest = await store.audit()
    assert (newest.actor, newest.action, newest.at) == ("grace", "scope.view", clock())
    assert newest.detail == {"note": "ünïcode", "count": 2}
    assert (oldest.actor, oldest.subject) == ("ada", "scope:website")
    assert len(await store.audit(limit=1)) == 1


async def test_writers_at_the_same_time_queue_and_number_their_changes_without_holes(store: Store) -> None:
    await asyncio.gather(*(a_key(store, digest=bytes([number]) * 32) for number in range(12)))
    seen = await store.changes_after(0)
    assert [row.seq for row in seen.rows] == list(range(1, 13))
    assert len({row.subject for row in seen.rows}) == 12


async def test_readers_do_not_wait_for_a_writer_and_see_nothing_unfinished(store: Store) -> None:
    async with store.writing("ada") as writing:
        await writing.add_scope(WEBSITE)
        await writing.record("scope.create", "scope:website")
        async with asyncio.timeout(2):
            assert await store.scope_named("website") is None
            assert await store.latest_change() == 0
    assert await store.scope_named("website") is not None


OTHER_PROCESS = """
import asyncio, sys
from gateway.store.opening import open_store

async def main():
    async with open_store(sys.argv[1]) as store:
        async with store.writing("other") as writing:
            key_id = await writing.add_key("from elsewhere", None)
            await writing.record("key.create", f"key:{key_id}")

asyncio.run(main())
"""


async def test_what_another_process_writes_is_in_the_next_poll(store: Store, url: str) -> None:
    seen = await store.latest_change()
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", OTHER_PROCESS, url)
    assert await other.wait() == 0
    changes = await store.changes_after(seen)
    assert [(row.kind, row.subject) for row in changes.rows] == [(ChangeKind.KEY, "1")]


async def test_many_keys_are_put_on_record_at_once_each_with_its_own(store: Store) -> None:
    first = await a_key(store)
    new = [
        NewKey(f"key {number}", number.to_bytes(32, "big"), frozenset({10_000, 10_001 + number % 2}), None)
        for number in range(1, 41)
    ]
    async with store.writing("ada") as writing:
        ids = await writing.add_keys(new)
        await writing.record("key.import", "key:*")
    assert ids == list(range(first + 1, first + 41))
    for key_id, key in zip(ids, new, strict=True):
        found = await store.key_with_digest(key.digest)
        assert found is not None
        assert (found.id, found.label) == (key_id, key.label)
        assert {scope.id for scope in found.scopes} == key.scope_ids
    assert await a_key(store, digest=OTHER_DIGEST) == ids[-1] + 1
