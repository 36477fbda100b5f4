"""Callers that have the same scopes hold the same objects; whoever has others holds others."""

import tracemalloc
from dataclasses import replace
from hashlib import sha256
from time import monotonic

import pytest

from gateway.domain.new_key import NewKey
from gateway.domain.principal import Principal
from gateway.domain.rights import ModuleIndex
from gateway.domain.scope import Mode, ModuleSet, Scope
from gateway.domain.scope_use import MemberKind, MemberUse
from gateway.identity.credential import Credential, CredentialKind
from gateway.identity.identity import Identity, Lifetimes
from gateway.identity.keys import KeyProofs
from gateway.store.store import Store

MODULES = [f"module-{number:02}" for number in range(42)]
ADA = MemberUse(MemberKind.USER, "ada")
MOST_BYTES = 1500
"""What a caller may take in a worker's memory, whatever its scopes."""


def digest_of(number: int) -> bytes:
    return sha256(b"%d" % number).digest()


async def given_out(store: Store, scopes: int, keys: int) -> list[Scope]:
    """That many scopes, all of which that many keys have."""
    async with store.writing("ada") as writing:
        made = [
            await writing.add_scope(Scope(0, f"web-{n:02}", "Web", Mode.ALLOW, read=ModuleSet.of(MODULES)))
            for n in range(scopes)
        ]
        ids = frozenset(scope.id for scope in made)
        await writing.add_keys([NewKey(f"integration {n}", digest_of(n), ids) for n in range(keys)])
        await writing.record("key.import", "keys")
    return made


async def test_keys_with_the_same_scopes_share_them_until_a_scope_is_changed(store: Store) -> None:
    first, _ = await given_out(store, scopes=2, keys=2)
    one, other = await store.key_with_digest(digest_of(0)), await store.key_with_digest(digest_of(1))
    assert one is not None
    assert other is not None
    assert one.scopes is other.scopes
    changed = replace(first, read=ModuleSet.of(["users"]))
    async with store.writing("ada") as writing:
        await writing.replace_scope(changed)
        await writing.record("scope.update", "scope:web-00")
    later = await store.key_with_digest(digest_of(1))
    assert later is not None
    assert later.scopes == (changed, other.scopes[1])
    assert later.scopes[1] is other.scopes[1]
    assert one.scopes[0] == first


async def test_members_and_keys_with_the_same_scopes_share_them(store: Store) -> None:
    (web,) = await given_out(store, scopes=1, keys=1)
    async with store.writing("ada") as writing:
        await writing.add_member(web.id, ADA)
        await writing.record("member.add", "scope:web-00")
    key = await store.key_with_digest(digest_of(0))
    assert key is not None
    assert await store.scopes_of_members([ADA]) is key.scopes
    assert await store.scopes_named(["web-00"]) is key.scopes


@pytest.mark.parametrize("scopes", [1, 50])
async def test_a_remembered_caller_takes_little_memory_however_many_scopes_it_has(
    store: Store, scopes: int
) -> None:
    before, callers = 30, 100
    await given_out(store, scopes, before + callers)
    lifetimes = Lifetimes(before + callers, ttl=600.0, negative=5.0)
    index = ModuleIndex.of(MODULES)
    identity = Identity({CredentialKind.API_KEY: KeyProofs(store)}, index, lifetimes)
    await meet(identity, range(before))
    tracemalloc.start()
    try:
        await meet(identity, range(before, before + callers))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken / callers < MOST_BYTES
    assert isinstance(identity.of(presenting(before), monotonic()), Principal)


async def meet(identity: Identity, numbers: range) -> None:
    for number in numbers:
        assert isinstance(await identity.learn(presenting(number)), Principal)


def presenting(number: int) -> Credential:
    return Credential(CredentialKind.API_KEY, digest_of(number), flawed=False)
