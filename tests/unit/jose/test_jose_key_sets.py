"""Key sets: what an issuer may publish, what is left out and why, and which key a token is tried with."""

import json
from itertools import permutations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from forging import (
    ASYMMETRIC,
    CLAIMS,
    SECRET,
    Signer,
    check,
    document,
    encoded,
    key_set,
    number,
    rsa_key,
    signer,
)

from gateway.jose.key_set import LARGEST_DOCUMENT, MOST_KEYS, KeySet, KeySetError

ES, RS = signer("ES256"), signer("RS256")
PRIVATE = dict.fromkeys(("d", "p", "q", "dp", "dq", "qi"), "AQAB")
N = rsa_key().public_key().public_numbers().n


def another(kid: str | None = "k1") -> Signer:
    return Signer("ES256", ec.generate_private_key(ec.SECP256R1()), kid)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (b"", "The key set is not JSON"),
        (b"<html></html>", "The key set is not JSON"),
        (b"[]", "The key set is not a JSON object"),
        (b"{}", "it has no list `keys`"),
        (b'{"keys":{}}', "it has no list `keys`"),
        (b'{"keys":null}', "it has no list `keys`"),
        (json.dumps(ES.jwk()).encode(), "it has no list `keys`"),
        (b'{"keys":[]}', "The key set is empty"),
        (b'{"keys":[],"keys":[]}', "has a member twice"),
        (b'{"keys":[' + b"[" * 30 + b"]" * 30 + b"]}", "inside each other more than 16 deep"),
        (b'{"keys":' + b"[" * 90_000 + b"]" * 90_000 + b"}", "is not JSON"),
        (b" " * (LARGEST_DOCUMENT + 1), "larger than 256 KiB"),
        (document(*[ES.jwk(kid=str(kid)) for kid in range(MOST_KEYS + 1)]), "has 101 keys; at most 100"),
        (
            b'{"keys":[null,1,"k",[]]}',
            "key 1: it is not a JSON object; key 2: it is not a JSON object; key 3",
        ),
        (b'{"keys":[{},{},{},{},{}]}', "and 2 more."),
    ],
)
def test_a_document_that_is_no_key_set_is_refused_with_a_sentence(told: bytes, why: str) -> None:
    with pytest.raises(KeySetError) as refused:
        KeySet.parse(told)
    assert why in str(refused.value)
    assert str(refused.value).endswith(".")
    assert len(str(refused.value)) < 400


