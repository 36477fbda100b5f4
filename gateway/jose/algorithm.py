"""The algorithms a token may be signed with, and the one kind of key that each goes with (RFC 8725 §3.1).

That table is what keeps a public key from being taken for a secret, and a curve for another.
"""

from enum import StrEnum
from types import MappingProxyType
from typing import Final

from joserfc.jwa import JWS_ALGORITHMS, JWSAlgModel


class KeyKind(StrEnum):
    """What a key is: a secret, an RSA key, or a point on one curve."""

    SECRET = "secret"  # noqa: S105 - a kind of key, not a key
    RSA = "RSA"
    P256 = "P-256"
    P384 = "P-384"
    P521 = "P-521"
    ED25519 = "Ed25519"
    ED448 = "Ed448"


KEYS_FOR: Final = MappingProxyType(
    {
        "HS256": frozenset({KeyKind.SECRET}),
        "HS384": frozenset({KeyKind.SECRET}),
        "HS512": frozenset({KeyKind.SECRET}),
        "RS256": frozenset({KeyKind.RSA}),
        "RS384": frozenset({KeyKind.RSA}),
        "RS512": frozenset({KeyKind.RSA}),
        "PS256": frozenset({KeyKind.RSA}),
        "PS384": frozenset({KeyKind.RSA}),
        "PS512": frozenset({KeyKind.RSA}),
        "ES256": frozenset({KeyKind.P256}),
        "ES384": frozenset({KeyKind.P384}),
        "ES512": frozenset({KeyKind.P521}),
        "EdDSA": frozenset({KeyKind.ED25519, KeyKind.ED448}),
        "Ed25519": frozenset({KeyKind.ED25519}),
        "Ed448": frozenset({KeyKind.ED448}),
    }
)
"""Every algorithm there is for us, with its keys (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2)."""

SECRET_OCTETS: Final = MappingProxyType({"HS256": 32, "HS384": 48, "HS512": 64})
"""How long a secret has to be: as long as the hash (RFC 7518 §3.2)."""

ARITHMETIC: Final[MappingProxyType[str, JWSAlgModel]] = MappingProxyType(
    {model.name: model for model in JWS_ALGORITHMS if model.name in KEYS_FOR}
)
"""Who verifies the signatures of each."""
