"""Tokens are verified once, changes are in force within a second, and a reload forgets just what it must.

The issuer is a real HTTP server that counts: what it is not asked again is what was remembered.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic, time
from typing import Any, Final
from urllib.parse import parse_qs

import pytest
from conversations import Answered, ask, conversation
from feeds import Feed, Received
from gateways import PlaneUnderTest, running_plane
from issuing import KEYS, Issuer, answered, running_issuer
from outages import locked, removed
from tokens import AUDIENCE, ISSUER, SigningKey, key_set
from waiting import until, until_so

from gateway.control.members import add_member, remove_member
from gateway.control.scopes import Fallback, ScopeEdit, delete_scope, update_scope
from gateway.domain.action import Action
from gateway.domain.scope_use import MemberKind, MemberUse

KEY: Final = SigningKey()
COURSES: Final = "/v2/courses"
ASK: Final = "/introspect"
SERVED: Final = (200, None)
NO_SCOPE: Final = (403, "scope_none")
DENIED: Final = (403, "scope_denied")
INVALID: Final = (401, "credential_invalid")
EXPIRED: Final = (401, "credential_expired")
NO_KEYS: Final = (503, "keys_unavailable")
NO_STORE: Final = (503, "store_unavailable")
ADA: Final = MemberUse(MemberKind.USER, "ada")
IN_FORCE: Final = 1.0
"""Seconds within which a change is in force (CONTRACT 8)."""

LASTING: Final = "cache: {ttl: 1h, negative_ttl: 1h}"
FORGETFUL: Final = "cache: {ttl: 0s, negative_ttl: 0s}"


def said(answer: Answered) -> tuple[int, str | None]:
    """Status, and the code of what the gateway refused."""
    ours = answer.value("Content-Type") == "application/problem+json"
    return answer.status, answer.code if ours else None


async def bearing(plane: PlaneUnderTest, token: str, path: str = COURSES) -> tuple[int, str | None]:
    return said(await ask(plane.port, "GET", path, f"Authorization: Bearer {token}"))


async def is_told(
    plane: PlaneUnderTest, token: str, expected: tuple[int, str | None], within: float = IN_FORCE
) -> None:
    """Wait, for the second that a change may take, until a bearer is told that."""

    async def so() -> bool:
        return await bearing(plane, token) == expected

    await until_so(so, within)


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """Has a key set, and says of every opaque token `live-…` that it is ada's."""
    async with running_issuer() as issuer:
        issuer.page(KEYS, key_set(KEY))
        issuer.pages[ASK] = introspected
        yield issuer


def introspected(request: Received) -> bytes:
    [token] = parse_qs(request.body.decode())["token"]
    if not token.startswith("live-"):
        return answered('{"active": false}')
    return answered(json.dumps({"active": True, "sub": "ada", "exp": int(time()) + 600, "aud": "feeds"}))


def believing(server: Issuer, **own: object) -> dict[str, Any]:
    """What an operator writes of the issuer, whose keys are fetched from that server."""
    return {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "algorithms": ["ES256"],
        "jwks": server.url + KEYS,
        **own,
    }


def introspecting(issuer: Issuer, **own: object) -> dict[str, Any]:
    return {
        "url": issuer.url + ASK,
        "client_id": "gateway",
        "client_secret": "s3cret",
        "audience": "feeds",
        **own,
    }


def with_both(issuer: Issuer, *, terms: dict[str, Any] | None = None, **bearer: object) -> str:
    """The `authentication` line of a gateway that takes JWTs and opaque tokens; JSON is YAML."""
    told = {"issuers": [believing(issuer, **(terms or {}))], "introspection": introspecting(issuer), **bearer}
    return "authentication: " + json.dumps({"bearer": told})


@asynccontextmanager
async def plane_of(
    directory: Path, feed: Feed, *lines: str, stale_for: str = "5m"
) -> AsyncIterator[PlaneUnderTest]:
    """A gateway with the scope `website`, of which ada is a member."""
    async with running_plane(directory, feed.port, main="\n".join(lines), stale_for=stale_for) as plane:
        await plane.scope("website", read="courses")
        await add_member(plane.store, "tests", "website", ADA)
        await settled(plane)
        yield plane


async def settled(plane: PlaneUnderTest) -> None:
    """Wait until the gateway has heard of all that was changed."""
    latest = await plane.store.latest_change()
    await until(lambda: plane.worker.follower.seen >= latest)


