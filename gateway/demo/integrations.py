"""The demo's callers: what each may do, put on record by the use cases that operators' commands call.

Which ones they are follows the reference product's own examples: a website, an HR system, and reporting.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.control.keys import IssuedKey, create_key
from gateway.control.members import add_member
from gateway.control.scopes import ScopeEdit, create_scope
from gateway.demo.issuer import DemoIssuer
from gateway.domain.action import Action
from gateway.domain.principal import PrincipalKind
from gateway.domain.scope import EVERY, Mode
from gateway.domain.scope_use import MemberKind, MemberUse
from gateway.store.store import Store

ACTOR: Final = "demo"


@dataclass(frozen=True, slots=True)
class Integration:
    """One caller of the feed, and the API Scope made for it."""

    name: str
    label: str
    scope: str
    may: str
    mode: Mode
    modules: Mapping[Action, Collection[str]]


WEBSITE: Final = Integration(
    name="website",
    label="Website",
    scope="website",
    may="reads courses and course dates",
    mode=Mode.ALLOW,
    modules={Action.READ: ("courses", "course-dates")},
)
HR: Final = Integration(
    name="hr",
    label="HR system",
    scope="hr-system",
    may="does everything with users and user awards",
    mode=Mode.ALLOW,
    modules=dict.fromkeys(Action, ("users", "user-awards")),
)
REPORTING: Final = Integration(
    name="reporting",
    label="Reporting",
    scope="read-only",
    may="reads everything, changes nothing",
    mode=Mode.DENY,
    modules=dict.fromkeys((Action.CREATE, Action.UPDATE, Action.DELETE), (EVERY,)),
)
INTEGRATIONS: Final = (WEBSITE, HR, REPORTING)


@dataclass(frozen=True, slots=True)
class Bearer:
    """A caller with a token: a user with roles, or an OAuth2 client, and whose membership gives a scope."""

    name: str
    kind: PrincipalKind
    says: str
    member: MemberUse
    scope: str
    roles: tuple[str, ...] = ()

    def token(self, issuer: DemoIssuer) -> str:
        """A token that speaks for it."""
        if self.kind is PrincipalKind.CLIENT:
            return issuer.token_of_client(self.name)
        return issuer.token_of_user(self.name, *self.roles)


ADA: Final = Bearer(
    name="ada",
    kind=PrincipalKind.USER,
    says="A user, ada, has the role hr-staff, which has the scope hr-system",
    member=MemberUse(MemberKind.ROLE, "hr-staff"),
    scope=HR.scope,
    roles=("hr-staff",),
)
TIMETABLE: Final = Bearer(
    name="timetable",
    kind=PrincipalKind.CLIENT,
    says="An OAuth2 client, timetable, has the scope website",
    member=MemberUse(MemberKind.CLIENT, "timetable"),
    scope=WEBSITE.scope,
)
BEARERS: Final = (ADA, TIMETABLE)


async def introduce(store: Store, known_modules: Collection[str]) -> dict[str, IssuedKey]:
    """Make every integration's scope and key, and the bearers members; the keys by the integration's name.

    Raises RefusedError.
    """
    keys = {}
    for each in INTEGRATIONS:
        edit = ScopeEdit(label=each.label, mode=each.mode, modules=each.modules)
        await create_scope(store, ACTOR, each.scope, edit, known_modules)
        keys[each.name] = await create_key(store, ACTOR, each.label, [each.scope])
    for bearer in BEARERS:
        await add_member(store, ACTOR, bearer.scope, bearer.member)
    return keys
