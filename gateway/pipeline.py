"""The life of a request, on one page.

    canonical path ─▶ route ─▶ public? ─▶ credential ─▶ feed enabled ─▶ scopes ─▶ forward

`judge` is the one evaluator: the data plane, `gateway explain` and whatever asks "may they?" call it.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Final, Protocol

from gateway.cors import OriginPolicies
from gateway.decision.decide import admit, decide, watch
from gateway.domain.feed import Enforcement
from gateway.domain.header_policy import Overrides, Underscores
from gateway.domain.permit import Permit, Verdict
from gateway.domain.principal import Principal
from gateway.domain.target import Target, Unmapped
from gateway.domain.verdict import Reason, Refusal
from gateway.forward.client_side import ClientSide
from gateway.forward.header_rules import METHOD_OVERRIDES, overriding_method, reading_of, refused_fields
from gateway.forward.prepared import Prepared
from gateway.forward.upstream import FeedUpstream
from gateway.http1.grammar import TOKEN
from gateway.http1.head import VALUES_READ, Section
from gateway.identity.credential import Credential, CredentialReader
from gateway.identity.identity import Identity
from gateway.protected_resource import ProtectedResource
from gateway.routing.canonical import canonical_path
from gateway.routing.table import RouteTable

ONLY_POST: Final = Refusal(
    Reason.METHOD_OVERRIDE, "Only POST can be overridden: no feed is known to heed it on another method."
)

NO_METHOD: Final = "*"
"""A method that no route maps: where it is put, the methods that are mapped there can be read."""

READABLE: Final = ("GET", "HEAD")

log = logging.getLogger(__name__)


def judge(place: Target | Unmapped, who: Principal | Refusal | None) -> Verdict:
    """Who asks, for what, and may they? The first refusal is the answer.

    `who` is not looked at on public routes. A request that no route maps is answered only to proven callers,
    so that the route map cannot be read from outside.
    """
    verdict: Verdict
    if isinstance(place, Target) and place.route.public:
        verdict = admit(place)
    elif not isinstance(who, Principal):
        verdict = who or Refusal(Reason.CREDENTIAL_MISSING)
    elif isinstance(place, Unmapped):
        verdict = Refusal(place.reason, allow=place.allow)
    else:
        verdict = decide(who, place)
    feed = place.feed
    if feed is not None and feed.enforcement is Enforcement.OBSERVE and isinstance(verdict, Refusal):
        return watch(verdict, feed, place, who if isinstance(who, Principal) else None)
    return verdict


@dataclass(slots=True)
class Introduction:
    """What a header section says of the caller, read once for all that repeat it.

    Those that differ only in values which nobody reads repeat it, too: they are `filled`.
    """

    section: Section
    credential: Credential | Refusal | None
    method: str | None
    """The method that an honoured override asks for."""
    refusal: Refusal | None
    prepared: Prepared
    origin: bytes | None = None
    """The origin of the page that asks, where a feed has a policy for that."""

    def filled(self, values: list[bytes], length: int | None) -> "Introduction":
        """What is known from a form, for the section that fills it with these values."""
        section = self.section.filled(values, length)
        prepared = Prepared(self.section, self.prepared, values, length)
        return Introduction(section, self.credential, self.method, self.refusal, prepared, self.origin)


class Asked(ClientSide, Protocol):
    """One request, as the pipeline needs it; `refuse` and forwarding answer it."""

    path: bytes
    query: bytes | None
    introduction: Introduction
    started: float
    body_limit: int
    place: Target | Unmapped | None
    principal: Principal | None
    permit: Permit | None

    def refuse(self, refusal: Refusal) -> None:
        """Answer with a refusal."""
        ...

    def offer(self, lines: bytes) -> None:
        """Answer a preflight with these header lines."""
        ...

    def publish(self, document: bytes) -> None:
        """Answer with a JSON document of the gateway's own, which everybody may read."""
        ...


