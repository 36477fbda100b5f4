"""The data plane as one configuration makes it: swapped as a whole, too."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.certificates import certificates_of, context_for
from gateway.cors import OriginPolicies
from gateway.deadlines import Deadlines
from gateway.domain.ports import Observer
from gateway.forward.header_rules import CredentialRule, HeaderRules
from gateway.forward.health import HealthTerms
from gateway.forward.names import LookUp, Names, system_look_up
from gateway.forward.places import Place
from gateway.forward.upstream import Care, FeedUpstream, Timeouts
from gateway.identity.credential import CredentialKind, CredentialReader
from gateway.identity.identity import Identity, Lifetimes, Proofs
from gateway.identity.memory import Memory
from gateway.pipeline import Pipeline, RequestRules
from gateway.protected_resource import ProtectedResource
from gateway.routing.table import RouteTable
from gateway.settings.bearer import BearerSettings
from gateway.settings.model import FeedSettings, Settings
from gateway.wire.listener import Limits, Terms
from gateway.wire.refusals import Refuser


@dataclass(frozen=True, slots=True)
class Plane:
    """The data plane as one configuration makes it."""

    settings: Settings
    routes: RouteTable
    identity: Identity
    upstreams: dict[str, FeedUpstream]
    terms: Terms

    def begin(self) -> None:
        """Look after the feeds, on the running loop."""
        for upstream in self.upstreams.values():
            upstream.start()

    def retire(self) -> None:
        """Let go of what another configuration replaces; what is in flight ends by itself."""
        self.identity.retire()
        for upstream in self.upstreams.values():
            upstream.close()


def plane_of(  # noqa: PLR0913 - what a plane is made of, each thing once
    settings: Settings,
    routes: RouteTable,
    proofs: Mapping[CredentialKind, Proofs],
    deadlines: Deadlines,
    observer: Observer,
    memory: Memory | None = None,
    look_up: LookUp = system_look_up,
) -> Plane:
    """Build the data plane for a configuration; with `memory` it knows whom the one before it knew."""
    cache, limits = settings.cache, settings.limits
    lifetimes = Lifetimes(
        cache.principals, cache.ttl, cache.negative_ttl, settings.store.stale_for, limits.look_ups
    )
    identity = Identity(proofs, routes.modules, lifetimes, memory)
    upstreams = {
        name: _upstream(name, feed, settings, deadlines, observer, look_up)
        for name, feed in settings.feeds.items()
    }
    api_key = settings.authentication.api_key
    largest_body = _largest_body(settings, routes)
    resource = _resource(settings.authentication.bearer)
    pipeline = Pipeline(
        routes,
        CredentialReader(api_key.header, api_key.query),
        identity,
        upstreams,
        RequestRules(
            api_key.header,
            frozenset(settings.paths.allow),
            settings.method_override,
            limits.underscore_headers,
            limits.body,
        ),
        _origins(settings),
        resource,
    )
    terms = Terms(
        pipeline,
        Refuser(settings.authentication.realm, resource),
        Limits(
            limits.request_line,
            limits.headers,
            limits.header_count,
            largest_body,
            limits.header_timeout,
            limits.body_idle_timeout,
            limits.keepalive_timeout,
            limits.connections,
            limits.connections_per_client,
        ),
        settings.trusted_proxies,
        certificates_of(settings),
        settings.proxy_protocol,
    )
    return Plane(settings, routes, identity, upstreams, terms)


def _resource(bearer: BearerSettings) -> ProtectedResource | None:
    """What clients may read of this place; None where the operator describes none."""
    told = bearer.resource
    if told is None:
        return None
    issuers = [one.issuer for one in bearer.issuers if "://" in one.issuer]
    return ProtectedResource.of(
        told.identifier, issuers, scopes=told.scopes, name=told.name, documentation=told.documentation
    )


def _largest_body(settings: Settings, routes: RouteTable) -> int:
    """The largest body that any route takes: what is refused before the route is known."""
    own = [route.route.max_body for route in routes.routes if route.route.max_body is not None]
    return max([settings.limits.body, *own])


def _upstream(  # noqa: PLR0913 - what an upstream is made of, each thing once
    name: str,
    feed: FeedSettings,
    settings: Settings,
    deadlines: Deadlines,
    observer: Observer,
    look_up: LookUp,
) -> FeedUpstream:
    rule = feed.credentials
    rules = HeaderRules(
        settings.authentication.api_key.header,
        CredentialRule(
            rule.kind,
            rule.header or "",
            "" if rule.value is None else rule.value.get_secret_value(),
        ),
        settings.limits.underscore_headers,
        settings.method_override,
    )
    timeouts = Timeouts(feed.timeouts.connect, feed.timeouts.response, feed.timeouts.idle)
    names = Names(look_up, feed.resolve_every)
    return FeedUpstream(
        name, _places(feed), timeouts, rules, deadlines, observer.upstream_error, _care(feed), names
    )


def _places(feed: FeedSettings) -> list[Place]:
    """Where a feed is reached. Raises SettingsError for files that went bad since they were checked."""
    context = context_for(feed)
    return [
        Place(one.host, one.port, one.authority, one.path)
        if one.scheme != "https"
        else Place(one.host, one.port, one.authority, "", context, feed.tls.server_name or one.host)
        for one in feed.upstream
    ]


def _care(feed: FeedSettings) -> Care:
    health = feed.health
    terms = None if health is None else HealthTerms(**health.model_dump())
    return Care(feed.max_in_flight, terms, governs_origins=feed.cors is not None)


def _origins(settings: Settings) -> OriginPolicies:
    header = settings.authentication.api_key.header
    policies = {name: feed.cors.policy(header) for name, feed in settings.feeds.items() if feed.cors}
    return OriginPolicies(policies, len(settings.feeds))
