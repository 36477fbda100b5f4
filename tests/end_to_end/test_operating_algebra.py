"""The algebra of API Scopes (CONTRACT 2) as integrations feel it: real keys, a real gateway, a real feed."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from commands import Commands
from feeds import Feed
from gateways import GatewayUnderTest, write_configuration
from operations import ask, feed_beside, serving, status, told, until

ROUTES = """\
feed: test
modules: {courses: Courses, bookings: Bookings, users: Users, invoices: Invoices, accounts: Accounts}
routes:
  - {path: /courses, module: courses}
  - {path: /bookings, module: bookings}
  - {path: /users, module: users}
  - {path: /invoices, module: invoices}
  - {path: /accounts, module: accounts}
"""

METHODS = {"create": "POST", "read": "GET", "update": "PATCH", "delete": "DELETE"}

SCOPES: dict[str, tuple[str, dict[str, str]]] = {
    "reads-courses": ("allow", {"read": "courses"}),
    "reads-bookings": ("allow", {"read": "bookings"}),
    "reads-users": ("allow", {"read": "users"}),
    "no-users": ("deny", {"read": "users"}),
    "read-only": ("deny", {"create": "*", "update": "*", "delete": "*"}),
    "denies-nothing": ("deny", {}),
    "allows-nothing": ("allow", {}),
    "denies-all": ("deny", {"create": "*", "read": "*", "update": "*", "delete": "*"}),
}

ROWS = [
    (("reads-courses",), "read", "courses", True),
    (("reads-courses",), "update", "courses", False),
    (("reads-courses", "reads-bookings"), "read", "bookings", True),
    (("reads-users", "no-users"), "read", "users", False),
    (("no-users", "reads-users"), "read", "users", False),
    (("no-users",), "read", "courses", True),
    (("no-users",), "delete", "users", True),
    (("read-only",), "read", "invoices", True),
    (("read-only",), "create", "invoices", False),
    (("reads-courses", "no-users"), "read", "invoices", True),
    (("denies-nothing",), "delete", "accounts", True),
    (("allows-nothing",), "read", "courses", False),
    (("api-v2",), "delete", "users", True),
    (("api-v2", "denies-all"), "read", "courses", False),
    (("denies-nothing", "read-only"), "update", "courses", False),
    (("power-bi",), "read", "invoices", True),
    (("power-bi",), "create", "invoices", False),
    (("mailchimp",), "read", "users", True),
    (("mailchimp",), "read", "accounts", True),
    (("mailchimp",), "read", "bookings", True),
    (("mailchimp",), "read", "courses", False),
    (("mailchimp",), "update", "users", False),
]


@dataclass
class Platform:
    """A running gateway with a key for each combination of scopes."""

    gateway: GatewayUnderTest
    feed: Feed
    commands: Commands
    keys: dict[tuple[str, ...], str]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, commands: Commands) -> Iterator[Platform]:
    with feed_beside() as feed:
        file = write_configuration(tmp_path_factory.mktemp("algebra"), [feed.port], routes=ROUTES)
        run = commands.on(file)
        for name, (mode, sets) in SCOPES.items():
            run.scope(name, mode, **sets)
        with serving(file) as gateway:
            keys = {scopes: run.key(*scopes)[1] for scopes, *_ in ROWS}
            yield Platform(gateway, feed, run, keys)


@pytest.mark.parametrize(("scopes", "action", "module", "permitted"), ROWS)
def test_a_caller_may_what_one_scope_allows_and_none_denies(
    platform: Platform, scopes: tuple[str, ...], action: str, module: str, *, permitted: bool
) -> None:
    before = len(platform.feed.requests)
    answer = ask(platform.gateway, METHODS[action], f"/{module}", key=platform.keys[scopes])
    assert told(answer) == ((200, None) if permitted else (403, "scope_denied"))
    assert len(platform.feed.requests) - before == permitted
    if permitted:
        sent = platform.feed.requests[-1]
        assert set((sent.value("X-Gateway-Scopes") or "").split(",")) == set(scopes)
        assert (sent.value("X-Gateway-Module"), sent.value("X-Gateway-Action")) == (module, action)
        assert sent.value("X-API-Key") is None
    else:
        assert (answer.problem["module"], answer.problem["action"]) == (module, action)
        assert (
            f'error="insufficient_scope", scope="{module}:{action}"' in answer.values("WWW-Authenticate")[0]
        )


@pytest.mark.parametrize("denied", ["courses", "bookings"])
def test_a_deny_scope_added_to_full_access_takes_just_its_pairs(platform: Platform, denied: str) -> None:
    platform.commands.scope(f"not-{denied}", "deny", update=denied)
    _, key = platform.commands.key("api-v2", f"not-{denied}")
    assert status(platform.gateway, "PATCH", f"/{denied}", key) == 403
    assert status(platform.gateway, "GET", f"/{denied}", key) == 200
    assert status(platform.gateway, "PATCH", "/users", key) == 200


def test_a_caller_left_with_no_scope_at_all_is_told_so(platform: Platform) -> None:
    platform.commands.scope("fleeting", read="courses")
    _, key = platform.commands.key("fleeting")
    assert status(platform.gateway, "GET", "/courses", key) == 200
    platform.commands.gets("scopes", "delete", "fleeting", "--fallback", "deny")
    until(lambda: status(platform.gateway, "GET", "/courses", key) == 403, within=2)
    assert told(ask(platform.gateway, "GET", "/courses", key=key)) == (403, "scope_none")


def test_a_refusal_names_no_more_than_the_caller_already_has(platform: Platform) -> None:
    problem = ask(platform.gateway, "GET", "/users", key=platform.keys["reads-users", "no-users"]).problem
    assert set(problem) == {
        *("type", "title", "status", "detail", "code", "request_id", "module", "action"),
    }
    assert problem["status"] == 403
