"""Claims against terms: to the second, with the leeway that clocks are given and no more."""

import pytest
from forging import AUDIENCE, ISSUER, NOW, check, claims_with, judged, signer
from hypothesis import given
from hypothesis import strategies as st

from gateway.jose.claims import Claims, judge_claims
from gateway.jose.flaw import Check, Flaw
from gateway.jose.terms import LONGEST_LEEWAY, TokenTerms

ES = signer("ES256")
ALGORITHMS = frozenset({"ES256"})


@pytest.mark.parametrize(
    ("claim", "offset", "leeway", "refused"),
    [
        ("exp", 1, 0, None),
        ("exp", 0, 0, "expired"),
        ("exp", -1, 0, "expired"),
        ("exp", -29, 30, None),
        ("exp", -30, 30, "expired"),
        ("exp", -31, 30, "expired"),
        ("exp", -1, 0.5, "expired"),
        ("exp", 2**53 - 1 - NOW, 0, None),
        ("nbf", 0, 0, None),
        ("nbf", 1, 0, "not_before"),
        ("nbf", 30, 30, None),
        ("nbf", 31, 30, "not_before"),
        ("nbf", 1 - 2**53 - NOW, 0, None),
        ("iat", 0, 0, None),
        ("iat", 1, 0, "issued_at"),
        ("iat", 30, 30, None),
        ("iat", 31, 30, "issued_at"),
        ("iat", -NOW, 0, None),
    ],
)
def test_times_are_held_to_the_second(claim: str, offset: int, leeway: float, refused: str | None) -> None:
    token = ES.token(claims_with(**{claim: NOW + offset}))
    assert check(token, ES.keys(), ES.terms(leeway=leeway)) == refused


def test_the_clock_runs_between_seconds() -> None:
    token = ES.token(claims_with(exp=NOW + 1, nbf=NOW, iat=NOW))
    assert check(token, ES.keys(), ES.terms(), NOW + 0.999) is None
    assert check(token, ES.keys(), ES.terms(), NOW + 1.0) == "expired"
    assert check(token, ES.keys(), ES.terms(), NOW - 0.001) == "not_before"


def test_only_the_end_is_needed() -> None:
    bare = {"iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 1}
    assert check(ES.token(bare), ES.keys(), ES.terms()) is None
    for name in bare:
        assert check(ES.token({**bare, name: None}), ES.keys(), ES.terms()) is not None


def test_what_a_token_says_beyond_that_is_handed_on_unchanged() -> None:
    more = {
        "roles": ["a", "b"],
        "realm_access": {"roles": [1, 1.5, None]},
        "cnf": {"jkt": "x"},
        "aud": ["a", AUDIENCE],
    }
    found = judged(ES.token(claims_with(**more)), ES.keys(), ES.terms())
    assert isinstance(found, Claims)
    assert dict(found.values) == claims_with(**more)
    assert found.expires_at == NOW + 600.0
    with pytest.raises(TypeError):
        found.values["sub"] = "root"  # type: ignore[index] - that is what is tested


@pytest.mark.parametrize(
    "unfit",
    [
        {"issuer": ""},
        {"audiences": frozenset()},
        {"audiences": frozenset({AUDIENCE, ""})},
        {"algorithms": frozenset()},
        {"algorithms": frozenset({"none"})},
        {"algorithms": frozenset({"ES256", "es256"})},
        {"algorithms": frozenset({"ES256", "HS256"})},
        {"token_type": ""},
        {"token_type": "jwt"},
        {"leeway": -1},
        {"leeway": LONGEST_LEEWAY + 1},
        {"leeway": float("nan")},
        {"leeway": float("inf")},
    ],
)
def test_terms_that_would_let_too_much_through_are_none(unfit: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r" (is|are|go) "):
        ES.terms(**unfit)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
NEARLY = st.sampled_from(
    [ISSUER, AUDIENCE, [AUDIENCE], NOW - 1, NOW, NOW + 1, 2**53, -1, 0, 1.5, "", [], "ada"]
)
SAID = st.dictionaries(
    st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "jti"]), NEARLY | ANYTHING, max_size=7
)


@given(SAID)
def test_no_claims_are_good_that_do_not_meet_every_rule(said: dict[str, object]) -> None:
    found = judge_claims(said, TokenTerms(ISSUER, frozenset({AUDIENCE}), ALGORITHMS), NOW)
    assert isinstance(found, Flaw | Claims)
    if isinstance(found, Claims):
        assert said["iss"] == ISSUER
        assert AUDIENCE in said["aud"]  # type: ignore[operator] - it was accepted
        assert type(said["exp"]) is int
        assert NOW < said["exp"] < 2**53
        assert all(type(said[name]) is int and said[name] <= NOW for name in ("nbf", "iat") if name in said)  # type: ignore[operator] - likewise


@given(SAID, st.integers(NOW + 1, NOW + 9))
def test_what_is_wrong_is_said_without_the_claims(said: dict[str, object], end: int) -> None:
    """With good claims filled in for the rest, whatever is odd is still odd."""
    found = judge_claims({"iss": ISSUER, "aud": AUDIENCE, "exp": end, **said}, ES.terms(), NOW)
    if isinstance(found, Flaw):
        assert found.check in {
            *(Check.CLAIMS, Check.ISSUER, Check.AUDIENCE),
            *(Check.EXPIRED, Check.NOT_BEFORE, Check.ISSUED_AT),
        }
        assert str(NOW)[:6] not in found.sentence
        assert ISSUER not in found.sentence
