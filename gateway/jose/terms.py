"""What is asked of an issuer's tokens."""

from dataclasses import dataclass
from typing import Final

from gateway.jose.algorithm import KEYS_FOR, SECRET_OCTETS

ANY_TYPE: Final = "any"
TYPED: Final = "at+jwt"
TOKEN_TYPES: Final = (ANY_TYPE, TYPED)
"""`at+jwt` has tokens say that they are access tokens (RFC 9068 §2.1)."""

LONGEST_LEEWAY: Final = 300.0
"""Seconds that clocks may differ; beyond that somebody has to set one."""


@dataclass(frozen=True, slots=True)
class TokenTerms:
    """What a token of one issuer must be: its algorithms come from here alone, and never from the token.

    `leeway` is in seconds. Raises ValueError on terms that would let too much through.
    """

    issuer: str
    audiences: frozenset[str]
    algorithms: frozenset[str]
    token_type: str = ANY_TYPE
    leeway: float = 0.0

    def __post_init__(self) -> None:
        if not self.issuer or not self.audiences or "" in self.audiences:
            raise ValueError("an issuer and at least one audience are needed, none of them empty")
        if not self.algorithms or not self.algorithms <= KEYS_FOR.keys():
            raise ValueError(f"at least one algorithm is needed, of {', '.join(KEYS_FOR)}")
        if not self.algorithms.isdisjoint(SECRET_OCTETS) and not self.algorithms <= SECRET_OCTETS.keys():
            raise ValueError("algorithms with a secret go with no others")
        if self.token_type not in TOKEN_TYPES:
            raise ValueError(f"a token type is one of {', '.join(TOKEN_TYPES)}")
        if not 0 <= self.leeway <= LONGEST_LEEWAY:
            raise ValueError(f"a leeway is 0 to {LONGEST_LEEWAY:.0f} seconds")

    @property
    def typed(self) -> bool:
        """Whether a token has to say that it is an access token."""
        return self.token_type == TYPED
