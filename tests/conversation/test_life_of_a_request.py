"""The life of a request without a client's socket: judged by the real pipeline, forwarded in real bytes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Self

import pytest
from feeds import Feed, running_feed
from gateways import write_configuration

import gateway
from gateway.configuration import load_everything
from gateway.deadlines import Deadlines
from gateway.domain.exchange import Exchange
from gateway.domain.key import KeyRecord, KeyState
from gateway.domain.key_format import digest
from gateway.domain.permit import Permit
from gateway.domain.ports import StoreUnavailableError
from gateway.domain.principal import Principal
from gateway.domain.scope import Mode, ModuleSet, Scope
from gateway.domain.target import Target, Unmapped
from gateway.domain.verdict import Reason, Refusal
from gateway.forward.client_side import Uplink
from gateway.forward.room import Taken
from gateway.http1.answer import AnswerHead
from gateway.http1.head import RequestLine, Section, parse_request_line, parse_section
from gateway.identity.credential import CredentialKind
from gateway.identity.identity import Proofs
from gateway.identity.keys import KeyProofs
from gateway.wiring.plane import Plane, plane_of

WEBSITE = Scope(1, "website", "Website", Mode.ALLOW, read=ModuleSet.of(["courses", "files"]))
WRITER = Scope(
    2, "writer", "Writer", Mode.ALLOW, create=ModuleSet.of(["bookings"]), delete=ModuleSet.of(["bookings"])
)


class Keys:
    """A source of keys in memory."""

    def __init__(self) -> None:
        self.records = {
            digest(b"reads"): KeyRecord(1, "reads", KeyState.ACTIVE, (WEBSITE,)),
            digest(b"writes"): KeyRecord(2, "writes", KeyState.ACTIVE, (WEBSITE, WRITER)),
            digest(b"revoked"): KeyRecord(3, "revoked", KeyState.REVOKED, (WEBSITE,)),
            digest(b"expired"): KeyRecord(4, "expired", KeyState.ACTIVE, (WEBSITE,), expires_at=1.0),
            digest(b"nothing"): KeyRecord(5, "nothing", KeyState.ACTIVE, ()),
        }
        self.trouble: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def key_with_digest(self, wanted: bytes) -> KeyRecord | None:
        """See KeySource."""
        await self.open.wait()
        if self.trouble is not None:
            raise self.trouble
        return self.records.get(wanted)


def proofs_of(keys: Keys) -> dict[CredentialKind, Proofs]:
    return {CredentialKind.API_KEY: KeyProofs(keys)}


class Watcher:
    """Counts faults of feeds; the records of exchanges are the wire's to write."""

    def __init__(self) -> None:
        self.faults: list[tuple[str, str]] = []

    def exchange(self, record: Exchange) -> None:
        """See Observer."""
        raise AssertionError(f"nobody but the wire tells of exchanges: {record}")

    def upstream_error(self, feed: str, kind: str) -> None:
        """See Observer."""
        self.faults.append((feed, kind))


