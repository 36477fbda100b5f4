"""How callers prove who they are."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator

from gateway.document.section import Section, unfit
from gateway.settings.bearer import BearerSettings
from gateway.settings.credentials import FieldName, field_name

_QUERY_NAME: Final = re.compile(r"[A-Za-z0-9._~-]{1,64}")
_REALM: Final = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]{1,128}")


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


class Authentication(Section):
    """Who may call, and how a refusal names this place (`realm`)."""

    realm: Annotated[str, AfterValidator(_realm)] = "feeds"
    api_key: ApiKeySettings = ApiKeySettings()
    bearer: BearerSettings = BearerSettings()
