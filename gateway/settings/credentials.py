"""What becomes of the client's credential on the way to a feed, and how header names are judged."""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Self

from pydantic import AfterValidator, SecretStr, model_validator

from gateway.document.fields import TOKEN
from gateway.document.section import Section, unfit
from gateway.domain.header_policy import Credentials

OURS: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-request-id",
    }
)
"""Header fields with a meaning of their own on this hop (RFC 9110 §7.6.1), or that the gateway sets."""

_FIELD_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")
WORDS_HINT: Final = "write strip, pass, or {header: X-Api-Key, value: ${NAME}}"


def field_name(name: str) -> str:
    """A header name that may carry a credential."""
    if TOKEN.fullmatch(name) is None:
        raise unfit("is not a header name", "use letters, digits and hyphens")
    lower = name.lower()
    if lower in OURS or lower.startswith(("x-gateway-", "x-forwarded-")):
        raise unfit("is a header that cannot carry a credential", "choose another, such as X-Api-Key")
    return name


def _field_value(value: SecretStr) -> SecretStr:
    """A secret that can stand in a header (RFC 9110 §5.5, ASCII only)."""
    if _FIELD_VALUE.fullmatch(value.get_secret_value()) is None:
        raise unfit(
            "cannot stand in a header: it is empty, has a space at an end, or holds a line end, "
            "a control character or a letter outside ASCII"
        )
    return value


FieldName = Annotated[str, AfterValidator(field_name)]


class CredentialRule(Section):
    """Strip the client's credential, pass it on, or set the feed's own in its place.

    `header` and `value` are there when, and only when, the kind is `set`; the value never prints.
    """

    kind: Credentials = Credentials.STRIP
    header: FieldName | None = None
    value: Annotated[SecretStr, AfterValidator(_field_value)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _read(cls, written: object) -> object:
        """A word, or the mapping of header and value; `kind` itself is never written."""
        if isinstance(written, str):
            if written not in {Credentials.STRIP, Credentials.PASS}:
                raise unfit("is not a rule for credentials", WORDS_HINT)
            return {"kind": written}
        if isinstance(written, Mapping) and not isinstance(written.get("kind"), Credentials):
            if "kind" in written:
                raise unfit("has the unknown key kind", WORDS_HINT)
            return {**written, "kind": Credentials.SET}
        return written

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """A rule that sets needs both, and the others neither."""
        given = (self.header is not None) + (self.value is not None)
        if given != (2 if self.kind is Credentials.SET else 0):
            raise unfit("needs both a header and a value", WORDS_HINT)
        return self
