"""Tokens for tests: an issuer that is a key pair, and what it signs."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ISSUER = "https://id.example.com"
AUDIENCE = "feeds"


def b64(data: bytes) -> str:
    """Base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class SigningKey:
    """An ES256 key of an issuer; `cryptography` signs, and nothing of the gateway is used."""

    kid: str | None = "k1"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def public(self) -> dict[str, Any]:
        """The public part as a JWK (RFC 7518 §6.2)."""
        numbers = self.key.public_key().public_numbers()
        jwk = {
            "kty": "EC",
            "crv": "P-256",
            "use": "sig",
            "alg": "ES256",
            "x": b64(numbers.x.to_bytes(32)),
            "y": b64(numbers.y.to_bytes(32)),
        }
        return jwk if self.kid is None else {**jwk, "kid": self.kid}

    def sign(self, header: Mapping[str, Any], claims: Mapping[str, Any] | bytes) -> str:
        """A token of any header and claims."""
        payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
        signed = f"{b64(json.dumps(header).encode())}.{b64(payload)}"
        r, s = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{b64(r.to_bytes(32) + s.to_bytes(32))}"

    def token(self, subject: str | None = "ada", **claims: object) -> str:
        """An access token that is good for as long as tests may run; claims given as None are left out."""
        now = int(time())
        whole = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 3600, **claims}
        header = {"alg": "ES256", "typ": "at+jwt"} | ({} if self.kid is None else {"kid": self.kid})
        return self.sign(header, {name: value for name, value in whole.items() if value is not None})


def key_set(*keys: SigningKey) -> bytes:
    """A JWK Set of these keys."""
    return json.dumps({"keys": [key.public() for key in keys]}).encode()


def bearer_settings(directory: Path, *keys: SigningKey, issuer: str = "", bearer: str = "") -> str:
    """The `authentication` lines for an issuer whose key set is a file; further YAML lines of each level."""
    (directory / "jwks.json").write_bytes(key_set(*keys))
    lines = [
        "authentication:",
        "  bearer:",
        *(f"    {line}" for line in bearer.splitlines()),
        "    issuers:",
        f"      - issuer: {ISSUER}",
        f"        audience: {AUDIENCE}",
        "        algorithms: [ES256]",
        "        jwks: jwks.json",
        *(f"        {line}" for line in issuer.splitlines()),
    ]
    return "\n".join(lines)
