"""Where a credential is found, when it is ambiguous, and that its secret is nowhere to be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from insides import held_by

from gateway.domain.key_format import digest, new_key
from gateway.domain.verdict import Reason, Refusal
from gateway.http1.head import Fields
from gateway.identity.credential import (
    LONGEST_KEY,
    OF_TOKEN,
    Credential,
    CredentialKind,
    CredentialReader,
)

READER = CredentialReader("X-API-Key", "api_key")
HEADER_ONLY = CredentialReader("X-API-Key")
SECRET = b"made-up-and-imported"


def fields(*lines: str) -> Fields:
    pairs = (line.split(": ", 1) for line in lines)
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs)


def found(read: Credential | Refusal | None) -> tuple[CredentialKind, bytes]:
    assert isinstance(read, Credential)
    return read.kind, read.digest


@pytest.mark.parametrize("name", ["X-API-Key", "x-api-key", "X-API-KEY", "x-ApI-kEy"])
def test_the_key_header_is_found_in_any_case(name: str) -> None:
    read = HEADER_ONLY.in_fields(fields(f"{name}: made-up-and-imported"))
    assert found(read) == (CredentialKind.API_KEY, digest(SECRET))


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_a_bearer_token_is_found_in_any_case_of_its_scheme(scheme: str) -> None:
    read = HEADER_ONLY.in_fields(fields(f"Authorization: {scheme}   some.token"))
    assert found(read) == (CredentialKind.BEARER, digest(b"some.token") + OF_TOKEN)


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("Accept: */*",),
        ("Authorization: Basic YTpi",),
        ("X-API-Keys: a",),
        ("X_API_Key: a",),
        ("Authorization: Bearertoken",),
        ("Proxy-Authorization: Bearer some.token",),
        ("Cookie: X-API-Key=a",),
    ],
)
def test_what_is_no_credential_is_none(lines: tuple[str, ...]) -> None:
    assert HEADER_ONLY.in_fields(fields(*lines)) is None


@pytest.mark.parametrize(
    "lines",
    [
        ("X-API-Key: a", "X-API-Key: b"),
        ("X-API-Key: a", "X-API-Key: a"),
        ("X-API-Key: a", "x-api-key: a"),
        ("X-API-Key: a", "Authorization: Bearer b"),
        ("X-API-Key: a", "Authorization: Bearer a"),
        ("X-API-Key: ", "X-API-Key: a"),
        ("Authorization: Bearer a", "Authorization: Bearer b"),
        ("Authorization: Bearer a", "Authorization: Bearer a"),
        ("Authorization: Basic YTpi", "Authorization: Bearer a"),
        ("Authorization: Basic YTpi", "authorization: Basic YTpi"),
    ],
)
def test_two_credentials_are_ambiguous(lines: tuple[str, ...]) -> None:
    for order in (lines, lines[::-1]):
        read = HEADER_ONLY.in_fields(fields(*order))
        assert isinstance(read, Refusal)
        assert read.reason is Reason.CREDENTIAL_AMBIGUOUS


def test_a_key_beside_basic_credentials_is_one_credential() -> None:
    read = HEADER_ONLY.in_fields(fields("Authorization: Basic YTpi", "X-API-Key: made-up-and-imported"))
    assert found(read) == (CredentialKind.API_KEY, digest(SECRET))


def test_the_key_header_may_be_authorization_itself() -> None:
    reader = CredentialReader("Authorization")
    assert found(reader.in_fields(fields("authorization: made-up-and-imported"))) == (
        CredentialKind.API_KEY,
        digest(SECRET),
    )
    assert isinstance(reader.in_fields(fields("Authorization: a", "Authorization: a")), Refusal)


# In the query


@pytest.mark.parametrize(
    "query",
    [
        b"api_key=made-up-and-imported",
        b"page=2&api_key=made-up-and-imported&sort=name",
        b"api%5Fkey=made-up-and-imported",
        b"api%5fkey=made%2Dup%2dand-imported",
        b"%61%70%69%5F%6B%65%79=%6Dade-up-and-imported",
        b"&&api_key=made-up-and-imported&&",
        b"my_api_key=1&api_key=made-up-and-imported",
    ],
)
def test_a_key_in_the_query_is_found_however_its_name_is_encoded(query: bytes) -> None:
    assert found(READER.in_query(query, None)) == (CredentialKind.API_KEY, digest(SECRET))
    assert b"made" not in (READER.without_key(query) or b"")


@pytest.mark.parametrize(
    "query",
    [
        *(b"", b"page=2", b"api-key=a", b"API_KEY=a", b"api_keys=a", b"q=api_key", b"q=api_key%3Da"),
        *(b"my_api_key=a", b"api%255Fkey=a", b"q=1;api_key=a"),
    ],
)
def test_a_query_without_the_key_holds_none_and_crosses_as_it_came(query: bytes) -> None:
    assert READER.in_query(query, None) is None
    assert READER.without_key(query) == query


@pytest.mark.parametrize(
    "query",
    [b"api_key=a&api_key=b", b"api_key=a&api_key=a", b"api_key=a&api%5Fkey=b", b"api_key&api_key=a"],
)
def test_a_key_twice_in_the_query_is_ambiguous(query: bytes) -> None:
    read = READER.in_query(query, None)
    assert isinstance(read, Refusal)
    assert read.reason is Reason.CREDENTIAL_AMBIGUOUS


@pytest.mark.parametrize("line", ["X-API-Key: made-up-and-imported", "Authorization: Bearer a"])
def test_a_key_in_the_query_beside_one_in_the_header_is_ambiguous(line: str) -> None:
    read = READER.in_query(b"api_key=made-up-and-imported", READER.in_fields(fields(line)))
    assert isinstance(read, Refusal)
    assert read.reason is Reason.CREDENTIAL_AMBIGUOUS


def test_a_key_in_the_query_means_nothing_where_that_is_not_allowed() -> None:
    query = b"api_key=made-up-and-imported"
    assert HEADER_ONLY.in_query(query, None) is None
    assert HEADER_ONLY.without_key(query) == query


@pytest.mark.parametrize("query", [b"api_key", b"api_key=", b"api_key=&page=2"])
def test_an_empty_key_in_the_query_is_a_bad_key_and_not_a_missing_one(query: bytes) -> None:
    read = READER.in_query(query, None)
    assert isinstance(read, Credential)
    assert read.flawed


PARAMETERS = st.lists(st.binary(max_size=12).map(lambda raw: raw.translate(None, b"&#")), max_size=5)


@given(PARAMETERS, st.integers(0, 5), st.sampled_from([b"api_key", b"api%5Fkey", b"%61pi_key"]))
def test_removing_the_key_leaves_every_other_parameter_alone(
    others: list[bytes], place: int, name: bytes
) -> None:
    plain = b"&".join(others)
    if READER.in_query(plain, None) is not None:
        return
    parts = [*others[:place], name + b"=made-up-and-imported", *others[place:]]
    query = b"&".join(parts)
    assert found(READER.in_query(query, None)) == (CredentialKind.API_KEY, digest(SECRET))
    assert READER.without_key(query) == (plain if others else None)
    assert READER.in_query(plain, None) is None


# Flaws, and secrets


def _typo(key: str) -> str:
    return key[:20] + ("a" if key[20] != "a" else "b") + key[21:]


GOOD = new_key(17)


@pytest.mark.parametrize(
    "key",
    ["", "sg_", "sg_1_", "sg_0_" + "a" * 49, _typo(GOOD), GOOD[:-1], GOOD + "x", "k" * (LONGEST_KEY + 1)],
    ids=["empty", "prefix", "id", "zero", "typo", "short", "long", "endless"],
)
def test_a_key_that_cannot_be_good_is_flawed(key: str) -> None:
    read = HEADER_ONLY.in_fields(((b"X-API-Key", key.encode()),))
    assert isinstance(read, Credential)
    assert read.flawed


@pytest.mark.parametrize(
    "key",
    [GOOD, new_key(2**62), "imported", "ключ", "k" * LONGEST_KEY, "sg", "SG_1_x"],
    ids=["ours", "large id", "imported", "not ascii", "longest", "too short for ours", "upper case"],
)
def test_a_key_that_may_be_good_is_looked_up(key: str) -> None:
    read = HEADER_ONLY.in_fields(((b"X-API-Key", key.encode()),))
    assert isinstance(read, Credential)
    assert not read.flawed


@given(st.text(min_size=8, max_size=60).map(lambda text: text.encode()))
def test_a_credential_keeps_no_secret(secret: bytes) -> None:
    read = HEADER_ONLY.in_fields(((b"X-API-Key", secret),))
    assert isinstance(read, Credential)
    told = [repr(read), str(read), *map(repr, held_by(read))]
    assert not any(repr(secret)[2:-1] in text for text in told)
    assert not hasattr(read, "__dict__")
