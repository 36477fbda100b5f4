"""What would become of a request, and why: the whole trace, from the evaluator that the data plane runs."""

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

from gateway.control.asker import Asker
from gateway.control.asking_bearer import AskingBearer
from gateway.control.asking_key import AskingKey
from gateway.control.keys import key_numbered
from gateway.control.way import Way, most_different, way_of
from gateway.decision.explain import Ballot, ballots, deciders
from gateway.decision.sides import changes_of_sides
from gateway.domain.action import Action
from gateway.domain.key import KeyState
from gateway.domain.permit import Permit, Verdict
from gateway.domain.principal import Principal
from gateway.domain.target import Target, Unmapped
from gateway.domain.token import TokenFacts, WithoutScope
from gateway.domain.verdict import Reason, Refusal
from gateway.pipeline import judge
from gateway.routing.canonical import EMPTY_SEGMENTS, ENCODED_SLASH, SEMICOLON, canonical_path
from gateway.routing.routemap import METHODS
from gateway.routing.table import RouteTable
from gateway.store.store import Store

_RULES: Final = (ENCODED_SLASH, SEMICOLON, EMPTY_SEGMENTS)
_RELAXABLE: Final = tuple(rules for size in (1, 2, 3) for rules in combinations(_RULES, size))
"""What `paths.allow` can relax, the least first."""

_RELAX: Final = "If the feed reads such paths as the gateway does, relax the rule for all: paths.allow: [{}]."


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything that leads to the verdict on one request. What was not reached is None or empty.

    `credential` is the refusal that the asker itself earns, None for one that is accepted. `votes` has those
    of each side that must permit. `deciding` names the scopes that settle it. `module` is the one of the
    route, also where the route does not map the method.
    """

    asker: Asker
    method: str
    asked_path: str
    canonical_path: str | None
    place: Target | Unmapped | None
    credential: Refusal | None
    verdict: Verdict
    votes: tuple[tuple[Ballot, ...], ...] = ()
    trial_votes: tuple[Ballot, ...] = ()
    deciding: tuple[str, ...] = ()
    module: str | None = None
    ways: tuple[Way, ...] = ()

    @property
    def permitted(self) -> bool:
        """Whether the request would be forwarded."""
        return isinstance(self.verdict, Permit)


@dataclass(frozen=True, slots=True)
class Question:
    """A request to explain; `path` without a query, `host` as the Host field has it."""

    method: str
    path: str
    host: str = ""


async def explain_key(
    store: Store, routes: RouteTable, relaxed: frozenset[str], key_id: int, question: Question
) -> Trace:
    """The trace of a request with a key, whose secret nobody needs. Raises UnknownError."""
    asker = AskingKey(await key_numbered(store, key_id))
    return await _explained(_Asked(store, routes, relaxed, asker, question))


async def explain_bearer(  # noqa: PLR0913 - one argument a fact, all of them needed together
    store: Store,
    routes: RouteTable,
    relaxed: frozenset[str],
    facts: TokenFacts,
    without_scope: WithoutScope,
    question: Question,
) -> Trace:
    """The trace of a request with a token that says these facts, and is good.

    A user without a name stands for anybody who has the roles, of which there is then one at least.
    """
    asker = await AskingBearer.of(store, facts, without_scope)
    return await _explained(_Asked(store, routes, relaxed, asker, question))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question, and all there is to answer it from."""

    store: Store
    routes: RouteTable
    relaxed: frozenset[str]
    asker: Asker
    question: Question

    def trace(self) -> Trace:
        """What the gateway would answer and why, without what flips it."""
        asker, question, routes = self.asker, self.question, self.routes
        credential = asker.refusal(self.store.now())
        path = canonical_path(question.path.encode("utf-8", "surrogateescape"), self.relaxed)
        if isinstance(path, Refusal):
            return Trace(asker, question.method, question.path, None, None, credential, path)
        place = routes.place(question.method, question.host.encode("utf-8", "surrogateescape"), path)
        principal = asker.principal(routes.modules)
        verdict = judge(place, credential or principal)
        votes, module = _votes(principal, place), _module(routes, place)
        shown = path.decode()
        return Trace(asker, question.method, question.path, shown, place, credential, verdict, *votes, module)


async def _explained(asked: _Asked) -> Trace:
    trace = asked.trace()
    return await _detour(asked, trace) or await _with_ways(asked, trace)


