"""Identity answers from cache, asks the store once however many wait, and forgets what changed."""

import asyncio
import gc
from collections.abc import Callable
from time import monotonic, time

import pytest
from cachetools import TLRUCache
from stopwatch import Stopwatch

from gateway.domain.action import Action
from gateway.domain.change import EVERY_SUBJECT, Change, ChangeKind, Changes
from gateway.domain.key import KeyRecord, KeyState
from gateway.domain.key_format import digest, new_key
from gateway.domain.ports import StoreUnavailableError
from gateway.domain.principal import Principal
from gateway.domain.rights import ModuleIndex
from gateway.domain.scope import Mode, ModuleSet, Scope
from gateway.domain.verdict import Reason, Refusal
from gateway.identity.credential import Credential, CredentialKind
from gateway.identity.identity import Identity, Lifetimes
from gateway.identity.keys import KeyProofs
from gateway.identity.memory import MOST_CHANGED, MOST_UNKNOWN, Denied, held_in

INDEX = ModuleIndex.of(["courses", "users"])
WEBSITE = Scope(1, "website", "Website", Mode.ALLOW, read=ModuleSet.of(["courses"]))
HR = Scope(2, "hr", "HR", Mode.ALLOW, read=ModuleSet.of(["users"]))
LONG = Lifetimes(principals=1000, ttl=60.0, negative=5.0)


class KeyShelf:
    """A source of keys in memory, which can be slow or out of order. It counts what it is asked."""

    def __init__(self, **records: KeyRecord) -> None:
        self.records = {digest(secret.encode()): record for secret, record in records.items()}
        self.asked: list[bytes] = []
        self.open = asyncio.Event()
        self.open.set()
        self.outage: Exception | None = None

    async def key_with_digest(self, wanted: bytes) -> KeyRecord | None:
        """See KeySource. What is found is what was there when it was asked."""
        self.asked.append(wanted)
        found = self.records.get(wanted)
        await self.open.wait()
        if self.outage is not None:
            raise self.outage
        return found


def identity_of(shelf: KeyShelf, index: ModuleIndex, lifetimes: Lifetimes) -> Identity:
    return Identity({CredentialKind.API_KEY: KeyProofs(shelf)}, index, lifetimes)


def record(key_id: int, *scopes: Scope, **more: object) -> KeyRecord:
    return KeyRecord(key_id, f"key {key_id}", scopes=scopes, **{"state": KeyState.ACTIVE, **more})  # type: ignore[arg-type] # fields by name


def presenting(secret: str) -> Credential:
    """A credential as a new request presents it."""
    return Credential(CredentialKind.API_KEY, digest(secret.encode()), flawed=False)


def changes(*subjects: tuple[ChangeKind, str], gap: bool = False) -> Changes:
    rows = tuple(Change(n, time(), kind, subject) for n, (kind, subject) in enumerate(subjects, start=1))
    return Changes(rows, len(rows), gap)


def reason_of(answer: Principal | Refusal | None) -> Reason | None:
    return answer.reason if isinstance(answer, Refusal) else None


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not happened():  # noqa: ASYNC110 - there is nothing to be told by: the loop's turns are counted
            await asyncio.sleep(0)


# Hits and misses


async def test_a_key_is_asked_for_once_and_then_known() -> None:
    shelf = KeyShelf(alpha=record(17, WEBSITE))
    identity = identity_of(shelf, INDEX, LONG)
    assert identity.of(presenting("alpha"), monotonic()) is None
    learned = await identity.learn(presenting("alpha"))
    assert isinstance(learned, Principal)
    assert (learned.name, learned.key_id, learned.label) == ("key:17", 17, "key 17")
    assert learned.rights.covers(Action.READ, INDEX.bits["courses"])
    assert not learned.rights.covers(Action.READ, INDEX.bits["users"])
    again = presenting("alpha")
    assert identity.of(again, monotonic()) is learned
    assert identity.of(again, monotonic()) is learned
    assert (identity.hits, identity.misses, len(shelf.asked)) == (2, 1, 1)


