"""Tokens are verified once, believed for a stated time, never past their end, and never told to anybody."""

import asyncio
import traceback
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from math import inf
from time import monotonic, time
from typing import Final

import pytest

from gateway.domain.change import EVERY_SUBJECT, Change, ChangeKind, Changes
from gateway.domain.key import KeyRecord, KeyState
from gateway.domain.key_format import digest
from gateway.domain.ports import KeysUnavailableError, StoreUnavailableError
from gateway.domain.principal import Principal, PrincipalKind
from gateway.domain.rights import ModuleIndex
from gateway.domain.scope import Mode, Scope
from gateway.domain.scope_use import MemberUse
from gateway.domain.token import ScopesFrom, TokenFacts, WithoutScope
from gateway.domain.verdict import Reason, Refusal
from gateway.forward.prepared import Prepared
from gateway.http1.head import Section
from gateway.identity.credential import Credential, CredentialKind, CredentialReader
from gateway.identity.identity import Identity, Lifetimes
from gateway.identity.keys import KeyProofs
from gateway.identity.memory import Memory
from gateway.identity.tokens import TokenProofs
from gateway.pipeline import Introduction

INDEX: Final = ModuleIndex.of(["courses"])
SCOPE: Final = Scope(1, "website", "Website", Mode.ALLOW)
ADA: Final = TokenFacts(PrincipalKind.USER, "ada", "https://id.example.com")
TOKEN: Final = "the.secret.token"
LONG: Final = Lifetimes(principals=100, ttl=60.0, negative=5.0, stale=300.0)
PROMPT: Final = 0.5
"""Seconds within which a busy machine does next to nothing."""


@dataclass
class Authority:
    """Who proves tokens: an answer for all of them, which can be held back, or fail. It counts."""

    answer: TokenFacts | Refusal = ADA
    fault: Exception | None = None
    asked: list[bytes] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    async def prove(self, token: bytes) -> TokenFacts | Refusal:
        """See TokenProver."""
        self.asked.append(token)
        answer = self.answer
        await self.open.wait()
        if self.fault is not None:
            raise self.fault
        return answer

    def asked_of(self, _token: bytes) -> str:
        """See TokenProver."""
        return "it"


@dataclass
class Rolls:
    """A store whose every member has the same scopes; it can be held back, or be away. It counts."""

    scopes: tuple[Scope, ...] = (SCOPE,)
    away: bool = False
    asked: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    async def scopes_of_members(self, _members: Collection[MemberUse]) -> tuple[Scope, ...]:
        """See ScopeSource."""
        return await self._answer()

    async def scopes_named(self, _names: Collection[str]) -> tuple[Scope, ...]:
        """See ScopeSource."""
        return await self._answer()

    async def key_with_digest(self, _digest: bytes) -> KeyRecord | None:
        """See KeySource."""
        scopes = await self._answer()
        return KeyRecord(17, "a key", state=KeyState.ACTIVE, scopes=scopes)

    async def _answer(self) -> tuple[Scope, ...]:
        self.asked += 1
        scopes = self.scopes
        await self.open.wait()
        if self.away:
            raise StoreUnavailableError("it is away")
        return scopes


@pytest.fixture
async def authority() -> Authority:
    return Authority()


@pytest.fixture
async def rolls() -> Rolls:
    return Rolls()


def identity_of(
    authority: Authority,
    rolls: Rolls,
    lifetimes: Lifetimes = LONG,
    memory: Memory | None = None,
    within: float = 8.0,
) -> Identity:
    tokens = TokenProofs(
        authority,
        rolls,
        WithoutScope.DENY,
        principals=lifetimes.principals,
        ttl=lifetimes.ttl,
        within=within,
    )
    proofs = {CredentialKind.BEARER: tokens, CredentialKind.API_KEY: KeyProofs(rolls)}
    return Identity(proofs, INDEX, lifetimes, memory)


def bearing(token: str = TOKEN) -> Credential:
    """A token as a new request presents it."""
    found = CredentialReader("X-API-Key").in_fields(((b"Authorization", f"Bearer {token}".encode()),))
    assert isinstance(found, Credential)
    return found


def keyed(key: str) -> Credential:
    return Credential(CredentialKind.API_KEY, digest(key.encode()), flawed=False)


def reason_of(answer: Principal | Refusal | None) -> Reason | None:
    return answer.reason if isinstance(answer, Refusal) else None


def name_of(answer: Principal | Refusal | None) -> str:
    assert isinstance(answer, Principal), answer
    return answer.name


def change_of(kind: ChangeKind, subject: str) -> Changes:
    return Changes((Change(1, time(), kind, subject),), 1)


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not happened():  # noqa: ASYNC110 - there is nothing to be told by
            await asyncio.sleep(0.001)