async def reloaded(plane: PlaneUnderTest, authentication: str) -> None:
    """Give the running gateway another line on authentication."""
    file = plane.directory / "gateway.yaml"
    kept = [line for line in file.read_text().splitlines() if not line.startswith("authentication:")]
    file.write_text("\n".join([*kept, authentication]) + "\n")
    await plane.worker.reload()


TOKENS: Final[dict[str, Callable[[], str]]] = {"jwt": KEY.token, "opaque": lambda: f"live-{monotonic()}"}


@pytest.fixture(params=TOKENS)
def token(request: pytest.FixtureRequest) -> str:
    """A JWT, or an opaque token; both of them ada's."""
    return TOKENS[request.param]()


# Once


async def test_keys_are_fetched_once_and_each_opaque_token_is_asked_about_once(
    tmp_path: Path, feed: Feed, issuer: Issuer
) -> None:
    async with plane_of(tmp_path, feed, LASTING, with_both(issuer)) as plane:
        for token in (KEY.token(), KEY.token(jti="2"), "live-1", "live-2"):
            assert [await bearing(plane, token) for _ in range(5)] == [SERVED] * 5
        assert [await bearing(plane, "dead") for _ in range(5)] == [INVALID] * 5
        assert (issuer.asked(KEYS), issuer.asked(ASK)) == (1, 3)
        misses = {labels[0]: count for labels, count in plane.counted("gateway_principal_cache_total")}
        assert (misses["miss"], misses["hit"]) == (5, 20)


async def test_without_a_ttl_nothing_is_remembered_of_a_token(
    tmp_path: Path, feed: Feed, issuer: Issuer
) -> None:
    async with plane_of(tmp_path, feed, FORGETFUL, with_both(issuer)) as plane:
        for token, expected in (("live-1", SERVED), ("dead", INVALID), (KEY.token(), SERVED)):
            assert [await bearing(plane, token) for _ in range(3)] == [expected] * 3
        assert (issuer.asked(KEYS), issuer.asked(ASK)) == (1, 6)


async def test_a_crowd_with_one_new_token_is_one_question_to_each(
    tmp_path: Path, feed: Feed, issuer: Issuer, token: str
) -> None:
    async with plane_of(tmp_path, feed, LASTING, with_both(issuer)) as plane:
        with locked(plane.directory / "scopegate.db"):
            crowd = [asyncio.create_task(bearing(plane, token)) for _ in range(50)]
            await until(lambda: plane.counted("gateway_in_flight")[0][1] == 50)
            assert plane.worker._memory.under_way.total() == 1
        assert [await one for one in crowd] == [SERVED] * 50
        assert issuer.asked(ASK) == token.startswith("live-")
        assert issuer.asked(KEYS) == 1


async def test_a_token_ends_while_it_is_remembered(tmp_path: Path, feed: Feed, issuer: Issuer) -> None:
    terms = {"leeway": "0s"}
    async with plane_of(tmp_path, feed, LASTING, with_both(issuer, terms=terms)) as plane:
        ends = int(time()) + 2
        token = KEY.token(exp=ends)
        async with conversation(plane.port) as client:
            while (now := time()) < ends + 0.2:
                told = said(await client.ask("GET", COURSES, f"Authorization: Bearer {token}"))
                assert told == (SERVED if time() < ends else EXPIRED) or now < ends <= time()
                await asyncio.sleep(0.02)
            assert said(await client.ask("GET", COURSES, f"Authorization: Bearer {token}")) == EXPIRED


async def test_what_an_issuer_took_back_is_believed_for_the_ttl_and_no_longer_whatever_changes(
    tmp_path: Path, feed: Feed, issuer: Issuer
) -> None:
    async with plane_of(tmp_path, feed, "cache: {ttl: 2s}", with_both(issuer)) as plane:
        began = monotonic()
        assert await bearing(plane, "live-1") == SERVED
        issuer.page(ASK, '{"active": false}')
        await until(lambda: monotonic() > began + 1)
        await remove_member(plane.store, "tests", "website", ADA)
        await add_member(plane.store, "tests", "website", ADA)
        await settled(plane)
        assert await bearing(plane, "live-1") == SERVED
        assert issuer.asked(ASK) == 1
        await is_told(plane, "live-1", INVALID, within=began + 2.8 - monotonic())


# Changes


