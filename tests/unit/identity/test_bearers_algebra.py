"""What a bearer may do, held to the contract read naively: union, deny wins, each side permits."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.decision.decide import decide
from gateway.domain.action import Action
from gateway.domain.change import ChangeKind
from gateway.domain.feed import Feed
from gateway.domain.permit import Permit
from gateway.domain.principal import Principal, PrincipalKind
from gateway.domain.rights import ModuleIndex
from gateway.domain.scope import FULL_ACCESS, Mode, ModuleSet, Scope
from gateway.domain.scope_use import MemberKind, MemberUse
from gateway.domain.target import Route, Target
from gateway.domain.token import ScopesFrom, TokenFacts, WithoutScope
from gateway.domain.verdict import Reason, Refusal
from gateway.identity.credential import Credential, CredentialKind
from gateway.identity.proof import ANY_SCOPE, BearerProof
from gateway.identity.tokens import TokenProofs

MODULES: Final = ("bookings", "courses", "users")
INDEX: Final = ModuleIndex.of(MODULES)
ROUTE: Final = Route("/x", "routes.yaml:3")
EVERYTHING: Final = ModuleSet(every=True)
API_V2: Final = Scope(
    10000, FULL_ACCESS, "API v2", Mode.ALLOW, EVERYTHING, EVERYTHING, EVERYTHING, EVERYTHING, locked=True
)
USER, CLIENT = PrincipalKind.USER, PrincipalKind.CLIENT


@dataclass
class Rolls:
    """Who has which scope, and which scopes there are, in memory. It counts what it is asked."""

    scopes: dict[str, Scope] = field(default_factory=dict)
    held: dict[MemberUse, frozenset[str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def scopes_of_members(self, members: Collection[MemberUse]) -> tuple[Scope, ...]:
        """See ScopeSource."""
        self.asked.append("members")
        names = frozenset[str]().union(*(self.held.get(member, frozenset()) for member in members))
        return self._by_id(names)

    async def scopes_named(self, names: Collection[str]) -> tuple[Scope, ...]:
        """See ScopeSource."""
        self.asked.append("names")
        return self._by_id(names)

    def _by_id(self, names: Collection[str]) -> tuple[Scope, ...]:
        found = {name: self.scopes[name] for name in names if name in self.scopes}
        return tuple(sorted(found.values(), key=lambda scope: scope.id))


@dataclass
class Believing:
    """A prover for whom every token says the same."""

    facts: TokenFacts

    async def prove(self, _token: bytes) -> TokenFacts | Refusal:
        """See TokenProver."""
        return self.facts

    def asked_of(self, _token: bytes) -> str:
        """See TokenProver."""
        return "it"


async def proof_of(rolls: Rolls, facts: TokenFacts, without: WithoutScope = WithoutScope.DENY) -> BearerProof:
    proofs = TokenProofs(Believing(facts), rolls, without, principals=10, ttl=60.0)
    proof = await proofs.proven(Credential(CredentialKind.BEARER, b"digest", flawed=False, secret=b"t"))
    assert isinstance(proof, BearerProof)
    return proof


def principal_of(rolls: Rolls, facts: TokenFacts, without: WithoutScope) -> Principal:
    return asyncio.run(proof_of(rolls, facts, without)).principal(INDEX)


def answer(principal: Principal, action: Action, module: str, *, enabled: bool) -> Reason | None:
    feed = Feed("demo", enabled=enabled)
    verdict = decide(principal, Target(feed, ROUTE, module, INDEX.bits[module], action))
    return None if isinstance(verdict, Permit) else verdict.reason


# The model


def selects(scope: Scope, action: Action, module: str) -> bool:
    return module in scope.selection(action).listed() or scope.selection(action).every


def permits(scopes: list[Scope], action: Action, module: str) -> bool:
    """CONTRACT 2: at least one of the scopes allows the pair, and none denies it."""
    denied = any(scope.mode is Mode.DENY and selects(scope, action, module) for scope in scopes)
    allowed = any((scope.mode is Mode.ALLOW) == selects(scope, action, module) for scope in scopes)
    return allowed and not denied


def sides_of(rolls: Rolls, facts: TokenFacts, without: WithoutScope) -> list[list[Scope]]:
    own = MemberUse(MemberKind.USER if facts.kind is USER else MemberKind.CLIENT, facts.name)
    has = [own, *(MemberUse(MemberKind.ROLE, role) for role in facts.roles)]
    members = [s for s in rolls.scopes.values() if any(s.name in rolls.held.get(m, ()) for m in has)]
    if not members and facts.kind is USER and without is WithoutScope.FULL_ACCESS:
        members = [API_V2]
    named = [s for s in rolls.scopes.values() if s.name in facts.scopes]
    return {
        ScopesFrom.MEMBERS: [members],
        ScopesFrom.TOKEN: [named],
        ScopesFrom.BOTH: [members, named],
    }[facts.scopes_from]


def expected(sides: list[list[Scope]], action: Action, module: str, *, enabled: bool) -> Reason | None:
    if not enabled and not all(any(scope.bypass_enabled_flag for scope in side) for side in sides):
        return Reason.FEED_DISABLED
    refusing = [side for side in sides if not permits(side, action, module)]
    if not refusing:
        return None
    return Reason.SCOPE_DENIED if refusing[0] else Reason.SCOPE_NONE


MODULE_SETS: Final = some.sets(some.sampled_from(MODULES)).map(ModuleSet.of) | some.just(EVERYTHING)
NAMES: Final = ("a", "b", "c", FULL_ACCESS)


@some.composite
def scopes_on_record(draw: some.DrawFn) -> dict[str, Scope]:
    """Up to three scopes beside the standard one."""
    made = {}
    for number, name in enumerate(NAMES[:3], start=1):
        if draw(some.booleans()):
            sets = [draw(MODULE_SETS) for _ in Action]
            made[name] = Scope(
                number,
                name,
                name,
                draw(some.sampled_from(Mode)),
                *sets,
                bypass_enabled_flag=draw(some.booleans()),
            )
    return made | {FULL_ACCESS: API_V2}


HELD: Final = some.dictionaries(
    some.builds(MemberUse, some.sampled_from(MemberKind), some.sampled_from(["ada", "sync", "teacher"])),
    some.frozensets(some.sampled_from(NAMES)),
)
FACTS: Final = some.builds(
    TokenFacts,
    some.sampled_from([USER, CLIENT]),
    some.sampled_from(["ada", "sync", "teacher"]),
    some.just("https://id.example.com"),
    some.lists(some.sampled_from(["ada", "teacher"]), unique=True).map(tuple),
    some.lists(some.sampled_from([*NAMES, "openid", "courses:read"]), unique=True).map(tuple),
    some.sampled_from(ScopesFrom),
)


@given(scopes_on_record(), HELD, FACTS, some.sampled_from(WithoutScope), some.booleans())
def test_every_bearer_may_what_the_contracts_words_say_and_nothing_else(
    scopes: dict[str, Scope],
    held: dict[MemberUse, frozenset[str]],
    facts: TokenFacts,
    without: WithoutScope,
    enabled: bool,  # noqa: FBT001 - drawn
) -> None:
    rolls = Rolls(scopes, held)
    principal = principal_of(rolls, facts, without)
    sides = sides_of(rolls, facts, without)
    for action in Action:
        for module in MODULES:
            wanted = expected(sides, action, module, enabled=enabled)
            assert answer(principal, action, module, enabled=enabled) is wanted
            covers = principal.rights.covers(action, INDEX.bits[module])
            assert covers is all(permits(side, action, module) for side in sides)


@given(scopes_on_record(), HELD, FACTS, some.sampled_from(WithoutScope))
def test_what_both_permit_is_what_each_alone_permits(
    scopes: dict[str, Scope], held: dict[MemberUse, frozenset[str]], facts: TokenFacts, without: WithoutScope
) -> None:
    rolls = Rolls(scopes, held)
    members, token, both = (
        principal_of(rolls, replace(facts, scopes_from=source), without) for source in ScopesFrom
    )
    for action in Action:
        for module in MODULES:
            for enabled in (True, False):
                each = {answer(one, action, module, enabled=enabled) for one in (members, token)}
                together = answer(both, action, module, enabled=enabled)
                assert (together is None) is (each == {None})


@given(scopes_on_record(), HELD, FACTS, some.sampled_from(WithoutScope))
def test_a_feed_is_told_only_of_scopes_that_every_side_has(
    scopes: dict[str, Scope], held: dict[MemberUse, frozenset[str]], facts: TokenFacts, without: WithoutScope
) -> None:
    rolls = Rolls(scopes, held)
    told = [scope.name for scope in principal_of(rolls, facts, without).held]
    sides = [{scope.name for scope in side} for side in sides_of(rolls, facts, without)]
    assert set(told) == set.intersection(*sides)
    assert len(set(told)) == len(told)


# Who has no scope


@pytest.mark.parametrize("kind", [USER, CLIENT])
@pytest.mark.parametrize("source", ScopesFrom)
@pytest.mark.parametrize("without", WithoutScope)
def test_full_access_is_for_users_without_a_membership_and_never_for_what_a_token_names(
    kind: PrincipalKind, source: ScopesFrom, without: WithoutScope
) -> None:
    rolls = Rolls({FULL_ACCESS: API_V2})
    nothing = TokenFacts(kind, "ada", "i", scopes_from=source)
    everything = kind is USER and source is ScopesFrom.MEMBERS and without is WithoutScope.FULL_ACCESS
    refused = answer(principal_of(rolls, nothing, without), Action.READ, "users", enabled=True)
    assert refused is (None if everything else Reason.SCOPE_NONE)
    named = replace(nothing, scopes=(FULL_ACCESS,))
    by_name = answer(principal_of(rolls, named, without), Action.READ, "users", enabled=True)
    full = kind is USER and without is WithoutScope.FULL_ACCESS
    assert (by_name is None) is (source is ScopesFrom.TOKEN or full)


def test_a_user_who_is_denied_something_has_a_scope_and_no_full_access() -> None:
    nothing_but_users = Scope(1, "no-users", "No users", Mode.DENY, *[ModuleSet.of(["users"])] * 4)
    by_role = Rolls(
        {"no-users": nothing_but_users, FULL_ACCESS: API_V2},
        {MemberUse(MemberKind.ROLE, "guest"): frozenset({"no-users"})},
    )
    guest = TokenFacts(USER, "ada", "i", ("guest",))
    principal = principal_of(by_role, guest, WithoutScope.FULL_ACCESS)
    assert answer(principal, Action.READ, "users", enabled=True) is Reason.SCOPE_DENIED
    assert answer(principal, Action.READ, "courses", enabled=True) is None


def test_where_the_store_has_no_full_access_to_give_nobody_has_it() -> None:
    principal = principal_of(Rolls(), TokenFacts(USER, "ada", "i"), WithoutScope.FULL_ACCESS)
    assert answer(principal, Action.READ, "users", enabled=True) is Reason.SCOPE_NONE


# What is asked, and what it rests on


@pytest.mark.parametrize(
    ("source", "kind", "scopes", "without", "asked"),
    [
        (ScopesFrom.MEMBERS, USER, ("a",), WithoutScope.DENY, ["members"]),
        (ScopesFrom.MEMBERS, USER, ("a",), WithoutScope.FULL_ACCESS, ["members", "names"]),
        (ScopesFrom.MEMBERS, CLIENT, ("a",), WithoutScope.FULL_ACCESS, ["members"]),
        (ScopesFrom.TOKEN, USER, ("a",), WithoutScope.DENY, ["names"]),
        (ScopesFrom.TOKEN, USER, ("a",), WithoutScope.FULL_ACCESS, ["names"]),
        (ScopesFrom.TOKEN, CLIENT, (), WithoutScope.FULL_ACCESS, []),
        (ScopesFrom.BOTH, CLIENT, ("a",), WithoutScope.FULL_ACCESS, ["members", "names"]),
        (ScopesFrom.BOTH, USER, (), WithoutScope.DENY, ["members"]),
    ],
)
async def test_the_store_is_asked_for_no_more_than_decides(
    source: ScopesFrom, kind: PrincipalKind, scopes: tuple[str, ...], without: WithoutScope, asked: list[str]
) -> None:
    rolls = Rolls({FULL_ACCESS: API_V2})
    await proof_of(rolls, TokenFacts(kind, "ada", "i", scopes=scopes, scopes_from=source), without)
    assert rolls.asked == asked


@pytest.mark.parametrize("source", ScopesFrom)
async def test_a_proof_rests_on_all_that_could_change_it(source: ScopesFrom) -> None:
    rolls = Rolls(
        {"a": Scope(7, "a", "A", Mode.ALLOW), "b": Scope(8, "b", "B", Mode.ALLOW)},
        {MemberUse(MemberKind.USER, "ada"): frozenset({"a"})},
    )
    facts = TokenFacts(USER, "ada", "i", ("guest",), ("b", "later"), source)
    rests_on = (await proof_of(rolls, facts)).rests_on()
    of_members = {(ChangeKind.MEMBER, "user:ada"), (ChangeKind.MEMBER, "role:guest"), (ChangeKind.SCOPE, "7")}
    wanted = {
        ScopesFrom.MEMBERS: of_members,
        ScopesFrom.TOKEN: {ANY_SCOPE},
        ScopesFrom.BOTH: of_members | {ANY_SCOPE},
    }
    assert rests_on == wanted[source]
