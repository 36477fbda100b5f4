"""What a caller presents: an API key or a bearer token, found in the request and reduced to a digest."""

import re
from enum import Enum
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.domain.key_format import digest, well_formed
from gateway.domain.principal import Principal
from gateway.domain.verdict import Reason, Refusal
from gateway.http1.head import Fields

LONGEST_KEY: Final = 4096

LONGEST_TOKEN: Final = 8192

TOKEN68: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
"""What a bearer token may be made of (RFC 6750 §2.1)."""

OF_TOKEN: Final = b"t"
"""Ends the digests of tokens, so that no token is remembered as a key, nor a key as a token."""


class CredentialKind(Enum):
    """The two ways to say who one is."""

    API_KEY = "api_key"
    BEARER = "bearer"


class Credential:
    """One credential as presented. Of an API key only the digest is kept; a token is kept to be verified.

    `flawed` says that it cannot be good, so nobody needs to look it up. `answer`, `until` (monotonic seconds)
    and `generation` are what identity last found for it; they are identity's to read and write.
    """

    __slots__ = ("answer", "digest", "flawed", "generation", "kind", "secret", "until")

    def __init__(self, kind: CredentialKind, digest: bytes, *, flawed: bool, secret: bytes = b"") -> None:
        self.kind = kind
        self.digest = digest
        self.flawed = flawed
        self.secret = secret
        self.answer: Principal | Refusal | None = None
        self.until = 0.0
        self.generation = -1


AMBIGUOUS: Final = Refusal(Reason.CREDENTIAL_AMBIGUOUS)


class CredentialReader:
    """Finds the credential where the operator says it is: a header, a query parameter, or Authorization."""

    def __init__(self, header: str, query: str | None = None) -> None:
        self._header = header.lower().encode("ascii")
        self._query = None if query is None else query.encode("ascii")

    def in_fields(self, fields: Fields) -> Credential | Refusal | None:
        """The credential among a request's header fields; None without one.

        Two different ones, or one twice, are ambiguous; and Authorization is a field that may not be repeated
        at all (RFC 9110 §11.6.2), whatever its scheme.
        """
        keys = [value for name, value in fields if name.lower() == self._header]
        authorizations = [
            value
            for name, value in fields
            if name.lower() == b"authorization" and self._header != b"authorization"
        ]
        tokens = [token for value in authorizations if (token := _bearer_token(value)) is not None]
        if len(keys) + len(tokens) > 1 or len(authorizations) > 1:
            return AMBIGUOUS
        if keys:
            return _api_key(keys[0])
        if tokens:
            return _token(tokens[0])
        return None

    def reads(self, name: bytes) -> bool:
        """Whether a header field, its name in lower case, may hold a credential."""
        return name in (self._header, b"authorization")

    def in_query(self, query: bytes, found: Credential | Refusal | None) -> Credential | Refusal | None:
        """The credential in the query, where that is allowed, beside what the fields held."""
        if self._query is None or self._query not in unquote_to_bytes(query):
            return found
        values = [value for name, value in _parameters(query) if name == self._query]
        if not values:
            return found
        if len(values) > 1 or found is not None:
            return found if isinstance(found, Refusal) else AMBIGUOUS
        return _api_key(values[0])

    def without_key(self, query: bytes) -> bytes | None:
        """The query without the key, the rest untouched; None when nothing is left of it."""
        if self._query is None or self._query not in unquote_to_bytes(query):
            return query
        kept = [part for part in query.split(b"&") if _name_of(part) != self._query]
        return b"&".join(kept) if kept else None


def _api_key(key: bytes) -> Credential:
    flawed = not key or len(key) > LONGEST_KEY or well_formed(key) is False
    return Credential(CredentialKind.API_KEY, digest(key), flawed=flawed)


def _token(token: bytes) -> Credential:
    flawed = not can_be_a_token(token)
    known_by = digest(token) + OF_TOKEN
    return Credential(CredentialKind.BEARER, known_by, flawed=flawed, secret=b"" if flawed else token)


def can_be_a_token(token: bytes) -> bool:
    """Whether a token may be good at all: nobody is asked about one that cannot."""
    return len(token) <= LONGEST_TOKEN and TOKEN68.fullmatch(token) is not None


def _bearer_token(value: bytes) -> bytes | None:
    """The token of a Bearer Authorization, its scheme in any case (RFC 9110 §11.1); None for others."""
    scheme, _, token = value.partition(b" ")
    return token.strip(b" ") if scheme.lower() == b"bearer" else None


def _parameters(query: bytes) -> list[tuple[bytes, bytes]]:
    return [(_name_of(part), _decoded(part.partition(b"=")[2])) for part in query.split(b"&")]


def _name_of(part: bytes) -> bytes:
    return _decoded(part.partition(b"=")[0])


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))
