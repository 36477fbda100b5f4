"""Why a token proves nothing."""

from dataclasses import dataclass
from enum import StrEnum


class Check(StrEnum):
    """Every check that a token can fail, in the order in which they are made."""

    SIZE = "size"
    SHAPE = "shape"
    ENCODING = "encoding"
    HEADER = "header"
    CRITICAL = "critical"
    """An extension that we must understand, and do not (RFC 7515 §4.1.11)."""
    CONTENT = "content"
    """Something else than claims is inside: it is encrypted, compressed, or another token."""
    CLAIMS = "claims"
    """The claims cannot be read alike by everybody, or one that is needed is absent or of a wrong shape."""
    ALGORITHM = "algorithm"
    TYPE = "type"
    KEY = "key"
    """None of the issuer's keys that we know fits; a newer set of keys may hold the one that does."""
    SIGNATURE = "signature"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    EXPIRED = "expired"
    NOT_BEFORE = "not_before"
    ISSUED_AT = "issued_at"
    CONFIRMATION = "confirmation"
    """The token is good only together with a key of its holder's (RFC 7800)."""
    ACTIVE = "active"
    """Its issuer says that it is not active (RFC 7662 §2.2)."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """The first check that a token failed, and a sentence on it for integration developers.

    The sentence never holds any part of the token, so that it may be answered and logged.
    """

    check: Check
    sentence: str
