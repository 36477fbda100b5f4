"""An access token as it comes (RFC 7519), read strictly, and nothing of it believed yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import orjson

from gateway.jose.base64url import octets
from gateway.jose.flaw import Check, Flaw
from gateway.jose.jws import Jws, read_jws
from gateway.jose.strict_json import Malformed, read_object

_JOSE_DOTS: Final = frozenset({2, 4})
"""Dots in a signed and in an encrypted token (RFC 7515 §3.1, RFC 7516 §3.1)."""


@dataclass(frozen=True, slots=True, eq=False)
class UnverifiedToken:
    """A token that anybody may have made. It prints nothing of itself."""

    jws: Jws = field(repr=False)
    claims: Mapping[str, object] = field(repr=False)

    @property
    def algorithm(self) -> str:
        """How it says it is signed."""
        return self.jws.algorithm

    @property
    def kid(self) -> str | None:
        """The key that it says it is signed with."""
        return self.jws.kid

    @property
    def type(self) -> str | None:
        """What it says it is, as it says it."""
        return self.jws.type

    @property
    def claimed_issuer(self) -> str | None:
        """Who it says made it: enough to choose whose keys and terms to hold it to."""
        issuer = self.claims.get("iss")
        return issuer if isinstance(issuer, str) else None


def read(token: bytes) -> UnverifiedToken | Flaw:
    """Take a token apart, or say what keeps it from being one. It never raises."""
    jws = read_jws(token)
    if isinstance(jws, Flaw):
        return jws
    claims = read_object(jws.payload)
    if isinstance(claims, Malformed):
        return Flaw(Check.CLAIMS, f"The token's payload {claims.why}.")
    return UnverifiedToken(jws, MappingProxyType(claims))


def claimed_issuer(token: bytes) -> str:
    """Who a token says made it, told at a glance and worth no more than that; empty if it does not say."""
    parts = token.split(b".")
    payload = octets(parts[1]) if len(parts) > 1 else None
    try:
        claims = orjson.loads(payload or b"")
    except orjson.JSONDecodeError:
        return ""
    issuer = claims.get("iss") if isinstance(claims, dict) else None
    return issuer if isinstance(issuer, str) else ""


def looks_like_jwt(token: bytes) -> bool:
    """Whether a credential is meant to be a JWT, however badly it is made; others are opaque to us.

    It has as many parts as a signed or an encrypted one, and the first is a JSON object with `alg`.
    """
    if token.count(b".") not in _JOSE_DOTS:
        return False
    first = token[: token.index(b".")].rstrip(b"=")
    head = octets(first)
    if head is None:
        return False
    try:
        header = orjson.loads(head)
    except orjson.JSONDecodeError:
        return False
    return isinstance(header, dict) and "alg" in header
