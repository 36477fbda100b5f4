"""The answer to "may they?": a permit, or a refusal with its reason.

A refusal is a value; exceptions are for what is broken. `ANSWER_TO` is the one table of what each reason
looks like from outside, and an absent row is a test failure, never a pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Reason(StrEnum):
    """Every reason to refuse, closed. The value is the `code` of the problem document."""

    REQUEST_MALFORMED = "request_malformed"
    PATH_AMBIGUOUS = "path_ambiguous"
    METHOD_OVERRIDE = "method_override"
    CREDENTIAL_AMBIGUOUS = "credential_ambiguous"
    CREDENTIAL_MISSING = "credential_missing"
    CREDENTIAL_INVALID = "credential_invalid"
    CREDENTIAL_EXPIRED = "credential_expired"
    CREDENTIAL_REVOKED = "credential_revoked"
    SCOPE_DENIED = "scope_denied"
    SCOPE_NONE = "scope_none"
    FEED_DISABLED = "feed_disabled"
    ROUTE_UNMAPPED = "route_unmapped"
    METHOD_UNMAPPED = "method_unmapped"
    REQUEST_TIMEOUT = "request_timeout"
    BODY_TOO_LARGE = "body_too_large"
    URI_TOO_LONG = "uri_too_long"
    HEADERS_TOO_LARGE = "headers_too_large"
    EXPECTATION_FAILED = "expectation_failed"
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    UPSTREAM_INVALID = "upstream_invalid"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    OVERLOADED = "overloaded"
    STORE_UNAVAILABLE = "store_unavailable"
    KEYS_UNAVAILABLE = "keys_unavailable"


class Challenge(StrEnum):
    """The RFC 6750 §3.1 error code a bearer challenge carries."""

    NONE = ""
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - an error code, not a secret
    INSUFFICIENT_SCOPE = "insufficient_scope"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a refusal looks from outside: status, title, sentence, RFC 9209 error type, and what comes with it.

    `challenge` None means no `WWW-Authenticate`; `retry_after` is in seconds, 0 for none; `close` says that
    the connection cannot be used on.
    """

    status: int
    title: str
    detail: str
    proxy_error: str
    challenge: Challenge | None = None
    retry_after: int = 0
    close: bool = False


