"""The examples that the RFCs print, held to what the RFCs say of them."""

import json

import pytest
from forging import key_set

from gateway.jose.base64url import octets
from gateway.jose.claims import Claims
from gateway.jose.flaw import Check, Flaw
from gateway.jose.jws import Jws, read_jws
from gateway.jose.key_set import KeySet
from gateway.jose.terms import TokenTerms
from gateway.jose.token import UnverifiedToken, read
from gateway.jose.verify import signature_flaw, verify

PAYLOAD = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
SAYS = {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}

HS256_KEY = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
HS256 = f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{PAYLOAD}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

RS256_KEY = {
    "kty": "RSA",
    "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-"
    "yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-"
    "KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_"
    "h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    "e": "AQAB",
}
RS256 = (
    f"eyJhbGciOiJSUzI1NiJ9.{PAYLOAD}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4B"
    "h-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvk"
    "SjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYE"
    "UipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
)

ES256_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
ES256 = (
    f"eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKT"
    "UJqPP3-Kg6NU1Q"
)

ES512_KEY = {
    "kty": "EC",
    "crv": "P-521",
    "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
    "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
}
ES512 = (
    "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-K"
    "GDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"
)

ED25519_KEY = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
ED25519 = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbh"
    "ijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)

UNSECURED = f"eyJhbGciOiJub25lIn0.{PAYLOAD}."

CASES = {
    "RFC 7515 A.1": (HS256, KeySet.of_secret(octets(HS256_KEY.encode()) or b""), "HS256"),
    "RFC 7515 A.2": (RS256, key_set(RS256_KEY), "RS256"),
    "RFC 7515 A.3": (ES256, key_set(ES256_KEY), "ES256"),
    "RFC 7515 A.4": (ES512, key_set(ES512_KEY), "ES512"),
    "RFC 8037 A.4": (ED25519, key_set(ED25519_KEY), "EdDSA"),
}


@pytest.mark.parametrize(("token", "keys", "algorithm"), CASES.values(), ids=CASES)
def test_the_signature_of_a_printed_example_holds(token: str, keys: KeySet, algorithm: str) -> None:
    jws = read_jws(token.encode())
    assert isinstance(jws, Jws)
    assert signature_flaw(jws, keys, frozenset({algorithm})) is None


@pytest.mark.parametrize(("token", "keys", "algorithm"), CASES.values(), ids=CASES)
def test_it_holds_for_no_other_octets(token: str, keys: KeySet, algorithm: str) -> None:
    jws = read_jws(token.encode())
    assert isinstance(jws, Jws)
    key = keys.fitting(None, algorithm)[0]
    for at in range(0, len(jws.signature), 7):
        other = bytearray(jws.signature)
        other[at] ^= 1
        assert not key.verifies(algorithm, jws.signed, bytes(other))
    assert not key.verifies(algorithm, jws.signed + b"A", jws.signature)


@pytest.mark.parametrize("name", ["RFC 7515 A.1", "RFC 7515 A.2", "RFC 7515 A.3"])
def test_the_claims_of_a_printed_example_are_read_and_their_audience_is_missed(name: str) -> None:
    token, keys, algorithm = CASES[name]
    unverified = read(token.encode())
    assert isinstance(unverified, UnverifiedToken)
    assert (dict(unverified.claims), unverified.claimed_issuer) == (SAYS, "joe")
    terms = TokenTerms("joe", frozenset({"us"}), frozenset({algorithm}))
    found = verify(unverified, keys, terms, 1300819379)
    assert isinstance(found, Flaw)
    assert found.check is Check.AUDIENCE
    assert not isinstance(verify(unverified, keys, terms, 1300819380), Claims)


def test_the_printed_unsecured_token_is_refused() -> None:
    """RFC 7515 A.5, RFC 7519 §6.1."""
    unverified = read(UNSECURED.encode())
    assert isinstance(unverified, UnverifiedToken)
    found = verify(
        unverified, CASES["RFC 7515 A.2"][1], TokenTerms("joe", frozenset("a"), frozenset({"RS256"})), 0
    )
    assert isinstance(found, Flaw)
    assert found.check is Check.ALGORITHM


def test_the_printed_json_serialization_is_no_token() -> None:
    """RFC 7515 A.6: a JWT is always compact (RFC 7519 §1)."""
    head, payload, signature = RS256.split(".")
    general = {"payload": payload, "signatures": [{"protected": head, "signature": signature}]}
    found = read(json.dumps(general).encode())
    assert isinstance(found, Flaw)
    assert found.check is Check.SHAPE


def test_the_printed_private_keys_are_not_used() -> None:
    """RFC 7517 A.2: whoever publishes one has to replace it."""
    both = key_set(ES256_KEY, {**ED25519_KEY, "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"})
    assert both == key_set(ES256_KEY)
    assert both.faults == (
        "key 2: it is a private key, and known to everybody now; its issuer has to replace it",
    )