class Client:
    """The client's side of one exchange, without a socket: it notes what it is told."""

    own_lines = b"X-Forwarded-For: 192.0.2.1\r\n"
    request_id = b"r1"
    upgrade = b""

    def __init__(self, plane: Plane, text: bytes) -> None:
        head, _, self.body = text.partition(b"\r\n\r\n")
        first, _, rest = head.partition(b"\r\n")
        line, section = parse_request_line(first), parse_section(rest + b"\r\n" if rest else b"", 100)
        assert isinstance(line, RequestLine), line
        assert isinstance(section, Section), section
        self.method, self.path, self.query = line.method, line.path, line.query
        self.section = section
        self.introduction = plane.terms.pipeline.introduce(section)
        self.prepared = self.introduction.prepared
        self.started = monotonic()
        self.target = b""
        self.body_limit = -1
        self.place: Target | Unmapped | None = None
        self.principal: Principal | None = None
        self.permit: Permit | None = None
        self.over = False
        self.room: Taken | None = None
        self.upload_begun = False
        self.upload_done = not self.body
        self.heads: list[AnswerHead] = []
        self.answered = bytearray()
        self.refusal: Refusal | None = None
        self.sent_at: list[float] = []
        self.ended = asyncio.Event()

    def refuse(self, refusal: Refusal) -> None:
        """See Asked."""
        assert not self.over
        self.refusal = refusal
        self._end()

    def begun(self, uplink: Uplink, now: float) -> None:
        """See ClientSide: the body follows at once."""
        self.sent_at.append(now)
        if self.body:
            self.upload_begun = self.upload_done = True
            uplink.send(self.body, done=True)

    def again(self) -> None:
        """See ClientSide."""

    def half_closed(self) -> None:
        """See ClientSide."""

    def interim(self, head: AnswerHead) -> None:
        """See ClientSide."""
        self.heads.append(head)

    def switched(self, head: AnswerHead) -> None:
        """See ClientSide: nothing here asks for another protocol."""
        raise AssertionError(head.status)

    def answer(self, head: AnswerHead, content: bytes, *, sized: bool, done: bool) -> None:
        """See ClientSide."""
        del sized
        self.heads.append(head)
        self.content(content, done=done)

    def content(self, content: bytes, *, done: bool) -> None:
        """See ClientSide."""
        assert not self.over
        self.answered += content
        if done:
            self._end()

    def failed(self, reason: Reason, detail: str = "") -> None:
        """See ClientSide."""
        self.refuse(Refusal(reason, detail))

    def hold_upload(self) -> None:
        """See ClientSide: there is nothing left to hold."""

    def resume_upload(self) -> None:
        """See ClientSide."""

    def _end(self) -> None:
        self.over = True
        self.ended.set()

    @property
    def reason(self) -> Reason | None:
        """Why it was refused."""
        return None if self.refusal is None else self.refusal.reason


@dataclass
class House:
    """The pipeline with its rooms, and a feed."""

    plane: Plane
    feed: Feed
    keys: Keys
    watcher: Watcher

    def begin(self, *lines: str, body: bytes = b"") -> Client:
        """Hand a request to the pipeline; Host and the length of its body are added."""
        more = ["Host: feeds.test", *([f"Content-Length: {len(body)}"] if body else [])]
        text = "\r\n".join([lines[0], *more, *lines[1:], "", ""]).encode("latin-1") + body
        client = Client(self.plane, text)
        self.plane.terms.pipeline.handle(client)
        return client

    async def ask(self, *lines: str, body: bytes = b"") -> Client:
        """Hand a request to the pipeline, and wait for its end."""
        client = self.begin(*lines, body=body)
        async with asyncio.timeout(5):
            await client.ended.wait()
        return client


@asynccontextmanager
async def house(
    directory: Path, *, feed: str = "", main: str = "", routes: str | None = None, ports: tuple[int, ...] = ()
) -> AsyncIterator[House]:
    """A pipeline made of real configuration files, in front of a real feed."""
    async with running_feed() as spoken:
        extra = {} if routes is None else {"routes": routes}
        upstreams = list(ports) or [spoken.port]
        settings, table = load_everything(
            write_configuration(directory, upstreams, feed=feed, main=main, **extra), {}
        )
        keys, watcher, deadlines = Keys(), Watcher(), Deadlines()
        plane = plane_of(settings, table, proofs_of(keys), deadlines, watcher)
        deadlines.start()
        try:
            yield House(plane, spoken, keys, watcher)
        finally:
            for upstream in plane.upstreams.values():
                upstream.close()
            deadlines.stop()


READS, WRITES = "X-API-Key: reads", "X-API-Key: writes"