async def test_memberships_are_in_force_within_a_second_and_cost_the_issuer_nothing(
    tmp_path: Path, feed: Feed, issuer: Issuer, token: str
) -> None:
    async with plane_of(tmp_path, feed, LASTING, with_both(issuer)) as plane:
        assert await bearing(plane, token) == SERVED
        asked = len(issuer.server.requests)
        await remove_member(plane.store, "tests", "website", ADA)
        await is_told(plane, token, NO_SCOPE)
        await add_member(plane.store, "tests", "website", ADA)
        await is_told(plane, token, SERVED)
        await update_scope(plane.store, "tests", "website", reading("bookings"), plane.modules)
        await is_told(plane, token, DENIED)
        await delete_scope(plane.store, "tests", "website", Fallback.DENY)
        await is_told(plane, token, NO_SCOPE)
        assert len(issuer.server.requests) == asked


def reading(module: str) -> ScopeEdit:
    return ScopeEdit(modules={Action.READ: [module]})


async def test_a_scope_that_a_token_named_is_in_force_as_soon_as_there_is_one(
    tmp_path: Path, feed: Feed, issuer: Issuer
) -> None:
    terms = {"scopes_from": "token"}
    async with plane_of(tmp_path, feed, LASTING, with_both(issuer, terms=terms)) as plane:
        token = KEY.token(scope="openid later COURSES courses:read", sub="nobody")
        assert await bearing(plane, token) == NO_SCOPE
        await plane.scope("later", read="courses")
        await is_told(plane, token, SERVED)
        await update_scope(plane.store, "tests", "later", reading("bookings"), plane.modules)
        await is_told(plane, token, DENIED)
        await delete_scope(plane.store, "tests", "later")
        await is_told(plane, token, NO_SCOPE)
        assert issuer.asked(KEYS) == 1


async def test_with_both_each_side_is_followed(tmp_path: Path, feed: Feed, issuer: Issuer) -> None:
    terms = {"scopes_from": "both"}
    async with plane_of(tmp_path, feed, LASTING, with_both(issuer, terms=terms)) as plane:
        token = KEY.token(scope="website more")
        assert await bearing(plane, token) == SERVED
        assert feed.requests[-1].value("X-Gateway-Scopes") == "website"
        assert await bearing(plane, KEY.token(scope="power-bi")) == SERVED
        assert feed.requests[-1].value("X-Gateway-Scopes") == ""
        assert await bearing(plane, KEY.token(scope="openid")) == NO_SCOPE
        await remove_member(plane.store, "tests", "website", ADA)
        await is_told(plane, token, NO_SCOPE)
        await plane.scope("more", read="courses")
        await add_member(plane.store, "tests", "more", ADA)
        await is_told(plane, token, SERVED)
        assert feed.requests[-1].value("X-Gateway-Scopes") == "more"


# Reloads


OTHER_RULES: Final[dict[str, tuple[Callable[[Issuer], str], tuple[int, str | None]]]] = {
    "another issuer": (lambda i: with_both(i, terms={"issuer": "https://other.example.com"}), INVALID),
    "another audience": (lambda i: with_both(i, terms={"audience": "other"}), INVALID),
    "another algorithm": (lambda i: with_both(i, terms={"algorithms": ["ES384"]}), INVALID),
    "only access tokens": (lambda i: with_both(i, terms={"token_type": "at+jwt"}), SERVED),
    "scopes from the token": (lambda i: with_both(i, terms={"scopes_from": "token"}), NO_SCOPE),
    "another claim for the user": (lambda i: with_both(i, terms={"user": "email"}), INVALID),
    "a prefix": (lambda i: with_both(i, terms={"prefix": "other:"}), NO_SCOPE),
    "full access": (lambda i: with_both(i, without_scope="full-access"), SERVED),
    "no tokens": (lambda _: "authentication: {realm: feeds}", INVALID),
}