async def test_without_a_credential_nobody_is_asked() -> None:
    shelf = KeyShelf()
    assert reason_of(identity_of(shelf, INDEX, LONG).of(None, monotonic())) is Reason.CREDENTIAL_MISSING
    assert shelf.asked == []


@pytest.mark.parametrize("kind", CredentialKind)
async def test_a_flawed_credential_never_reaches_the_store(kind: CredentialKind) -> None:
    shelf = KeyShelf()
    identity = identity_of(shelf, INDEX, LONG)
    answer = identity.of(Credential(kind, digest(b"sg_1_typo"), flawed=True), monotonic())
    assert reason_of(answer) is Reason.CREDENTIAL_INVALID
    assert shelf.asked == []
    assert identity.misses == 0


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"state": KeyState.DISABLED}, Reason.CREDENTIAL_REVOKED),
        ({"state": KeyState.REVOKED}, Reason.CREDENTIAL_REVOKED),
        ({"state": KeyState.REVOKED, "expires_at": 1.0}, Reason.CREDENTIAL_REVOKED),
        ({"expires_at": 1.0}, Reason.CREDENTIAL_EXPIRED),
        ({"expires_at": 0.0}, Reason.CREDENTIAL_EXPIRED),
    ],
)
async def test_a_key_that_was_good_is_told_from_one_that_never_was(
    more: dict[str, object], reason: Reason
) -> None:
    identity = identity_of(KeyShelf(alpha=record(17, WEBSITE, **more)), INDEX, LONG)
    assert reason_of(await identity.learn(presenting("alpha"))) is reason
    assert reason_of(identity.of(presenting("alpha"), monotonic())) is reason


async def test_a_trial_set_is_compiled_beside_the_scopes_and_an_empty_one_is_not_none() -> None:
    shelf = KeyShelf(alpha=record(1, WEBSITE, trial=(HR,)), beta=record(2, WEBSITE, trial=()))
    identity = identity_of(shelf, INDEX, LONG)
    alpha = await identity.learn(presenting("alpha"))
    beta = await identity.learn(presenting("beta"))
    assert isinstance(alpha, Principal)
    assert isinstance(beta, Principal)
    assert alpha.trial_rights is not None
    assert alpha.trial_rights.covers(Action.READ, INDEX.bits["users"])
    assert beta.trial_rights is not None
    assert beta.trial_rights.granted == (0, 0, 0, 0)


# One look-up for all


async def test_a_hundred_who_ask_at_once_share_one_look_up() -> None:
    shelf = KeyShelf(alpha=record(17, WEBSITE))
    shelf.open.clear()
    identity = identity_of(shelf, INDEX, LONG)
    waiting = [asyncio.create_task(identity.learn(presenting("alpha"))) for _ in range(100)]
    await until(lambda: len(shelf.asked) == 1)
    shelf.open.set()
    answers = await asyncio.gather(*waiting)
    assert len({id(answer) for answer in answers}) == 1
    assert len(shelf.asked) == 1


async def test_one_who_leaves_takes_nobody_along() -> None:
    shelf = KeyShelf(alpha=record(17, WEBSITE))
    shelf.open.clear()
    identity = identity_of(shelf, INDEX, LONG)
    first, second = (asyncio.create_task(identity.learn(presenting("alpha"))) for _ in range(2))
    await until(lambda: len(shelf.asked) == 1)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    shelf.open.set()
    assert isinstance(await second, Principal)
    assert len(shelf.asked) == 1


async def test_when_all_have_left_the_look_up_ends_without_a_complaint() -> None:
    shelf = KeyShelf()
    shelf.open.clear()
    shelf.outage = StoreUnavailableError("gone")
    identity = identity_of(shelf, INDEX, LONG)
    only = asyncio.create_task(identity.learn(presenting("alpha")))
    await until(lambda: len(shelf.asked) == 1)
    only.cancel()
    await asyncio.gather(only, return_exceptions=True)
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, told: complaints.append(told))
    shelf.open.set()
    await until(lambda: not identity._memory.asking)
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []


# Outages