# For how long a token is believed


async def test_a_token_is_verified_once_and_its_bearer_asked_for_once(
    authority: Authority, rolls: Rolls
) -> None:
    identity = identity_of(authority, rolls)
    assert identity.of(bearing(), monotonic()) is None
    assert name_of(await identity.learn(bearing())) == "user:ada"
    again = bearing()
    for _ in range(3):
        assert name_of(identity.of(again, monotonic())) == "user:ada"
    assert (len(authority.asked), rolls.asked) == (1, 1)


@pytest.mark.parametrize("source", ScopesFrom)
async def test_a_changed_membership_costs_no_second_verification(
    authority: Authority, rolls: Rolls, source: ScopesFrom
) -> None:
    authority.answer = replace(ADA, roles=("teacher",), scopes=("website",), scopes_from=source)
    identity = identity_of(authority, rolls)
    await identity.learn(bearing())
    change = {
        ScopesFrom.MEMBERS: change_of(ChangeKind.MEMBER, "role:teacher"),
        ScopesFrom.TOKEN: change_of(ChangeKind.SCOPE, "4711"),
        ScopesFrom.BOTH: change_of(ChangeKind.SCOPE, "4711"),
    }[source]
    identity.forget(change)
    rolls.scopes = ()
    assert identity.of(bearing(), monotonic()) is None
    learned = await identity.learn(bearing())
    assert isinstance(learned, Principal)
    assert learned.scopes == ()
    assert len(authority.asked) == 1


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        (ChangeKind.MEMBER, "user:bob"),
        (ChangeKind.MEMBER, "client:ada"),
        (ChangeKind.MEMBER, "role:ada"),
        (ChangeKind.MEMBER, "user:Ada"),
        (ChangeKind.SCOPE, "2"),
        (ChangeKind.KEY, "1"),
    ],
)
async def test_a_change_of_others_touches_nobody(
    authority: Authority, rolls: Rolls, kind: ChangeKind, subject: str
) -> None:
    identity = identity_of(authority, rolls)
    await identity.learn(bearing())
    identity.forget(change_of(kind, subject))
    assert name_of(identity.of(bearing(), monotonic())) == "user:ada"
    assert rolls.asked == 1


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        (ChangeKind.MEMBER, "user:ada"),
        (ChangeKind.MEMBER, EVERY_SUBJECT),
        (ChangeKind.SCOPE, "1"),
        (ChangeKind.SCOPE, EVERY_SUBJECT),
    ],
)
async def test_a_change_of_what_a_bearer_has_makes_the_store_be_asked(
    authority: Authority, rolls: Rolls, kind: ChangeKind, subject: str
) -> None:
    identity = identity_of(authority, rolls)
    await identity.learn(bearing())
    identity.forget(change_of(kind, subject))
    assert identity.of(bearing(), monotonic()) is None


async def test_changes_do_not_make_a_token_believed_for_longer(authority: Authority, rolls: Rolls) -> None:
    """`cache.ttl` counts from the verification: what its issuer took back since is unknown here."""
    identity = identity_of(authority, rolls)
    await identity.learn(bearing())
    verified = monotonic()
    await until(lambda: monotonic() > verified + 0.05)
    identity.forget(change_of(ChangeKind.MEMBER, "user:ada"))
    await identity.learn(bearing())
    assert name_of(identity.of(bearing(), verified + LONG.ttl - 0.01)) == "user:ada"
    assert identity.of(bearing(), verified + LONG.ttl) is None
    assert len(authority.asked) == 1


async def test_without_a_ttl_every_token_is_verified_each_time(authority: Authority, rolls: Rolls) -> None:
    identity = identity_of(authority, rolls, replace(LONG, ttl=0.0))
    for _ in range(3):
        assert identity.of(bearing(), monotonic()) is None
        assert name_of(await identity.learn(bearing())) == "user:ada"
    assert (len(authority.asked), rolls.asked) == (3, 3)


async def test_a_token_that_ends_while_it_is_remembered_is_verified_again(
    authority: Authority, rolls: Rolls
) -> None:
    identity = identity_of(authority, rolls)
    authority.answer = replace(ADA, expires_at=time() + 0.1)
    await identity.learn(bearing())
    known = bearing()
    assert name_of(identity.of(known, monotonic())) == "user:ada"
    end = monotonic() + 0.1
    assert identity.of(known, end) is None
    await until(lambda: monotonic() > end)
    authority.answer = Refusal(Reason.CREDENTIAL_EXPIRED)
    assert reason_of(await identity.learn(known)) is Reason.CREDENTIAL_EXPIRED
    assert reason_of(identity.of(known, monotonic())) is Reason.CREDENTIAL_EXPIRED


