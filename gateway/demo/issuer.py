"""The demo's authorization server, as far as one is needed: a key of its own, and tokens signed by it."""

from pathlib import Path
from time import time
from typing import Final

import orjson
from joserfc import jwt
from joserfc.jwk import ECKey

ISSUER: Final = "https://login.training.example"
AUDIENCE: Final = "training"
ALGORITHM: Final = "ES256"
LIFETIME: Final = 12 * 3600
"""Seconds that a token of the demo is good for."""


class DemoIssuer:
    """Signs tokens with a key that is made anew for each demo, and written nowhere."""

    def __init__(self) -> None:
        self._key = ECKey.generate_key("P-256", {"kid": "demo", "use": "sig", "alg": ALGORITHM}, private=True)

    def publish(self, file: Path) -> None:
        """Write the key set that proves its tokens (RFC 7517 §5): the public part alone."""
        file.write_bytes(orjson.dumps({"keys": [self._key.as_dict(private=False)]}))

    def token_of_user(self, user: str, *roles: str) -> str:
        """An access token that speaks for a user with these roles."""
        return self._signed({"sub": user, "client_id": "training-app", "roles": list(roles)})

    def token_of_client(self, client: str) -> str:
        """An access token that speaks for an OAuth2 client itself (RFC 9068 §2.2)."""
        return self._signed({"sub": client, "client_id": client})

    def _signed(self, who: dict[str, object]) -> str:
        now = int(time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + LIFETIME, **who}
        return jwt.encode({"alg": ALGORITHM, "typ": "at+jwt", "kid": "demo"}, claims, self._key)