@pytest.mark.parametrize("change", OTHER_RULES)
async def test_a_reload_of_other_rules_is_in_force_at_once_for_tokens_and_forgets_no_key(
    tmp_path: Path, feed: Feed, issuer: Issuer, change: str
) -> None:
    rules, expected = OTHER_RULES[change]
    needs_the_store = expected != INVALID and change != "scopes from the token"  # for it names none
    async with plane_of(tmp_path, feed, LASTING, with_both(issuer)) as plane:
        key = f"X-API-Key: {await plane.key('website')}"
        await settled(plane)
        token = f"Authorization: Bearer {KEY.token()}"
        async with conversation(plane.port) as client:
            assert said(await client.ask("GET", COURSES, token)) == SERVED
            assert said(await client.ask("GET", COURSES, key)) == SERVED
            await reloaded(plane, rules(issuer))
            removed(plane.directory / "scopegate.db")  # whoever must be asked for is unknown from here on
            told = said(await client.ask("GET", COURSES, token))
            assert told == (NO_STORE if needs_the_store else expected)
            assert said(await client.ask("GET", COURSES, key)) == SERVED


@pytest.mark.parametrize("change", OTHER_RULES)
async def test_a_reload_of_other_rules_answers_by_them(
    tmp_path: Path, feed: Feed, issuer: Issuer, change: str
) -> None:
    rules, expected = OTHER_RULES[change]
    async with plane_of(tmp_path, feed, LASTING, with_both(issuer)) as plane:
        token = KEY.token()
        assert await bearing(plane, token) == SERVED
        await reloaded(plane, rules(issuer))
        assert await bearing(plane, token) == expected
        await reloaded(plane, with_both(issuer))
        assert await bearing(plane, token) == SERVED


async def test_a_reload_that_leaves_tokens_alone_forgets_none_and_fetches_nothing(
    tmp_path: Path, feed: Feed, issuer: Issuer, token: str
) -> None:
    async with plane_of(tmp_path, feed, LASTING, with_both(issuer)) as plane:
        assert await bearing(plane, token) == SERVED
        asked = len(issuer.server.requests)
        routes = plane.directory / "routes.yaml"
        routes.write_text(routes.read_text().replace("modules: {", "modules: {another: Another, "))
        for _ in range(3):
            await reloaded(plane, with_both(issuer))
            assert await bearing(plane, token) == SERVED
        assert len(issuer.server.requests) == asked


async def test_a_reload_of_other_rules_keeps_the_keys_that_were_fetched(
    tmp_path: Path, feed: Feed, issuer: Issuer
) -> None:
    async with plane_of(tmp_path, feed, LASTING, with_both(issuer)) as plane:
        assert await bearing(plane, KEY.token()) == SERVED
        issuer.page(KEYS, "gone", 500)
        for change in ("another audience", "scopes from the token", "full access"):
            await reloaded(plane, OTHER_RULES[change][0](issuer))
        await reloaded(plane, with_both(issuer))
        assert await bearing(plane, KEY.token()) == SERVED
        assert issuer.asked(KEYS) == 1


async def test_an_issuer_that_is_configured_no_more_is_not_asked_and_not_warned_of(
    tmp_path: Path, feed: Feed, issuer: Issuer
) -> None:
    often = {"refresh": "1s", "refetch": "1s"}
    async with plane_of(tmp_path, feed, with_both(issuer, key_sets=often)) as plane:
        issuer.page(KEYS, "gone", 500)
        await until(lambda: "cannot be fetched" in str(plane.worker.health()["warnings"]))
        await reloaded(plane, "authentication: {realm: feeds}")
        assert plane.worker.health()["warnings"] == []
        asked, now = issuer.asked(KEYS), monotonic()
        await until(lambda: monotonic() > now + 1.5)
        assert issuer.asked(KEYS) == asked


async def test_a_reload_that_is_refused_changes_nothing(tmp_path: Path, feed: Feed, issuer: Issuer) -> None:
    async with plane_of(tmp_path, feed, LASTING, with_both(issuer)) as plane:
        token = KEY.token()
        assert await bearing(plane, token) == SERVED
        with pytest.raises(Exception, match="must not be empty"):
            await reloaded(plane, with_both(issuer, terms={"audience": []}))
        assert await bearing(plane, token) == SERVED
        assert (issuer.asked(KEYS), issuer.asked(ASK)) == (1, 0)


# Outages


async def test_while_the_store_is_away_known_bearers_are_served_and_others_told_of_it(
    tmp_path: Path, feed: Feed, issuer: Issuer, token: str
) -> None:
    async with plane_of(tmp_path, feed, LASTING, with_both(issuer), stale_for="1s") as plane:
        assert await bearing(plane, token) == SERVED
        store = plane.directory / "scopegate.db"
        broken = monotonic()
        removed(store)
        for unknown in (KEY.token("bob"), "live-other"):
            assert await bearing(plane, unknown) == NO_STORE
        assert await bearing(plane, "dead") == INVALID
        if monotonic() < broken + 0.8:
            assert await bearing(plane, token) == SERVED
        await is_told(plane, token, NO_STORE, within=2.5)


