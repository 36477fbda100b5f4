"""API keys as operators manage them."""

from typing import Protocol

import pytest

from gateway.control.key_import import import_keys
from gateway.control.keys import (
    IssuedKey,
    KeyEdit,
    adopt_trial,
    create_key,
    described,
    disable_key,
    enable_key,
    key_numbered,
    revoke_key,
    rotate_key,
    update_key,
)
from gateway.control.refused import InvalidError, RefusedError, StateError, UnknownError
from gateway.control.words import expiry_of
from gateway.domain.key import KeyState
from gateway.domain.key_format import digest, new_key, well_formed
from gateway.store.store import Store


class Clock(Protocol):
    """The test's clock (conftest)."""

    time: float


async def a_key(store: Store, *scopes: str, expires_at: float | None = None) -> IssuedKey:
    return await create_key(store, "ada", "Website", scopes or ["power-bi"], expires_at)


async def test_a_key_is_issued_with_its_scopes_and_found_by_its_secret(store: Store) -> None:
    issued = await a_key(store, "power-bi", "mailchimp", "power-bi", "10001")
    assert well_formed(issued.secret.encode())
    assert issued.secret.startswith(f"sg_{issued.entry.record.id}_")
    found = await store.key_with_digest(digest(issued.secret.encode()))
    assert found == issued.entry.record
    assert [scope.name for scope in found.scopes] == ["mailchimp", "power-bi"]


async def test_the_secret_is_nowhere_but_in_the_issued_key(store: Store) -> None:
    issued = await a_key(store)
    rotated = await rotate_key(store, "ada", 1, 0)
    said = repr(issued) + str(issued) + repr(rotated) + repr(await store.keys()) + repr(await store.audit())
    said += repr(described(rotated.entry))
    for secret in (issued.secret, rotated.secret):
        assert secret not in said
        assert secret[5:] not in said


async def test_a_key_without_a_scope_is_refused(store: Store) -> None:
    with pytest.raises(InvalidError, match="at least one scope"):
        await create_key(store, "ada", "Website", [])
    assert await store.keys() == []


async def test_every_unknown_scope_is_told_with_its_nearest(store: Store) -> None:
    with pytest.raises(UnknownError) as refused:
        await a_key(store, "power-bl", "power-bi", "mailchump")
    assert [sentence.rpartition("; ")[2] for sentence in refused.value.sentences]
    assert "did you mean power-bi?" in refused.value.sentences[0]
    assert "did you mean mailchimp?" in refused.value.sentences[1]
    assert await store.keys() == []


async def test_a_rotation_lets_the_old_secret_live_for_the_overlap(store: Store, clock: Clock) -> None:
    first = await a_key(store)
    second = await rotate_key(store, "ada", 1, 3600.0)
    third = await rotate_key(store, "ada", 1, 60.0)
    ends = []
    for secret in (first.secret, second.secret, third.secret):
        found = await store.key_with_digest(digest(secret.encode()))
        assert found is not None
        ends.append(found.expires_at)
    assert ends == [clock.time + 60.0, clock.time + 60.0, None]
    fourth = await rotate_key(store, "ada", 1, 0)
    found = await store.key_with_digest(digest(third.secret.encode()))
    assert found is not None
    assert found.expires_at == clock.time
    assert [secret.expires_at for secret in fourth.entry.secrets][-1] is None


async def test_a_key_is_disabled_and_enabled_and_revoked_for_good(store: Store) -> None:
    await a_key(store)
    assert (await disable_key(store, "ada", 1)).record.state is KeyState.DISABLED
    assert (await enable_key(store, "ada", 1)).record.state is KeyState.ACTIVE
    before = await store.latest_change()
    await enable_key(store, "ada", 1)
    assert await store.latest_change() == before
    assert (await revoke_key(store, "ada", 1)).record.state is KeyState.REVOKED
    assert (await revoke_key(store, "ada", 1)).record.state is KeyState.REVOKED
    attempts = [
        enable_key(store, "ada", 1),
        disable_key(store, "ada", 1),
        rotate_key(store, "ada", 1, 0),
        update_key(store, "ada", 1, KeyEdit(label="x")),
        adopt_trial(store, "ada", 1),
    ]
    for attempt in attempts:
        with pytest.raises(StateError, match="for good"):
            await attempt


