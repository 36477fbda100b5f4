"""An issuer with a key for every algorithm, and tokens of it in which any part may be another than it should.

Signed with the bare `cryptography`, or `hmac`: nothing of the gateway, nor of the library it uses.
"""

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from gateway.jose.flaw import Flaw
from gateway.jose.key_set import KeySet
from gateway.jose.token import read
from gateway.jose.verify import Claims, TokenTerms, verify

Private = (
    rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey | bytes
)

NOW: Final = 1_800_000_000
ISSUER: Final = "https://id.example.com"
AUDIENCE: Final = "feeds"
CLAIMS: Final[Mapping[str, object]] = MappingProxyType(
    {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": NOW - 60, "exp": NOW + 600}
)
SECRET: Final = bytes(range(64))
ASYMMETRIC: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"),
    *("EdDSA", "Ed25519", "Ed448"),
)
SYMMETRIC: Final = ("HS256", "HS384", "HS512")

_HASHES: Final = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
_CURVES: Final = {
    "ES256": ("P-256", ec.SECP256R1(), 32),
    "ES384": ("P-384", ec.SECP384R1(), 48),
    "ES512": ("P-521", ec.SECP521R1(), 66),
}


def encoded(octets: bytes) -> bytes:
    """Base64url without padding (RFC 7515 §2)."""
    return urlsafe_b64encode(octets).rstrip(b"=")


def number(value: int, size: int | None = None) -> str:
    """A number as a JWK has it (RFC 7518 §2)."""
    return encoded(value.to_bytes(size or (value.bit_length() + 7) // 8)).decode()


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    """An RSA key, the same for the whole run: making one takes long."""
    return rsa.generate_private_key(65537, 2048)


def _made(algorithm: str) -> Private:
    if algorithm in SYMMETRIC:
        return SECRET
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm][1])
    if algorithm == "Ed448":
        return ed448.Ed448PrivateKey.generate()
    return ed25519.Ed25519PrivateKey.generate() if algorithm.startswith("Ed") else rsa_key()


@dataclass(frozen=True)
class Signer:
    """A key of an issuer, and how it signs."""

    algorithm: str
    private: Private = field(repr=False)
    kid: str | None

    def sign(self, signed: bytes) -> bytes:
        """The octets of a signature (RFC 7518 §3, RFC 8037 §3.1)."""
        private, size = self.private, self.algorithm[2:]
        if isinstance(private, bytes):
            return hmac.digest(private, signed, f"sha{size}")
        if isinstance(private, rsa.RSAPrivateKey):
            digest = _HASHES[size]
            pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
            return private.sign(signed, pss if self.algorithm.startswith("P") else padding.PKCS1v15(), digest)
        if isinstance(private, ec.EllipticCurvePrivateKey):
            octets = _CURVES[self.algorithm][2]
            r, s = decode_dss_signature(private.sign(signed, ec.ECDSA(_HASHES[size])))
            return r.to_bytes(octets) + s.to_bytes(octets)
        return private.sign(signed)

    def jwk(self, **labels: object) -> dict[str, Any]:
        """The public key (RFC 7517 §4), with `alg`, `use` and `kid`; labels are put over, None leaves out."""
        assert not isinstance(self.private, bytes)
        public = self.private.public_key()
        told: dict[str, object] = {"use": "sig", "alg": self.algorithm, "kid": self.kid}
        if isinstance(public, rsa.RSAPublicKey):
            parts = public.public_numbers()
            told |= {"kty": "RSA", "n": number(parts.n), "e": number(parts.e)}
        elif isinstance(public, ec.EllipticCurvePublicKey):
            name, _, size = _CURVES[self.algorithm]
            point = public.public_numbers()
            told |= {"kty": "EC", "crv": name, "x": number(point.x, size), "y": number(point.y, size)}
        else:
            curve = "Ed448" if isinstance(public, ed448.Ed448PublicKey) else "Ed25519"
            told |= {"kty": "OKP", "crv": curve, "x": encoded(public.public_bytes_raw()).decode()}
        return {name: value for name, value in (told | labels).items() if value is not None}

    def keys(self) -> KeySet:
        """The keys of an issuer that has this one alone."""
        return KeySet.of_secret(self.private) if isinstance(self.private, bytes) else key_set(self.jwk())

    def terms(self, **terms: object) -> TokenTerms:
        """What such an issuer's tokens are held to; further terms are put over."""
        usual: dict[str, Any] = {
            "issuer": ISSUER,
            "audiences": frozenset({AUDIENCE}),
            "algorithms": frozenset({self.algorithm}),
        }
        return TokenTerms(**usual | terms)

    def token(
        self,
        claims: Mapping[str, object] | bytes = CLAIMS,
        header: Mapping[str, object] | bytes = MappingProxyType({}),
        signature: bytes | None = None,
    ) -> bytes:
        """A token. Members of a header are put over the usual one; those that are None are left out.

        Bytes are taken as they are, and signed; a signature is put in place of the genuine one.
        """
        if not isinstance(header, bytes):
            told = {"typ": "at+jwt", "alg": self.algorithm, "kid": self.kid, **header}
            header = json.dumps({name: value for name, value in told.items() if value is not None}).encode()
        payload = claims if isinstance(claims, bytes) else json.dumps(dict(claims)).encode()
        signed = encoded(header) + b"." + encoded(payload)
        return signed + b"." + encoded(self.sign(signed) if signature is None else signature)


@cache
def signer(algorithm: str, kid: str | None = "k1") -> Signer:
    """The issuer's key for an algorithm."""
    return Signer(algorithm, _made(algorithm), kid)


def claims_with(**changed: object) -> dict[str, object]:
    """Good claims but for these; those that are None are left out."""
    return {name: value for name, value in (dict(CLAIMS) | changed).items() if value is not None}


def key_set(*jwks: Mapping[str, object]) -> KeySet:
    """The set that publishes these keys."""
    return KeySet.parse(document(*jwks))


def document(*jwks: Mapping[str, object]) -> bytes:
    """A JWK Set (RFC 7517 §5)."""
    return json.dumps({"keys": [dict(jwk) for jwk in jwks]}).encode()


def judged(token: bytes, keys: KeySet, terms: TokenTerms, now: float = NOW) -> Claims | Flaw:
    """What becomes of a token."""
    unverified = read(token)
    return unverified if isinstance(unverified, Flaw) else verify(unverified, keys, terms, now)


def check(token: bytes, keys: KeySet, terms: TokenTerms, now: float = NOW) -> str | None:
    """The check that a token fails; None for a good one. What it says holds nothing of the token."""
    found = judged(token, keys, terms, now)
    if isinstance(found, Claims):
        return None
    for part in token.split(b"."):
        assert len(part) < 8 or part.decode("latin-1") not in found.sentence
    return found.check.value