UNUSABLE = {
    "for encryption": (ES.jwk(use="enc"), "its `use` is not `sig`", True),
    "for what nobody knows": (ES.jwk(use="signature"), "its `use` is not `sig`", False),
    "with a use that is a list": (ES.jwk(use=["sig"]), "its `use` is not `sig`", False),
    "for signing alone": (ES.jwk(use=None, key_ops=["sign"]), "does not have `verify`", True),
    "for wrapping": (RS.jwk(use=None, key_ops=["wrapKey", "encrypt"]), "does not have `verify`", True),
    "for nothing": (ES.jwk(key_ops=[]), "does not have `verify`", True),
    "for one thing twice": (ES.jwk(key_ops=["verify", "verify"]), "each operation once", True),
    "with operations in a string": (ES.jwk(key_ops="verify"), "not a list of strings", False),
    "with an operation that is none": (ES.jwk(key_ops=["verify", 1]), "not a list of strings", False),
    "of no type": (ES.jwk(kty=None), "its `kty` is not RSA, EC or OKP", False),
    "of another type": (ES.jwk(kty="ec"), "its `kty` is not RSA, EC or OKP", False),
    "of a type that is a list": (ES.jwk(kty=["EC"]), "its `kty` is not RSA, EC or OKP", False),
    "a secret": ({"kty": "oct", "k": encoded(SECRET).decode(), "alg": "HS256"}, "`secret`", False),
    "a secret of no length": ({"kty": "oct", "k": ""}, "`secret`", False),
    "a public key with a secret": (RS.jwk(k=encoded(SECRET).decode()), "it is a private key", False),
    "a private RSA key": (RS.jwk(**PRIVATE), "it is a private key", False),
    "a private elliptic key": (ES.jwk(d="AQAB"), "it is a private key", False),
    "with an id that is a number": (ES.jwk(kid=1), "its `kid` is not a string", False),
    "with an id of 257 characters": (ES.jwk(kid="k" * 257), "its `kid` is not a string", False),
    "for an algorithm of another type": (
        ES.jwk(alg="RS256"),
        "`alg` is no signature algorithm for P-256",
        False,
    ),
    "for an algorithm of another curve": (
        ES.jwk(alg="ES384"),
        "`alg` is no signature algorithm for P-256",
        False,
    ),
    "for HMAC": (RS.jwk(alg="HS256"), "`alg` is no signature algorithm for RSA", False),
    "for none": (RS.jwk(alg="none"), "`alg` is no signature algorithm for RSA", False),
    "for an algorithm that is a list": (RS.jwk(alg=["RS256"]), "`alg` is no signature algorithm", False),
    "for encryption by its algorithm": (RS.jwk(use=None, alg="RSA-OAEP-256"), "`alg` is no signature", True),
    "RSA of 1024 bits": (RS.jwk(n=number(1 << 1023 | 1)), "it has 1024 bits", False),
    "RSA of 2047 bits": (RS.jwk(n=number(N >> 1 | 1)), "it has 2047 bits", False),
    "RSA of 8193 bits": (RS.jwk(n=number(1 << 8192 | 1)), "it has 8193 bits", False),
    "RSA of a million bits": (RS.jwk(n=number(1 << 1_000_000 | 1)), "it has 1000001 bits", False),
    "RSA with an even modulus": (RS.jwk(n=number(N - 1)), "its exponent or its modulus", False),
    **{
        f"RSA with the exponent {exponent}": (
            RS.jwk(e=number(exponent)),
            "its exponent or its modulus",
            False,
        )
        for exponent in (1, 2, 65536, 2**32 + 1, 2**64 + 1)
    },
    "RSA with the exponent 0": (RS.jwk(e="AA"), "its exponent or its modulus", False),
    "RSA without a modulus": (RS.jwk(n=None), "`n` and `e` are not both base64url", False),
    "RSA with an empty exponent": (RS.jwk(e=""), "`n` and `e` are not both base64url", False),
    "RSA with a padded exponent": (RS.jwk(e="AQAB="), "`n` and `e` are not both base64url", False),
    "RSA with a number for an exponent": (RS.jwk(e=65537), "`n` and `e` are not both base64url", False),
    "RSA with letters that are none": (RS.jwk(e="é"), "`n` and `e` are not both base64url", False),
    "an unknown curve": (ES.jwk(crv="secp256k1"), "its `crv` is not P-256 or P-384 or P-521", False),
    "no curve": (ES.jwk(crv=None), "its `crv` is not P-256", False),
    "a curve of the other type": (ES.jwk(crv="Ed25519"), "its `crv` is not P-256", False),
    "half a point": (ES.jwk(y=None), "its `x` and `y` are not both 32 octets", False),
    "a point written short": (ES.jwk(x=number(1)), "its `x` and `y` are not both 32 octets", False),
    "a point off its curve": (ES.jwk(x=number(1, 32)), "its numbers are no P-256 key", False),
    "for key agreement": (
        signer("EdDSA").jwk(crv="X25519", alg=None),
        "its `crv` is not Ed25519 or Ed448",
        False,
    ),
    "an Edwards point written long": (
        signer("EdDSA").jwk(x=encoded(bytes(33)).decode()),
        "its `x` is not 32 octets",
        False,
    ),
}