@pytest.mark.parametrize("waiting", [1, 20])
async def test_an_outage_is_no_verdict_on_the_credential_and_is_not_remembered(waiting: int) -> None:
    shelf = KeyShelf(alpha=record(17, WEBSITE))
    shelf.outage = StoreUnavailableError("the disk is gone")
    identity = identity_of(shelf, INDEX, LONG)
    answers = await asyncio.gather(*(identity.learn(presenting("alpha")) for _ in range(waiting)))
    assert {reason_of(answer) for answer in answers} == {Reason.STORE_UNAVAILABLE}
    assert identity.of(presenting("alpha"), monotonic()) is None
    shelf.outage = None
    assert isinstance(await identity.learn(presenting("alpha")), Principal)


async def test_who_is_known_stays_known_during_an_outage() -> None:
    shelf = KeyShelf(alpha=record(17, WEBSITE))
    identity = identity_of(shelf, INDEX, LONG)
    await identity.learn(presenting("alpha"))
    shelf.outage = StoreUnavailableError("gone")
    assert isinstance(identity.of(presenting("alpha"), monotonic()), Principal)


async def test_who_cannot_be_found_again_is_served_for_the_stated_time_and_no_longer() -> None:
    """However often it is asked in vain, and though the change feed may be read all the while."""
    shelf = KeyShelf(alpha=record(17, WEBSITE))
    identity = identity_of(shelf, INDEX, Lifetimes(principals=10, ttl=0.0, negative=5.0, stale=0.2))
    await identity.learn(presenting("alpha"))
    shelf.outage = StoreUnavailableError("gone")
    began = monotonic()
    async with asyncio.timeout(5):
        while isinstance(answer := await identity.learn(presenting("alpha")), Principal):
            assert identity.of(presenting("alpha"), monotonic()) is None
    assert reason_of(answer) is Reason.STORE_UNAVAILABLE
    assert monotonic() - began >= 0.2
    shelf.outage = None
    assert isinstance(await identity.learn(presenting("alpha")), Principal)


async def test_what_breaks_in_the_store_is_not_hidden_and_not_remembered() -> None:
    shelf = KeyShelf(alpha=record(17, WEBSITE))
    shelf.outage = RuntimeError("a bug")
    identity = identity_of(shelf, INDEX, LONG)
    with pytest.raises(RuntimeError, match="a bug"):
        await identity.learn(presenting("alpha"))
    shelf.outage = None
    assert isinstance(await identity.learn(presenting("alpha")), Principal)


# Bounds


async def test_guessing_does_not_push_out_those_who_are_known() -> None:
    shelf = KeyShelf(alpha=record(17, WEBSITE))
    identity = identity_of(shelf, INDEX, Lifetimes(principals=2, ttl=60.0, negative=60.0))
    await identity.learn(presenting("alpha"))
    for guess in range(MOST_UNKNOWN + 50):
        await identity.learn(presenting(f"guess-{guess}"))
    assert isinstance(identity.of(presenting("alpha"), monotonic()), Principal)
    assert identity.of(presenting("guess-0"), monotonic()) is None  # the oldest made room
    last = identity.of(presenting(f"guess-{MOST_UNKNOWN + 49}"), monotonic())
    assert reason_of(last) is Reason.CREDENTIAL_INVALID


async def test_the_principals_kept_are_those_used_last_and_no_more_than_agreed() -> None:
    names = [f"k{number}" for number in range(20)]
    shelf = KeyShelf(**{name: record(number, WEBSITE) for number, name in enumerate(names, start=1)})
    identity = identity_of(shelf, INDEX, Lifetimes(principals=5, ttl=60.0, negative=5.0))
    for name in names:
        await identity.learn(presenting(name))
        assert identity.of(presenting("k0"), monotonic()) is not None  # always in use
    known = [name for name in names if identity.of(presenting(name), monotonic()) is not None]
    assert known == ["k0", "k16", "k17", "k18", "k19"]


# Time


async def test_an_answer_is_used_until_its_time_is_up_and_not_after() -> None:
    identity = identity_of(KeyShelf(alpha=record(17, WEBSITE)), INDEX, LONG)
    await identity.learn(presenting("alpha"))
    credential = presenting("alpha")
    now = monotonic()
    assert isinstance(identity.of(credential, now), Principal)
    assert now < credential.until <= monotonic() + LONG.ttl


