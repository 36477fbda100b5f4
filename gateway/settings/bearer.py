"""Bearer tokens: whose are believed, what is read from them, and how issuers are asked."""

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, model_validator

from gateway.document.fields import Duration, DurationOrNone, Listed
from gateway.document.section import Section, unfit
from gateway.domain.token import ScopesFrom, WithoutScope
from gateway.issuers.url import refuse_url
from gateway.settings.tls import BASE, PemFile

DISCOVER: Final = "discover"
"""The word for a key set that is found by the issuer's own metadata (RFC 8414, OpenID Connect Discovery)."""

MOST_LEEWAY: Final = 300.0
"""Seconds. Clocks that differ by more are to be mended, not allowed for (RFC 7519 §4.1.4)."""

LONGEST_WAIT: Final = 8.0
"""Seconds. No caller waits for an authorization server any longer."""

LEAST_PAUSE: Final = 1.0
"""Seconds between two fetches of keys: an issuer is not flooded by those who believe it."""

LEAST_SECRET: Final = 32
"""Bytes of a secret for HS256 (RFC 7518 §3.2); the longer hashes need more."""

_CLAIM: Final = re.compile(r"[\x21-\x7e]{1,200}")
_SCOPE: Final = re.compile(r"[!#-\[\]-~]{1,200}")
"""RFC 6749 §3.3: a scope token."""

_PLAIN_PATH: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~!$&'()*+,=:@-]+)*/?")
"""Segments that no reader decodes, merges or resolves to others."""

_PREFIX: Final = re.compile(r"[!-~]{0,64}")
_LONGER: Final = "share a longer one with the issuer, made at random"
_PLACE_HINT: Final = "write discover, an https URL, or the path of a file"


class Algorithm(StrEnum):
    """How a token may be signed (RFC 7518 §3.1, RFC 8037, RFC 9864)."""

    RS256 = "RS256"
    RS384 = "RS384"
    RS512 = "RS512"
    PS256 = "PS256"
    PS384 = "PS384"
    PS512 = "PS512"
    ES256 = "ES256"
    ES384 = "ES384"
    ES512 = "ES512"
    ED_DSA = "EdDSA"
    ED25519 = "Ed25519"
    HS256 = "HS256"
    HS384 = "HS384"
    HS512 = "HS512"


SYMMETRIC: Final = {Algorithm.HS256: 32, Algorithm.HS384: 48, Algorithm.HS512: 64}
"""Algorithms of a shared secret, and the least bytes it has."""


class TokenType(StrEnum):
    """Which `typ` a token's header must have."""

    ANY = "any"
    ACCESS_TOKEN = "at+jwt"  # noqa: S105 - a media type (RFC 9068 §2.1), not a token


def _url(url: str) -> str:
    said = refuse_url(url)
    if said is not None:
        raise unfit(said, "write an https URL, or http on this machine alone")
    return url


def _key_place(value: object, info: ValidationInfo) -> object:
    """`discover`, a URL, or a file that a relative path starts to from the configuration file's directory."""
    if not isinstance(value, str) or value == DISCOVER:
        return value
    if not value:
        raise unfit("is no place of a key set", _PLACE_HINT)
    if "://" in value:
        return _url(value)
    base: Path = (info.context or {}).get(BASE, Path.cwd())
    return base / value


def _claim(name: str) -> str:
    if _CLAIM.fullmatch(name) is None:
        raise unfit("is not the name of a claim", "write a name, or a dotted path such as realm_access.roles")
    return name


def _prefix(text: str) -> str:
    if _PREFIX.fullmatch(text) is None:
        raise unfit("cannot stand before a name", "use up to 64 visible ASCII characters, such as partner/")
    return text


def _identifier(url: str) -> str:
    """A URL whose metadata has a place that everybody asks for in the same way (RFC 9728 §3)."""
    if "?" in url:
        raise unfit("has a query, by which a resource is not told from others", "give the URL without it")
    path = url.partition("://")[2].partition("/")
    if _PLAIN_PATH.fullmatch("".join(path[1:])) is None:
        raise unfit(
            "has a path that can be written otherwise, too",
            "give it without escapes, parameters, empty segments and dots",
        )
    return url


def _scope(value: str) -> str:
    if _SCOPE.fullmatch(value) is None:
        raise unfit("is no scope that a client could ask for", "use visible ASCII without quotes and spaces")
    return value


def _leeway(seconds: float) -> float:
    if seconds > MOST_LEEWAY:
        raise unfit("is more than clocks may differ", "give at most 5m")
    return seconds


def _wait(seconds: float) -> float:
    if seconds > LONGEST_WAIT:
        raise unfit("is longer than any caller waits", "give at most 8s")
    return seconds


def _pause(seconds: float) -> float:
    if seconds < LEAST_PAUSE:
        raise unfit("is too short a pause between two fetches", "give at least 1s")
    return seconds


