"""What browsers are told of a feed: who may ask from another origin, and what."""

import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from gateway.cors import OriginPolicy
from gateway.document.fields import HOST_NAME, TOKEN, DurationOrNone, Listed
from gateway.document.section import Section, unfit

EVERY: Final = "*"
MOST_AGE: Final = 86_400.0
"""Seconds that browsers remember a preflight at most."""

_ORIGIN: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[^\[\]:/?#@]+)(?::(?P<port>[0-9]{1,5}))?"
)
_LEFT_OUT: Final = frozenset({("http", "80"), ("https", "443")})
ORIGIN_HINT: Final = "write scheme://host as browsers do, such as https://app.example.com, or *"


def _origin(origin: str) -> str:
    """An origin as browsers write it (RFC 6454 §6.2), or `*`; `null` is what any sandboxed page says."""
    if origin == EVERY:
        return origin
    match = _ORIGIN.fullmatch(origin)
    if match is None or not (match["host"].startswith("[") or HOST_NAME.fullmatch(match["host"])):
        raise unfit("is not an origin", ORIGIN_HINT)
    if match["host"] != match["host"].lower():
        raise unfit("is not as browsers write it", "write the host in lower case")
    if (match["scheme"], match["port"]) in _LEFT_OUT:
        raise unfit("is not as browsers write it", "leave the default port out")
    return origin


def _method(method: str) -> str:
    if TOKEN.fullmatch(method) is None or method != method.upper() or method == EVERY:
        raise unfit("is not a method", "write it in capitals, such as GET")
    return method


def _header(name: str) -> str:
    if TOKEN.fullmatch(name) is None:
        raise unfit("is not a header name", "use letters, digits and hyphens")
    return name


Origin = Annotated[str, AfterValidator(_origin)]
Method = Annotated[str, AfterValidator(_method)]
HeaderName = Annotated[str, AfterValidator(_header)]


class CorsSettings(Section):
    """The policy for requests from other origins. `headers` by default: the key's and the usual two."""

    origins: Annotated[tuple[Origin, ...], Listed, Field(min_length=1)]
    methods: Annotated[tuple[Method, ...], Listed, Field(min_length=1)] = (
        *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
    )
    headers: Annotated[tuple[HeaderName, ...], Listed] | None = None
    expose: Annotated[tuple[HeaderName, ...], Listed] = ()
    credentials: bool = False
    max_age: Annotated[DurationOrNone, Field(le=MOST_AGE)] = 600.0

    @model_validator(mode="after")
    def _safe(self) -> Self:
        """What browsers ignore, and what would open a feed to every page, is told and not served."""
        if EVERY in self.origins and len(self.origins) > 1:
            raise unfit("names origins beside *", "keep * alone, or the origins")
        if self.credentials:
            if EVERY in self.origins:
                raise unfit(
                    "lets every origin send credentials", "name the origins, or leave credentials out"
                )
            if EVERY in (*(self.headers or ()), *self.expose):
                raise unfit("has * beside credentials, where it names nothing", "name the headers")
        return self

    def policy(self, key_header: str) -> OriginPolicy:
        """What browsers are told; `key_header` is the one that carries API keys."""
        headers = ("Authorization", "Content-Type", key_header) if self.headers is None else self.headers
        return OriginPolicy(
            frozenset(self.origins) - {EVERY},
            self.methods,
            tuple(dict.fromkeys(headers)),
            self.expose,
            self.credentials,
            int(self.max_age),
        )