async def test_a_principal_outlives_neither_its_time_nor_its_keys() -> None:
    soon = time() + 0.08
    shelf = KeyShelf(alpha=record(1, WEBSITE, expires_at=soon), beta=record(2, WEBSITE))
    identity = identity_of(shelf, INDEX, Lifetimes(principals=10, ttl=0.05, negative=0.05))
    alpha, beta = presenting("alpha"), presenting("beta")
    for credential in (alpha, beta):
        assert isinstance(await identity.learn(credential), Principal)
        identity.of(credential, monotonic())
    await until(lambda: time() > soon)
    for credential in (alpha, beta):
        assert identity.of(credential, monotonic()) is None
    assert reason_of(await identity.learn(alpha)) is Reason.CREDENTIAL_EXPIRED
    assert isinstance(await identity.learn(beta), Principal)


async def test_with_no_lifetime_nothing_is_kept_and_every_answer_is_right() -> None:
    shelf = KeyShelf(alpha=record(17, WEBSITE))
    identity = identity_of(shelf, INDEX, Lifetimes(principals=10, ttl=0.0, negative=0.0))
    for _ in range(3):
        assert isinstance(await identity.learn(presenting("alpha")), Principal)
        assert reason_of(await identity.learn(presenting("nobody"))) is Reason.CREDENTIAL_INVALID
        assert identity.of(presenting("alpha"), monotonic()) is None
    assert len(shelf.asked) == 6


def test_an_entry_whose_time_is_up_while_it_is_read_is_no_entry() -> None:
    """The clock moves on between the two looks that a cache takes at an entry."""
    clock = iter([0.0, 0.0, 0.5, 1.5, 2.0, 2.5])
    cache: TLRUCache[bytes, Denied] = TLRUCache(10, lambda *_: 1.0, lambda: next(clock, 3.0))
    cache[b"alpha"] = Denied(Refusal(Reason.CREDENTIAL_INVALID), 1.0)
    assert [held_in(cache, b"alpha") for _ in range(4)][-1] is None
    assert held_in(cache, b"nobody") is None


# Changes


KEY, SCOPE, MEMBER = ChangeKind.KEY, ChangeKind.SCOPE, ChangeKind.MEMBER


@pytest.mark.parametrize(
    ("told", "forgotten"),
    [
        (changes((KEY, "1")), {"alpha"}),
        (changes((KEY, "2")), {"beta"}),
        (changes((KEY, "11")), set()),
        (changes((SCOPE, "1")), {"alpha", "gamma"}),
        (changes((SCOPE, "2")), {"beta", "gamma"}),
        (changes((SCOPE, "3")), set()),
        (changes((KEY, "1"), (SCOPE, "2")), {"alpha", "beta", "gamma"}),
        (changes((KEY, EVERY_SUBJECT)), {"alpha", "beta", "gamma"}),
        (changes((SCOPE, EVERY_SUBJECT)), {"alpha", "beta", "gamma"}),
        (changes((MEMBER, "user:ada")), set()),
        (changes((MEMBER, "role:1")), set()),
        (changes(gap=True), {"alpha", "beta", "gamma"}),
        (changes(), set()),
    ],
)
async def test_a_change_is_forgotten_by_key_by_scope_and_by_gap(told: Changes, forgotten: set[str]) -> None:
    shelf = KeyShelf(alpha=record(1, WEBSITE), beta=record(2, HR), gamma=record(3, WEBSITE, trial=(HR,)))
    identity = identity_of(shelf, INDEX, LONG)
    held = {name: presenting(name) for name in ("alpha", "beta", "gamma")}
    for credential in held.values():
        await identity.learn(credential)
        identity.of(credential, monotonic())
    identity.forget(told)
    unknown = {name for name, credential in held.items() if identity.of(credential, monotonic()) is None}
    assert unknown == forgotten
    assert {name for name in held if identity.of(presenting(name), monotonic()) is None} == forgotten


