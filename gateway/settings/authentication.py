"""How callers prove who they are."""

import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from gateway.document.section import Section, unfit
from gateway.domain.token import ScopesFrom, WithoutScope
from gateway.settings.credentials import FieldName, field_name

_QUERY_NAME: Final = re.compile(r"[A-Za-z0-9._~-]{1,64}")
_REALM: Final = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]{1,128}")
NOT_YET: Final = "bearer tokens are not served by this version yet"


def _api_key_header(name: str) -> str:
    if name.lower() in {"authorization", "cookie", "set-cookie"}:
        raise unfit(
            "cannot be the API key's header: it has a meaning of its own", "choose another, such as X-API-Key"
        )
    return field_name(name)


def _query_name(name: str) -> str:
    if _QUERY_NAME.fullmatch(name) is None:
        raise unfit("is not a query parameter's name", "use letters, digits and . _ ~ -")
    return name


def _realm(text: str) -> str:
    """Text that fits a quoted string without escapes (RFC 9110 §5.6.4)."""
    if _REALM.fullmatch(text) is None:
        raise unfit("is not a realm", "use up to 128 ASCII characters without quotes and backslashes")
    return text


class ApiKeySettings(Section):
    """Where the API key stands in a request: a header, and a query parameter if one is named."""

    header: Annotated[FieldName, AfterValidator(_api_key_header)] = "X-API-Key"
    query: Annotated[str, AfterValidator(_query_name)] | None = None


class IssuerSettings(Section):
    """One authorization server whose tokens are believed."""

    issuer: Annotated[str, Field(min_length=1)]
    audience: Annotated[str, Field(min_length=1)]
    algorithms: Annotated[tuple[str, ...], Field(min_length=1)]
    jwks: str = "discover"
    token_type: str = "any"  # noqa: S105 - a kind of token, not a token
    user: str = "sub"
    roles: str = "roles"
    scopes_from: ScopesFrom = ScopesFrom.MEMBERS


class IntrospectionSettings(Section):
    """Where opaque tokens are asked about (RFC 7662)."""

    url: str
    client_id: str
    client_secret: SecretStr


class BearerSettings(Section):
    """Bearer tokens. Their whole shape is read, and refused while they cannot be checked."""

    without_scope: WithoutScope = WithoutScope.DENY
    issuers: tuple[IssuerSettings, ...] = ()
    introspection: IntrospectionSettings | None = None

    @model_validator(mode="after")
    def _not_yet(self) -> Self:
        """A setting about who may call is never silently without effect."""
        if self.issuers or self.introspection is not None:
            raise unfit(NOT_YET, "take out issuers and introspection")
        return self


class Authentication(Section):
    """Who may call, and how a refusal names this place (`realm`)."""

    realm: Annotated[str, AfterValidator(_realm)] = "feeds"
    api_key: ApiKeySettings = ApiKeySettings()
    bearer: BearerSettings = BearerSettings()
