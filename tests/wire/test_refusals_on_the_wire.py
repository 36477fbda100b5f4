"""Every row of the refusal table, provoked over a socket, and held to what the table says of it."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Final

import pytest
from conversations import Answered, Conversation, conversation
from feeds import Feed
from gateways import PlaneUnderTest, running_plane
from outages import removed
from tokens import AUDIENCE, ISSUER, SigningKey

from gateway.control.keys import revoke_key
from gateway.control.scopes import Fallback, delete_scope
from gateway.domain.exchange import Outcome
from gateway.domain.verdict import ANSWER_TO, Challenge, Reason

HELLO = "GET /v2/courses HTTP/1.1\r\nHost: feeds.test\r\n"
LIMITS = (
    "limits: {request_line: 1KiB, headers: 2KiB, body: 1KiB, header_timeout: 200ms, connections: 2}\n"
    "cache: {ttl: 0s, negative_ttl: 0s}"
)
LOST_ISSUER = f"""\
authentication:
  bearer:
    issuers:
      - {{issuer: {ISSUER}, audience: {AUDIENCE}, algorithms: [ES256], jwks: "http://127.0.0.1:1/"}}
"""
TIMEOUTS = "timeouts: {connect: 1s, response: 300ms}"


@dataclass
class Scene:
    """A gateway, a client on a connection to it, and the key of one integration."""

    plane: PlaneUnderTest
    feed: Feed
    client: Conversation
    key: str

    async def ask(self, method: str, path: str, *headers: str, body: bytes | None = None) -> Answered:
        """Ask with the integration's key."""
        return await self.client.ask(method, path, f"X-API-Key: {self.key}", *headers, body=body)

    async def send(self, text: str) -> Answered:
        """Send bytes, and read what they are answered with."""
        await self.client.send(text.encode("latin-1"))
        return await self.client.answer()


Provocation = Callable[[Scene], Awaitable[Answered]]


async def expired(scene: Scene) -> Answered:
    key = await scene.plane.key("website", expires_at=time() - 1)
    return await scene.client.ask("GET", "/v2/courses", f"X-API-Key: {key}")


async def revoked(scene: Scene) -> Answered:
    await revoke_key(scene.plane.store, "tests", key_id_in(scene.key))
    return await scene.ask("GET", "/v2/courses")


async def without_scope(scene: Scene) -> Answered:
    await delete_scope(scene.plane.store, "tests", "website", Fallback.DENY)
    return await scene.ask("GET", "/v2/courses")


async def crowded(scene: Scene) -> Answered:
    async with AsyncExitStack() as crowd:
        guests = [await crowd.enter_async_context(conversation(scene.plane.port)) for _ in range(2)]
        return await guests[-1].answer()


async def lost_store(scene: Scene) -> Answered:
    removed(scene.plane.directory / "scopegate.db")
    return await scene.ask("GET", "/v2/courses")


async def lost_issuer(scene: Scene) -> Answered:
    token = SigningKey().token()
    return await scene.client.ask("GET", "/v2/courses", f"Authorization: Bearer {token}")


async def feed_that_talks_nonsense(scene: Scene) -> Answered:
    scene.feed.answer = lambda _: b"ICY 200 OK\r\n\r\n"
    return await scene.ask("GET", "/v2/courses")


async def feed_that_is_silent(scene: Scene) -> Answered:
    scene.feed.answer = lambda _: b""
    return await scene.ask("GET", "/v2/courses")


async def feed_that_hangs_up(scene: Scene) -> Answered:
    scene.feed.answer = lambda _: None
    return await scene.ask("GET", "/v2/courses")


def key_id_in(key: str) -> int:
    return int(key.split("_")[1])