async def test_a_permitted_request_is_forwarded_with_proof_of_who_asks(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        client = await home.ask("GET /v2/courses/%31%37?page=2 HTTP/1.1", READS, "Accept: */*")
        assert client.answered == b"hello"
        assert home.feed.requests[0].head == (
            b"GET /v2/courses/17?page=2 HTTP/1.1\r\nHost: feeds.test\r\nAccept: */*\r\n"
            b"X-Gateway-Principal: key:1\r\nX-Gateway-Key-Id: 1\r\nX-Gateway-Scopes: website\r\n"
            b"X-Gateway-Module: courses\r\nX-Gateway-Action: read\r\n"
            b"X-Forwarded-For: 192.0.2.1\r\nX-Request-Id: r1\r\n\r\n"
        )


async def test_on_a_hit_nothing_is_awaited(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.ask("GET /v2/courses HTTP/1.1", READS)
        tasks = asyncio.all_tasks()
        client = home.begin("GET /v2/courses HTTP/1.1", READS)
        assert client.sent_at  # it was written before the loop turned
        assert asyncio.all_tasks() == tasks
        await client.ended.wait()


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (("GET /v2/courses HTTP/1.1",), Reason.CREDENTIAL_MISSING),
        (("GET /v2/nowhere HTTP/1.1",), Reason.CREDENTIAL_MISSING),
        (("PATCH /v2/status HTTP/1.1",), Reason.CREDENTIAL_MISSING),
        (("GET /v2/nowhere HTTP/1.1", READS), Reason.ROUTE_UNMAPPED),
        (("PATCH /v2/status HTTP/1.1", READS), Reason.METHOD_UNMAPPED),
        (("GET /v2/courses HTTP/1.1", "X-API-Key: nobody"), Reason.CREDENTIAL_INVALID),
        (("GET /v2/nowhere HTTP/1.1", "X-API-Key: nobody"), Reason.CREDENTIAL_INVALID),
        (("GET /v2/courses HTTP/1.1", "X-API-Key: sg_1_typo"), Reason.CREDENTIAL_INVALID),
        (("GET /v2/courses HTTP/1.1", "X-API-Key: revoked"), Reason.CREDENTIAL_REVOKED),
        (("GET /v2/courses HTTP/1.1", "X-API-Key: expired"), Reason.CREDENTIAL_EXPIRED),
        (("GET /v2/courses HTTP/1.1", "X-API-Key: nothing"), Reason.SCOPE_NONE),
        (("GET /v2/courses HTTP/1.1", "Authorization: Bearer a.b.c"), Reason.CREDENTIAL_INVALID),
        (("GET /v2/courses HTTP/1.1", READS, "Authorization: Bearer a.b.c"), Reason.CREDENTIAL_AMBIGUOUS),
        (("GET /v2/courses HTTP/1.1", READS, READS), Reason.CREDENTIAL_AMBIGUOUS),
        (("GET /v2/users HTTP/1.1", READS), Reason.SCOPE_DENIED),
        (("DELETE /v2/courses/1 HTTP/1.1", READS), Reason.SCOPE_DENIED),
        (("GET /v2/courses/../users HTTP/1.1", READS), Reason.PATH_AMBIGUOUS),
        (("GET /v2/courses/%2e%2e/users HTTP/1.1", READS), Reason.PATH_AMBIGUOUS),
        (("GET /v2/courses HTTP/1.1", READS, "X-HTTP-Method-Override: DELETE"), Reason.METHOD_OVERRIDE),
        (("get /v2/courses HTTP/1.1", READS), Reason.METHOD_UNMAPPED),
    ],
)
async def test_the_first_refusal_is_the_answer_and_the_feed_hears_nothing(
    tmp_path: Path, lines: tuple[str, ...], reason: Reason
) -> None:
    async with house(tmp_path) as home:
        client = await home.ask(*lines)
        assert client.reason is reason
        assert client.permit is None
        assert (home.feed.connections, home.watcher.faults) == (0, [])


