"""Whatever is done to a good token, it is good afterwards only if it is the same token."""

from dataclasses import dataclass

from forging import ASYMMETRIC, CLAIMS, NOW, SYMMETRIC, claims_with, judged, signer
from hypothesis import given
from hypothesis import strategies as st

from gateway.jose.claims import Claims

places = st.integers(0, 4000)
damage = (
    st.tuples(st.just("flip"), places, st.integers(1, 255))
    | st.tuples(st.just("cut"), places, st.integers(1, 40))
    | st.tuples(st.just("double"), places, st.integers(1, 40))
    | st.tuples(
        st.just("insert"), places, st.sampled_from([b".", b"=", b"A", b"\n", b" ", b"\0", b"-", b"e30"])
    )
    | st.tuples(st.just("move"), places, places)
)


def damaged(token: bytes, what: list[tuple[str, int, object]]) -> bytes:
    """A token to which all that was done, in turn."""
    for kind, at, by in what:
        place = at % (len(token) or 1)
        if kind == "insert":
            assert isinstance(by, bytes)
            token = token[:place] + by + token[place:]
            continue
        assert isinstance(by, int)
        if kind == "flip" and token:
            token = token[:place] + bytes([token[place] ^ by]) + token[place + 1 :]
        elif kind == "cut":
            token = token[:place] + token[place + by :]
        elif kind == "double":
            token = token[: place + by] + token[place:]
        else:
            token = token[place:] + token[:place]
    return token


@given(st.sampled_from(["ES256", "EdDSA", "RS256", "HS256"]), st.lists(damage, min_size=1, max_size=3))
def test_a_damaged_token_is_not_good_unless_it_is_whole_again(
    algorithm: str, what: list[tuple[str, int, object]]
) -> None:
    one = signer(algorithm)
    genuine = one.token()
    token = damaged(genuine, what)
    assert isinstance(judged(token, one.keys(), one.terms()), Claims) == (token == genuine)


@dataclass(frozen=True)
class Parts:
    """Where each part of a token comes from."""

    head: int
    payload: int
    signature: int


TOKENS = [
    signer("ES256").token(),
    signer("ES256").token(claims_with(sub="bob")),
    signer("ES256").token(header={"typ": "JWT"}),
    signer("EdDSA").token(),
    signer("HS256").token(),
    signer("ES256").token(claims_with(exp=NOW)),
]
which = st.integers(0, len(TOKENS) - 1)


@given(st.builds(Parts, which, which, which))
def test_no_token_is_made_of_parts_of_others(parts: Parts) -> None:
    split = [token.split(b".") for token in TOKENS]
    token = b".".join((split[parts.head][0], split[parts.payload][1], split[parts.signature][2]))
    one = signer("ES256")
    good = token in TOKENS[:3]
    assert isinstance(judged(token, one.keys(), one.terms()), Claims) == good


@given(
    st.sampled_from(ASYMMETRIC[6:] + SYMMETRIC),
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=4),
        st.text(st.characters(codec="utf-8"), max_size=8) | st.integers(-9, 9),
        max_size=3,
    ),
)
def test_what_was_signed_is_what_is_read(algorithm: str, more: dict[str, object]) -> None:
    one = signer(algorithm)
    said = {**more, **CLAIMS}
    found = judged(one.token(said), one.keys(), one.terms())
    assert isinstance(found, Claims)
    assert dict(found.values) == said
