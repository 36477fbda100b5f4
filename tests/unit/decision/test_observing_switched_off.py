"""A feed that is observed and switched off: who bypasses the flag is observed, and all others are refused."""

import pytest

from gateway.domain.action import Action
from gateway.domain.feed import Enforcement, Feed
from gateway.domain.permit import Permit
from gateway.domain.principal import Principal, PrincipalKind
from gateway.domain.rights import ModuleIndex, Rights
from gateway.domain.scope import Mode, ModuleSet, Scope
from gateway.domain.target import Route, Target, Unmapped
from gateway.domain.verdict import Reason, Refusal
from gateway.pipeline import judge

INDEX = ModuleIndex.of(("courses", "users"))
OFF = Feed("demo", enabled=False, enforcement=Enforcement.OBSERVE)
ROUTE = Route("/x", "routes.yaml:3")
PUBLIC = Route("/status", "routes.yaml:4", public=True)


def having(*, bypass: bool) -> Principal:
    """Somebody who may read courses."""
    courses = ModuleSet.of(["courses"])
    scope = Scope(1, "reader", "Reader", Mode.ALLOW, read=courses, bypass_enabled_flag=bypass)
    return Principal(PrincipalKind.KEY, "key:1", "test", (scope,), Rights.of([scope], INDEX))


def reading(module: str, route: Route = ROUTE) -> Target:
    return Target(OFF, route, module, INDEX.bits[module], Action.READ)


INSIDER, OUTSIDER = having(bypass=True), having(bypass=False)
UNMAPPED = Unmapped(OFF, Reason.ROUTE_UNMAPPED)
WRONG_METHOD = Unmapped(OFF, Reason.METHOD_UNMAPPED, ROUTE, ("GET",))
REVOKED = Refusal(Reason.CREDENTIAL_REVOKED)
OUTAGE = Refusal(Reason.STORE_UNAVAILABLE)

TABLE = [
    (OUTSIDER, reading("courses"), Reason.FEED_DISABLED),
    (OUTSIDER, reading("users"), Reason.FEED_DISABLED),
    (OUTSIDER, UNMAPPED, Reason.FEED_DISABLED),
    (OUTSIDER, WRONG_METHOD, Reason.FEED_DISABLED),
    (None, reading("courses"), Reason.FEED_DISABLED),
    (None, UNMAPPED, Reason.FEED_DISABLED),
    (REVOKED, reading("courses"), Reason.FEED_DISABLED),
    (OUTAGE, reading("courses"), Reason.STORE_UNAVAILABLE),
    (None, reading("courses", PUBLIC), Reason.FEED_DISABLED),
    (INSIDER, reading("courses", PUBLIC), Reason.FEED_DISABLED),
]


@pytest.mark.parametrize(("who", "place", "reason"), TABLE)
def test_who_does_not_bypass_the_flag_is_refused(
    who: Principal | Refusal | None, place: Target | Unmapped, reason: Reason
) -> None:
    verdict = judge(place, who)
    assert isinstance(verdict, Refusal)
    assert verdict.reason is reason


@pytest.mark.parametrize(
    ("place", "would_deny"),
    [
        (reading("courses"), None),
        (reading("users"), Reason.SCOPE_DENIED),
        (UNMAPPED, Reason.ROUTE_UNMAPPED),
        (WRONG_METHOD, Reason.METHOD_UNMAPPED),
    ],
)
def test_for_who_bypasses_the_flag_the_feed_is_on_and_observed(
    place: Target | Unmapped, would_deny: Reason | None
) -> None:
    verdict = judge(place, INSIDER)
    assert isinstance(verdict, Permit)
    assert verdict.would_deny is would_deny
    assert verdict.principal is (None if would_deny else INSIDER)