async def test_a_refused_token_is_remembered_as_refused_for_a_short_time(
    authority: Authority, rolls: Rolls
) -> None:
    identity = identity_of(authority, rolls)
    authority.answer = Refusal(Reason.CREDENTIAL_INVALID, "Why.")
    assert await identity.learn(bearing()) == authority.answer
    assert identity.of(bearing(), monotonic()) == authority.answer
    assert identity.of(bearing(), monotonic() + LONG.negative) == authority.answer
    assert (len(authority.asked), rolls.asked) == (1, 0)


async def test_memory_of_verified_tokens_is_bounded(authority: Authority, rolls: Rolls) -> None:
    identity = identity_of(authority, rolls, replace(LONG, principals=3))
    for number in range(10):
        await identity.learn(bearing(f"token-{number}"))
    identity.forget(change_of(ChangeKind.MEMBER, "user:ada"))
    for number in range(10):
        await identity.learn(bearing(f"token-{number}"))
    assert len(authority.asked) >= 10 + 7


# Many at once


async def test_a_crowd_with_one_unknown_token_is_one_verification_and_one_question(
    authority: Authority, rolls: Rolls
) -> None:
    identity = identity_of(authority, rolls)
    authority.open.clear()
    crowd = [asyncio.create_task(identity.learn(bearing())) for _ in range(200)]
    await until(lambda: bool(authority.asked))
    authority.open.set()
    assert {name_of(await one) for one in crowd} == {"user:ada"}
    assert (len(authority.asked), rolls.asked) == (1, 1)


async def test_whoever_leaves_the_crowd_takes_nobodys_answer_along(
    authority: Authority, rolls: Rolls
) -> None:
    identity = identity_of(authority, rolls)
    authority.open.clear()
    crowd = [asyncio.create_task(identity.learn(bearing())) for _ in range(5)]
    await until(lambda: bool(authority.asked))
    crowd[0].cancel()
    authority.open.set()
    assert {name_of(await one) for one in crowd[1:]} == {"user:ada"}
    assert len(authority.asked) == 1


async def test_tokens_of_a_slow_issuer_leave_the_look_ups_of_keys_alone(
    authority: Authority, rolls: Rolls
) -> None:
    identity = identity_of(authority, rolls, replace(LONG, look_ups=2))
    authority.open.clear()
    waiting = [asyncio.create_task(identity.learn(bearing(f"token-{number}"))) for number in range(2)]
    await until(lambda: len(authority.asked) == 2)
    assert reason_of(await identity.learn(bearing("one-too-many"))) is Reason.OVERLOADED
    assert name_of(await identity.learn(keyed("a"))) == "key:17"
    assert name_of(await identity.learn(keyed("b"))) == "key:17"
    authority.open.set()
    assert [name_of(await one) for one in waiting] == ["user:ada"] * 2
    assert name_of(await identity.learn(bearing("one-too-many"))) == "user:ada"


async def test_keys_of_a_slow_store_leave_the_verification_of_tokens_alone(
    authority: Authority, rolls: Rolls
) -> None:
    identity = identity_of(authority, rolls, replace(LONG, look_ups=2))
    rolls.open.clear()
    keys = [asyncio.create_task(identity.learn(keyed(name))) for name in "ab"]
    await until(lambda: rolls.asked == 2)
    assert reason_of(await identity.learn(keyed("c"))) is Reason.OVERLOADED
    token = asyncio.create_task(identity.learn(bearing()))
    await until(lambda: rolls.asked == 3)
    rolls.open.set()
    assert name_of(await token) == "user:ada"
    assert [name_of(await key) for key in keys] == ["key:17"] * 2


# Somebody is away


async def test_an_issuer_that_is_away_is_an_outage_and_nothing_to_remember(
    authority: Authority, rolls: Rolls
) -> None:
    identity = identity_of(authority, rolls)
    authority.fault = KeysUnavailableError("away")
    assert reason_of(await identity.learn(bearing())) is Reason.KEYS_UNAVAILABLE
    assert identity.of(bearing(), monotonic()) is None
    authority.fault = None
    assert name_of(await identity.learn(bearing())) == "user:ada"


@pytest.mark.parametrize("known", [False, True])
async def test_an_issuer_that_never_answers_is_told_from_a_store_that_is_away(
    authority: Authority, rolls: Rolls, *, known: bool
) -> None:
    """And nobody whom it would have to confirm is served from memory meanwhile."""
    identity = identity_of(authority, rolls, replace(LONG, ttl=0.0), within=0.05)
    if known:
        assert name_of(await identity.learn(bearing())) == "user:ada"
    authority.open.clear()
    began = monotonic()
    assert reason_of(await identity.learn(bearing())) is Reason.KEYS_UNAVAILABLE
    assert monotonic() - began < PROMPT
    authority.open.set()
    assert name_of(await identity.learn(bearing())) == "user:ada"


