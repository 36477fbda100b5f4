"""The keys of one issuer."""

from collections.abc import Collection, Iterable
from typing import Final, Self

from joserfc.jwk import OctKey

from gateway.jose.algorithm import SECRET_OCTETS, KeyKind
from gateway.jose.jwk import Unusable, read_jwk
from gateway.jose.key import VerificationKey
from gateway.jose.strict_json import Malformed, read_object

LARGEST_DOCUMENT: Final = 256 * 1024
"""Octets that a key set may have."""

MOST_KEYS: Final = 100
"""How many keys a set may have; one with more is not an issuer's."""

_TOLD: Final = 3
"""How many unusable keys a complaint names."""

_KEY_FILES: Final = (b"-----BEGIN ", b"---- BEGIN ", b"ssh-", b"ecdsa-sha2-")


class KeySetError(Exception):
    """A document or a secret is no set of keys; says why, for operators, and never what a secret is."""


class KeySet:
    """The keys that an issuer signs with; two are equal if they hold the same keys, in whatever order.

    `left_out` names each key that the document has and that is not used, with why; `faults` those of them
    that somebody has to mend: keys for encryption, say, stand beside the others in many an issuer's set.
    """

    __slots__ = ("_by_kid", "_keys", "_secret", "faults", "left_out")

    def __init__(
        self, keys: Iterable[VerificationKey], left_out: tuple[str, ...] = (), faults: tuple[str, ...] = ()
    ) -> None:
        self._keys = tuple(dict.fromkeys(keys))
        self._secret = any(key.kind is KeyKind.SECRET for key in self._keys)
        self._by_kid: dict[str, tuple[VerificationKey, ...]] = {}
        for key in self._keys:
            if key.kid is not None:
                self._by_kid[key.kid] = (*self._by_kid.get(key.kid, ()), key)
        self.left_out = left_out
        self.faults = faults

    @classmethod
    def parse(cls, document: bytes) -> Self:
        """The keys of a JWK Set (RFC 7517 §5) that can verify signatures. Raises KeySetError."""
        if len(document) > LARGEST_DOCUMENT:
            raise KeySetError(f"The key set is larger than {LARGEST_DOCUMENT // 1024} KiB.")
        told = read_object(document)
        if isinstance(told, Malformed):
            raise KeySetError(f"The key set {told.why}.")
        jwks = told.get("keys")
        if not isinstance(jwks, list):
            raise KeySetError("The document is no key set: it has no list `keys` (RFC 7517 §5).")
        if len(jwks) > MOST_KEYS:
            raise KeySetError(f"The key set has {len(jwks)} keys; at most {MOST_KEYS} are accepted.")
        read = [(_name(number, jwk), read_jwk(jwk)) for number, jwk in enumerate(jwks, 1)]
        left_out = [(f"{name}: {key.why}", key) for name, key in read if isinstance(key, Unusable)]
        keys = [key for _, key in read if isinstance(key, VerificationKey)]
        if not keys:
            raise KeySetError(_none_usable([why for why, _ in left_out]))
        return cls(
            keys,
            tuple(why for why, _ in left_out),
            tuple(why for why, unusable in left_out if not unusable.by_design),
        )

    @classmethod
    def of_secret(cls, secret: bytes, algorithms: Collection[str] = ("HS256",)) -> Self:
        """A secret that an issuer shares with us, for HS256, HS384 or HS512; tokens need not name it.

        It has to be as long as the hash of each of these algorithms (RFC 7518 §3.2), and is good for every
        other of the three that it is long enough for. Raises KeySetError.
        """
        if any(mark in secret for mark in _KEY_FILES):
            raise KeySetError(
                "The secret is a key or certificate file, which others know; use random octets."
            )
        needed = max((SECRET_OCTETS[name] for name in algorithms), default=min(SECRET_OCTETS.values()))
        if len(secret) < needed:
            raise KeySetError(
                f"The secret has {len(secret)} octets; {', '.join(algorithms)} needs at least {needed}."
            )
        fitting = frozenset(name for name, size in SECRET_OCTETS.items() if len(secret) >= size)
        try:
            arithmetic = OctKey.import_key(secret)
        except ValueError:
            raise KeySetError("The secret is a public key, which others know; use random octets.") from None
        return cls([VerificationKey(None, KeyKind.SECRET, fitting, (secret,), arithmetic)])

    def knows(self, kid: str | None) -> bool:
        """Whether a token that names this key, or none, could be verified: no newer set need be asked for."""
        return kid is None or self._secret or kid in self._by_kid

    def fitting(self, kid: str | None, algorithm: str) -> tuple[VerificationKey, ...]:
        """The keys that a token may be signed with: those it names, or all if it names none."""
        named = self._keys if kid is None or self._secret else self._by_kid.get(kid, ())
        return tuple(key for key in named if algorithm in key.algorithms)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeySet) and frozenset(self._keys) == frozenset(other._keys)

    def __hash__(self) -> int:
        return hash(frozenset(self._keys))

    def __repr__(self) -> str:
        return f"<KeySet of {len(self._keys)}>"


def _name(number: int, jwk: object) -> str:
    """What a key is called in a complaint: its number, and its id if it is short."""
    kid = jwk.get("kid") if isinstance(jwk, dict) else None
    return f"key {number} ({kid[:64]!a})" if isinstance(kid, str) else f"key {number}"


def _none_usable(why: list[str]) -> str:
    if not why:
        return "The key set is empty."
    more = f" and {len(why) - _TOLD} more" if len(why) > _TOLD else ""
    return f"The key set has no key that verifies signatures: {'; '.join(why[:_TOLD])}{more}."
