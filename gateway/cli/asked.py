"""Who `gateway explain` is asked about, from its options: a key, or the bearer of a token."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.cli.given_token import facts_of_given, refuse_in_the_open
from gateway.cli.output import warn
from gateway.domain.principal import PrincipalKind
from gateway.domain.token import ScopesFrom, TokenFacts

if TYPE_CHECKING:
    from gateway.settings.bearer import BearerNames, BearerSettings

OF_TOKENS: Final = ("user", "role", "client", "token_scope", "issuer")
"""The options that make sense for a token's bearer alone."""

WHO: Final = "Say who asks: --key-id, --user, --client, --token -, or --role alone for whoever has the role."


def asking_options(command: Any) -> Any:  # noqa: ANN401 - whatever click decorates
    """The options that say who asks."""
    options = [
        click.option("--key-id", type=click.IntRange(min=1), help="The key that would ask."),
        click.option("--user", help="The user whose token would ask, named as members are."),
        click.option("--role", multiple=True, help="A role that the token would have; repeatable."),
        click.option("--client", help="The OAuth2 client whose token would ask."),
        click.option(
            "--token-scope",
            multiple=True,
            help="What the token's scope claim would name; repeatable, or several with spaces.",
        ),
        click.option("--issuer", help="Whose token it would be, where several issuers are configured."),
        click.option(
            "--token", callback=refuse_in_the_open, help="`-`: a token on standard input, which is not shown."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class AskedBearer:
    """The bearer that options describe; `name` is empty for whoever has the roles."""

    kind: PrincipalKind
    name: str
    roles: tuple[str, ...]
    token_scopes: tuple[str, ...]
    issuer: str | None

    def facts(self, settings: "BearerSettings") -> TokenFacts:
        """What the bearer's token would say, by the rules of its issuer. Ends the command as usage."""
        issuer, names = _issuer(settings, self.issuer)
        scopes_from = ScopesFrom.MEMBERS
        if names is not None:
            scopes_from = names.scopes_from
            self._refuse_without(names.prefix, issuer)
        return TokenFacts(self.kind, self.name, issuer, self.roles, self.token_scopes, scopes_from)

    def _refuse_without(self, prefix: str, issuer: str) -> None:
        """The names of an issuer's users, roles and clients begin as the configuration says."""
        given = [*([self.name] if self.name else []), *self.roles]
        odd = next((name for name in given if not name.startswith(prefix)), None)
        if odd is not None:
            raise click.UsageError(
                f"Names from {issuer} begin with {prefix!r} here; is it {prefix + odd[:80]!r}?"
            )


class AskedToken:
    """The bearer of the token on standard input."""

    def facts(self, settings: "BearerSettings") -> TokenFacts:
        """What the token says. Ends the command with the check that it fails."""
        return facts_of_given(settings)


def asked_in(options: Mapping[str, Any]) -> int | AskedBearer | AskedToken:
    """A key's id, or the bearer that the options describe. Ends the command as usage otherwise."""
    key_id, user, client, roles = (options[name] for name in ("key_id", "user", "client", "role"))
    if options["token"]:
        if key_id is not None or any(options[name] for name in OF_TOKENS) or "" in (user, client):
            raise click.UsageError("--token stands alone: the token says who asks.")
        return AskedToken()
    if key_id is not None:
        if any(options[name] for name in OF_TOKENS) or "" in (user, client):
            raise click.UsageError("--key-id stands alone: the other options are about a token's bearer.")
        return int(key_id)
    if user is not None and client is not None:
        raise click.UsageError("A token speaks for a user or for a client: give --user or --client.")
    if user is None and client is None and not roles:
        raise click.UsageError(WHO)
    named = tuple(value for listed in options["token_scope"] for value in listed.split())
    kind = PrincipalKind.USER if client is None else PrincipalKind.CLIENT
    name = user if client is None else client
    for said, text in [(kind.value, name), *(("role", role) for role in roles)]:
        _refuse_unfit(said, text)
    return AskedBearer(kind, name or "", tuple(dict.fromkeys(roles)), named, options["issuer"])


def _refuse_unfit(kind: str, name: str | None) -> None:
    """A name that nobody can have is a wrong command line."""
    from gateway.control.refused import InvalidError  # noqa: PLC0415 - only when it is needed
    from gateway.control.words import member_name_of  # noqa: PLC0415 - likewise

    try:
        if name is not None:
            member_name_of(kind, name)
    except InvalidError as error:
        raise click.UsageError(str(error)) from None


def _issuer(settings: "BearerSettings", wanted: str | None) -> "tuple[str, BearerNames | None]":
    """The issuer that is meant, with its rules; the only one there is, where none is named."""
    known: dict[str, BearerNames] = {one.issuer: one for one in settings.issuers}
    if settings.introspection is not None:
        known.setdefault(settings.introspection.url, settings.introspection)
    if wanted is not None:
        if wanted not in known:
            there = ", ".join(known) or "none"
            raise click.UsageError(f"No issuer {wanted[:200]!r} is configured; there are: {there}.")
        return wanted, known[wanted]
    if len(known) == 1:
        return next(iter(known.items()))
    if any(names.scopes_from is not ScopesFrom.MEMBERS or names.prefix for names in known.values()):
        warn("Several issuers are configured; --issuer says by whose rules the token is read.")
    return "", None
