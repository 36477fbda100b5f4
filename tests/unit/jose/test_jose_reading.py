"""What is read before anything is believed: encodings, JSON, and what looks like a token."""

import json
from base64 import urlsafe_b64encode

import pytest
from forging import CLAIMS, SECRET, Signer, check, claims_with, encoded, signer
from hypothesis import given
from hypothesis import strategies as st

from gateway.jose.base64url import octets
from gateway.jose.flaw import Flaw
from gateway.jose.jws import LARGEST
from gateway.jose.strict_json import DEEPEST, Malformed, read_object
from gateway.jose.token import UnverifiedToken, looks_like_jwt, read


@given(st.binary(max_size=200))
def test_what_was_encoded_is_decoded(data: bytes) -> None:
    assert octets(urlsafe_b64encode(data).rstrip(b"=")) == data


@given(st.binary(max_size=12) | st.text(alphabet="AQgwB-_/+= \n", max_size=9).map(str.encode))
def test_octets_have_exactly_one_spelling(text: bytes) -> None:
    data = octets(text)
    assert data is None or encoded(data) == text


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), JSON_VALUES, max_size=4), st.booleans()
)
def test_an_object_that_all_readers_read_alike_is_read(value: dict[str, object], ascii_only: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    assert read_object(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=60) | st.text('{}[]":,0123456789eE.+-\\u tnfals', max_size=40).map(str.encode))
def test_reading_never_raises_and_what_it_reads_another_reader_reads_alike(document: bytes) -> None:
    found = read_object(document)
    if not isinstance(found, Malformed):
        assert json.loads(document) == found


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"{}x", "is not JSON"),
        (b"{} {}", "is not JSON"),
        (b"{'a':1}", "is not JSON"),
        (b'{"a":01}', "is not JSON"),
        (b'{"a":+1}', "is not JSON"),
        (b'{"a":.5}', "is not JSON"),
        (b'{"a":NaN}', "is not JSON"),
        (b'{"a":Infinity}', "is not JSON"),
        (b'{"a":1e400}', "is not JSON"),
        (b'{"a":"\t"}', "is not JSON"),
        (b'{"a":"\\x41"}', "is not JSON"),
        (b'{"a":"\\ud83d"}', "is not JSON"),
        (b'{"a":"\xed\xa0\x80"}', "is not JSON"),
        (b'{"a":"\xc0\xaf"}', "is not JSON"),
        (b"\xef\xbb\xbf{}", "is not JSON"),
        (b"/**/{}", "is not JSON"),
        (b"[1]", "is not a JSON object"),
        (b'"{}"', "is not a JSON object"),
        (b"null", "is not a JSON object"),
        (b'{"a":1,"a":1}', "has a member twice"),
        (b'{"a":1,"\\u0061":2}', "has a member twice"),
        (b'{"x":[{"y":{"a":1,"a":2}}]}', "has a member twice"),
        (b'{"a":18446744073709551616}', "has a whole number of more than 64 bits"),
        (b'{"a":-9223372036854775809}', "has a whole number of more than 64 bits"),
        (b'{"a":[[' + b"1" * 300 + b"]]}", "has a whole number of more than 64 bits"),
        (b'{"a":' * (DEEPEST + 1) + b"1" + b"}" * (DEEPEST + 1), "inside each other more than 16 deep"),
        (b'{"a":' + b"[" * DEEPEST + b"]" * DEEPEST + b"}", "inside each other more than 16 deep"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "is not JSON"),
        (b'{"a":' * 100_000, "is not JSON"),
    ],
)
def test_what_two_readers_may_read_differently_is_refused(document: bytes, why: str) -> None:
    found = read_object(document)
    assert isinstance(found, Malformed)
    assert why in found.why


def test_as_deep_as_is_allowed_is_allowed() -> None:
    assert isinstance(read_object(b'{"a":' * DEEPEST + b"1" + b"}" * DEEPEST), dict)
    wide = {str(number): [{}, [], {"a": 1.5e300}] for number in range(1000)}
    assert read_object(json.dumps(wide).encode()) == wide


def test_a_token_may_fill_8_kib_and_not_an_octet_more() -> None:
    one = Signer("HS256", SECRET, None)
    room = (LARGEST - len(one.token(claims_with(pad="")))) * 3 // 4
    sizes = {}
    for size in range(room - 4, room + 5):
        token = one.token(claims_with(pad="x" * size))
        sizes[len(token)] = check(token, one.keys(), one.terms())
    assert sizes[LARGEST] is None
    assert {size > LARGEST for size, why in sizes.items() if why == "size"} == {True}
    assert {size > LARGEST for size, why in sizes.items() if why is None} == {False}


OPAQUE = [
    b"",
    b"opaque",
    b"sg_1_abc",
    b"a.b",
    b"a.b.c",
    b"..",
    b"....",
    b"eyJhbGciOiJSUzI1NiJ9",
    b"eyJhbGciOiJSUzI1NiJ9.e30",
    b"eyJhbGciOiJSUzI1NiJ9.e30.e30.e30",
    encoded(b'{"typ":"JWT"}') + b".e30.",
    encoded(b'["alg"]') + b".e30.",
    encoded(b'"alg"') + b".e30.",
    encoded(b'{"alg"') + b".e30.",
    encoded(b"\xff{") + b".e30.",
    encoded(b'{"alg":' + b"[" * 5000) + b".e30.",
    b"." * 100_000,
    b"e" * 100_000,
]
MEANT = [
    signer("ES256").token(claims_with(pad="x" * LARGEST)),
    signer("ES256").token(),
    b"eyJhbGciOiJSUzI1NiJ9..",
    b"eyJhbGciOiJSUzI1NiJ9=.e30.",
    encoded(b' {"alg":1,"alg":2} ') + b".!.!",
    encoded(b'{"alg":"dir","enc":"A256GCM"}') + b"..AA.AA.AA",
    encoded(b'{"alg":"none"}') + b".e30.",
]


@pytest.mark.parametrize("token", OPAQUE)
def test_what_has_no_jose_header_is_opaque(token: bytes) -> None:
    assert not looks_like_jwt(token)


@pytest.mark.parametrize("token", MEANT)
def test_what_has_one_is_meant_to_be_a_jwt_however_bad_it_is(token: bytes) -> None:
    assert looks_like_jwt(token)


@given(st.binary(max_size=300) | st.lists(st.binary(max_size=60).map(encoded), max_size=5).map(b".".join))
def test_reading_a_token_never_raises(token: bytes) -> None:
    found = read(token)
    assert isinstance(found, Flaw | UnverifiedToken)
    assert isinstance(found, Flaw) or looks_like_jwt(token)


@pytest.mark.parametrize(
    ("claims", "issuer"), [(CLAIMS, CLAIMS["iss"]), ({}, None), ({"iss": 1}, None), ({"iss": [""]}, None)]
)
def test_who_a_token_says_made_it_is_told_if_it_is_a_string(
    claims: dict[str, object], issuer: object
) -> None:
    unverified = read(signer("ES256").token(claims, {"kid": "k", "typ": "JWT"}))
    assert isinstance(unverified, UnverifiedToken)
    assert unverified.claimed_issuer == issuer
    assert (unverified.algorithm, unverified.kid, unverified.type) == ("ES256", "k", "JWT")
