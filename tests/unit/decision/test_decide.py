"""The verdict: the table of CONTRACT 2 row by row, flags, trial sets, and what observing lets through."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.decision.decide import WATCHED, admit, decide, deciding_scope, watch
from gateway.domain.action import Action
from gateway.domain.feed import Enforcement, Feed
from gateway.domain.permit import Permit, Verdict
from gateway.domain.principal import Principal, PrincipalKind
from gateway.domain.rights import ModuleIndex, Rights
from gateway.domain.scope import Mode, ModuleSet, Scope, Vote
from gateway.domain.target import Route, Target, Unmapped
from gateway.domain.verdict import Reason, Refusal
from gateway.pipeline import judge

MODULES = ("bookings", "courses", "invoices", "users")
INDEX = ModuleIndex.of(MODULES)
ALL = ModuleSet(every=True)
FEED = Feed("demo")
OFF = Feed("demo", enabled=False)
OBSERVING = Feed("demo", enforcement=Enforcement.OBSERVE)
ROUTE = Route("/x", "routes.yaml:3")


def only(*names: str) -> ModuleSet:
    return ModuleSet.of(names)


def allow(name: str = "a", *, bypass: bool = False, **sets: ModuleSet) -> Scope:
    return Scope(1, name, name, Mode.ALLOW, bypass_enabled_flag=bypass, **sets)  # type: ignore[arg-type] # sets


def deny(name: str = "d", *, bypass: bool = False, **sets: ModuleSet) -> Scope:
    return Scope(2, name, name, Mode.DENY, bypass_enabled_flag=bypass, **sets)  # type: ignore[arg-type] # sets


def having(*scopes: Scope, trial: tuple[Scope, ...] | None = None) -> Principal:
    rights = Rights.of(scopes, INDEX)
    trial_rights = None if trial is None else Rights.of(trial, INDEX)
    return Principal(PrincipalKind.KEY, "key:1", "test", scopes, rights, trial, trial_rights, 1)


def asks(action: str, module: str, feed: Feed = FEED) -> Target:
    return Target(feed, ROUTE, module, INDEX.bits[module], Action[action.upper()])


def reason_of(verdict: Verdict) -> Reason | None:
    return verdict.reason if isinstance(verdict, Refusal) else None


WRITES = {"create": ALL, "update": ALL, "delete": ALL}
READ_COURSES = allow(read=only("courses"))

TABLE = [
    ([READ_COURSES], "read courses", None),
    ([READ_COURSES], "update courses", Reason.SCOPE_DENIED),
    ([READ_COURSES, allow("b", read=only("bookings"))], "read bookings", None),
    ([allow(read=only("users")), deny(read=only("users"))], "read users", Reason.SCOPE_DENIED),
    ([deny(read=only("users"))], "read courses", None),
    *(([deny(**WRITES)], f"read {module}", None) for module in MODULES),
    *(([deny(**WRITES)], f"create {module}", Reason.SCOPE_DENIED) for module in MODULES),
    ([READ_COURSES, deny(read=only("users"))], "read invoices", None),
    *(([deny()], f"{action.word} {module}", None) for action in Action for module in MODULES),
    *(([], f"{action.word} {module}", Reason.SCOPE_NONE) for action in Action for module in MODULES),
]
"""CONTRACT 2, row by row; "anything" is written out."""


@pytest.mark.parametrize(("scopes", "asked", "refused"), TABLE)
def test_the_table_of_the_contract_holds(scopes: list[Scope], asked: str, refused: Reason | None) -> None:
    action, module = asked.split()
    for order in (scopes, scopes[::-1]):
        assert reason_of(decide(having(*order), asks(action, module))) is refused


def test_a_permit_carries_what_was_asked_and_who_asked() -> None:
    principal = having(READ_COURSES)
    permit = decide(principal, asks("read", "courses"))
    assert isinstance(permit, Permit)
    assert (permit.feed, permit.route, permit.module, permit.action) == (FEED, ROUTE, "courses", "read")
    assert permit.principal is principal
    assert permit.would_deny is None


def test_a_denial_names_the_scope_that_denies_and_the_pair() -> None:
    refusal = decide(having(READ_COURSES, deny("no-users", read=only("users"))), asks("read", "users"))
    assert isinstance(refusal, Refusal)
    assert (refusal.module, refusal.action, refusal.scope) == ("users", "read", "no-users")
    assert "'no-users' denies read on users" in refusal.detail


READ_NOTHING = allow("idle")
NO_USERS = deny("no-users", read=only("users"))
EVERYTHING = deny("all")


@pytest.mark.parametrize(
    ("given", "named", "reason", "told"),
    [
        ((), (), Reason.SCOPE_NONE, ""),
        ((), (EVERYTHING,), Reason.SCOPE_NONE, ""),
        ((EVERYTHING,), (), Reason.SCOPE_NONE, "Your token names no API Scope, so"),
        ((READ_NOTHING,), (), Reason.SCOPE_DENIED, "None of your API Scopes ('idle')"),
        ((READ_NOTHING,), (NO_USERS,), Reason.SCOPE_DENIED, "None of your API Scopes ('idle')"),
        ((EVERYTHING,), (READ_NOTHING,), Reason.SCOPE_DENIED, "None of your token's API Scopes ('idle')"),
        ((EVERYTHING,), (NO_USERS,), Reason.SCOPE_DENIED, "Your token's API Scope 'no-users' denies"),
    ],
)
def test_where_two_sides_must_permit_the_first_that_does_not_is_told(
    given: tuple[Scope, ...], named: tuple[Scope, ...], reason: Reason, told: str
) -> None:
    rights = Rights.of(given, INDEX).within(Rights.of(named, INDEX))
    bearer = Principal(PrincipalKind.USER, "user:ada", "ada", given, rights, token_scopes=named)
    refusal = decide(bearer, asks("read", "users"))
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.module, refusal.action) == (reason, "users", "read")
    assert refusal.detail.startswith(told)
    assert bool(told) == bool(refusal.detail)


def test_where_no_scope_allows_the_scopes_are_named_but_not_hundreds_of_them() -> None:
    refusal = decide(having(*(allow(f"s{n}") for n in range(300))), asks("read", "users"))
    assert isinstance(refusal, Refusal)
    assert refusal.scope is None
    assert "'s0', 's1'" in refusal.detail
    assert "and 292 more" in refusal.detail
    assert len(refusal.detail) < 300


@pytest.mark.parametrize(("module", "action"), [(None, None), ("courses", None), (None, Action.READ)])
def test_a_target_without_a_pair_is_refused_whatever_the_scopes(
    module: str | None, action: Action | None
) -> None:
    target = Target(FEED, ROUTE, module, -1, action)
    assert reason_of(decide(having(deny(), allow(read=ALL)), target)) is Reason.SCOPE_DENIED


# The feed's flag and those who bypass it


@pytest.mark.parametrize(
    ("scopes", "asked", "refused"),
    [
        ([], "read courses", Reason.FEED_DISABLED),
        ([READ_COURSES], "read courses", Reason.FEED_DISABLED),
        ([READ_COURSES], "read users", Reason.FEED_DISABLED),
        ([allow(read=only("courses"), bypass=True)], "read courses", None),
        ([allow(read=only("courses"), bypass=True)], "read users", Reason.SCOPE_DENIED),
        ([READ_COURSES, allow("b", bypass=True)], "read courses", None),
        ([READ_COURSES, deny(read=only("courses"), bypass=True)], "read courses", Reason.SCOPE_DENIED),
        ([deny(bypass=True)], "delete users", None),
    ],
)
def test_the_bypass_flag_skips_the_feed_check_and_nothing_else(
    scopes: list[Scope], asked: str, refused: Reason | None
) -> None:
    action, module = asked.split()
    assert reason_of(decide(having(*scopes), asks(action, module, OFF))) is refused


def test_a_trial_sets_bypass_flag_opens_nothing() -> None:
    trial = (allow("b", read=ALL, bypass=True),)
    verdict = decide(having(READ_COURSES, trial=trial), asks("read", "courses", OFF))
    assert reason_of(verdict) is Reason.FEED_DISABLED


# Trial sets


@pytest.mark.parametrize(
    ("trial", "would_deny"),
    [
        (None, None),
        ((READ_COURSES,), None),
        ((deny(**WRITES),), None),
        ((allow("t", read=only("users")),), Reason.SCOPE_DENIED),
        ((READ_COURSES, deny(read=only("courses"))), Reason.SCOPE_DENIED),
        ((), Reason.SCOPE_NONE),
    ],
)
def test_what_a_trial_set_would_refuse_is_let_through_and_recorded(
    trial: tuple[Scope, ...] | None, would_deny: Reason | None
) -> None:
    principal = having(READ_COURSES, trial=trial)
    permit = decide(principal, asks("read", "courses"))
    assert isinstance(permit, Permit)
    assert permit.would_deny is would_deny
    assert permit.principal is principal


def test_a_trial_set_that_lacks_the_bypass_flag_would_be_refused_by_a_feed_that_is_off() -> None:
    scopes = allow(read=only("courses"), bypass=True)
    permit = decide(having(scopes, trial=(READ_COURSES,)), asks("read", "courses", OFF))
    assert isinstance(permit, Permit)
    assert permit.would_deny is Reason.FEED_DISABLED
    as_before = decide(having(scopes, trial=(scopes,)), asks("read", "courses", OFF))
    assert isinstance(as_before, Permit)
    assert as_before.would_deny is None


def test_a_trial_set_never_permits_what_the_scopes_refuse() -> None:
    verdict = decide(having(READ_COURSES, trial=(deny(),)), asks("delete", "users"))
    assert reason_of(verdict) is Reason.SCOPE_DENIED


# Public routes


def test_a_public_route_is_open_to_anyone_while_its_feed_is_on() -> None:
    public = replace(ROUTE, public=True)
    permit = admit(Target(FEED, public, None, -1, Action.READ))
    assert isinstance(permit, Permit)
    assert (permit.principal, permit.module, permit.action) == (None, None, "read")
    assert reason_of(admit(Target(OFF, public, None, -1, None))) is Reason.FEED_DISABLED


def test_a_route_that_is_not_public_is_never_admitted() -> None:
    assert reason_of(admit(asks("read", "courses"))) is Reason.CREDENTIAL_MISSING


# Observing


LET_THROUGH = {
    *("credential_missing", "credential_invalid", "credential_expired", "credential_revoked"),
    *("route_unmapped", "method_unmapped", "scope_denied", "scope_none"),
}


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.value)
def test_observing_lets_through_the_want_of_credential_route_and_scope_alone(reason: Reason) -> None:
    verdict = watch(Refusal(reason), OBSERVING, asks("read", "courses", OBSERVING))
    if reason.value in LET_THROUGH:
        assert isinstance(verdict, Permit)
        assert verdict.would_deny is reason
        assert verdict.principal is None
        assert (verdict.module, verdict.action) == ("courses", "read")
    else:
        assert reason_of(verdict) is reason
    assert (reason in WATCHED) is (reason.value in LET_THROUGH)


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.value)
def test_an_enforcing_feed_lets_no_refusal_through(reason: Reason) -> None:
    assert reason_of(watch(Refusal(reason), FEED, asks("read", "courses"))) is reason
    assert reason_of(watch(Refusal(reason), FEED, Unmapped(FEED, Reason.ROUTE_UNMAPPED))) is reason


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.value)
def test_an_observing_feed_that_is_off_lets_no_refusal_through(reason: Reason) -> None:
    off = Feed("demo", enabled=False, enforcement=Enforcement.OBSERVE)
    assert isinstance(watch(Refusal(reason), off, asks("read", "courses", off)), Refusal)


# The one evaluator


UNMAPPED = Unmapped(FEED, Reason.ROUTE_UNMAPPED)
WRONG_METHOD = Unmapped(FEED, Reason.METHOD_UNMAPPED, ROUTE, ("GET", "POST"))
INVALID = Refusal(Reason.CREDENTIAL_INVALID)
OUTAGE = Refusal(Reason.STORE_UNAVAILABLE)


@pytest.mark.parametrize(
    ("place", "who", "reason"),
    [
        (UNMAPPED, None, Reason.CREDENTIAL_MISSING),
        (UNMAPPED, INVALID, Reason.CREDENTIAL_INVALID),
        (UNMAPPED, OUTAGE, Reason.STORE_UNAVAILABLE),
        (UNMAPPED, having(deny()), Reason.ROUTE_UNMAPPED),
        (UNMAPPED, having(), Reason.ROUTE_UNMAPPED),
        (WRONG_METHOD, None, Reason.CREDENTIAL_MISSING),
        (WRONG_METHOD, having(deny()), Reason.METHOD_UNMAPPED),
        (Unmapped(None, Reason.ROUTE_UNMAPPED), None, Reason.CREDENTIAL_MISSING),
        (Unmapped(None, Reason.ROUTE_UNMAPPED), having(deny()), Reason.ROUTE_UNMAPPED),
        (asks("read", "courses"), None, Reason.CREDENTIAL_MISSING),
        (asks("read", "courses"), INVALID, Reason.CREDENTIAL_INVALID),
        (asks("read", "courses"), OUTAGE, Reason.STORE_UNAVAILABLE),
        (asks("read", "courses"), having(), Reason.SCOPE_NONE),
        (asks("read", "courses"), having(READ_COURSES), None),
        (asks("read", "courses", OFF), None, Reason.CREDENTIAL_MISSING),
        (asks("read", "courses", OFF), having(READ_COURSES), Reason.FEED_DISABLED),
        (Target(FEED, replace(ROUTE, public=True), None, -1, None), INVALID, None),
    ],
)
def test_the_first_refusal_is_the_answer(
    place: Target | Unmapped, who: Principal | Refusal | None, reason: Reason | None
) -> None:
    assert reason_of(judge(place, who)) is reason


def test_a_wrong_method_is_told_with_those_that_are_mapped() -> None:
    verdict = judge(WRONG_METHOD, having(deny()))
    assert isinstance(verdict, Refusal)
    assert verdict.allow == ("GET", "POST")


@pytest.mark.parametrize(
    ("place", "who", "would_deny"),
    [
        (Unmapped(OBSERVING, Reason.ROUTE_UNMAPPED), None, Reason.CREDENTIAL_MISSING),
        (Unmapped(OBSERVING, Reason.ROUTE_UNMAPPED), having(), Reason.ROUTE_UNMAPPED),
        (Unmapped(OBSERVING, Reason.METHOD_UNMAPPED, ROUTE), having(), Reason.METHOD_UNMAPPED),
        (asks("read", "courses", OBSERVING), INVALID, Reason.CREDENTIAL_INVALID),
        (asks("read", "courses", OBSERVING), having(), Reason.SCOPE_NONE),
        (asks("delete", "courses", OBSERVING), having(READ_COURSES), Reason.SCOPE_DENIED),
    ],
)
def test_an_observing_feed_forwards_unproven_and_says_what_it_would_have_refused(
    place: Target | Unmapped, who: Principal | Refusal | None, would_deny: Reason
) -> None:
    verdict = judge(place, who)
    assert isinstance(verdict, Permit)
    assert verdict.would_deny is would_deny
    assert verdict.principal is None


def test_an_observing_feed_proves_whom_it_can() -> None:
    principal = having(READ_COURSES)
    verdict = judge(asks("read", "courses", OBSERVING), principal)
    assert isinstance(verdict, Permit)
    assert verdict.principal is principal
    assert verdict.would_deny is None


def test_an_outage_is_no_pass_even_where_nothing_is_enforced() -> None:
    verdict = judge(asks("read", "courses", OBSERVING), OUTAGE)
    assert reason_of(verdict) is Reason.STORE_UNAVAILABLE


def test_a_request_for_no_feed_at_all_is_never_let_through() -> None:
    assert isinstance(judge(Unmapped(None, Reason.ROUTE_UNMAPPED), having(deny())), Refusal)


# Which scope decided


module_sets = st.one_of(st.just(ALL), st.frozensets(st.sampled_from(MODULES)).map(ModuleSet))
scope_lists = st.lists(
    st.builds(
        Scope,
        id=st.integers(1, 9),
        name=st.text("abc", min_size=1, max_size=6),
        label=st.just(""),
        mode=st.sampled_from(Mode),
        create=module_sets,
        read=module_sets,
        update=module_sets,
        delete=module_sets,
        bypass_enabled_flag=st.booleans(),
    ),
    max_size=5,
).map(tuple)
targets = st.builds(asks, st.sampled_from([a.word for a in Action]), st.sampled_from(MODULES))


@pytest.mark.parametrize(
    ("scopes", "decides"),
    [
        ([], None),
        ([allow("idle", read=only("users"))], None),
        ([allow("idle"), READ_COURSES], "a"),
        ([READ_COURSES, deny("no", read=only("courses")), deny("no-2", read=ALL)], "no"),
        ([deny("all-but-users", read=only("users")), READ_COURSES], "all-but-users"),
    ],
)
def test_the_scope_that_settles_a_target_is_one_that_voted(scopes: list[Scope], decides: str | None) -> None:
    assert deciding_scope(tuple(scopes), asks("read", "courses")) == decides


@given(scope_lists, targets)
def test_the_deciding_scope_is_the_first_that_denies_else_the_first_that_allows(
    scopes: tuple[Scope, ...], target: Target
) -> None:
    assert target.action is not None
    assert target.module is not None
    votes = [(scope.vote(target.action, target.module), scope.name) for scope in scopes]
    denying = [name for vote, name in votes if vote is Vote.DENY]
    allowing = [name for vote, name in votes if vote is Vote.ALLOW]
    assert deciding_scope(scopes, target) == next(iter(denying + allowing), None)


@given(scope_lists, st.one_of(st.none(), scope_lists), targets, st.booleans())
def test_a_verdict_is_a_permit_exactly_if_the_votes_say_so(
    scopes: tuple[Scope, ...],
    trial: tuple[Scope, ...] | None,
    target: Target,
    on: bool,  # noqa: FBT001 - drawn
) -> None:
    target = replace(target, feed=FEED if on else OFF)
    verdict = decide(having(*scopes, trial=trial), target)
    assert reason_of(verdict) is _naive(scopes, target)
    if isinstance(verdict, Permit):
        assert verdict.would_deny is (None if trial is None else _naive(trial, target))


def _naive(scopes: tuple[Scope, ...], target: Target) -> Reason | None:
    assert target.action is not None
    assert target.module is not None
    if not target.feed.enabled and not any(scope.bypass_enabled_flag for scope in scopes):
        return Reason.FEED_DISABLED
    if not scopes:
        return Reason.SCOPE_NONE
    votes = {scope.vote(target.action, target.module) for scope in scopes}
    return None if Vote.ALLOW in votes and Vote.DENY not in votes else Reason.SCOPE_DENIED
