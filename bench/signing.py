"""An issuer of the benchmark's own: a key pair, and the tokens it signs by the bare `cryptography`."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

ISSUER: Final = "https://id.bench.example"
AUDIENCE: Final = "bench"
USER: Final = "ada"
LASTS_SECONDS: Final = 24 * 3600
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def encoded(octets: bytes) -> str:
    """Octets as JOSE writes them (RFC 7515 §2)."""
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Signed:
    """A token, what was signed, and the signature as `cryptography` takes it (ECDSA: in DER)."""

    token: str = field(repr=False)
    content: bytes = field(repr=False)
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key for RS256 or ES256, with its id."""

    algorithm: str
    kid: str
    private: PrivateKey = field(repr=False)

    @classmethod
    def made(cls, algorithm: str, kid: str = "first") -> Self:
        """A new key: RSA of 2048 bits, or P-256."""
        if algorithm == "RS256":
            return cls(algorithm, kid, rsa.generate_private_key(65537, 2048))
        return cls(algorithm, kid, ec.generate_private_key(ec.SECP256R1()))

    @property
    def public_jwk(self) -> dict[str, str]:
        """Its public half for a key set (RFC 7517, RFC 7518 §6)."""
        facts = {"kid": self.kid, "alg": self.algorithm, "use": "sig"}
        if isinstance(self.private, rsa.RSAPrivateKey):
            public = self.private.public_key().public_numbers()
            return facts | {"kty": "RSA", "n": _number(public.n, 256), "e": _number(public.e, 3)}
        point = self.private.public_key().public_numbers()
        return facts | {"kty": "EC", "crv": "P-256", "x": _number(point.x, 32), "y": _number(point.y, 32)}

    def sign(self, **claims: object) -> Signed:
        """A good access token of the benchmark's user, with further claims."""
        now = int(time.time())
        told = {"iss": ISSUER, "aud": AUDIENCE, "sub": USER, "iat": now, "exp": now + LASTS_SECONDS, **claims}
        header = {"typ": "at+jwt", "alg": self.algorithm, "kid": self.kid}
        content = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(told).encode())}".encode()
        if isinstance(self.private, rsa.RSAPrivateKey):
            octets = signature = self.private.sign(content, padding.PKCS1v15(), SHA256())
        else:
            signature = self.private.sign(content, ec.ECDSA(SHA256()))
            r, s = decode_dss_signature(signature)
            octets = r.to_bytes(32) + s.to_bytes(32)
        return Signed(f"{content.decode()}.{encoded(octets)}", content, signature)

    def bare_call(self) -> Callable[[Signed], None]:
        """The call that checks a signature, and nothing else; it raises InvalidSignature."""
        public = self.private.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            return lambda signed: public.verify(
                signed.signature, signed.content, padding.PKCS1v15(), SHA256()
            )
        return lambda signed: public.verify(signed.signature, signed.content, ec.ECDSA(SHA256()))


def key_set(*keys: SigningKey) -> str:
    """A key set of their public halves (RFC 7517 §5)."""
    return json.dumps({"keys": [key.public_jwk for key in keys]})


def bearer(token: str) -> str:
    """A token as the value of `Authorization`."""
    return f"Bearer {token}"


def _number(value: int, size: int) -> str:
    return encoded(value.to_bytes(size))
