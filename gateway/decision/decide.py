"""May they? The verdict on one request, made each time from values alone: no clock, no log, no await.

What is kept is the sentence of a refusal, never that there is one.
"""

from functools import lru_cache
from typing import Final

from gateway.domain.action import Action
from gateway.domain.feed import Enforcement, Feed
from gateway.domain.permit import SEAL, Permit, Verdict
from gateway.domain.principal import Principal
from gateway.domain.scope import Scope, Vote
from gateway.domain.target import Target, Unmapped
from gateway.domain.verdict import Reason, Refusal

WATCHED: Final = frozenset(
    {
        Reason.CREDENTIAL_MISSING,
        Reason.CREDENTIAL_INVALID,
        Reason.CREDENTIAL_EXPIRED,
        Reason.CREDENTIAL_REVOKED,
        Reason.ROUTE_UNMAPPED,
        Reason.METHOD_UNMAPPED,
        Reason.SCOPE_DENIED,
        Reason.SCOPE_NONE,
    }
)
"""What an observing feed lets through and records: the want of a credential, a route or a scope. Framing,
path and limit refusals stay, and so does a feed that was switched off."""

NONE_NAMED: Final = "Your token names no API Scope, so it may do nothing; ask for one when you get it."

_WORDS: Final = tuple(action.word for action in Action)
_MOST_NAMED: Final = 8
_MOST_KEPT: Final = 1024
"""How many explanations are kept: facts about a principal, an action and a module, which never change."""


def decide(principal: Principal, target: Target) -> Verdict:
    """Whether the principal may do the target's action on its module.

    At least one of its scopes must allow the pair and none deny it; with no scope at all, nothing is allowed.
    A feed that is switched off serves only those who bypass the flag, and judges their scopes all the same.
    """
    feed, module, action = target.feed, target.module, target.action
    if not feed.enabled and not principal.bypasses_enabled_flag:
        return Refusal(Reason.FEED_DISABLED)
    if module is None or action is None:
        return Refusal(Reason.SCOPE_DENIED, "The route has no module, so no scope can allow it.")
    if not principal.rights.granted[action] >> target.bit & 1:
        return _refused(principal, action, module)
    would_deny = None if principal.trial_rights is None else _trial_refusal(principal, target, action)
    return Permit(SEAL, feed, target.route, module, _WORDS[action], principal, would_deny)


def admit(target: Target) -> Verdict:
    """The verdict on a public route: nobody needs to be proven, but the feed must be switched on."""
    if not target.route.public:
        return Refusal(Reason.CREDENTIAL_MISSING)
    if not target.feed.enabled:
        return Refusal(Reason.FEED_DISABLED)
    word = None if target.action is None else _WORDS[target.action]
    return Permit(SEAL, target.feed, target.route, target.module, word, None)


def watch(
    refusal: Refusal, feed: Feed, place: Target | Unmapped, principal: Principal | None = None
) -> Verdict:
    """What an observing feed makes of a refusal: let through and recorded, or refused all the same.

    A feed that is switched off is observed only by a proven `principal` who bypasses the flag.
    """
    if feed.enforcement is not Enforcement.OBSERVE or refusal.reason not in WATCHED:
        return refusal
    if not feed.enabled and (principal is None or not principal.bypasses_enabled_flag):
        return Refusal(Reason.FEED_DISABLED)
    if isinstance(place, Unmapped):
        return Permit(SEAL, feed, place.route, None, None, None, refusal.reason)
    word = None if place.action is None else _WORDS[place.action]
    return Permit(SEAL, feed, place.route, place.module, word, None, refusal.reason)


def deciding_scope(scopes: tuple[Scope, ...], target: Target) -> str | None:
    """The scope that settles a target: the first that denies it, else the first that allows it."""
    action, module = target.action, target.module
    if action is None or module is None:
        return None
    allowing = None
    for scope in scopes:
        vote = scope.vote(action, module)
        if vote is Vote.DENY:
            return scope.name
        if vote is Vote.ALLOW and allowing is None:
            allowing = scope.name
    return allowing


def _trial_refusal(principal: Principal, target: Target, action: Action) -> Reason | None:
    """Why the trial set would have refused what the scopes permit, or None."""
    trial, rights = principal.trial or (), principal.trial_rights
    if not target.feed.enabled and not any(scope.bypass_enabled_flag for scope in trial):
        return Reason.FEED_DISABLED
    if rights is not None and rights.granted[action] >> target.bit & 1:
        return None
    return Reason.SCOPE_DENIED if trial else Reason.SCOPE_NONE


@lru_cache(maxsize=_MOST_KEPT)
def _refused(principal: Principal, action: Action, module: str) -> Refusal:
    """Say why; where each of two sides must permit, the first that does not gives the reason."""
    named = principal.token_scopes
    if named is None or not _permits(principal.scopes, action, module):
        return _refused_by(principal.scopes, "your", action, module)
    if not named:
        return Refusal(Reason.SCOPE_NONE, NONE_NAMED, module, action.word)
    return _refused_by(named, "your token's", action, module)


def _permits(scopes: tuple[Scope, ...], action: Action, module: str) -> bool:
    votes = {scope.vote(action, module) for scope in scopes}
    return Vote.ALLOW in votes and Vote.DENY not in votes


def _refused_by(scopes: tuple[Scope, ...], whose: str, action: Action, module: str) -> Refusal:
    """No scope at all, a scope that denies, or none that allows."""
    word = action.word
    if not scopes:
        return Refusal(Reason.SCOPE_NONE, module=module, action=word)
    denying = next((scope for scope in scopes if scope.vote(action, module) is Vote.DENY), None)
    if denying is not None:
        detail = f"{whose.capitalize()} API Scope '{denying.name}' denies {word} on {module}."
        return Refusal(Reason.SCOPE_DENIED, detail, module, word, denying.name)
    names = ", ".join(f"'{scope.name}'" for scope in scopes[:_MOST_NAMED])
    unnamed = len(scopes) - _MOST_NAMED
    more = f" and {unnamed} more" if unnamed > 0 else ""
    detail = f"None of {whose} API Scopes ({names}{more}) allows {word} on {module}."
    return Refusal(Reason.SCOPE_DENIED, detail, module, word)