ANSWER_TO: Final[Mapping[Reason, Answer]] = MappingProxyType(
    {
        Reason.REQUEST_MALFORMED: Answer(
            400,
            "Malformed request",
            "The request breaks the HTTP/1.1 grammar or its framing is not clear.",
            "http_request_error",
            close=True,
        ),
        Reason.PATH_AMBIGUOUS: Answer(
            400,
            "Ambiguous path",
            "The path can be read in more than one way; send it in its normal form.",
            "http_request_error",
        ),
        Reason.METHOD_OVERRIDE: Answer(
            400,
            "Method override refused",
            "Method override headers are not accepted here; use the method itself.",
            "http_request_error",
        ),
        Reason.CREDENTIAL_AMBIGUOUS: Answer(
            400,
            "Ambiguous credential",
            "Present one API key or one bearer token, once.",
            "http_request_error",
        ),
        Reason.CREDENTIAL_MISSING: Answer(
            401,
            "Credential missing",
            "Present an API key or a bearer token.",
            "http_request_denied",
            challenge=Challenge.NONE,
        ),
        Reason.CREDENTIAL_INVALID: Answer(
            401,
            "Credential invalid",
            "The credential is not known here; check it for typing errors.",
            "http_request_denied",
            challenge=Challenge.INVALID_TOKEN,
        ),
        Reason.CREDENTIAL_EXPIRED: Answer(
            401,
            "Credential expired",
            "The credential was valid and has expired; ask for a new one.",
            "http_request_denied",
            challenge=Challenge.INVALID_TOKEN,
        ),
        Reason.CREDENTIAL_REVOKED: Answer(
            401,
            "Credential revoked",
            "The credential was disabled or revoked by an administrator.",
            "http_request_denied",
            challenge=Challenge.INVALID_TOKEN,
        ),
        Reason.SCOPE_DENIED: Answer(
            403,
            "Not allowed by your API Scopes",
            "Your API Scopes do not allow this action on this module.",
            "http_request_denied",
            challenge=Challenge.INSUFFICIENT_SCOPE,
        ),
        Reason.SCOPE_NONE: Answer(
            403,
            "No API Scope",
            "The credential has no API Scope, so it may do nothing; ask for one.",
            "http_request_denied",
            challenge=Challenge.INSUFFICIENT_SCOPE,
        ),
        Reason.FEED_DISABLED: Answer(
            403,
            "Feed disabled",
            "This feed is switched off.",
            "http_request_denied",
            challenge=Challenge.INSUFFICIENT_SCOPE,
        ),
        Reason.ROUTE_UNMAPPED: Answer(
            404,
            "Route not mapped",
            "No route of this gateway maps this path.",
            "http_request_denied",
        ),
        Reason.METHOD_UNMAPPED: Answer(
            405,
            "Method not mapped",
            "The route does not map this method; Allow lists those it does.",
            "http_request_denied",
        ),
        Reason.REQUEST_TIMEOUT: Answer(
            408,
            "Request timed out",
            "The request did not arrive in time.",
            "http_request_error",
            close=True,
        ),
        Reason.BODY_TOO_LARGE: Answer(
            413,
            "Body too large",
            "The body is larger than this route accepts.",
            "http_request_error",
            close=True,
        ),
        Reason.URI_TOO_LONG: Answer(
            414,
            "Request line too long",
            "The request line is longer than this gateway accepts.",
            "http_request_error",
            close=True,
        ),
        Reason.HEADERS_TOO_LARGE: Answer(
            431,
            "Headers too large",
            "The header section is larger, or has more fields, than this gateway accepts.",
            "http_request_error",
            close=True,
        ),
        Reason.EXPECTATION_FAILED: Answer(
            417,
            "Expectation failed",
            "The only expectation this gateway meets is 100-continue.",
            "http_request_error",
        ),
        Reason.UPSTREAM_UNREACHABLE: Answer(
            502,
            "Feed unreachable",
            "The feed could not be reached, or closed the connection before it answered.",
            "destination_unavailable",
        ),
        Reason.UPSTREAM_INVALID: Answer(
            502,
            "Feed answered badly",
            "The feed's answer breaks the HTTP/1.1 grammar or its framing is not clear.",
            "http_protocol_error",
        ),
        Reason.UPSTREAM_TIMEOUT: Answer(
            504,
            "Feed timed out",
            "The feed did not answer in time.",
            "http_response_timeout",
        ),
        Reason.OVERLOADED: Answer(
            503,
            "Overloaded",
            "The gateway is at its limit; try again shortly.",
            "connection_limit_reached",
            retry_after=1,
        ),
        Reason.STORE_UNAVAILABLE: Answer(
            503,
            "Credentials cannot be checked",
            "The gateway cannot reach its store, so it cannot tell who asks; try again shortly.",
            "proxy_internal_error",
            retry_after=5,
        ),
        Reason.KEYS_UNAVAILABLE: Answer(
            503,
            "Tokens cannot be checked",
            "The token's issuer cannot be asked, so the token cannot be checked; try again shortly.",
            "proxy_internal_error",
            retry_after=5,
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not forwarded. `detail` replaces the table's sentence; it never holds a secret.

    `module` and `action` are told for scope refusals, `scope` names the scope that decided, `allow` lists
    methods for 405.
    """

    reason: Reason
    detail: str = ""
    module: str | None = None
    action: str | None = None
    scope: str | None = None
    allow: tuple[str, ...] = ()

    @property
    def answer(self) -> Answer:
        """The row of the one table."""
        return ANSWER_TO[self.reason]