async def test_a_store_that_is_away_serves_the_known_and_is_told_to_others(
    authority: Authority, rolls: Rolls
) -> None:
    identity = identity_of(authority, rolls, replace(LONG, ttl=0.05))
    await identity.learn(bearing())
    rolls.away = True
    assert reason_of(await identity.learn(bearing("another"))) is Reason.STORE_UNAVAILABLE
    assert name_of(await identity.learn(bearing())) == "user:ada"
    assert identity.stale == 1


async def test_a_token_that_ended_is_refused_even_while_the_store_is_away(
    authority: Authority, rolls: Rolls
) -> None:
    memory = Memory(100)
    identity = identity_of(authority, rolls, LONG, memory)
    authority.answer = replace(ADA, expires_at=time() + 0.1)
    await identity.learn(bearing())
    rolls.away = True
    memory.missed()
    ends = monotonic() + 0.1
    assert name_of(identity.of(bearing(), ends - 0.1)) == "user:ada"
    assert reason_of(identity.of(bearing(), ends)) is Reason.CREDENTIAL_EXPIRED


# Another configuration


async def test_other_rules_for_tokens_forget_them_and_no_key(authority: Authority, rolls: Rolls) -> None:
    memory = Memory(100)
    before = identity_of(authority, rolls, memory=memory)
    await before.learn(bearing())
    await before.learn(keyed("a"))
    after = identity_of(authority, rolls, memory=memory)
    memory.forget_tokens()
    assert after.of(bearing(), monotonic()) is None
    assert name_of(after.of(keyed("a"), monotonic())) == "key:17"


@pytest.mark.parametrize("begun", ["not yet", "waiting for the issuer", "waiting for the store"])
async def test_what_was_asked_by_the_rules_before_is_not_remembered_under_those_of_now(
    authority: Authority, rolls: Rolls, begun: str
) -> None:
    memory = Memory(100)
    before = identity_of(authority, rolls, memory=memory)
    held = {"not yet": authority.open, "waiting for the issuer": authority.open}.get(begun, rolls.open)
    held.clear()
    late = asyncio.create_task(before.learn(bearing()))
    if begun != "not yet":
        await until(lambda: bool(authority.asked if held is authority.open else rolls.asked))
    now_believed = Authority(Refusal(Reason.CREDENTIAL_INVALID, "Not by the rules of now."))
    after = identity_of(now_believed, rolls, memory=memory)
    memory.forget_tokens()
    before.retire()
    await asyncio.sleep(0)
    if held is authority.open:
        assert reason_of(await after.learn(bearing())) is Reason.CREDENTIAL_INVALID
    held.set()
    assert name_of(await late) == "user:ada"
    assert reason_of(await after.learn(bearing())) is Reason.CREDENTIAL_INVALID
    assert reason_of(after.of(bearing(), monotonic())) is Reason.CREDENTIAL_INVALID


# Secrets


async def test_a_token_is_in_no_repr_on_its_way(authority: Authority, rolls: Rolls) -> None:
    memory = Memory(100)
    identity = identity_of(authority, rolls, memory=memory)
    credential = bearing()
    section = Section(
        ((b"Authorization", b"Bearer " + TOKEN.encode()),),
        *(b"feeds.test", None, frozenset(), None),
        chunked=False,
        expects_continue=False,
    )
    introduction = Introduction(section, credential, None, None, Prepared(section))
    authority.open.clear()
    waiting = asyncio.create_task(identity.learn(credential))
    await until(lambda: bool(authority.asked))
    told = [repr(waiting), *(repr(look_up) for look_up in memory.asking.values())]
    authority.open.set()
    principal = await waiting
    known = memory.known(credential.digest)
    assert known is not None
    told += map(repr, (credential, introduction, section, principal, known, known.proof, identity, memory))
    told += [str(credential), str(introduction), f"{known}"]
    assert not [text for text in told if TOKEN in text]


async def test_a_token_is_in_no_trace_of_what_fails_on_it(authority: Authority, rolls: Rolls) -> None:
    identity = identity_of(authority, rolls)
    authority.fault = RuntimeError("something broke")
    with pytest.raises(RuntimeError) as caught:
        await identity.learn(bearing())
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


async def test_a_token_without_an_end_is_kept_for_its_time_to_live(
    authority: Authority, rolls: Rolls
) -> None:
    identity = identity_of(authority, rolls)
    assert authority.answer == replace(ADA, expires_at=inf)
    await identity.learn(bearing())
    assert identity.of(bearing(), monotonic() + LONG.ttl + 1) is None