PROVOKED: Final[Mapping[Reason, Provocation]] = {
    Reason.REQUEST_MALFORMED: lambda scene: scene.send(HELLO + "Host: other.test\r\n\r\n"),
    Reason.PATH_AMBIGUOUS: lambda scene: scene.ask("GET", "/v2/courses/../users"),
    Reason.METHOD_OVERRIDE: lambda scene: scene.ask("GET", "/v2/courses", "X-HTTP-Method-Override: PUT"),
    Reason.CREDENTIAL_AMBIGUOUS: lambda scene: scene.ask("GET", "/v2/courses", "X-API-Key: another"),
    Reason.CREDENTIAL_MISSING: lambda scene: scene.client.ask("GET", "/v2/courses"),
    Reason.CREDENTIAL_INVALID: lambda scene: scene.client.ask("GET", "/v2/courses", "X-API-Key: guessed"),
    Reason.CREDENTIAL_EXPIRED: expired,
    Reason.CREDENTIAL_REVOKED: revoked,
    Reason.SCOPE_DENIED: lambda scene: scene.ask("POST", "/v2/bookings", body=b"{}"),
    Reason.SCOPE_NONE: without_scope,
    Reason.FEED_DISABLED: lambda scene: scene.ask("GET", "/v2/courses"),
    Reason.ROUTE_UNMAPPED: lambda scene: scene.ask("GET", "/v2/invoices"),
    Reason.METHOD_UNMAPPED: lambda scene: scene.ask("OPTIONS", "/v2/courses"),
    Reason.REQUEST_TIMEOUT: lambda scene: scene.send(HELLO),
    Reason.BODY_TOO_LARGE: lambda scene: scene.ask("POST", "/v2/bookings", "Content-Length: 99999999999"),
    Reason.URI_TOO_LONG: lambda scene: scene.ask("GET", "/v2/courses?" + "a" * 1024),
    Reason.HEADERS_TOO_LARGE: lambda scene: scene.ask("GET", "/v2/courses", "A: " + "a" * 2048),
    Reason.EXPECTATION_FAILED: lambda scene: scene.ask("GET", "/v2/courses", "Expect: a-miracle"),
    Reason.UPSTREAM_UNREACHABLE: feed_that_hangs_up,
    Reason.UPSTREAM_INVALID: feed_that_talks_nonsense,
    Reason.UPSTREAM_TIMEOUT: feed_that_is_silent,
    Reason.OVERLOADED: crowded,
    Reason.STORE_UNAVAILABLE: lost_store,
    Reason.KEYS_UNAVAILABLE: lost_issuer,
}
OURS_TO_ANSWER_FOR: Final = {
    Reason.UPSTREAM_UNREACHABLE,
    Reason.UPSTREAM_INVALID,
    Reason.UPSTREAM_TIMEOUT,
    Reason.STORE_UNAVAILABLE,
    Reason.KEYS_UNAVAILABLE,
}
"""Failures rather than refusals, in the record."""

CLOSES: Final = {reason for reason, answer in ANSWER_TO.items() if answer.close} | {
    Reason.EXPECTATION_FAILED,  # what the client does with its body then is not known
    Reason.OVERLOADED,
}


@asynccontextmanager
async def scene_for(reason: Reason, directory: Path, feed: Feed) -> AsyncIterator[Scene]:
    settings = "enabled: false\n" + TIMEOUTS if reason is Reason.FEED_DISABLED else TIMEOUTS
    main = f"{LIMITS}\n{LOST_ISSUER}" if reason is Reason.KEYS_UNAVAILABLE else LIMITS
    async with running_plane(directory, feed.port, feed=settings, main=main) as plane:
        await plane.scope("website", read="courses,course-dates")
        key = await plane.key("website")
        async with conversation(plane.port) as client:
            yield Scene(plane, feed, client, key)


def test_every_reason_is_provoked() -> None:
    assert set(PROVOKED) == set(Reason)


@pytest.mark.parametrize("reason", PROVOKED)
async def test_a_refusal_is_what_the_table_says(reason: Reason, tmp_path: Path, feed: Feed) -> None:
    async with scene_for(reason, tmp_path, feed) as scene:
        answer = await PROVOKED[reason](scene)
        row = ANSWER_TO[reason]
        assert (answer.status, answer.code) == (row.status, reason)
        problem = answer.problem
        assert problem["type"] == f"urn:scopegate:problem:{reason}"
        assert (problem["title"], problem["status"]) == (row.title, row.status)
        assert problem["detail"].endswith(".")
        assert re.fullmatch(r"[0-9a-f]{32}", problem["request_id"])
        assert answer.value("X-Request-Id") == problem["request_id"]
        assert answer.value("Proxy-Status") == f"scopegate; error={row.proxy_error}"
        assert answer.value("Cache-Control") == "no-store"
        assert answer.value("Date")
        assert answer.values("WWW-Authenticate") == challenges(reason, problem["detail"].replace('"', "'"))
        assert answer.value("Retry-After") == (str(row.retry_after) if row.retry_after else None)
        assert (answer.value("Allow") is not None) is (reason is Reason.METHOD_UNMAPPED)
        told = {"module": "bookings", "action": "create"} if reason is Reason.SCOPE_DENIED else {}
        if reason is Reason.SCOPE_NONE:
            told = {"module": "courses", "action": "read"}
        assert {name: problem[name] for name in ("module", "action") if name in problem} == told
        assert scene.key not in answer.body.decode() + repr(answer.headers)


