"""Keys that sign tokens, as issuers have them; made with the bare `cryptography`, which is not under test.

What a token says is the test's to choose: by a genuine key, what an honest issuer would never say.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Claims = Mapping[str, object]

_NUMBERS: Final = count(1)


def encoded(octets: bytes) -> str:
    """Octets as JOSE writes them: base64url without padding (RFC 7515 §2)."""
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """The octets that JOSE wrote so."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _number(value: int, size: int | None = None) -> str:
    return encoded(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


@dataclass(frozen=True)
class SigningKey:
    """A key for one algorithm (RS256, ES256 or EdDSA), under an id that no other key of the run has."""

    algorithm: str
    private: PrivateKey = field(repr=False)
    kid: str = field(default_factory=lambda: f"key-{next(_NUMBERS)}")

    @classmethod
    def made(cls, algorithm: str) -> "SigningKey":
        """A new key for an algorithm."""
        if algorithm == "RS256":
            return cls(algorithm, rsa.generate_private_key(65537, 2048))
        if algorithm == "ES256":
            return cls(algorithm, ec.generate_private_key(ec.SECP256R1()))
        assert algorithm == "EdDSA", algorithm
        return cls(algorithm, ed25519.Ed25519PrivateKey.generate())

    @cached_property
    def public_jwk(self) -> dict[str, str]:
        """What a key set shows of it (RFC 7517, RFC 7518 §6, RFC 8037 §2)."""
        told = {"kid": self.kid, "alg": self.algorithm, "use": "sig"}
        if isinstance(self.private, rsa.RSAPrivateKey):
            public = self.private.public_key().public_numbers()
            return told | {"kty": "RSA", "n": _number(public.n), "e": _number(public.e)}
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            point = self.private.public_key().public_numbers()
            return told | {"kty": "EC", "crv": "P-256", "x": _number(point.x, 32), "y": _number(point.y, 32)}
        octets = self.private.public_key().public_bytes_raw()
        return told | {"kty": "OKP", "crv": "Ed25519", "x": encoded(octets)}

    @cached_property
    def private_jwk(self) -> dict[str, str]:
        """What its owner keeps of it."""
        if isinstance(self.private, rsa.RSAPrivateKey):
            inner = self.private.private_numbers()
            parts = {"d": inner.d, "p": inner.p, "q": inner.q}
            parts |= {"dp": inner.dmp1, "dq": inner.dmq1, "qi": inner.iqmp}
            return self.public_jwk | {name: _number(value) for name, value in parts.items()}
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            return self.public_jwk | {"d": _number(self.private.private_numbers().private_value, 32)}
        return self.public_jwk | {"d": encoded(self.private.private_bytes_raw())}

    def signature(self, signed: bytes) -> bytes:
        """A signature as JWS carries it (RFC 7518 §3, RFC 8037 §3.1)."""
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(signed, padding.PKCS1v15(), SHA256())
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            r, s = decode_dss_signature(self.private.sign(signed, ec.ECDSA(SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return self.private.sign(signed)

    def token(self, claims: Claims, **header: object) -> str:
        """A signed access token (RFC 9068 §2.1) with these claims; `header` is put over the usual one."""
        told = {"typ": "at+jwt", "alg": self.algorithm, "kid": self.kid, **header}
        signed = f"{encoded(json.dumps(told).encode())}.{encoded(json.dumps(claims).encode())}"
        return f"{signed}.{encoded(self.signature(signed.encode()))}"

    def check(self, token: str) -> None:
        """Raises InvalidSignature unless this key signed the token."""
        signed, _, last = token.rpartition(".")
        signature, content = decoded(last), signed.encode()
        public = self.private.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            public.verify(signature, content, padding.PKCS1v15(), SHA256())
        elif isinstance(public, ec.EllipticCurvePublicKey):
            assert len(signature) == 64
            r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
            public.verify(encode_dss_signature(r, s), content, ec.ECDSA(SHA256()))
        else:
            public.verify(signature, content)


def parts_of(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and the claims of a token, believed unproven."""
    header, claims, _ = token.split(".")
    return json.loads(decoded(header)), json.loads(decoded(claims))
