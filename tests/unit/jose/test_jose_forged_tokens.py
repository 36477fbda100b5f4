"""What forgers try, each refused for the reason that is stated; and that the genuine token is accepted."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Final

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from forging import (
    ASYMMETRIC,
    CLAIMS,
    ISSUER,
    NOW,
    SYMMETRIC,
    Signer,
    check,
    claims_with,
    document,
    encoded,
    judged,
    key_set,
    rsa_key,
    signer,
)

from gateway.jose.claims import Claims
from gateway.jose.key_set import KeySet, KeySetError
from gateway.jose.token import UnverifiedToken, read

RS, ES, ED = signer("RS256"), signer("ES256"), signer("EdDSA")
KEYS: Final = key_set(RS.jwk(kid="rsa"), ES.jwk(kid="ec"), ED.jwk(kid="ed"))
TERMS: Final = RS.terms(algorithms=frozenset({"RS256", "ES256", "EdDSA"}))


def swapped(algorithm: str, secret: bytes) -> bytes:
    """A token under an HMAC whose secret is something that everybody knows."""
    return Signer(algorithm, secret, "rsa").token()


def public(encoding: Encoding, style: PublicFormat) -> bytes:
    return rsa_key().public_key().public_bytes(encoding, style)


def resigned(change: Callable[[bytes], bytes], by: Signer = ES, kid: str = "ec") -> bytes:
    """A token whose genuine signature was changed."""
    signed, _, signature = by.token(header={"kid": kid}).rpartition(b".")
    octets = by.sign(signed)
    assert len(encoded(octets)) == len(signature)
    return signed + b"." + encoded(change(octets))


def in_der(signer_: Signer = ES) -> bytes:
    signed = signer_.token(header={"kid": "ec"}).rpartition(b".")[0]
    assert isinstance(signer_.private, ec.EllipticCurvePrivateKey)
    return signed + b"." + encoded(signer_.private.sign(signed, ec.ECDSA(hashes.SHA256())))


STRANGER: Final = Signer("ES256", ec.generate_private_key(ec.SECP256R1()), "ec")
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ZERO, ONE, ORDER = bytes(32), (1).to_bytes(32), P256_ORDER.to_bytes(32)
GOOD: Final = ES.token(header={"kid": "ec"})
HEAD, PAYLOAD, SIGNATURE = GOOD.split(b".")
PEM: Final = public(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
DEEP: Final = b'{"a":' * 17 + b"1" + b"}" * 17
TRACKS: Final = ["../../../../dev/null", "' OR 1=1 --", "ec\0", "http://evil.test/jwks", "ec ", "EC", "ké"]


def es(header: dict[str, object], claims: Mapping[str, object] | bytes = CLAIMS) -> bytes:
    """A token signed by the genuine key, saying what its owner would not."""
    return ES.token(claims, {"kid": "ec", **header})


def es_raw(head: bytes, claims: bytes | None = None) -> bytes:
    return ES.token(json.dumps(dict(CLAIMS)).encode() if claims is None else claims, head)


FORGED: Final[dict[str, tuple[str, bytes]]] = {
    # The algorithm is not the token's to choose
    **{
        f"unsigned, as {name}": ("algorithm", ES.token(header={"alg": name, "kid": "ec"}, signature=b""))
        for name in ("none", "None", "NONE", "nOnE", "", "rs256", "RS256 ", "HS256", "RSA", "ES256K", "dir")
    },
    "an HMAC with the public key in PEM": ("algorithm", swapped("HS256", PEM)),
    "an HMAC with the public key in PEM, stripped": ("algorithm", swapped("HS256", PEM.strip())),
    "an HMAC with the public key in DER": (
        "algorithm",
        swapped("HS512", public(Encoding.DER, PublicFormat.PKCS1)),
    ),
    "an HMAC with the modulus": ("algorithm", swapped("HS384", RS.jwk()["n"].encode())),
    "an HMAC with nothing": ("algorithm", swapped("HS256", b"")),
    "RSA in place of ECDSA": ("key", RS.token(header={"kid": "ec"})),
    "ECDSA in place of RSA": ("key", ES.token(header={"kid": "rsa"})),
    "PSS where PKCS #1 is wanted": ("algorithm", signer("PS256").token(header={"kid": "rsa"})),
    "PSS that says it is PKCS #1": (
        "signature",
        signer("PS256").token(header={"kid": "rsa", "alg": "RS256"}),
    ),
    "an algorithm that is no string": ("header", es({"alg": ["ES256"]})),
    "no algorithm": ("header", es({"alg": None})),
    # The signature
    "no signature": ("signature", HEAD + b"." + PAYLOAD + b"."),
    "a signature cut short": ("signature", resigned(lambda octets: octets[:-1])),
    "half a signature": ("signature", resigned(lambda octets: octets[:32])),
    "a signature made longer": ("signature", resigned(lambda octets: octets + b"\0")),
    "a zero before each half": (
        "signature",
        resigned(lambda octets: b"\0" + octets[:32] + b"\0" + octets[32:]),
    ),
    "halves exchanged": ("signature", resigned(lambda octets: octets[32:] + octets[:32])),
    "all zeros": ("signature", resigned(lambda _: ZERO + ZERO)),
    "r is zero": ("signature", resigned(lambda octets: ZERO + octets[32:])),
    "s is zero": ("signature", resigned(lambda octets: octets[:32] + ZERO)),
    "r and s are one": ("signature", resigned(lambda _: ONE + ONE)),
    "r is the order of the curve": ("signature", resigned(lambda octets: ORDER + octets[32:])),
    "r and s are the order": ("signature", resigned(lambda _: ORDER + ORDER)),
    "a signature in DER": ("signature", in_der()),
    "an RSA signature of ones": ("signature", resigned(lambda octets: b"\1" * len(octets), RS, "rsa")),
    "an RSA signature of zeros": ("signature", resigned(lambda octets: bytes(len(octets)), RS, "rsa")),
    "an RSA signature cut short": ("signature", resigned(lambda octets: octets[:-1], RS, "rsa")),
    "an RSA signature with zeros before it": (
        "signature",
        resigned(lambda octets: b"\0\0" + octets, RS, "rsa"),
    ),
    "an empty RSA signature": ("signature", resigned(lambda _: b"", RS, "rsa")),
    "an Ed25519 signature of zeros": ("signature", resigned(lambda octets: bytes(len(octets)), ED, "ed")),
    "an Ed25519 signature made longer": ("signature", resigned(lambda octets: octets + octets, ED, "ed")),
    "another token's signature": (
        "signature",
        es({}, claims_with(sub="bob")).rpartition(b".")[0] + b"." + SIGNATURE,
    ),
    # The key
    "another issuer's key of the same id": ("signature", STRANGER.token()),
    "a key of the token's own": ("signature", STRANGER.token(header={"jwk": STRANGER.jwk()})),
    "a key at an address of the token's own": (
        "signature",
        STRANGER.token(header={"jku": "https://evil.test/jwks", "x5u": "https://evil.test/x5"}),
    ),
    "a certificate of the token's own": ("signature", STRANGER.token(header={"x5c": ["MIIB"]})),
    **{f"a key called {kid!a}": ("key", es({"kid": kid})) for kid in TRACKS},
    "a key's name that is a number": ("header", es({"kid": 1})),
    "a key's name that is a list": ("header", es({"kid": ["ec"]})),
    "a key's name of 257 characters": ("header", es({"kid": "k" * 257})),
    # What changes the meaning of the rest
    "a payload that is not encoded": ("critical", es({"b64": False, "crit": ["b64"]})),
    "b64 by itself": ("critical", es({"b64": False})),
    "b64 as it always is": ("critical", es({"b64": True})),
    "an extension we must understand": ("critical", es({"crit": ["exp"], "exp": NOW})),
    "an empty crit": ("critical", es({"crit": []})),
    "a compressed payload": ("content", es({"zip": "DEF"})),
    "an encrypted token of two dots": ("content", es({"enc": "A256GCM"})),
    "a nested token": ("content", es({"cty": "JWT"}, GOOD)),
    "a nested token in other words": ("content", es({"cty": "application/jwt"})),
    "an encrypted token": ("shape", encoded(b'{"alg":"dir","enc":"A256GCM"}') + b"..AA.AA.AA"),
    "a detached payload": ("claims", HEAD + b".." + SIGNATURE),
    # Its shape
    "one MiB": ("size", GOOD + b"A" * 1024 * 1024),
    "one MiB of dots": ("size", b"." * 1024 * 1024),
    "8 KiB and an octet": ("size", b"A" * (8 * 1024 + 1)),
    "nothing": ("shape", b""),
    "two dots alone": ("header", b".."),
    "one part": ("shape", PAYLOAD),
    "two parts": ("shape", HEAD + b"." + PAYLOAD),
    "four parts": ("shape", GOOD + b"."),
    "a dot before it": ("shape", b"." + GOOD),
    "a space before it": ("encoding", b" " + GOOD),
    "a line end behind it": ("encoding", GOOD + b"\n"),
    "a NUL in it": ("encoding", GOOD.replace(b".", b"\0.", 1)),
    "padding": ("encoding", urlsafe_b64encode(b'{"alg":"ES256"}!') + b"." + PAYLOAD + b"." + SIGNATURE),
    "padding behind the signature": ("encoding", GOOD + b"=="),
    "base64 of the other alphabet": ("encoding", HEAD + b"." + PAYLOAD + b".ab+/"),
    "a letter that is none": ("encoding", GOOD.replace(b".", "é.".encode(), 1)),
    "bits that stand for nothing": ("encoding", GOOD[:-1] + bytes([GOOD[-1] + 1])),
    # Its header
    "a header that is a list": ("header", es_raw(b'["ES256"]')),
    "a header that is a string": ("header", es_raw(b'"ES256"')),
    "a header that is null": ("header", es_raw(b"null")),
    "a header that is no JSON": ("header", es_raw(b'{"alg":"ES256"')),
    "a header with a comma too many": ("header", es_raw(b'{"alg":"ES256",}')),
    "a header with a byte order mark": ("header", es_raw(b'\xef\xbb\xbf{"alg":"ES256"}')),
    "a header in UTF-16": ("header", es_raw('{"alg":"ES256"}'.encode("utf-16"))),
    "a header in Latin-1": ("header", es_raw('{"alg":"ES256","a":"é"}'.encode("latin-1"))),
    "two headers": ("header", es_raw(b'{"alg":"ES256"}{"alg":"none"}')),
    "two algorithms": ("header", es_raw(b'{"alg":"none","alg":"ES256"}')),
    "two algorithms, one escaped": ("header", es_raw(b'{"\\u0061lg":"none","alg":"ES256"}')),
    "a member twice, deep inside": ("header", es_raw(b'{"alg":"ES256","x":[{"a":1,"a":2}]}')),
    "a header nested deeply": ("header", es_raw(b'{"alg":"ES256","x":' + DEEP + b"}")),
    "a header nested by thousands": (
        "header",
        es_raw(b'{"alg":"ES256","x":' + b"[" * 2000 + b"]" * 2000 + b"}"),
    ),
    "half a character": ("header", es_raw(b'{"alg":"ES256","x":"\\ud800"}')),
    "a type that is a number": ("header", es({"typ": 1})),
    "a type with a letter that lower-cases to ASCII": ("header", es({"typ": "at+\u212ajwt"})),
    "a content type that is a list": ("header", es({"cty": ["JWT"]})),
    # Another kind of token
    **{
        f"a token of type {name}": ("type", es({"typ": name}))
        for name in ("dpop+jwt", "logout+jwt", "secevent+jwt", "application/DPoP+JWT", "oauth-authz-req+jwt")
    },
    "a token of type kb+jwt": ("type", es({"typ": "kb+jwt"})),
    "a token of type JOSE+JSON": ("type", es({"typ": "JOSE+JSON"})),
    "a token of type at+jwt and more": ("type", es({"typ": "at+jwt; v=2"})),
    # Its claims
    "claims that are a list": ("claims", es({}, b"[]")),
    "claims that are a string": ("claims", es({}, b'"iss"')),
    "claims that are a number": ("claims", es({}, b"1")),
    "claims that are NaN": ("claims", es({}, b"NaN")),
    "claims that are no JSON": ("claims", es({}, b"{'iss': 1}")),
    "claims that are empty": ("claims", es({}, b"")),
    "claims nested deeply": ("claims", es({}, DEEP)),
    "claims nested by thousands": ("claims", es({}, b"[" * 3000 + b"]" * 3000)),
    "a claim twice": ("claims", es({}, b'{"exp":1,' + json.dumps(dict(CLAIMS)).encode()[1:])),
    "a claim that is NaN": ("claims", es({}, b'{"a":NaN}')),
    "a claim that is infinite": ("claims", es({}, b'{"a":-Infinity}')),
    "a claim that is infinite when read": ("claims", es({}, b'{"a":1e999}')),
    "a claim of 65 bits": ("claims", es({}, b'{"a":18446744073709551616}')),
    "a claim of 5,000 digits": ("claims", es({}, b'{"a":' + b"9" * 5000 + b"}")),
    "a claim with half a character": ("claims", es({}, b'{"sub":"\\udfff"}')),
    **{
        f"{name} = {value!r}": ("claims", es({}, claims_with(**{name: value})))
        for name in ("exp", "nbf", "iat")
        for value in (str(NOW), [NOW], {"at": NOW}, NOW + 0.5, float(NOW), True, 2**53, -(2**53), 10**18)
    },
    "exp is null": ("claims", es({}, {**CLAIMS, "exp": None})),
    "exp is absent": ("claims", es({}, claims_with(exp=None))),
    "exp with an exponent": ("claims", es({}, claims_with(exp=None) | {"exp": 1e18})),
    **{
        f"{name} = {value!r}": ("claims", es({}, claims_with(**{name: value})))
        for name in ("sub", "jti", "iss")
        for value in (1, ["ada"], {"a": 1}, False)
    },
    # Whose it is, and for whom
    "no issuer": ("issuer", es({}, claims_with(iss=None))),
    **{
        f"the issuer {name!r}": ("issuer", es({}, claims_with(iss=name)))
        for name in ("", ISSUER + "/", ISSUER.upper(), ISSUER + ":443", " " + ISSUER, ISSUER[:-1])
    },
    "no audience": ("audience", es({}, claims_with(aud=None))),
    **{
        f"the audience {name!r}": ("audience", es({}, claims_with(aud=name)))
        for name in (
            "",
            [],
            [""],
            "Feeds",
            "feeds ",
            "feed",
            ["x", "y"],
            1,
            {"a": "feeds"},
            [["feeds"]],
            ["feeds", 1],
        )
    },
    "an empty audience beside ours": ("audience", es({}, claims_with(aud=["feeds", ""]))),
    "the audience null": ("audience", es({}, {**CLAIMS, "aud": None})),
    # When
    "expired this second": ("expired", es({}, claims_with(exp=NOW))),
    "expired long ago": ("expired", es({}, claims_with(exp=0))),
    "expired before there was time": ("expired", es({}, claims_with(exp=-1))),
    "not valid yet": ("not_before", es({}, claims_with(nbf=NOW + 1))),
    "issued in the future": ("issued_at", es({}, claims_with(iat=NOW + 1))),
}


@pytest.mark.parametrize(("why", "token"), FORGED.values(), ids=FORGED)
def test_a_forged_token_is_refused_for_what_is_wrong_with_it(why: str, token: bytes) -> None:
    assert check(token, KEYS, TERMS) == why


def test_the_token_they_are_made_of_is_good() -> None:
    found = judged(GOOD, KEYS, TERMS)
    assert isinstance(found, Claims)
    assert (dict(found.values), found.expires_at) == (dict(CLAIMS), NOW + 600)


@pytest.mark.parametrize("algorithm", [*ASYMMETRIC, *SYMMETRIC])
def test_a_genuine_token_of_each_algorithm_is_good_and_no_octet_of_it_may_change(algorithm: str) -> None:
    one = signer(algorithm)
    token, keys, terms = one.token(), one.keys(), one.terms()
    assert check(token, keys, terms) is None
    for at in range(0, len(token), 11):
        other = bytearray(token)
        other[at] ^= 1
        assert check(bytes(other), keys, terms) is not None


@pytest.mark.parametrize("wanted", [*ASYMMETRIC, *SYMMETRIC])
def test_no_algorithm_is_taken_for_another(wanted: str) -> None:
    """A token must not choose its algorithm, whoever signed it with what (RFC 8725 §3.1)."""
    one = signer(wanted)
    for algorithm in (*ASYMMETRIC, *SYMMETRIC):
        if algorithm != wanted:
            assert check(signer(algorithm).token(), one.keys(), one.terms()) == "algorithm"
            renamed = signer(algorithm).token(header={"alg": wanted})
            assert check(renamed, one.keys(), one.terms()) == "signature"


def test_a_forger_learns_nothing_of_the_claims_that_are_wanted() -> None:
    """Whatever a token that we cannot verify says, the answer is the same."""
    stranger = [STRANGER.token(claims) for claims in (CLAIMS, claims_with(iss="x"), claims_with(exp=1), {})]
    assert {check(token, KEYS, TERMS) for token in stranger} == {"signature"}


def test_a_public_key_never_becomes_a_secret() -> None:
    for known in (
        PEM,
        PEM.strip(),
        public(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        document(RS.jwk()),
    ):
        try:
            keys = KeySet.of_secret(known)
        except KeySetError:
            continue
        assert known.startswith(b"{"), "any text may be a secret, but no key file is"
        assert check(Signer("RS256", rsa_key(), "rsa").token(), keys, RS.terms()) == "key"


def test_nothing_that_is_refused_or_read_prints_the_token() -> None:
    unverified = read(GOOD)
    assert isinstance(unverified, UnverifiedToken)
    for shown in (repr(unverified), str(unverified), repr(unverified.jws), repr(judged(GOOD, KEYS, TERMS))):
        for part in (*GOOD.split(b"."), b"ada", b"ES256"):
            assert part.decode() not in shown
    assert repr(KeySet.of_secret(b"s" * 32)) == "<KeySet of 1>"
    assert "ssss" not in repr(KeySet.of_secret(b"s" * 32).fitting(None, "HS256"))