async def test_the_end_of_a_token_bites_while_the_store_is_away(
    tmp_path: Path, feed: Feed, issuer: Issuer
) -> None:
    async with plane_of(tmp_path, feed, FORGETFUL, with_both(issuer, terms={"leeway": "0s"})) as plane:
        ends = int(time()) + 2
        token = KEY.token(exp=ends)
        assert await bearing(plane, token) == SERVED
        removed(plane.directory / "scopegate.db")
        await until(lambda: plane.worker.follower.trouble is not None)
        assert await bearing(plane, token) == SERVED or time() >= ends
        await until(lambda: time() > ends)
        assert await bearing(plane, token) == EXPIRED


async def test_while_an_issuer_is_away_its_tokens_are_an_outage_and_keys_are_served(
    tmp_path: Path, feed: Feed, issuer: Issuer
) -> None:
    issuer.page(KEYS, "gone", 500)
    issuer.page(ASK, "gone", 500)
    async with plane_of(tmp_path, feed, FORGETFUL, with_both(issuer)) as plane:
        key = f"X-API-Key: {await plane.key('website')}"
        for token in (KEY.token(), "live-1"):
            answer = await ask(plane.port, "GET", COURSES, f"Authorization: Bearer {token}")
            assert said(answer) == NO_KEYS
            assert answer.value("Retry-After") == "5"
            assert answer.values("WWW-Authenticate") == []
            assert await bearing(plane, token, "/v2/nowhere") == NO_KEYS
            assert said(await ask(plane.port, "GET", COURSES, key)) == SERVED
        assert len(feed.requests) == 2
        warned = " ".join(plane.worker.health()["warnings"])
        assert "cannot be fetched" in warned
        assert "cannot be introspected" in warned
        assert "live-1" not in warned
        assert "s3cret" not in warned
        issuer.page(KEYS, key_set(KEY))
        issuer.pages[ASK] = introspected
        for token in (KEY.token(), "live-1"):
            await is_told(plane, token, SERVED, within=15)
        await until(lambda: plane.worker.health()["warnings"] == [])


async def test_an_observing_feed_gets_nothing_that_could_not_be_judged(
    tmp_path: Path, feed: Feed, issuer: Issuer
) -> None:
    """An outage of ours is never a pass."""
    issuer.page(KEYS, "gone", 500)
    lines = with_both(issuer)
    async with running_plane(tmp_path, feed.port, feed="enforcement: observe", main=lines) as plane:
        assert await bearing(plane, KEY.token()) == NO_KEYS
    assert feed.requests == []


async def test_tokens_of_a_slow_issuer_keep_nobody_else_waiting(
    tmp_path: Path, feed: Feed, issuer: Issuer
) -> None:
    lines = ("limits: {look_ups: 2}", with_both(issuer))
    async with plane_of(tmp_path, feed, *lines) as plane:
        await until(lambda: issuer.asked(KEYS) == 1)
        issuer.hold()
        slow = [asyncio.create_task(bearing(plane, f"live-{number}")) for number in range(2)]
        await until(lambda: issuer.asked(ASK) == 2)
        assert await bearing(plane, "live-more") == (503, "overloaded")
        for _ in range(3):
            key = f"X-API-Key: {await plane.key('website')}"
            assert said(await ask(plane.port, "GET", COURSES, key)) == SERVED
        issuer.let_go()
        assert [await one for one in slow] == [SERVED] * 2


async def test_an_endpoint_that_never_answers_is_told_from_a_store_that_is_away(
    tmp_path: Path, feed: Feed, issuer: Issuer
) -> None:
    authentication = with_both(issuer, introspection=introspecting(issuer, timeout="500ms"))
    async with plane_of(tmp_path, feed, "cache: {ttl: 100ms}", authentication) as plane:
        assert await bearing(plane, "live-1") == SERVED
        issuer.hold()
        await is_told(plane, "live-1", NO_KEYS, within=3)
        assert await bearing(plane, "live-1") == NO_KEYS
        assert await bearing(plane, "live-2") == NO_KEYS
        issuer.let_go()
        await is_told(plane, "live-1", SERVED, within=3)
