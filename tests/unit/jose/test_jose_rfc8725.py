"""RFC 8725, JSON Web Token Best Current Practices: one test a recommendation, named after its section."""

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from forging import (
    AUDIENCE,
    CLAIMS,
    ISSUER,
    SECRET,
    SYMMETRIC,
    Signer,
    check,
    claims_with,
    document,
    encoded,
    key_set,
    number,
    signer,
)

from gateway.jose.algorithm import KEYS_FOR
from gateway.jose.key_set import KeySet, KeySetError
from gateway.jose.terms import TokenTerms
from gateway.jose.token import UnverifiedToken, read

ES = signer("ES256")
KEYS = ES.keys()
TERMS = ES.terms()


def test_3_1_perform_algorithm_verification() -> None:
    """The caller says which algorithms there are, and each key is used with exactly one kind of them."""
    assert check(ES.token(), KEYS, TERMS) is None
    assert check(ES.token(), KEYS, replace(TERMS, algorithms=frozenset({"RS256"}))) == "algorithm"
    assert check(ES.token(header={"alg": "HS256"}), KEYS, TERMS) == "algorithm"
    bound = key_set(signer("RS512").jwk())
    assert check(signer("RS256").token(), bound, signer("RS256").terms()) == "key"
    for algorithm, kinds in KEYS_FOR.items():
        assert len(kinds) == (2 if algorithm == "EdDSA" else 1)


def test_3_2_use_appropriate_algorithms() -> None:
    """`none` is no algorithm, nor is anything that is not in the table; secrets go with nothing else."""
    assert "none" not in {name.lower() for name in KEYS_FOR}
    for weak in ("none", "HS1", "RS1", "ES256K", "RSA1_5", "A128KW"):
        with pytest.raises(ValueError, match="algorithm"):
            replace(TERMS, algorithms=frozenset({weak}))
    with pytest.raises(ValueError, match="secret"):
        replace(TERMS, algorithms=frozenset({"HS256", "RS256"}))


def test_3_3_validate_all_cryptographic_operations() -> None:
    """There is one signature, and it must hold; tokens with more inside are refused whole."""
    assert check(ES.token(signature=b""), KEYS, TERMS) == "signature"
    assert check(ES.token(ES.token(), {"cty": "JWT"}), KEYS, TERMS) == "content"
    assert check(ES.token(header={"enc": "A256GCM"}), KEYS, TERMS) == "content"


@pytest.mark.parametrize(
    "jwk",
    [
        ES.jwk(x=number(5, 32), y=number(7, 32)),
        ES.jwk(x=number(0, 32), y=number(0, 32)),
        ES.jwk(x=number(2**256 - 1, 32)),
        ES.jwk(crv="P-384"),
        signer("ES384").jwk(crv="P-256", alg="ES256"),
        signer("Ed25519").jwk(x=encoded(bytes(31)).decode()),
    ],
)
def test_3_4_validate_cryptographic_inputs(jwk: dict[str, object]) -> None:
    """A point that is not on its curve is no key."""
    with pytest.raises(KeySetError, match=r"no key that verifies signatures: key 1 \('k1'\): its "):
        key_set(jwk)


def test_3_5_ensure_cryptographic_keys_have_sufficient_entropy() -> None:
    """A secret is as long as the hash, and RSA has 2048 bits: no password of a person's passes for a key."""
    for length in (0, 1, 8, 31):
        with pytest.raises(KeySetError, match=f"The secret has {length} octets; HS256 needs at least 32"):
            KeySet.of_secret(b"p" * length)
    with pytest.raises(KeySetError, match="HS256, HS512 needs at least 64"):
        KeySet.of_secret(b"p" * 63, ("HS256", "HS512"))
    for algorithm in SYMMETRIC:
        short = KeySet.of_secret(SECRET[:32])
        expected = None if algorithm == "HS256" else "key"
        assert (
            check(Signer(algorithm, SECRET[:32], None).token(), short, signer(algorithm).terms()) == expected
        )
    with pytest.raises(KeySetError, match="it has 1024 bits; 2048 to 8192 are accepted"):
        key_set(signer("RS256").jwk(n=number(1 << 1023 | 1)))


def test_3_6_avoid_compression_of_encryption_inputs() -> None:
    """No compression at all: what a token weighs is what it costs."""
    assert check(ES.token(header={"zip": "DEF"}), KEYS, TERMS) == "content"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1"])
