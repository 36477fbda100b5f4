"""Published tokens of Wycheproof, RFC 7520, PyJWT, joserfc and HAProxy: no forged one passes; good ones do.

Where we differ from a row's source, a table here says why. Rows of level `jws` are signatures over any
octets; those of level `jwt` are judged for their claims too, under a signature of ours, as most of theirs are
made with secrets that are too short for us.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key, load_ssh_public_key
from forging import ASYMMETRIC, AUDIENCE, ISSUER, NOW, SYMMETRIC, check, document, encoded, number, signer
from rows import CORPORA

from gateway.jose.base64url import octets
from gateway.jose.flaw import Flaw
from gateway.jose.jws import Jws, read_jws
from gateway.jose.key_set import KeySet, KeySetError
from gateway.jose.token import read
from gateway.jose.verify import signature_flaw

FILE: Final = CORPORA / "jwt.jsonl"
pytestmark = pytest.mark.skipif(
    not FILE.is_file(), reason="the published rows do not lie beside this checkout"
)

Row = Mapping[str, Any]

SHORT = "its secret is shorter than the hash (RFC 7518 §3.2)"
PADDED = "it is written with padding, which JOSE has not (RFC 7515 §2)"
OTHER_KEY = "its key is labelled for another algorithm than its own (RFC 7517 §4.4)"
NOT_VERIFIED = {SHORT: 34, PADDED: 2, OTHER_KEY: 4}
"""How many good rows are refused, and why: each is a key or a token that no issuer of ours may have."""

INVALID_BY_KIND = {"an encrypted token": 88, "a JSON serialization": 10, "a signed token": 320}
"""What the rows are that must be refused: all are, those too that a reader of JWE or JSON would accept."""

CLAIMS_REFUSED = {
    "pyjwt-0669-0e3e3f": "`iat` is a string of digits; RFC 7519 §2 has it a number",
    "pyjwt-0683-06bb7d": "`aud` is null, and PyJWT takes that for none; we need one",
    "pyjwt-0688-c82bb9": "`exp` is a fraction, in the past besides; the source was told not to look",
    "pyjwt-0689-a37bb1": "`nbf` is a fraction, in the future besides; the source was told not to look",
    "pyjwt-0713-6c5a1f": "it has expired; the source was told not to look",
    "pyjwt-0717-d06577": "it is from the future; the source was told not to look",
    "pyjwt-0718-36fd19": "it is not valid yet; the source was told not to look",
}
"""Rows whose source accepts their claims, and we do not."""

CLAIMS_ACCEPTED = {
    "pyjwt-0715-b7aa03": "it has no `iat`, which we do not need",
    "pyjwt-0716-ff838b": "it has no `nbf`, which we do not need",
    "pyjwt-0726-8e2148": "`aud` is a list; the source was told to want a string",
    "pyjwt-0736-8b2023": "it is not of the subject that the source was told to want; we take any",
    "pyjwt-0743-9157b7": "what is wrong with it is its signature",
}
"""Rows whose source refuses them, for something else than claims that we hold to."""


def rows() -> Iterator[Row]:
    with FILE.open() as lines:
        for line in lines:
            yield json.loads(line)


def token_of(row: Row) -> bytes:
    token = row["token"]
    return (token if isinstance(token, str) else json.dumps(token)).encode()


def jwks_of(row: Row) -> list[dict[str, Any]]:
    """The keys of a row as JWKs; keys of ours where the row has none."""
    key = row["key"]
    if key is None:
        return [signer(algorithm).jwk(kid=None) for algorithm in ("RS256", "ES512")]
    if "jwks" in key:
        return list(key["jwks"]["keys"])
    return [key["jwk"]] if "jwk" in key else [jwk_of(key["str"].encode())]


def jwk_of(file: bytes) -> dict[str, Any]:
    """The public key of a file, or the secret that any other octets are."""
    for load in (load_pem_public_key, load_ssh_public_key):
        try:
            public = load(file)
        except (ValueError, UnsupportedAlgorithm):
            continue
        if isinstance(public, rsa.RSAPublicKey):
            parts = public.public_numbers()
            return {"kty": "RSA", "n": number(parts.n), "e": number(parts.e)}
        if isinstance(public, ec.EllipticCurvePublicKey):
            point, size = public.public_numbers(), (public.key_size + 7) // 8
            told = {"x": number(point.x, size), "y": number(point.y, size)}
            return {"kty": "EC", "crv": f"P-{public.key_size}", **told}
        return {"kty": "OKP", "crv": "Ed25519", "x": encoded(public.public_bytes_raw()).decode()}  # type: ignore[union-attr] - no other kind is in the rows
    return {"kty": "oct", "k": encoded(file).decode()}


def configured(row: Row) -> Iterator[tuple[KeySet, frozenset[str]]]:
    """The keys of a row, in each way that an operator could configure them, with every algorithm for them.

    A set with secrets is none; but a single secret, meant for signatures, may have been given to us.
    """
    jwks = jwks_of(row)
    try:
        yield KeySet.parse(document(*jwks)), frozenset(ASYMMETRIC)
    except KeySetError:
        kids = Counter(jwk.get("kid") for jwk in jwks)
        for jwk in jwks:
            meant = (
                jwk.get("kty") == "oct"
                and str(jwk.get("alg", "HS")).startswith("HS")
                and kids[jwk.get("kid")] == 1
            )
            secret = octets(str(jwk["k"]).encode()) if meant else None
            try:
                yield KeySet.of_secret(secret or b""), frozenset(SYMMETRIC)
            except KeySetError:
                continue


def verified(row: Row) -> bool:
    """Whether the signature of a row holds with any of its keys."""
    jws = read_jws(token_of(row))
    return isinstance(jws, Jws) and any(
        signature_flaw(jws, keys, algorithms) is None for keys, algorithms in configured(row)
    )


def kind_of(row: Row) -> str:
    if row["level"] == "jwe":
        return "an encrypted token"
    return "a JSON serialization" if row["form"] == "json" else "a signed token"


def why_not(row: Row) -> str | None:
    """Why a good row is not good enough, read off the row alone."""
    token = token_of(row)
    if b"=" in token:
        return PADDED
    algorithm = json.loads(octets(token.split(b".")[0]) or b"")["alg"]
    jwks = jwks_of(row)
    if any(jwk.get("alg", algorithm) != algorithm for jwk in jwks if len(jwks) == 1):
        return OTHER_KEY
    secrets = [octets(jwk["k"].encode()) or b"" for jwk in jwks if jwk["kty"] == "oct"]
    return SHORT if secrets and max(map(len, secrets)) * 8 < int(algorithm[2:]) else None


def test_every_forged_row_is_refused() -> None:
    refused = Counter[str]()
    for row in rows():
        if row["expect"] == "invalid":
            if row["level"] == "jwt" and not isinstance(read(token_of(row)), Flaw):
                assert not (verified(row) and claims_accepted(row)), row["id"]
            else:
                assert not verified(row), row["id"]
            refused[kind_of(row)] += 1
    assert refused == INVALID_BY_KIND


def test_every_good_row_is_verified_but_those_that_are_explained() -> None:
    explained, good = Counter[str](), 0
    for row in rows():
        if row["expect"] == "valid":
            why = why_not(row)
            assert verified(row) == (why is None), (row["id"], why)
            explained.update([why] if why else [])
            good += why is None
    assert explained == NOT_VERIFIED
    assert good == 43


def claims_accepted(row: Row) -> bool:
    """Whether what a row says is accepted, once signed well, and with what its source does not ask for."""
    told, asked = octets(token_of(row).split(b".")[1]) or b"", row["check"] if row.get("check") else {}
    now = row.get("now") or NOW
    try:
        said = json.loads(told)
    except ValueError:
        said = None
    issuer, audience = asked.get("issuer", ISSUER), asked.get("audience", AUDIENCE)
    issuers = issuer if isinstance(issuer, list) else [issuer]
    audiences = frozenset(audience if isinstance(audience, list) else [audience])
    one = signer("ES256")
    if isinstance(said, dict):
        missing = {"exp": now + 60}
        missing |= {} if "issuer" in asked else {"iss": said.get("iss", ISSUER)}
        missing |= {} if "audience" in asked else {"aud": AUDIENCE}
        issuers = issuers if "issuer" in asked else [str(missing["iss"])]
        told = json.dumps({**missing, **said}).encode()
    return any(
        check(
            one.token(told),
            one.keys(),
            one.terms(issuer=who, audiences=audiences, leeway=asked.get("leeway", 0)),
            now,
        )
        is None
        for who in issuers
    )


def test_claims_are_judged_as_their_source_does_but_where_that_is_explained() -> None:
    judged = {
        row["id"]: (row["expect"] == "valid", claims_accepted(row))
        for row in rows()
        if row["level"] == "jwt" and row["form"] == "compact"
    }
    assert {name for name, (good, accepted) in judged.items() if good and not accepted} == set(CLAIMS_REFUSED)
    assert {name for name, (good, accepted) in judged.items() if accepted and not good} == set(
        CLAIMS_ACCEPTED
    )