async def test_a_change_lets_those_be_asked_for_anew_who_were_refused_before() -> None:
    shelf = KeyShelf()
    identity = identity_of(shelf, INDEX, LONG)
    credential = presenting("alpha")
    assert reason_of(await identity.learn(credential)) is Reason.CREDENTIAL_INVALID
    assert reason_of(identity.of(credential, monotonic())) is Reason.CREDENTIAL_INVALID
    shelf.records[digest(b"alpha")] = record(1, WEBSITE)
    identity.forget(changes((KEY, "1")))
    assert identity.of(credential, monotonic()) is None
    assert isinstance(await identity.learn(credential), Principal)


async def test_what_was_found_while_something_changed_is_not_kept() -> None:
    shelf = KeyShelf(alpha=record(1, WEBSITE))
    shelf.open.clear()
    identity = identity_of(shelf, INDEX, LONG)
    learning = asyncio.create_task(identity.learn(presenting("alpha")))
    await until(lambda: len(shelf.asked) == 1)
    shelf.records[digest(b"alpha")] = record(1, WEBSITE, state=KeyState.REVOKED)
    identity.forget(changes((KEY, "1")))
    shelf.open.set()
    await learning
    assert identity.of(presenting("alpha"), monotonic()) is None
    assert reason_of(await identity.learn(presenting("alpha"))) is Reason.CREDENTIAL_REVOKED


async def test_who_asks_after_a_change_does_not_share_a_look_up_from_before_it() -> None:
    shelf = KeyShelf(alpha=record(1, WEBSITE))
    shelf.open.clear()
    identity = identity_of(shelf, INDEX, LONG)
    before = asyncio.create_task(identity.learn(presenting("alpha")))
    await until(lambda: len(shelf.asked) == 1)
    shelf.records[digest(b"alpha")] = record(1, WEBSITE, state=KeyState.REVOKED)
    identity.forget(changes((KEY, "1")))
    after = asyncio.create_task(identity.learn(presenting("alpha")))
    await until(lambda: len(shelf.asked) == 2)
    shelf.open.set()
    await before
    assert reason_of(await after) is Reason.CREDENTIAL_REVOKED
    assert reason_of(identity.of(presenting("alpha"), monotonic())) is Reason.CREDENTIAL_REVOKED
    assert not identity._memory.asking


async def test_no_change_at_all_forgets_nothing() -> None:
    identity = identity_of(KeyShelf(), INDEX, LONG)
    await identity.learn(presenting("nobody"))
    identity.forget(Changes((), 7))
    assert reason_of(identity.of(presenting("nobody"), monotonic())) is Reason.CREDENTIAL_INVALID


async def test_one_change_among_many_principals_does_not_hold_up_the_loop() -> None:
    shelf = KeyShelf(**{f"k{number}": record(number, WEBSITE) for number in range(1, 20_001)})
    identity = identity_of(shelf, INDEX, Lifetimes(principals=50_000, ttl=60.0, negative=5.0))
    for number in range(1, 20_001):
        await identity.learn(presenting(f"k{number}"))
    watch = Stopwatch()
    for number in range(1, 201):
        identity.forget(changes((KEY, str(number))))
    assert watch.seconds < 0.5
    assert identity.of(presenting("k200"), monotonic()) is None
    assert identity.of(presenting("k201"), monotonic()) is not None


async def test_endless_changes_take_no_endless_memory_and_are_all_heeded() -> None:
    shelf = KeyShelf(alpha=record(1, WEBSITE))
    identity = identity_of(shelf, INDEX, LONG)
    await identity.learn(presenting("alpha"))
    for number in range(2, 3 * MOST_CHANGED):
        identity.forget(changes((KEY, str(number))))
        assert len(identity._memory._changed) <= MOST_CHANGED
    await identity.learn(presenting("alpha"))
    identity.forget(changes((KEY, "1")))
    assert identity.of(presenting("alpha"), monotonic()) is None


async def test_a_new_key_is_of_use_at_once() -> None:
    secret = new_key(5)
    shelf = KeyShelf(**{secret: record(5, WEBSITE)})
    identity = identity_of(shelf, INDEX, LONG)
    credential = Credential(CredentialKind.API_KEY, digest(secret.encode()), flawed=False)
    assert isinstance(await identity.learn(credential), Principal)
