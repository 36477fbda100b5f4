"""The demo's integrations: what each may do, put on record by the use cases that operators' commands call.

Which ones they are follows the reference product's own examples: a website, an HR system, and reporting.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.control.keys import IssuedKey, create_key
from gateway.control.scopes import ScopeEdit, create_scope
from gateway.domain.action import Action
from gateway.domain.scope import EVERY, Mode
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


async def introduce(store: Store, known_modules: Collection[str]) -> dict[str, IssuedKey]:
    """Make every integration's scope and key; the keys by the integration's name. Raises RefusedError."""
    keys = {}
    for each in INTEGRATIONS:
        edit = ScopeEdit(label=each.label, mode=each.mode, modules=each.modules)
        await create_scope(store, ACTOR, each.scope, edit, known_modules)
        keys[each.name] = await create_key(store, ACTOR, each.label, [each.scope])
    return keys
