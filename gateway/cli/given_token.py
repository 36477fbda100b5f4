"""A bearer token on standard input: what it says, or which check it fails; it is never shown."""

import asyncio
import logging
import sys
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from gateway.cli import session
from gateway.cli.output import DONE, REFUSED, asked_for_json, fail, say, show_fields, show_json
from gateway.domain.ports import KeysUnavailableError
from gateway.domain.token import TokenFacts

if TYPE_CHECKING:
    from gateway.jose.flaw import Flaw
    from gateway.settings.bearer import BearerSettings

CHECK_IT: Final = "`gateway check` tells where that stands"

NO_REQUEST: Final = "Say which request: METHOD and PATH."

UNSAID: Final = logging.NullHandler()
"""Where a gateway's log goes: what it would say of an issuer, the command says itself."""

MOST_READ: Final = 2 * 1024 * 1024
"""Bytes of standard input that are looked at; what is longer is no token, either."""


def facts_of_given(settings: "BearerSettings") -> TokenFacts:
    """What the token on standard input says. Ends the command with the check that it fails."""
    if not settings.served:
        fail(
            "No bearer token can be good here.",
            "name an issuer or an introspection under authentication.bearer",
        )
    found = _examined(settings, sys.stdin.buffer.read(MOST_READ).strip(b" \t\r\n"))
    return found if isinstance(found, TokenFacts) else _tell_flaw(found)


def _examined(settings: "BearerSettings", token: bytes) -> "TokenFacts | Flaw":
    """The token, held to every check there is; its issuer is asked for keys as the gateway would."""
    from gateway.jose.key_set import KeySetError  # noqa: PLC0415 - costly, and of no use without a token
    from gateway.tls.contexts import UnfitFileError  # noqa: PLC0415 - likewise
    from gateway.wiring.bearers import Issuers  # noqa: PLC0415 - likewise

    async def examined() -> "TokenFacts | Flaw":
        issuers = Issuers()
        try:
            return await issuers.prover(settings).examine(token)
        finally:
            await issuers.close()

    logging.getLogger("gateway").addHandler(UNSAID)
    try:
        return asyncio.run(examined())
    except KeysUnavailableError as error:
        fail(str(error), "callers get 503 keys_unavailable meanwhile", check="keys")
    except KeySetError as error:
        fail(str(error), CHECK_IT)
    except UnfitFileError as unfit:
        fail(f"{unfit.file} {unfit.why}", CHECK_IT)


def _tell_flaw(flaw: "Flaw") -> NoReturn:
    from gateway.identity.prover import refusal_for  # noqa: PLC0415 - costly likewise

    refusal = refusal_for(flaw)
    status, code = refusal.answer.status, refusal.reason
    if asked_for_json():
        told = {"permitted": False, "status": status, "code": code, "detail": flaw.sentence}
        show_json({**told, "check": flaw.check})
    else:
        show_fields({"token": f"fails the check '{flaw.check}'"})
        say("")
        say(f"REFUSED {status} {code}: {flaw.sentence}")
    raise SystemExit(REFUSED)


def show_facts(facts: TokenFacts | int) -> NoReturn:
    """What a good token says, where no request is asked about; of a key there is nothing to say then."""
    if isinstance(facts, int):
        raise click.UsageError(NO_REQUEST)
    told: dict[str, Any] = {
        "kind": facts.kind,
        "name": facts.name,
        "issuer": facts.issuer,
        "roles": facts.roles,
        "scopes_from": facts.scopes_from,
        "token_scopes": facts.scopes,
        "expires_at": session.moment(facts.expires_at) if isfinite(facts.expires_at) else None,
    }
    if asked_for_json():
        show_json({"check": None, "bearer": told})
    else:
        show_fields({"token": "good", **{name.replace("_", " "): value for name, value in told.items()}})
    raise SystemExit(DONE)


def refuse_in_the_open(_context: click.Context, _parameter: click.Parameter, value: str | None) -> bool:
    """Whether a token is on standard input; one on the command line would be everybody's to read."""
    if value not in {None, "-"}:
        raise click.UsageError("Give the token on standard input, where nobody else can read it: --token -")
    return value is not None
