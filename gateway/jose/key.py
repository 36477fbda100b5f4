"""A key that verifies signatures."""

from dataclasses import dataclass, field

from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from gateway.jose.algorithm import ARITHMETIC, KeyKind

LibraryKey = OctKey | RSAKey | ECKey | OKPKey


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key, the id its issuer gave it, and the algorithms that it is good for.

    `material` is what makes it this key and no other, and what two are compared by; it may be a secret.
    """

    kid: str | None
    kind: KeyKind
    algorithms: frozenset[str]
    material: tuple[bytes, ...] = field(repr=False)
    arithmetic: LibraryKey = field(repr=False, compare=False)

    def verifies(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Whether this key made the signature, by an algorithm that it is good for."""
        return algorithm in self.algorithms and ARITHMETIC[algorithm].verify(
            signed, signature, self.arithmetic
        )