@dataclass(frozen=True, slots=True)
class RequestRules:
    """What the operator lets a request look like. `body_limit` is in bytes."""

    key_header: str
    paths: frozenset[str]
    overrides: Overrides
    underscores: Underscores
    body_limit: int


class Pipeline:
    """One configuration of the data plane, whole: it is swapped as a whole, too."""

    def __init__(  # noqa: PLR0913 - one argument a room
        self,
        routes: RouteTable,
        credentials: CredentialReader,
        identity: Identity,
        upstreams: Mapping[str, FeedUpstream],
        rules: RequestRules,
        origins: OriginPolicies,
        resource: ProtectedResource | None = None,
    ) -> None:
        self._routes = routes
        self._credentials = credentials
        self._identity = identity
        self._upstreams = upstreams
        self._rules = rules
        self.origins = origins
        self._resource = resource
        self._published = b"" if resource is None else resource.path
        self._learning: set[asyncio.Task[None]] = set()

    def introduce(self, section: Section) -> Introduction:
        """Read what a header section says of the caller, and which of its fields may not be there."""
        rules = self._rules
        refusal = refused_fields(section.fields, rules.key_header, rules.underscores, rules.overrides)
        credential = self._credentials.in_fields(section.fields)
        method = None
        if rules.overrides is Overrides.HONOUR:
            asked = overriding_method(section)
            if isinstance(asked, Refusal):
                refusal = refusal or asked
            elif asked is not None and TOKEN.fullmatch(asked) is None:
                refusal = refusal or Refusal(Reason.METHOD_OVERRIDE, "The overriding method is no method.")
            elif asked is not None:
                method = asked.decode("ascii").upper()
        origin = self.origins.origin_in(section)
        return Introduction(section, credential, method, refusal, Prepared(section), origin)

    def reads(self, name: bytes) -> bool:
        """Whether the value of a header field of this name may say something to `introduce`."""
        reading = reading_of(name)
        return (
            reading in VALUES_READ
            or reading in METHOD_OVERRIDES
            or self._credentials.reads(reading)
            or self.origins.reads(reading)
        )

    def handle(self, asked: Asked) -> None:
        """The life of a request. Nothing is awaited unless the store must be asked who this is."""
        introduction = asked.introduction
        path = canonical_path(asked.path, self._rules.paths)
        if isinstance(path, Refusal):
            return asked.refuse(path)
        if introduction.refusal is not None:
            return asked.refuse(introduction.refusal)
        asked.path = path
        if (introduction.origin is not None or path == self._published) and self._answered_here(asked):
            return None
        method = asked.method
        if introduction.method is not None:
            if method != "POST":
                return asked.refuse(ONLY_POST)
            method = introduction.method
        place = asked.place = self._routes.place(method, introduction.section.host or b"", path)
        who: Principal | Refusal | None = None
        if not (isinstance(place, Target) and place.route.public):
            credential = introduction.credential
            if asked.query is not None:
                credential = self._credentials.in_query(asked.query, credential)
            if isinstance(credential, Refusal):
                return asked.refuse(credential)
            who = self._identity.of(credential, asked.started)
            if who is None and credential is not None:
                return self._learn(asked, place, credential)
        return self._answer(asked, place, who)

    def _answered_here(self, asked: Asked) -> bool:
        """Whether the request was for the gateway itself: its metadata, or a preflight under a policy."""
        if self._resource is not None and asked.path == self._published:
            _publish(asked, self._resource)
            return True
        origin = asked.introduction.origin
        return origin is not None and self._preflighted(asked, origin)

    def _preflighted(self, asked: Asked, origin: bytes) -> bool:
        """Whether the request was a preflight that a policy answers; it never reaches a feed."""
        section = asked.introduction.section
        preflight = self.origins.preflight_in(asked.method, section, origin)
        if preflight is None:
            return False
        place = self._routes.place(NO_METHOD, section.host or b"", asked.path)
        lines = self.origins.answer_to(preflight, place)
        if lines is None:
            return False
        asked.place = self._routes.place(preflight.method, section.host or b"", asked.path)
        asked.offer(lines)
        return True

    def _answer(self, asked: Asked, place: Target | Unmapped, who: Principal | Refusal | None) -> None:
        if isinstance(who, Principal):
            asked.principal = who
        verdict = judge(place, who)
        if isinstance(verdict, Refusal):
            return asked.refuse(verdict)
        asked.permit = verdict
        _, route, _, _, principal, would_deny = verdict
        limit = self._rules.body_limit if route is None or route.max_body is None else route.max_body
        asked.body_limit = limit
        if asked.introduction.section.length is not None and asked.introduction.section.length > limit:
            return asked.refuse(Refusal(Reason.BODY_TOO_LARGE))
        upstream = self._upstreams[verdict.feed.name]
        query = asked.query
        watched = principal is None and would_deny is not None
        if query is not None and not watched and not upstream.passes_credentials:
            query = self._credentials.without_key(query)
        asked.target = asked.path if query is None else b"%b?%b" % (asked.path, query)
        return upstream.send(verdict, asked, asked.started)

    def judge_again(self, asked: Asked, now: float) -> Verdict | None:
        """The verdict on what was permitted before, by what is known now (monotonic seconds) and in force.

        None means that it must be asked who this is: `judge_by_the_store` does.
        """
        place, credential = self._as_asked(asked)
        who = credential if isinstance(credential, Refusal) else self._identity.of(credential, now)
        if who is None and not (isinstance(place, Target) and place.route.public):
            return None
        return judge(place, who)

    async def judge_by_the_store(self, asked: Asked) -> Verdict:
        """The same, after asking who this is; in an outage STORE_UNAVAILABLE or KEYS_UNAVAILABLE."""
        place, credential = self._as_asked(asked)
        if not isinstance(credential, Credential):
            return judge(place, credential)
        try:
            who = await self._identity.learn(credential)
        except Exception:
            log.exception("an exchange cannot be judged again, because the gateway failed on it")
            return Refusal(Reason.STORE_UNAVAILABLE)
        return judge(place, who)

    def proven_until(self, asked: Asked) -> float:
        """Until when what is known of the caller is taken to be so (monotonic seconds); inf if nothing is."""
        credential, permit = asked.introduction.credential, asked.permit
        proven = permit is not None and permit.principal is not None
        return credential.until if proven and isinstance(credential, Credential) else inf

    def _as_asked(self, asked: Asked) -> tuple[Target | Unmapped, Credential | Refusal | None]:
        """What was asked for and with which credential, under the routes in force."""
        introduction = asked.introduction
        host, method = introduction.section.host or b"", introduction.method or asked.method
        credential = introduction.credential
        if asked.query is not None:
            credential = self._credentials.in_query(asked.query, credential)
        return self._routes.place(method, host, asked.path), credential

    def _learn(self, asked: Asked, place: Target | Unmapped, credential: Credential) -> None:
        task = asyncio.get_running_loop().create_task(self._learn_then_answer(asked, place, credential))
        self._learning.add(task)
        task.add_done_callback(self._learning.discard)

    async def _learn_then_answer(
        self, asked: Asked, place: Target | Unmapped, credential: Credential
    ) -> None:
        try:
            who = await self._identity.learn(credential)
            if not asked.over:
                self._answer(asked, place, who)
        except Exception:
            log.exception("a request is refused, because the gateway failed on it")
            asked.refuse(Refusal(Reason.STORE_UNAVAILABLE))


def _publish(asked: Asked, resource: ProtectedResource) -> None:
    """Tell anybody what the resource says of itself (RFC 9728 §3.1); it can be read, and nothing else."""
    if asked.method in READABLE:
        asked.publish(resource.document)
    else:
        asked.refuse(Refusal(Reason.METHOD_UNMAPPED, allow=READABLE))