def _secret(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value().encode()) < LEAST_SECRET:
        raise unfit(f"is too short for a secret: it has fewer than {LEAST_SECRET} bytes", _LONGER)
    return value


Url = Annotated[str, AfterValidator(_url)]
Claim = Annotated[str, AfterValidator(_claim)]
Text = Annotated[str, Field(min_length=1)]
Leeway = Annotated[DurationOrNone, AfterValidator(_leeway)]
Pause = Annotated[Duration, AfterValidator(_pause)]
KeyPlace = Annotated[str | Path, BeforeValidator(_key_place)]


class BearerNames(Section):
    """Which claims name the user, the roles, the client and the scopes, and what they are called here.

    `prefix` is put before the names of users, roles and clients, so that those of two issuers differ.
    """

    user: Claim = "sub"
    roles: Claim = "roles"
    client: Claim = "client_id"
    scope: Claim = "scope"
    prefix: Annotated[str, AfterValidator(_prefix)] = ""
    scopes_from: ScopesFrom = ScopesFrom.MEMBERS


class IssuerSettings(BearerNames):
    """One authorization server whose tokens are believed."""

    issuer: Text
    audience: Annotated[tuple[Text, ...], Listed, Field(min_length=1)]
    algorithms: Annotated[tuple[Algorithm, ...], Listed, Field(min_length=1)]
    jwks: KeyPlace | None = None
    secret: Annotated[SecretStr, AfterValidator(_secret)] | None = None
    token_type: TokenType = TokenType.ANY
    leeway: Leeway = 5.0

    @model_validator(mode="after")
    def _keys_that_fit(self) -> Self:
        """A shared secret and a public key set are never taken for each other (RFC 8725 §2.1)."""
        symmetric = [algorithm for algorithm in self.algorithms if algorithm in SYMMETRIC]
        if self.secret is None:
            if symmetric:
                raise unfit(f"allows {symmetric[0]} and has no secret", "give a secret, or take it out")
            why = refuse_url(self.issuer) if self.place == DISCOVER else None
            if why is not None:
                raise unfit(
                    f"has an issuer that cannot be asked for its keys, for it {why}",
                    "give its https URL, or say in jwks where the keys are",
                )
            return self
        if self.jwks is not None or len(symmetric) < len(self.algorithms):
            raise unfit(
                "mixes a secret with a key set", "give a secret and HS algorithms, or jwks and the others"
            )
        least = max(SYMMETRIC[algorithm] for algorithm in symmetric)
        if len(self.secret.get_secret_value().encode()) < least:
            raise unfit(
                f"has a secret that is too short: the algorithms need {least} bytes (RFC 7518 §3.2)",
                _LONGER,
            )
        return self

    @property
    def place(self) -> str | Path:
        """Where the key set is; where nothing is said, the issuer is asked."""
        return DISCOVER if self.jwks is None else self.jwks


class IntrospectionSettings(BearerNames):
    """Where opaque tokens are asked about (RFC 7662)."""

    url: Url
    client_id: Text
    client_secret: Annotated[SecretStr, Field(min_length=1)]
    audience: Annotated[tuple[Text, ...], Listed] = ()
    timeout: Annotated[Duration, AfterValidator(_wait)] = 5.0
    leeway: Leeway = 5.0


class KeySetSettings(Section):
    """How the key sets of issuers are kept fresh."""

    refresh: Pause = 300.0
    stale_for: Duration = 3600.0
    refetch: Pause = 10.0
    timeout: Duration = 5.0
    ca: PemFile | None = None


class ResourceSettings(Section):
    """What this gateway tells clients of itself as a protected resource (RFC 9728)."""

    identifier: Annotated[Url, AfterValidator(_identifier)]
    name: Text | None = None
    documentation: Url | None = None
    scopes: Annotated[tuple[Annotated[str, AfterValidator(_scope)], ...], Listed] = ()


class BearerSettings(Section):
    """Bearer tokens: served where an issuer or an introspection is named, else refused."""

    without_scope: WithoutScope = WithoutScope.DENY
    issuers: tuple[IssuerSettings, ...] = ()
    introspection: IntrospectionSettings | None = None
    key_sets: KeySetSettings = KeySetSettings()
    resource: ResourceSettings | None = None

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        """Which rules hold for a token is told by its issuer's name alone."""
        twice = _first_repeated([issuer.issuer for issuer in self.issuers])
        if twice is not None:
            first, second = twice
            raise unfit(
                f"has the same issuer twice, in issuers[{first}] and issuers[{second}]",
                "keep one; it may have several audiences",
            )
        if self.resource is not None and not self.served:
            raise unfit("describes a resource for tokens and serves none", "name an issuer or introspection")
        return self

    @property
    def served(self) -> bool:
        """Whether any token can be good."""
        return bool(self.issuers) or self.introspection is not None


def _first_repeated(names: Sequence[str]) -> tuple[int, int] | None:
    """Where a name stands first, and where again."""
    return next(((names.index(name), at) for at, name in enumerate(names) if name in names[:at]), None)