async def test_what_is_not_there_cannot_be_changed(store: Store) -> None:
    attempts = [
        key_numbered(store, 7),
        disable_key(store, "ada", 7),
        rotate_key(store, "ada", 7, 0),
        update_key(store, "ada", 7, KeyEdit(label="x")),
        adopt_trial(store, "ada", 7),
    ]
    for attempt in attempts:
        with pytest.raises(UnknownError, match="no key 7"):
            await attempt


async def test_an_update_changes_what_it_names_and_leaves_the_rest(store: Store, clock: Clock) -> None:
    await a_key(store, "power-bi", expires_at=clock.time + 50)
    after = await update_key(store, "ada", 1, KeyEdit(label="Shop", scopes=["mailchimp"]))
    assert (after.record.label, after.record.expires_at) == ("Shop", clock.time + 50)
    assert [scope.name for scope in after.record.scopes] == ["mailchimp"]
    assert (await update_key(store, "ada", 1, KeyEdit(expires=(None,)))).record.expires_at is None
    detail = (await store.audit())[1].detail
    assert detail["before"] != detail["after"]


@pytest.mark.parametrize(
    "edit",
    [
        KeyEdit(),
        KeyEdit(scopes=[]),
        KeyEdit(trial=[]),
        KeyEdit(trial=["power-bi"], ends_trial=True),
        KeyEdit(label=""),
        KeyEdit(scopes=["nobody"]),
        KeyEdit(ends_trial=True),
        KeyEdit(label="good", scopes=["nobody"]),
    ],
)
async def test_an_update_that_breaks_a_rule_changes_nothing(store: Store, edit: KeyEdit) -> None:
    issued = await a_key(store)
    with pytest.raises(RefusedError):
        await update_key(store, "ada", 1, edit)
    assert await key_numbered(store, 1) == issued.entry


async def test_a_trial_set_is_watched_then_adopted(store: Store) -> None:
    await a_key(store, "api-v2")
    with pytest.raises(StateError, match="no trial set"):
        await adopt_trial(store, "ada", 1)
    watched = await update_key(store, "ada", 1, KeyEdit(trial=["power-bi"]))
    assert [scope.name for scope in watched.record.scopes] == ["api-v2"]
    assert [scope.name for scope in watched.record.trial or ()] == ["power-bi"]
    adopted = await adopt_trial(store, "ada", 1)
    assert ([scope.name for scope in adopted.record.scopes], adopted.record.trial) == (["power-bi"], None)


NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("never", None),
        ("90d", NOW + 90 * 86_400),
        ("1h", NOW + 3_600),
        ("2030-01-01", 1_893_456_000.0),
        ("2030-01-01T12:00:00Z", 1_893_499_200.0),
        ("2030-01-01T12:00:00+02:00", 1_893_492_000.0),
    ],
)
def test_an_expiry_is_a_duration_a_date_or_never(text: str, ends: float | None) -> None:
    assert expiry_of(text, NOW) == ends


@pytest.mark.parametrize("text", ["", "90", "-1d", "0s", "soon", "2020-01-01", "2030-13-01", "9" * 400 + "d"])
def test_an_expiry_that_is_past_or_unreadable_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match="expiry"):
        expiry_of(text, NOW)


LEGACY = "legacy-key-of-the-website-7f3a"
OTHER = "another legacy key, with spaces inside"


async def test_existing_keys_are_imported_in_clear_or_as_digest(store: Store, clock: Clock) -> None:
    hashed = digest(OTHER.encode()).hex().upper()
    lines = [
        "\ufefflabel,key,sha256,scopes,expires",
        f"Website,{LEGACY},,power-bi mailchimp,",
        "",
        f'"Shop, old",,{hashed},power-bi;10000,90d',
    ]
    done = await import_keys(store, "ada", "\r\n".join(lines).encode())
    first = await store.key_with_digest(digest(LEGACY.encode()))
    second = await store.key_with_digest(digest(OTHER.encode()))
    assert first is not None
    assert second is not None
    assert done.ids == (first.id, second.id)
    assert (first.label, [s.name for s in first.scopes], first.expires_at) == (
        "Website",
        ["mailchimp", "power-bi"],
        None,
    )
    assert (second.label, [s.name for s in second.scopes]) == ("Shop, old", ["api-v2", "power-bi"])
    assert second.expires_at == clock.time + 90 * 86_400
    assert (await store.audit())[0].detail["count"] == 2


