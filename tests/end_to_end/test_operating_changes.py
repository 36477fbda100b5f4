"""What an operator changes is in force in every worker within a second, measured on connections held open."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from commands import Commands
from conversations import Answered, Conversation, conversation
from feeds import Feed
from gateways import GatewayUnderTest, write_configuration
from operations import IN_FORCE_WITHIN, counted, feed_beside, logged_by, readiness, serving, told, until
from stopwatch import Stopwatch

CALLERS = 8
"""Connections held open: so many that both workers have some of them, but for one time in a hundred."""

PERMITTED = (200, None)
DENIED = (403, "scope_denied")


class Callers:
    """Connections that were there before the change, shared out among the workers, and what each is told."""

    def __init__(self, held: list[Conversation]) -> None:
        self._held = held

    async def answers(self, key: str, method: str = "GET", path: str = "/v2/courses") -> list[Answered]:
        """Ask once on every connection."""
        return [await client.ask(method, path, f"X-API-Key: {key}") for client in self._held]

    async def told(
        self, key: str, method: str = "GET", path: str = "/v2/courses"
    ) -> set[tuple[int, str | None]]:
        """What all the connections are told, each different answer once."""
        return {told(answer) for answer in await self.answers(key, method, path)}

    async def are_told(
        self, key: str, expected: tuple[int, str | None], method: str = "GET", path: str = "/v2/courses"
    ) -> None:
        """Ask until all are told that, which has to be so within a second from now."""
        watch = Stopwatch()
        while (heard := await self.told(key, method, path)) != {expected}:
            assert not watch.is_past(IN_FORCE_WITHIN), heard
            await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def feed() -> Iterator[Feed]:
    with feed_beside() as feed:
        yield feed


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory, commands: Commands, feed: Feed) -> Commands:
    directory = tmp_path_factory.mktemp("changes")
    file = write_configuration(directory, [feed.port], main="workers: 2\ncache: {ttl: 1h, negative_ttl: 1h}")
    run = commands.on(file)
    run.scope("website", read="courses")
    run.scope("booking", create="bookings")
    return run


@pytest.fixture(scope="module")
def gateway(commands: Commands) -> Iterator[GatewayUnderTest]:
    with serving(commands.file) as gateway:
        yield gateway


@asynccontextmanager
async def calling(gateway: GatewayUnderTest) -> AsyncIterator[Callers]:
    async with AsyncExitStack() as stack:
        held = [await stack.enter_async_context(conversation(gateway.port)) for _ in range(CALLERS)]
        yield Callers(held)


@pytest.fixture
async def callers(gateway: GatewayUnderTest) -> AsyncIterator[Callers]:
    async with calling(gateway) as callers:
        yield callers


async def test_a_new_key_is_known_even_to_those_who_just_refused_it(
    commands: Commands, callers: Callers
) -> None:
    secret = "imported-key-that-is-not-there-yet"
    assert await callers.told(secret) == {(401, "credential_invalid")}
    commands.gets("keys", "import", "-", stdin=f"label,key,scopes\nOld,{secret},website\n")
    await callers.are_told(secret, PERMITTED)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("keys", "revoke"), (401, "credential_revoked")),
        (("keys", "disable"), (401, "credential_revoked")),
        (("keys", "rotate", "--overlap", "0"), (401, "credential_expired")),
        (("keys", "update", "--scope", "booking"), DENIED),
        (("keys", "update", "--scope", "booking", "--scope", "api-v2"), PERMITTED),
    ],
    ids=lambda part: " ".join(map(str, part)),
)
async def test_what_becomes_of_a_key_is_in_force_within_a_second(
    commands: Commands, callers: Callers, change: tuple[str, ...], expected: tuple[int, str]
) -> None:
    number, secret = commands.key("website")
    assert await callers.told(secret) == {PERMITTED}
    commands.gets(*change[:2], number, *change[2:])
    await callers.are_told(secret, expected)


async def test_an_enabled_key_is_served_again(commands: Commands, callers: Callers) -> None:
    number, secret = commands.key("website")
    commands.gets("keys", "disable", number)
    await callers.are_told(secret, (401, "credential_revoked"))
    commands.gets("keys", "enable", number)
    await callers.are_told(secret, PERMITTED)


async def test_old_and_new_secret_are_good_while_they_overlap_and_the_old_one_ends_on_time(
    commands: Commands, callers: Callers
) -> None:
    number, old = commands.key("website")
    assert await callers.told(old) == {PERMITTED}
    rotated = time.monotonic()
    new = commands.gets("keys", "rotate", number, "--overlap", "3s")["key"]
    await callers.are_told(new, PERMITTED)
    assert await callers.told(old) == {PERMITTED}
    await asyncio.sleep(max(0.0, rotated + 3.0 - time.monotonic()))
    await callers.are_told(old, (401, "credential_expired"))
    assert await callers.told(new) == {PERMITTED}


async def test_a_key_expires_on_time_although_it_is_remembered(commands: Commands, callers: Callers) -> None:
    number, secret = commands.key("website")
    commands.gets("keys", "update", number, "--expires", "2s")
    set_at = time.monotonic()
    assert await callers.told(secret) == {PERMITTED}
    await asyncio.sleep(max(0.0, set_at + 2.0 - time.monotonic()))
    await callers.are_told(secret, (401, "credential_expired"))


async def test_an_edited_scope_is_in_force_for_everyone_who_has_it(
    commands: Commands, callers: Callers
) -> None:
    commands.scope("edited", read="courses")
    first, second = (commands.key("edited")[1] for _ in range(2))
    assert await callers.told(first) == {PERMITTED}
    assert await callers.told(second) == {PERMITTED}
    commands.gets("scopes", "update", "edited", "--read", "users")
    await callers.are_told(first, DENIED)
    await callers.are_told(second, DENIED)
    commands.gets("scopes", "update", "edited", "--mode", "deny")
    await callers.are_told(first, PERMITTED)


@pytest.mark.parametrize(
    ("fallback", "expected"), [("deny", (403, "scope_none")), ("full-access", PERMITTED)]
)
async def test_a_deleted_scope_is_gone_from_its_keys(
    commands: Commands, callers: Callers, fallback: str, expected: tuple[int, str | None]
) -> None:
    name = f"deleted-{fallback}"
    commands.scope(name, read="courses")
    number, secret = commands.key(name)
    assert await callers.told(secret) == {PERMITTED}
    assert await callers.told(secret, "GET", "/v2/users") == {DENIED}
    assert commands("scopes", "delete", name).returncode == 1
    assert await callers.told(secret) == {PERMITTED}
    commands.gets("scopes", "delete", name, "--fallback", fallback)
    await callers.are_told(secret, expected, "GET", "/v2/users")
    assert commands("keys", "show", number).stderr.startswith("warning: ")


async def test_a_trial_lets_through_and_records_until_it_is_adopted(
    commands: Commands, callers: Callers, gateway: GatewayUnderTest, feed: Feed
) -> None:
    number, secret = commands.key("api-v2")
    assert await callers.told(secret, "GET", "/v2/users") == {PERMITTED}
    before = counted(gateway, "gateway_would_deny_total", reason="scope_denied", module="users")
    commands.gets("keys", "update", number, "--trial", "website")
    await asyncio.sleep(IN_FORCE_WITHIN)
    seen = len(feed.requests)
    watched = await callers.answers(secret, "GET", "/v2/users")
    assert {told(answer) for answer in watched} == {PERMITTED}
    assert len(feed.requests) - seen == CALLERS
    sent = feed.requests[-1]
    assert sent.value("X-Gateway-Scopes") == "api-v2"
    line = logged_by(gateway, sent.value("X-Request-Id"))
    assert (line["outcome"], line["would_deny"], line["status"]) == ("permit", "scope_denied", 200)
    assert logged_by(gateway, sent.value("X-Request-Id"), "denied.log") == line
    assert await callers.told(secret) == {PERMITTED}
    line = logged_by(gateway, feed.requests[-1].value("X-Request-Id"))
    assert (line["outcome"], line["would_deny"]) == ("permit", None)
    after = counted(gateway, "gateway_would_deny_total", reason="scope_denied", module="users")
    assert after - before == CALLERS
    commands.gets("keys", "adopt", number)
    await callers.are_told(secret, DENIED, "GET", "/v2/users")
    assert await callers.told(secret) == {PERMITTED}


async def test_a_trial_that_would_allow_more_allows_nothing_more(
    commands: Commands, callers: Callers
) -> None:
    number, secret = commands.key("website")
    commands.gets("keys", "update", number, "--trial", "api-v2")
    await asyncio.sleep(IN_FORCE_WITHIN)
    assert await callers.told(secret, "GET", "/v2/users") == {DENIED}
    assert await callers.told(secret) == {PERMITTED}


async def test_the_policy_revision_rises_with_each_change(
    commands: Commands, gateway: GatewayUnderTest
) -> None:
    before = counted(gateway, "gateway_policy_revision")
    number, _ = commands.key("website")
    until(lambda: counted(gateway, "gateway_policy_revision") > before, within=2)
    commands.gets("keys", "revoke", number)
    assert readiness(gateway)["status"] == "ready"


async def test_keys_show_tells_when_a_key_was_last_used(commands: Commands, callers: Callers) -> None:
    number, secret = commands.key("website")
    assert commands.gets("keys", "show", number)["last_used_at"] is None
    await callers.told(secret)
    until(lambda: commands.gets("keys", "show", number)["last_used_at"])