async def test_a_public_route_asks_nobody(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.keys.trouble = StoreUnavailableError("gone")
        client = await home.ask("GET /v2/status HTTP/1.1", READS, "X-Gateway-Principal: key:1")
        assert (client.reason, client.principal) == (None, None)
        assert not [
            name for name, _ in home.feed.requests[0].headers if name.lower().startswith("x-gateway-p")
        ]


@pytest.mark.parametrize("trouble", [StoreUnavailableError("gone"), RuntimeError("a bug"), KeyError("x")])
@pytest.mark.parametrize("enforcement", ["enforce", "observe"])
async def test_an_outage_is_never_a_verdict_and_never_a_pass(
    tmp_path: Path, trouble: Exception, enforcement: str
) -> None:
    async with house(tmp_path, feed=f"enforcement: {enforcement}") as home:
        home.keys.trouble = trouble
        assert (await home.ask("GET /v2/courses HTTP/1.1", READS)).reason is Reason.STORE_UNAVAILABLE
        home.keys.trouble = None
        assert (await home.ask("GET /v2/courses HTTP/1.1", READS)).reason is None
        assert len(home.feed.requests) == 1


async def test_who_leaves_while_the_store_is_asked_is_not_answered(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.keys.open.clear()
        client = home.begin("GET /v2/courses HTTP/1.1", READS)
        client.over = True
        home.keys.open.set()
        other = await home.ask("GET /v2/courses HTTP/1.1", READS)
        assert other.reason is None
        assert client.sent_at == []
        assert len(home.feed.requests) == 1


async def test_a_body_crosses_with_its_request(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.ask("POST /v2/bookings HTTP/1.1", WRITES, body=b"seats=3")
        assert (home.feed.requests[0].body, home.feed.requests[0].value("Content-Length")) == (
            b"seats=3",
            "7",
        )


# Limits


ROUTES = """\
feed: test
modules: {courses: Courses, bookings: Bookings}
routes:
  - {path: /v2/bookings, module: bookings}
  - {path: /v2/large, module: bookings, max_body: 100B}
  - {path: /v2/nothing, module: bookings, max_body: 0}
"""


@pytest.mark.parametrize(
    ("path", "size", "fits"),
    [
        ("/v2/bookings", 50, True),
        ("/v2/bookings", 51, False),
        ("/v2/large", 100, True),
        ("/v2/large", 101, False),
        ("/v2/nothing", 0, True),
        ("/v2/nothing", 1, False),
    ],
)
async def test_a_routes_own_limit_goes_before_the_general_one(
    tmp_path: Path,
    path: str,
    size: int,
    fits: bool,  # noqa: FBT001 - a column
) -> None:
    async with house(tmp_path, routes=ROUTES, main="limits: {body: 50B}") as home:
        client = await home.ask(f"POST {path} HTTP/1.1", WRITES, body=b"x" * size)
        assert client.reason is (None if fits else Reason.BODY_TOO_LARGE)
        assert len(home.feed.requests) == fits


# Observing


@pytest.mark.parametrize(
    ("lines", "would_deny"),
    [
        (("GET /v2/courses HTTP/1.1",), Reason.CREDENTIAL_MISSING),
        (("GET /v2/courses HTTP/1.1", "X-API-Key: nobody"), Reason.CREDENTIAL_INVALID),
        (("GET /v2/nowhere HTTP/1.1", READS), Reason.ROUTE_UNMAPPED),
        (("PATCH /v2/status HTTP/1.1", READS), Reason.METHOD_UNMAPPED),
        (("DELETE /v2/courses/1 HTTP/1.1", READS), Reason.SCOPE_DENIED),
        (("GET /v2/courses HTTP/1.1", "X-API-Key: nothing"), Reason.SCOPE_NONE),
        (("GET /v2/courses HTTP/1.1", "Authorization: Bearer a.b.c"), Reason.CREDENTIAL_INVALID),
    ],
)
@pytest.mark.parametrize("credentials", ["strip", "pass", "{header: X-API-Key, value: ours}"])
async def test_an_observing_feed_gets_the_request_with_the_clients_own_credential(
    tmp_path: Path, lines: tuple[str, ...], would_deny: Reason, credentials: str
) -> None:
    async with house(tmp_path, feed=f"enforcement: observe\ncredentials: {credentials}") as home:
        client = await home.ask(*lines)
        assert client.permit is not None
        assert client.permit.would_deny is would_deny
        request = home.feed.requests[0]
        for line in lines[1:]:
            name, value = line.split(": ")
            assert request.values(name) == [value]
        assert request.values("X-Gateway-Principal") == []


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (("GET /v2/../users HTTP/1.1",), Reason.PATH_AMBIGUOUS),
        (("GET /v2/users HTTP/1.1", READS, READS), Reason.CREDENTIAL_AMBIGUOUS),
        (("GET /v2/users HTTP/1.1", "X-HTTP-Method: DELETE"), Reason.METHOD_OVERRIDE),
    ],
)
async def test_an_observing_feed_still_refuses_what_has_two_readings(
    tmp_path: Path, lines: tuple[str, ...], reason: Reason
) -> None:
    async with house(tmp_path, feed="enforcement: observe") as home:
        assert (await home.ask(*lines)).reason is reason
        assert home.feed.connections == 0


async def test_a_feed_that_is_off_is_off_for_all_but_those_who_bypass_the_flag(tmp_path: Path) -> None:
    async with house(tmp_path, feed="enabled: false") as home:
        bypassing = Scope(9, "b", "", Mode.ALLOW, read=ModuleSet.of(["users"]), bypass_enabled_flag=True)
        home.keys.records[digest(b"bypasses")] = KeyRecord(9, "b", KeyState.ACTIVE, (bypassing,))
        asked = [
            ("GET /v2/status HTTP/1.1", READS, Reason.FEED_DISABLED),
            ("GET /v2/courses HTTP/1.1", READS, Reason.FEED_DISABLED),
            ("GET /v2/courses HTTP/1.1", "X-API-Key: nobody", Reason.CREDENTIAL_INVALID),
            ("GET /v2/users HTTP/1.1", "X-API-Key: bypasses", None),
            ("GET /v2/courses HTTP/1.1", "X-API-Key: bypasses", Reason.SCOPE_DENIED),
        ]
        for line, credential, reason in asked:
            assert (await home.ask(line, credential)).reason is reason, (line, credential)


# The key in the query


@pytest.mark.parametrize(
    ("target", "forwarded"),
    [
        ("/v2/courses?api_key=reads", "/v2/courses"),
        ("/v2/courses?api%5Fkey=reads&page=2", "/v2/courses?page=2"),
        ("/v2/courses?page=2&api_key=%72eads&sort=a%20b", "/v2/courses?page=2&sort=a%20b"),
        ("/v2/status?api_key=reads", "/v2/status"),
    ],
)
async def test_a_key_in_the_query_proves_and_does_not_cross(
    tmp_path: Path, target: str, forwarded: str
) -> None:
    main = "authentication: {api_key: {header: X-API-Key, query: api_key}}"
    async with house(tmp_path, main=main) as home:
        assert (await home.ask(f"GET {target} HTTP/1.1")).reason is None
        assert home.feed.requests[0].target == forwarded
        doubled = await home.ask("GET /v2/courses?api_key=reads HTTP/1.1", READS)
        assert doubled.reason is Reason.CREDENTIAL_AMBIGUOUS


@pytest.mark.parametrize(
    "target", ["/v2/courses", "/v2/courses?", "/v2/courses?a=%2F..%2f&b[]=c;d", "/v2/courses?a&&b=="]
)
async def test_a_query_crosses_as_it_came(tmp_path: Path, target: str) -> None:
    async with house(tmp_path) as home:
        await home.ask(f"GET {target} HTTP/1.1", READS)
        assert home.feed.requests[0].target == target


# Method overrides


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (("POST /v2/bookings/1 HTTP/1.1", "X-HTTP-Method-Override: DELETE"), None),
        (("POST /v2/bookings/1 HTTP/1.1", "X-HTTP-Method-Override: delete"), None),
        (("POST /v2/bookings/1 HTTP/1.1", "X-HTTP-Method-Override: PATCH"), Reason.SCOPE_DENIED),
        (("POST /v2/bookings/1 HTTP/1.1", "X-HTTP-Method-Override: TRACE"), Reason.METHOD_UNMAPPED),
        (("POST /v2/bookings/1 HTTP/1.1", "X-HTTP-Method-Override: a b"), Reason.METHOD_OVERRIDE),
        (("POST /v2/bookings/1 HTTP/1.1", "X-HTTP-Method-Override:"), Reason.METHOD_OVERRIDE),
        (("DELETE /v2/courses/1 HTTP/1.1", "X-HTTP-Method-Override: GET"), Reason.METHOD_OVERRIDE),
        (("GET /v2/courses/1 HTTP/1.1", "X-HTTP-Method-Override: GET"), Reason.METHOD_OVERRIDE),
        (("POST /v2/courses/1 HTTP/1.1", "X_HTTP_Method_Override: GET"), Reason.METHOD_OVERRIDE),
        (
            ("POST /v2/courses/1 HTTP/1.1", "X-HTTP-Method: GET", "Connection: X-HTTP-Method"),
            Reason.METHOD_OVERRIDE,
        ),
    ],
)
async def test_an_honoured_override_is_what_is_judged_and_what_the_feed_sees(
    tmp_path: Path, lines: tuple[str, ...], reason: Reason | None
) -> None:
    async with house(tmp_path, main="method_override: honour") as home:
        client = await home.ask(*lines, WRITES)
        assert client.reason is reason
        assert len(home.feed.requests) == (reason is None)
        if reason is None:
            assert home.feed.requests[0].method == "POST"
            assert home.feed.requests[0].value("X-HTTP-Method-Override") is not None