def test_3_7_use_utf_8(encoding: str) -> None:
    """Header and claims are UTF-8, and nothing that might be taken for it."""
    claims, header = json.dumps({**CLAIMS, "name": "Zoë"}, ensure_ascii=False), '{"alg":"ES256","x":"ë"}'
    assert check(ES.token(claims.encode(), header.encode()), KEYS, TERMS) is None
    assert check(ES.token(claims.encode(encoding)), KEYS, TERMS) == "claims"
    assert check(ES.token(header=header.encode(encoding)), KEYS, TERMS) == "header"


def test_3_8_validate_issuer_and_subject() -> None:
    """The keys are the issuer's, and the issuer is who the keys belong to; a subject is a string."""
    elsewhere = replace(TERMS, issuer="https://other.example.com")
    assert check(ES.token(), KEYS, elsewhere) == "issuer"
    assert check(ES.token(claims_with(iss="https://other.example.com")), KEYS, elsewhere) is None
    other = Signer("ES256", ec.generate_private_key(ec.SECP256R1()), "k1")
    assert check(other.token(), KEYS, TERMS) == "signature"
    assert check(ES.token(claims_with(sub=["ada", "root"])), KEYS, TERMS) == "claims"


@pytest.mark.parametrize(
    ("audience", "refused"),
    [
        (AUDIENCE, None),
        ([AUDIENCE], None),
        (["others", AUDIENCE], None),
        ("others", "audience"),
        (["others"], "audience"),
        ([], "audience"),
        (None, "audience"),
    ],
)
def test_3_9_use_and_validate_audience(audience: object, refused: str | None) -> None:
    """A token has to say that it is meant for us, even if its issuer makes tokens for nobody else."""
    assert check(ES.token(claims_with(aud=audience)), KEYS, TERMS) == refused
    with pytest.raises(ValueError, match="audience"):
        replace(TERMS, audiences=frozenset())


@pytest.mark.parametrize(
    "header",
    [
        {"kid": "../../k1"},
        {"kid": "k1' UNION SELECT 'k"},
        {"kid": "k1\n"},
        {"kid": "https://evil.test/key"},
    ],
)
def test_3_10_do_not_trust_received_claims(header: dict[str, object]) -> None:
    """A key's id is compared and nothing else is done with it; addresses in a header are not looked at."""
    assert check(ES.token(header=header), KEYS, TERMS) == "key"
    addresses = {"jku": "http://169.254.169.254/", "x5u": "file:///etc/passwd", "jwk": {}, "x5c": 1}
    assert check(ES.token(header=addresses), KEYS, TERMS) is None


@pytest.mark.parametrize(
    ("typ", "any_type", "typed"),
    [
        ("at+jwt", None, None),
        ("AT+JWT", None, None),
        ("application/at+jwt", None, None),
        ("Application/AT+jwt", None, None),
        ("JWT", None, "type"),
        ("application/jwt", None, "type"),
        ("JOSE", None, "type"),
        (None, None, "type"),
        ("", None, "type"),
        ("text/at+jwt", "type", "type"),
        ("at+jwt;v=1", "type", "type"),
        ("at+jwt ", "type", "type"),
        ("dpop+jwt", "type", "type"),
        ("application/logout+jwt", "type", "type"),
        ("secevent+jwt", "type", "type"),
        ("token-introspection+jwt", "type", "type"),
        ("vc+sd-jwt", "type", "type"),
    ],
)
def test_3_11_use_explicit_typing(typ: str | None, any_type: str | None, typed: str | None) -> None:
    """What says that it is another kind of token is none of ours; where asked, it has to say that it is."""
    token = ES.token(header={"typ": typ})
    assert check(token, KEYS, TERMS) == any_type
    assert check(token, KEYS, replace(TERMS, token_type="at+jwt")) == typed


def test_3_12_use_mutually_exclusive_validation_rules_for_different_kinds_of_jwts() -> None:
    """A token of one issuer, kind or audience meets no other terms; its issuer is told, and not believed."""
    feeds, billing = (ES.terms(audiences=frozenset({name})) for name in ("feeds", "billing"))
    token = ES.token(header={"typ": "JWT"})
    assert [check(token, KEYS, terms) for terms in (feeds, billing)] == [None, "audience"]
    unverified = read(ES.token(claims_with(iss="https://mallory.test")))
    assert isinstance(unverified, UnverifiedToken)
    assert unverified.claimed_issuer == "https://mallory.test"
    with pytest.raises(ValueError, match="token type"):
        TokenTerms(ISSUER, frozenset({AUDIENCE}), frozenset({"ES256"}), token_type="anything")
    assert key_set(ES.jwk(use="enc", kid="e"), ES.jwk()) == KEYS
    with pytest.raises(KeySetError, match="use"):
        KeySet.parse(document(ES.jwk(use="enc")))