async def _detour(asked: _Asked, trace: Trace) -> Trace | None:
    """The trace with what flips a request that must first be put otherwise; None if it is well put.

    Each way goes on with what is then still in the way of the request as it should be put.
    """
    question = asked.question
    if trace.canonical_path is None:
        for rules in _RELAXABLE:
            again = replace(asked, relaxed=asked.relaxed.union(rules))
            if _is_mapped(again.trace()):
                return await _by_way_of(Way((_RELAX.format(", ".join(sorted(again.relaxed))),)), again, trace)
        return trace
    upper = question.method.upper()
    if isinstance(trace.place, Unmapped) and upper != question.method:
        again = replace(asked, question=replace(question, method=upper))
        if _is_mapped(again.trace()):
            sentence = f"Send the method as {upper}: method names are case-sensitive (RFC 9110 §9.1)."
            return await _by_way_of(Way((sentence,)), again, trace)
    return None


async def _by_way_of(first: Way, asked: _Asked, trace: Trace) -> Trace:
    """The trace with the first step and, if that does not do, each way that does after it."""
    then = await _explained(asked)
    ways = (first,) if then.permitted else tuple(way.after(first) for way in then.ways)
    return replace(trace, ways=ways)


def _is_mapped(trace: Trace) -> bool:
    return isinstance(trace.place, Target)


def _module(routes: RouteTable, place: Target | Unmapped) -> str | None:
    """The module of the route that matched, whether it maps the method or not."""
    if isinstance(place, Target):
        return place.module
    return next((mapped.module for mapped in routes.routes if mapped.route is place.route), None)


def _votes(
    principal: Principal, place: Target | Unmapped
) -> tuple[tuple[tuple[Ballot, ...], ...], tuple[Ballot, ...], tuple[str, ...]]:
    if not isinstance(place, Target) or place.module is None or place.action is None:
        return (), (), ()
    pair = place.action, place.module
    votes = tuple(ballots(side, *pair) for side in principal.sides)
    return votes, ballots(principal.trial or (), *pair), deciders(votes)


async def _with_ways(asked: _Asked, trace: Trace) -> Trace:
    """The trace with what flips its answer: what stands in the way before the scopes, then each remedy."""
    index, place = asked.routes.modules, trace.place
    principal = trace.asker.principal(index)
    first = _before_the_scopes(trace, principal)
    if not isinstance(place, Target) or place.route.public:
        return replace(trace, ways=(first,)) if first else trace
    stands = place.module is not None and place.action is not None
    allowed = stands and principal.rights.covers(*_pair(place))
    if first is not None and allowed:
        return replace(trace, ways=(first,))
    sides = await trace.asker.holdings(asked.store, permitted=allowed)
    remedies = most_different(changes_of_sides(sides, place, await asked.store.scopes(), index))
    ways = [await way_of(asked.store, trace.asker, place, remedy, permitted=allowed) for remedy in remedies]
    return replace(trace, ways=tuple(ways if first is None else [way.after(first) for way in ways]))


def _pair(target: Target) -> tuple[Action, int]:
    if target.action is None:
        raise ValueError("a target without an action has no pair")
    return target.action, target.bit


def _before_the_scopes(trace: Trace, principal: Principal) -> Way | None:
    """What must be mended before the scopes are even asked; None if nothing."""
    place = trace.place
    steps: list[Way] = []
    public = isinstance(place, Target) and place.route.public
    if trace.credential is not None and not public and isinstance(trace.asker, AskingKey):
        steps.append(_credential_way(trace.asker, trace.credential))
    if isinstance(place, Unmapped):
        steps.append(_mapping_way(trace.method, place))
    elif place is not None and not place.feed.enabled and (public or not principal.bypasses_enabled_flag):
        steps.append(Way((f"Switch the feed on: feeds.{place.feed.name}.enabled: true.",), ()))
    if not steps:
        return None
    sentences = tuple(sentence for step in steps for sentence in step.sentences)
    return Way(sentences, tuple(command for step in steps for command in step.commands))


def _credential_way(asker: AskingKey, refusal: Refusal) -> Way:
    key_id, state = asker.entry.record.id, asker.entry.record.state
    if state is KeyState.REVOKED:
        return Way(("Create a new key; a revoked one is refused for good.",), ())
    if state is KeyState.DISABLED:
        return Way((f"Enable key {key_id}.",), (f"gateway keys enable {key_id}",))
    if "secret" in refusal.detail:
        return Way((f"Rotate key {key_id}.",), (f"gateway keys rotate {key_id}",))
    return Way((f"Let key {key_id} live longer.",), (f"gateway keys update {key_id} --expires 90d",))


def _mapping_way(method: str, place: Unmapped) -> Way:
    if place.route is None or place.reason is Reason.ROUTE_UNMAPPED:
        return Way(("Map the path in a route file.",), ())
    allowed = ", ".join(place.allow)
    if method not in METHODS:
        return Way((f"Use {allowed}; {method} is no method that could be mapped.",))
    return Way((f"Map {method} under `actions` at {place.route.where}, or use {allowed}.",), ())
