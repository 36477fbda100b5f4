"""Permission is an object you must hold: forwarding demands a `Permit`, and only `decision` makes one."""

from typing import Final, Self

from gateway.domain.feed import Feed
from gateway.domain.principal import Principal
from gateway.domain.target import Route
from gateway.domain.verdict import Reason, Refusal

SEAL: Final = object()
"""What `decision` shows to make a permit. A test holds that no other room names it."""


class Permit(tuple[Feed, Route | None, str | None, str | None, Principal | None, Reason | None]):
    """Proof that a request may be forwarded, and to which feed.

    `principal` is None on public routes and where an observing feed let a request through unproven.
    `would_deny` is the reason for which a trial set or an enforcing feed would have refused.
    A tuple underneath, because one is made for every request and must not be altered afterwards.
    """

    __slots__ = ()

    def __new__(  # noqa: PLR0913 - one argument a fact, all of them proven together
        cls,
        seal: object,
        feed: Feed,
        route: Route | None,
        module: str | None,
        action: str | None,
        principal: Principal | None,
        would_deny: Reason | None = None,
    ) -> Self:
        """Make a permit; without the seal there is none."""
        if seal is not SEAL:
            raise PermissionError("only the decision makes a permit")
        return tuple.__new__(cls, (feed, route, module, action, principal, would_deny))

    @property
    def feed(self) -> Feed:
        """The feed the request goes to."""
        return self[0]

    @property
    def route(self) -> Route | None:
        """The route that matched, or None for an unmapped request that an observing feed lets through."""
        return self[1]

    @property
    def module(self) -> str | None:
        """The module asked for."""
        return self[2]

    @property
    def action(self) -> str | None:
        """The action's word."""
        return self[3]

    @property
    def principal(self) -> Principal | None:
        """The proven caller."""
        return self[4]

    @property
    def would_deny(self) -> Reason | None:
        """Why the request would have been refused, had a trial set or enforcement been in force."""
        return self[5]


Verdict = Permit | Refusal
"""What a judgement comes to."""
