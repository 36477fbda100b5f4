"""Gateways that believe an authorization server, and callers who come to them with bearer tokens."""

import json
import re
from typing import Any, Final

from authorization_server import (
    ALGORITHMS,
    AUDIENCE,
    INTROSPECTION_SECRET,
    INTROSPECTOR,
    AuthorizationServer,
)
from commands import Commands
from conversations import Answered, Conversation
from gateways import GatewayUnderTest
from operations import ask
from signing_keys import SigningKey

PERMITTED: Final = (200, None)
DENIED: Final = (403, "scope_denied")
NO_SCOPE: Final = (403, "scope_none")
INVALID: Final = (401, "credential_invalid")
EXPIRED: Final = (401, "credential_expired")
NO_KEYS: Final = (503, "keys_unavailable")

HASTY: Final = {"refresh": "1s", "stale_for": "3s", "refetch": "1s", "timeout": "1s"}
"""Key sets of which a test sees in seconds what operators see in hours."""


def terms_for(server: AuthorizationServer, **own: object) -> dict[str, object]:
    """What an operator writes of an issuer, the shortest way; `own` is put over it."""
    return {"issuer": server.issuer, "audience": AUDIENCE, "algorithms": ALGORITHMS, **own}


def introspection_at(server: AuthorizationServer, **own: object) -> dict[str, object]:
    """What an operator writes of the place where opaque tokens are asked about."""
    place = server.fetched("/.well-known/openid-configuration")["introspection_endpoint"]
    told = {"url": place, "client_id": INTROSPECTOR, "client_secret": INTROSPECTION_SECRET}
    return {**told, **own}


def believing(*issuers: dict[str, object], **bearer: object) -> str:
    """Lines of the main configuration file: whose tokens are believed. JSON is YAML."""
    return "authentication: " + json.dumps({"bearer": {"issuers": issuers, **bearer}})


def fresh(server: AuthorizationServer, key: SigningKey | None = None, **own: object) -> str:
    """A token that no worker has seen yet, of a user who may; whether the server runs or not."""
    return (key or server.key("ES256")).token(server.claims(**own))


def with_scopes(commands: Commands) -> None:
    """Make the API Scopes that the server's tokens can name, and members of two of them."""
    commands.scope("reads-courses", read="courses")
    commands.scope("reads-bookings", read="bookings")
    commands.scope("reads-users", read="users")
    commands.scope("writes-courses", create="courses", update="courses")
    for scope, *member in (
        ("reads-courses", "--user", "ada"),
        ("reads-bookings", "--role", "teacher"),
        ("reads-courses", "--client", "sync"),
    ):
        commands.gets("members", "add", scope, *member)


def bearing(
    gateway: GatewayUnderTest, token: str, method: str = "GET", path: str = "/v2/courses"
) -> Answered:
    """One request with a bearer token, on a connection of its own."""
    return ask(gateway, method, path, f"Authorization: Bearer {token}")


async def bearing_on(client: Conversation, token: str, path: str = "/v2/courses") -> Answered:
    """One request with a bearer token, on a connection that is open."""
    return await client.ask("GET", path, f"Authorization: Bearer {token}")


_ATTRIBUTE: Final = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"(?:, *|$)')


def challenge_in(answered: Answered) -> dict[str, Any]:
    """The attributes of the one Bearer challenge (RFC 6750 §3), read strictly."""
    [told] = [value for value in answered.values("WWW-Authenticate") if value.startswith("Bearer ")]
    attributes = told.removeprefix("Bearer ")
    found = _ATTRIBUTE.findall(attributes)
    assert "".join(f'{name}="{value}", ' for name, value in found).removesuffix(", ") == attributes
    assert len(dict(found)) == len(found), told
    return dict(found)