@pytest.mark.parametrize(("jwk", "why", "by_design"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_key_that_cannot_verify_is_left_out_and_told(
    jwk: dict[str, object],
    why: str,
    by_design: bool,  # noqa: FBT001 - a column of the table
) -> None:
    good = another("good")
    keys = key_set(jwk, good.jwk())
    assert keys == key_set(good.jwk())
    assert len(keys.left_out) == 1
    assert keys.left_out[0].startswith("key 1")
    assert why in keys.left_out[0]
    assert keys.faults == (() if by_design else keys.left_out)
    for told in (str(jwk.get("n")), str(jwk.get("k")), encoded(SECRET).decode()):
        assert len(told) < 8 or told not in keys.left_out[0]
    with pytest.raises(KeySetError, match="no key that verifies signatures"):
        key_set(jwk)


USABLE = {
    **{f"for {algorithm}": signer(algorithm).jwk() for algorithm in ASYMMETRIC},
    "with no labels": ES.jwk(alg=None, use=None, kid=None),
    "that says what it does": ES.jwk(key_ops=["verify"]),
    "that says it was made with a private one": ES.jwk(key_ops=["sign", "verify"]),
    "with a certificate": ES.jwk(x5c=["MIIB"], x5t="abc", **{"x5t#S256": "abc"}),
    "with members nobody knows": ES.jwk(nbf=1, issuer="https://id.example.com", ext=True),
    "with zeros before its modulus": RS.jwk(n=number(N, 300)),
    "RSA of 8192 bits": RS.jwk(n=number(1 << 8191 | 1)),
    "RSA with the exponent 3": RS.jwk(e="Aw"),
}


@pytest.mark.parametrize("jwk", USABLE.values(), ids=USABLE)
def test_a_key_that_can_is_used(jwk: dict[str, object]) -> None:
    keys = key_set(jwk)
    assert (keys.left_out, keys.faults) == ((), ())
    assert keys.knows(jwk.get("kid"))  # type: ignore[arg-type] - the table holds strings


def test_two_sets_of_the_same_keys_are_equal_in_any_order_and_spelling() -> None:
    jwks = [ES.jwk(), RS.jwk(kid="r"), signer("EdDSA").jwk(kid="e")]
    sets = {key_set(*order) for order in permutations(jwks)}
    assert len(sets) == 1
    assert key_set(*jwks, *jwks) in sets
    assert key_set(jwks[0], RS.jwk(kid="r", n=number(N, 300)), jwks[2], {"kty": "?"}) in sets


@pytest.mark.parametrize(
    "other",
    [
        key_set(ES.jwk(kid="k2")),
        key_set(ES.jwk(kid=None)),
        key_set(ES.jwk(alg=None), RS.jwk()),
        key_set(another().jwk()),
        KeySet.of_secret(SECRET),
        "k1",
    ],
)
def test_sets_of_other_keys_are_not(other: object) -> None:
    assert key_set(ES.jwk()) != other
    assert KeySet.of_secret(SECRET[:40]) != KeySet.of_secret(SECRET[:41])


def test_a_token_is_tried_with_the_keys_it_names_and_with_no_others() -> None:
    keys = key_set(ES.jwk(kid="new"), another("old").jwk(), RS.jwk(kid="rsa"))
    terms = ES.terms()
    assert check(ES.token(header={"kid": "new"}), keys, terms) is None
    assert check(ES.token(header={"kid": "old"}), keys, terms) == "signature"
    assert check(ES.token(header={"kid": "rsa"}), keys, terms) == "key"
    assert check(ES.token(header={"kid": "none"}), keys, terms) == "key"
    assert check(ES.token(header={"kid": None}), keys, terms) is None
    assert [keys.knows(kid) for kid in ("new", "old", "none", "", None)] == [True, True, False, False, True]


def test_a_token_that_names_a_key_is_not_tried_with_one_that_has_no_name() -> None:
    nameless = key_set(ES.jwk(kid=None))
    assert check(ES.token(header={"kid": "k1"}), nameless, ES.terms()) == "key"
    assert check(ES.token(header={"kid": None}), nameless, ES.terms()) is None


def test_all_keys_of_one_name_are_tried() -> None:
    """RFC 7517 §4.5: names need not differ, and an issuer that rotates may keep its key's name."""
    for order in permutations([ES.jwk(), another().jwk(), another().jwk(), RS.jwk()]):
        assert check(ES.token(), key_set(*order), ES.terms()) is None


def test_what_a_forged_token_costs_is_bounded() -> None:
    """More keys than may be tried are not tried at all: which are is not left to their order."""
    eight = [another(None).jwk() for _ in range(7)] + [ES.jwk(kid=None)]
    token, terms = ES.token(header={"kid": None}), ES.terms()
    assert check(token, key_set(*eight), terms) is None
    nine = key_set(*eight, another(None).jwk())
    assert check(token, nine, terms) == "key"
    assert check(token, key_set(*eight, RS.jwk(kid=None)), terms) is None
    named = key_set(*[{**jwk, "kid": str(kid)} for kid, jwk in enumerate(eight)], another("x").jwk())
    assert check(ES.token(header={"kid": "7"}), named, terms) is None


def test_a_secret_verifies_whatever_key_a_token_names() -> None:
    keys = KeySet.of_secret(SECRET[:32])
    for kid in ("k1", "other", None):
        token = Signer("HS256", SECRET[:32], kid).token()
        assert keys.knows(kid)
        assert check(token, keys, signer("HS256").terms()) is None
    assert check(Signer("HS256", SECRET, None).token(), keys, signer("HS256").terms()) == "signature"


@pytest.mark.parametrize(
    "file",
    [
        b"-----BEGIN PUBLIC KEY-----\nMFkw",
        b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPL1I9oiq",
        b"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY",
        b"  \n-----BEGIN CERTIFICATE-----\nMIIB",
    ],
)
def test_a_key_file_is_no_secret(file: bytes) -> None:
    with pytest.raises(KeySetError, match="which others know") as refused:
        KeySet.of_secret(file + b"A" * 64)
    assert "AAAA" not in str(refused.value)


def test_a_set_is_as_good_as_its_best_key() -> None:
    keys = key_set({"kty": "?"}, ES.jwk(use="enc", kid="x" * 200), ES.jwk())
    assert check(ES.token(CLAIMS), keys, ES.terms()) is None
    assert [told[:5] for told in keys.left_out] == ["key 1", "key 2"]
    assert len(keys.left_out[1]) < 120