@pytest.mark.parametrize("reason", PROVOKED)
async def test_after_a_refusal_the_connection_goes_on_or_says_that_it_ends(
    reason: Reason, tmp_path: Path, feed: Feed
) -> None:
    async with scene_for(reason, tmp_path, feed) as scene:
        answer = await PROVOKED[reason](scene)
        if reason is Reason.OVERLOADED:
            assert answer.value("Connection") == "close"
            return
        assert (answer.value("Connection") == "close") is (reason in CLOSES)
        if reason in CLOSES:
            assert await scene.client.closed() == b""
        else:
            feed.answer = Feed().answer
            again = await scene.client.ask("GET", "/v2/status")
            assert again.status == (403 if reason is Reason.FEED_DISABLED else 200)


@pytest.mark.parametrize("reason", PROVOKED)
async def test_a_refusal_is_on_record_and_counted(reason: Reason, tmp_path: Path, feed: Feed) -> None:
    async with scene_for(reason, tmp_path, feed) as scene:
        answer = await PROVOKED[reason](scene)
        await scene.plane.until_logged(1)
        record = next(
            r for r in await scene.plane.logged() if r["request_id"] == answer.value("X-Request-Id")
        )
        outcome = Outcome.ERROR if reason in OURS_TO_ANSWER_FOR else Outcome.REFUSE
        assert (record["code"], record["status"], record["outcome"]) == (reason, answer.status, outcome)
        denied = {labels[3]: count for labels, count in scene.plane.counted("gateway_denied_total")}
        assert denied == ({} if reason in OURS_TO_ANSWER_FOR else {reason: 1})
        assert scene.key not in (tmp_path / "access.log").read_text() + (tmp_path / "denied.log").read_text()


@pytest.mark.parametrize(
    "reason", [Reason.SCOPE_DENIED, Reason.CREDENTIAL_MISSING, Reason.ROUTE_UNMAPPED, Reason.URI_TOO_LONG]
)
async def test_a_refusal_of_head_has_the_length_and_no_body(
    reason: Reason, tmp_path: Path, feed: Feed
) -> None:
    asked = {
        Reason.SCOPE_DENIED: ("/v2/users", "X-API-Key: {key}"),
        Reason.CREDENTIAL_MISSING: ("/v2/users", "A: b"),
        Reason.ROUTE_UNMAPPED: ("/v2/invoices", "X-API-Key: {key}"),
        Reason.URI_TOO_LONG: ("/v2/users?" + "a" * 1024, "A: b"),
    }
    path, header = asked[reason]
    async with scene_for(reason, tmp_path, feed) as scene:
        answer = await scene.client.ask("HEAD", path, header.format(key=scene.key))
        assert answer.status == ANSWER_TO[reason].status
        assert answer.body == b""
        assert int(answer.value("Content-Length") or 0) > 0
        if reason is not Reason.URI_TOO_LONG:
            assert (await scene.client.ask("GET", "/v2/status")).status == 200


async def test_allow_lists_what_the_route_maps(tmp_path: Path, feed: Feed) -> None:
    async with scene_for(Reason.METHOD_UNMAPPED, tmp_path, feed) as scene:
        answer = await scene.ask("OPTIONS", "/v2/status")
        assert (answer.status, answer.value("Allow")) == (405, "GET")
        answer = await scene.ask("QUERY", "/v2/courses/17")
        assert (answer.status, answer.value("Allow")) == (405, "DELETE, GET, HEAD, PATCH, POST, PUT")


async def test_no_answer_of_a_feed_carries_proxy_status(tmp_path: Path, feed: Feed) -> None:
    feed.answer = lambda _: (
        b"HTTP/1.1 403 Forbidden\r\nProxy-Status: scopegate; error=http_request_denied\r\n"
        b"Content-Length: 2\r\n\r\nno"
    )
    async with scene_for(Reason.SCOPE_DENIED, tmp_path, feed) as scene:
        answer = await scene.ask("GET", "/v2/courses")
        assert (answer.status, answer.body, answer.value("Proxy-Status")) == (403, b"no", None)


def challenges(reason: Reason, detail: str) -> list[str]:
    """The challenges that RFC 6750 section 3 asks for."""
    row = ANSWER_TO[reason]
    if row.challenge is None:
        return []
    bearer = 'Bearer realm="feeds"'
    if row.challenge is not Challenge.NONE:
        bearer += f', error="{row.challenge}"'
    wanted = {Reason.SCOPE_DENIED: "bookings:create", Reason.SCOPE_NONE: "courses:read"}.get(reason)
    if wanted:
        bearer += f', scope="{wanted}"'
    if row.challenge is not Challenge.NONE:
        bearer += f', error_description="{detail}"'
    return [bearer, 'ApiKey realm="feeds"']