async def test_a_whole_key_of_ours_moves_to_another_store(store: Store) -> None:
    key = new_key(77)
    await import_keys(store, "ada", f"label,key,scopes\nMoved,{key},power-bi\n".encode())
    assert await store.key_with_digest(digest(key.encode())) is not None


async def test_every_problem_of_a_file_is_told_at_once_and_nothing_is_imported(store: Store) -> None:
    await import_keys(store, "ada", f"label,key,scopes\nThere,{LEGACY},power-bi".encode())
    damaged = new_key(5)[:-1] + "!"
    lines = [
        "label,key,sha256,scopes,expires",
        f"Again,{LEGACY},,power-bi,",
        f'Twice,"{OTHER}",,power-bi,',
        f"Twice,,{digest(OTHER.encode()).hex()},power-bi,",
        ",fresh-key-0000000000001,,power-bl,",
        "None,,,power-bi,",
        f"Both,fresh-key-0000000000002,{'0' * 64},power-bi,",
        "Hash,,abc,power-bi,",
        f"Damaged,{damaged},,power-bi,",
        "Scopeless,fresh-key-0000000000003,, ; ,",
        "Past,fresh-key-0000000000004,,power-bi,2001-01-01",
        "Short,row",
        "Umlaut,schlüssel-schlüssel,,power-bi,",
        f"Long,{'k' * 4097},,power-bi,",
    ]
    with pytest.raises(InvalidError) as refused:
        await import_keys(store, "ada", "\n".join(lines).encode())
    told = refused.value.sentences
    expected = [
        "line 2: this key is on record already, as key 1",
        "line 4: this key is on line 3 too",
        "line 5: the label is empty",
        "line 5: there is no scope 'power-bl'; did you mean power-bi?",
        "line 6: neither a key nor a sha256",
        "line 7: both a key and a sha256",
        "line 8: the sha256 is not 64",
        "line 9: the key begins with sg_ and its checksum is wrong",
        "line 10: the key has no scope",
        "line 11: the expiry '2001-01-01' is in the past",
        "line 12: 5 columns are named and 2 are here",
        "line 13: the key holds a character",
        "line 14: the key has 4097 characters",
    ]
    assert len(told) == len(expected)
    for said, wanted in zip(told, expected, strict=True):
        assert said.startswith(wanted)
    whole = "\n".join(told)
    assert not any(secret in whole for secret in (LEGACY, OTHER, damaged, "fresh-key", "schlüssel"))
    assert len(await store.keys()) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "'label' is missing"),
        (b"label,key,scopes\n", "no keys"),
        (b"label,kay,scopes\nA,b,c", "did you mean key?"),
        (b"label,scopes\nA,power-bi", "neither a column 'key' nor a column 'sha256'"),
        (b"label,key,key,scopes\nA,b,b,power-bi", "named twice"),
        (b"label,key,scopes\nA,\xff\xfe,power-bi", "line 2: the file is not UTF-8"),
        (b'label,key,scopes\n"A,open-quote-key-000000,power-bi', "cannot be read as CSV"),
        (b'label,key,scopes\n"A"x,stray-quote-key-00000,power-bi', "cannot be read as CSV"),
        (b"PK\x03\x04\x00\x00" * 200, "line 1"),
        (b"label,key,scopes\n" + b"A" * 200_000 + b",k,power-bi", "cannot be read as CSV"),
        (b"label,key,scopes\nA,null\x00inside-the-key,power-bi", "line 2"),
    ],
)
async def test_a_file_of_the_wrong_form_is_a_sentence(store: Store, content: bytes, said: str) -> None:
    with pytest.raises(InvalidError) as refused:
        await import_keys(store, "ada", content)
    assert said in "\n".join(refused.value.sentences)
    assert await store.keys() == []


async def test_a_key_that_can_be_guessed_is_taken_with_a_warning(store: Store) -> None:
    done = await import_keys(store, "ada", b"label,key,scopes\nWeak,secret,power-bi")
    assert len(done.warnings) == 1
    assert "secret" not in done.warnings[0]


async def test_thousands_of_keys_are_imported_in_one_go(store: Store) -> None:
    rows = "\n".join(f"Key {n},legacy-key-number-{n:08},power-bi" for n in range(3_000))
    done = await import_keys(store, "ada", f"label,key,scopes\n{rows}".encode())
    assert len(done.ids) == 3_000
    found = await store.key_with_digest(digest(b"legacy-key-number-00002999"))
    assert found is not None
    assert (found.label, found.id) == ("Key 2999", done.ids[-1])
