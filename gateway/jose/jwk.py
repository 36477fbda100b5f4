"""One key of an issuer's set, read (RFC 7517, RFC 7518 §6, RFC 8037 §2), or why it cannot be used."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from gateway.jose.algorithm import KEYS_FOR, KeyKind
from gateway.jose.base64url import octets
from gateway.jose.key import LibraryKey, VerificationKey

Jwk = Mapping[str, object]
DictKey = dict[str, str | list[str]]

LONGEST_KID: Final = 256
"""How many characters the id of a key may have."""

MODULUS_BITS: Final = range(2048, 8192 + 1)
"""Shorter RSA keys are too weak (RFC 7518 §3.3); longer ones cost whoever verifies too much."""

EXPONENTS: Final = range(3, 2**32, 2)
"""Odd, and no larger than any issuer uses: a large one makes each verification cost a thousand times more."""

_COORDINATE_OCTETS: Final = MappingProxyType({KeyKind.P256: 32, KeyKind.P384: 48, KeyKind.P521: 66})
_POINT_OCTETS: Final = MappingProxyType({KeyKind.ED25519: 32, KeyKind.ED448: 57})

_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""What only the owner of a key may know (RFC 7518 §6.2.2, §6.3.2, §6.4.1)."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a key is left out: words to put after its name. They hold nothing of the key but its public labels.

    `by_design` says that its issuer means it for something else than signatures, so nobody has to mend it.
    """

    why: str
    by_design: bool = False


@dataclass(frozen=True, slots=True)
class _Material:
    """What a key is made of, before the arithmetic has looked at it."""

    kind: KeyKind
    numbers: tuple[bytes, ...]
    load: Callable[[], LibraryKey]


def read_jwk(jwk: object) -> VerificationKey | Unusable:
    """The key that a member of a set describes: good for its `alg` alone, or all that its kind goes with."""
    if not isinstance(jwk, dict):
        return Unusable("it is not a JSON object")
    unusable = _misuse(jwk)
    if unusable is not None:
        return unusable
    material = _KEY_TYPES.get(str(jwk.get("kty")), _unknown_type)(jwk)
    if isinstance(material, Unusable):
        return material
    algorithms = _algorithms(jwk, material.kind)
    if isinstance(algorithms, Unusable):
        return algorithms
    try:
        arithmetic = material.load()
    except (JoseError, ValueError, UnsupportedAlgorithm):
        return Unusable(f"its numbers are no {material.kind} key")
    kid = jwk.get("kid")
    return VerificationKey(kid, material.kind, algorithms, material.numbers, arithmetic)


def _misuse(jwk: Jwk) -> Unusable | None:
    """What its labels say against verifying signatures with it (RFC 7517 §4.2, §4.3)."""
    kid = jwk.get("kid")
    if kid is not None and not (isinstance(kid, str) and len(kid) <= LONGEST_KID):
        return Unusable(f"its `kid` is not a string of at most {LONGEST_KID} characters")
    if "use" in jwk and jwk["use"] != "sig":
        return Unusable("its `use` is not `sig`", by_design=jwk["use"] == "enc")
    if "key_ops" in jwk:
        operations = jwk["key_ops"]
        if not isinstance(operations, list) or not all(isinstance(one, str) for one in operations):
            return Unusable("its `key_ops` is not a list of strings")
        if "verify" not in operations or len(set(operations)) < len(operations):
            return Unusable("its `key_ops` does not have `verify`, each operation once", by_design=True)
    if jwk.get("kty") == "oct":
        return Unusable(
            "it is a secret, which no published set may hold; configure it as the issuer's `secret`"
        )
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        return Unusable("it is a private key, and known to everybody now; its issuer has to replace it")
    return None


def _algorithms(jwk: Jwk, kind: KeyKind) -> frozenset[str] | Unusable:
    """What the key is good for: its own `alg` if it names one (RFC 7517 §4.4)."""
    of_this_kind = frozenset(name for name, kinds in KEYS_FOR.items() if kind in kinds)
    if "alg" not in jwk:
        return of_this_kind
    named = frozenset({jwk["alg"]} if isinstance(jwk["alg"], str) else ()) & of_this_kind
    encrypts = str(jwk["alg"]).startswith(("RSA-OAEP", "RSA1_5", "ECDH-ES"))
    return named or Unusable(f"its `alg` is no signature algorithm for {kind} keys", by_design=encrypts)


# The types of keys


def _rsa(jwk: Jwk) -> _Material | Unusable:
    modulus, exponent = _number(jwk, "n"), _number(jwk, "e")
    if modulus is None or exponent is None:
        return Unusable("its `n` and `e` are not both base64url without padding")
    n, e = int.from_bytes(modulus), int.from_bytes(exponent)
    if n.bit_length() not in MODULUS_BITS:
        return Unusable(f"it has {n.bit_length()} bits; {MODULUS_BITS[0]} to {MODULUS_BITS[-1]} are accepted")
    if e not in EXPONENTS or n % 2 == 0:
        return Unusable("its exponent or its modulus is none that an RSA key has")
    told: DictKey = {"kty": "RSA", "n": str(jwk["n"]), "e": str(jwk["e"])}
    return _Material(KeyKind.RSA, (_shortest(n), _shortest(e)), lambda: RSAKey.import_key(told))


def _shortest(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8)


def _elliptic(jwk: Jwk) -> _Material | Unusable:
    kind = _curve(jwk, _COORDINATE_OCTETS)
    if isinstance(kind, Unusable):
        return kind
    x, y = _number(jwk, "x"), _number(jwk, "y")
    size = _COORDINATE_OCTETS[kind]
    if x is None or y is None or len(x) != size or len(y) != size:
        return Unusable(f"its `x` and `y` are not both {size} octets in base64url without padding")
    told: DictKey = {"kty": "EC", "crv": str(kind), "x": str(jwk["x"]), "y": str(jwk["y"])}
    return _Material(kind, (x, y), lambda: ECKey.import_key(told))


def _edwards(jwk: Jwk) -> _Material | Unusable:
    kind = _curve(jwk, _POINT_OCTETS)
    if isinstance(kind, Unusable):
        return kind
    x = _number(jwk, "x")
    if x is None or len(x) != _POINT_OCTETS[kind]:
        return Unusable(f"its `x` is not {_POINT_OCTETS[kind]} octets in base64url without padding")
    told: DictKey = {"kty": "OKP", "crv": str(kind), "x": str(jwk["x"])}
    return _Material(kind, (x,), lambda: OKPKey.import_key(told))


def _unknown_type(_jwk: Jwk) -> Unusable:
    return Unusable("its `kty` is not RSA, EC or OKP")


def _curve(jwk: Jwk, curves: Mapping[KeyKind, int]) -> KeyKind | Unusable:
    found = next((kind for kind in curves if kind == jwk.get("crv")), None)
    return found or Unusable(f"its `crv` is not {' or '.join(curves)}")


def _number(jwk: Jwk, name: str) -> bytes | None:
    text = jwk.get(name)
    return octets(text.encode()) or None if isinstance(text, str) else None


_KEY_TYPES: Final[Mapping[str, Callable[[Jwk], _Material | Unusable]]] = MappingProxyType(
    {"RSA": _rsa, "EC": _elliptic, "OKP": _edwards}
)
