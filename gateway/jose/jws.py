"""A signed message in its compact form, taken apart (RFC 7515 §7.1), and nothing of it believed yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from gateway.jose.base64url import octets
from gateway.jose.flaw import Check, Flaw
from gateway.jose.jwk import LONGEST_KID
from gateway.jose.media_type import JWT, media_type
from gateway.jose.strict_json import Malformed, read_object

LARGEST: Final = 8 * 1024
"""Octets that a token may have: no header section has room for more."""

PARTS: Final = ("header", "payload", "signature")
_DOTS: Final = len(PARTS) - 1

TOO_LARGE: Final = Flaw(Check.SIZE, f"The token is larger than {LARGEST // 1024} KiB.")
NOT_THREE: Final = Flaw(
    Check.SHAPE, "The token does not have exactly three parts with a dot between them: it is no signed JWT."
)
MISENCODED: Final = MappingProxyType(
    {
        part: Flaw(Check.ENCODING, f"The token's {part} is not base64url without padding (RFC 7515 §2).")
        for part in PARTS
    }
)

REFUSED_MEMBERS: Final = MappingProxyType(
    {
        "crit": Flaw(Check.CRITICAL, "The header names critical extensions (`crit`), and none is supported."),
        "b64": Flaw(Check.CRITICAL, "The header has `b64`, which no JWT may have (RFC 7797 §7)."),
        "enc": Flaw(Check.CONTENT, "The token is encrypted; only signed tokens are accepted."),
        "zip": Flaw(Check.CONTENT, "The token is compressed; only plain claims are accepted."),
    }
)
"""Header members that change what a token means. Where to find keys (`jku`, `jwk`, `x5c`, `x5u`) is not among
them: whatever a token says of that is not looked at, for a forger says it too (RFC 8725 §3.10)."""

NESTED: Final = Flaw(Check.CONTENT, "The token holds another token (`cty`); only claims are accepted.")
NO_ALGORITHM: Final = Flaw(Check.HEADER, "The header has no `alg` that is a string.")
BAD_KID: Final = Flaw(
    Check.HEADER, f"The header's `kid` is not a string of at most {LONGEST_KID} characters."
)
BAD_TYPE: Final = MappingProxyType(
    {name: Flaw(Check.HEADER, f"The header's `{name}` is not a string in ASCII.") for name in ("typ", "cty")}
)


@dataclass(frozen=True, slots=True, eq=False)
class Jws:
    """A signed message. `signed` is what the signature is of; it prints nothing of itself."""

    algorithm: str = field(repr=False)
    kid: str | None = field(repr=False)
    type: str | None = field(repr=False)
    payload: bytes = field(repr=False)
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def read_jws(token: bytes) -> Jws | Flaw:
    """Take a signed message apart. It is measured and its dots are counted before anything is decoded."""
    if len(token) > LARGEST:
        return TOO_LARGE
    if token.count(b".") != _DOTS:
        return NOT_THREE
    signed, _, last = token.rpartition(b".")
    first, _, middle = signed.partition(b".")
    parts = [octets(text) for text in (first, middle, last)]
    for name, part in zip(PARTS, parts, strict=True):
        if part is None:
            return MISENCODED[name]
    head, payload, signature = (part or b"" for part in parts)
    header = read_object(head)
    if isinstance(header, Malformed):
        return Flaw(Check.HEADER, f"The token's header {header.why}.")
    return _header_flaw(header) or _jws(header, payload, signed, signature)


def _header_flaw(header: Mapping[str, object]) -> Flaw | None:
    """What a header must not say (RFC 7515 §4.1, RFC 7519 §5)."""
    for name, flaw in REFUSED_MEMBERS.items():
        if name in header:
            return flaw
    for name, flaw in BAD_TYPE.items():
        told = header.get(name, "")
        if not (isinstance(told, str) and told.isascii()):
            return flaw
    if media_type(str(header.get("cty", ""))) == JWT:
        return NESTED
    kid = header.get("kid", "")
    if not (isinstance(kid, str) and len(kid) <= LONGEST_KID):
        return BAD_KID
    return None if isinstance(header.get("alg"), str) else NO_ALGORITHM


def _jws(header: Mapping[str, object], payload: bytes, signed: bytes, signature: bytes) -> Jws:
    """The message of a header without a flaw."""
    return Jws(str(header["alg"]), _text(header, "kid"), _text(header, "typ"), payload, signed, signature)


def _text(header: Mapping[str, object], name: str) -> str | None:
    return str(header[name]) if name in header else None
