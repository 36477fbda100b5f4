"""API keys, proven: found in the store by their digest, and told apart by what became of them."""

from time import time
from typing import Final

from gateway.domain.key import KeyState
from gateway.domain.ports import KeySource
from gateway.domain.verdict import Reason, Refusal
from gateway.identity.credential import Credential
from gateway.identity.proof import KeyProof

INVALID: Final = Refusal(Reason.CREDENTIAL_INVALID)
EXPIRED: Final = Refusal(Reason.CREDENTIAL_EXPIRED)
REVOKED: Final = Refusal(Reason.CREDENTIAL_REVOKED)


class KeyProofs:
    """Tells what an API key proves."""

    def __init__(self, source: KeySource) -> None:
        self._source = source

    async def proven(self, credential: Credential) -> KeyProof | Refusal:
        """The proof of a key. Raises StoreUnavailableError."""
        record = await self._source.key_with_digest(credential.digest)
        if record is None:
            return INVALID
        if record.state is not KeyState.ACTIVE:
            return REVOKED
        if record.expires_at is not None and record.expires_at <= time():
            return EXPIRED
        return KeyProof(record)

    def patience(self, _credential: Credential) -> float:
        """See Proofs: nobody but the store is asked."""
        return 0.0

    def asked_of(self, _credential: Credential) -> str:
        """See Proofs."""
        return ""