async def test_a_stripped_override_is_neither_judged_nor_seen(tmp_path: Path) -> None:
    async with house(tmp_path, main="method_override: strip") as home:
        client = await home.ask("GET /v2/courses HTTP/1.1", READS, "X-HTTP-Method-Override: DELETE")
        assert client.reason is None
        assert home.feed.requests[0].values("X-HTTP-Method-Override") == []


# Forwarding demands a permit


async def test_nothing_but_a_permit_for_its_own_feed_opens_an_upstream(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        client = await home.ask("GET /v2/courses HTTP/1.1", READS)
        permit = client.permit
        assert permit is not None
        upstream = home.plane.upstreams["test"]

        class Forged(Permit):
            """What looks like a permit."""

            def __new__(cls) -> Self:
                """Made without the seal."""
                return tuple.__new__(cls, tuple(permit))

        forged = [
            *(None, True, "permit", Refusal(Reason.SCOPE_DENIED), tuple(permit), list(permit), permit[:]),
            *(Forged(), Permit, type("Permit", (), {"feed": permit.feed})()),
        ]
        for what in forged:
            boundary = TypeError if gateway.compiled and not isinstance(what, tuple) else PermissionError
            with pytest.raises(boundary):
                upstream.send(what, client, monotonic())  # type: ignore[arg-type] # the attempt is the test
        assert len(home.feed.requests) == 1
        assert home.feed.connections == 1


async def test_a_permit_for_another_feed_opens_nothing(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    routes = "feed: other\nmodules: {courses: Courses}\nroutes: [{path: /v2/courses, module: courses}]\n"
    async with house(tmp_path / "one") as one:
        client = await one.ask("GET /v2/courses HTTP/1.1", READS)
        assert client.permit is not None
        (tmp_path / "other" / "routes.yaml").write_text(routes)
        file = write_configuration(tmp_path / "other", [one.feed.port], routes=routes)
        file.write_text(file.read_text().replace("  test:\n", "  other:\n"))
        settings, table = load_everything(file, {})
        plane = plane_of(settings, table, proofs_of(one.keys), Deadlines(), one.watcher)
        with pytest.raises(PermissionError):
            plane.upstreams["other"].send(client.permit, client, monotonic())


# Feeds that fail


@pytest.mark.parametrize(
    ("said", "reason", "kind"),
    [
        (None, Reason.UPSTREAM_UNREACHABLE, "reset"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", Reason.UPSTREAM_UNREACHABLE, "reset"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            Reason.UPSTREAM_INVALID,
            "invalid",
        ),
        (b"HTTP/1.1 2000 OK\r\n\r\n", Reason.UPSTREAM_INVALID, "invalid"),
        (b"220 smtp.example ESMTP\r\n\r\n", Reason.UPSTREAM_INVALID, "invalid"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70_000 + b"\r\n\r\n", Reason.UPSTREAM_INVALID, "invalid"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 20, Reason.UPSTREAM_INVALID, "invalid"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", Reason.UPSTREAM_INVALID, "invalid"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", Reason.UPSTREAM_INVALID, "invalid"),
    ],
)
async def test_what_a_feed_says_badly_is_told_in_our_words_and_counted(
    tmp_path: Path, said: bytes | None, reason: Reason, kind: str
) -> None:
    async with house(tmp_path) as home:

        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await home.feed.read_request(reader, writer)
            writer.write(said or b"")
            await writer.drain()

        home.feed.script = speak
        client = await home.ask("GET /v2/courses HTTP/1.1", READS)
        assert client.reason is reason
        assert home.watcher.faults == [("test", kind)]


async def test_a_feed_where_nobody_listens_is_unreachable(tmp_path: Path, unused_tcp_port: int) -> None:
    async with house(tmp_path, ports=(unused_tcp_port,)) as home:
        client = await home.ask("GET /v2/courses HTTP/1.1", READS)
        assert client.reason is Reason.UPSTREAM_UNREACHABLE
        assert home.watcher.faults == [("test", "connect")]


async def test_a_feed_that_does_not_answer_in_time_has_timed_out(tmp_path: Path) -> None:
    async with house(tmp_path, feed="timeouts: {connect: 2s, response: 200ms, idle: 60s}") as home:

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await home.feed.read_request(reader, writer)
            await reader.read()

        home.feed.script = listen
        client = await home.ask("GET /v2/courses HTTP/1.1", READS)
        assert client.reason is Reason.UPSTREAM_TIMEOUT
        assert 0.2 <= monotonic() - client.sent_at[0] < 2
        assert home.watcher.faults == [("test", "timeout")]
