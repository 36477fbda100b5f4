"""Two verifiers of the same octets: nothing is believed that PyJWT, which is not ours, would not believe.

Damage is done where a forger can, and also behind a genuine signature, so that what reads header and claims
is reached. `make fuzz` looks longer; each example is a batch of tokens.
"""

import json
import os
from dataclasses import dataclass, field, replace
from typing import Any, Final

import jwt
from forging import AUDIENCE, CLAIMS, ISSUER, NOW, Signer, document, encoded, signer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.jose.claims import Claims
from gateway.jose.flaw import Check, Flaw
from gateway.jose.jwk import LONGEST_KID
from gateway.jose.jws import LARGEST
from gateway.jose.key_set import KeySet, KeySetError
from gateway.jose.token import UnverifiedToken, looks_like_jwt, read
from gateway.jose.verify import verify

EXAMPLES: Final = int(os.environ.get("SCOPEGATE_FUZZ_EXAMPLES", "20"))
BATCH: Final = 16
QUICK: Final = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
ALGORITHMS: Final = ("ES256", "EdDSA", "RS256", "PS512", "ES512", "HS256")

places = st.integers(0, 4095)
PIECES: Final = [
    *(
        b".",
        b"..",
        b"=",
        b"e30",
        b"\0",
        b"\xff",
        b"\xc3\xa9",
        b'"',
        b"\\",
        b"\\u0061",
        b"\\ud800",
        b"NaN",
        b"1e999",
    ),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"[" * 20,
        b'"alg":"none",',
        b'"crit":["b64"],',
        b'"b64":false,',
        b"null",
    ),
    *(
        b'"exp":1,',
        b'"aud":[],',
        b'"aud":"feeds",',
        b'"zip":"DEF",',
        b'"kid":1,',
        b"-1",
        b"0.5",
        b"9" * 25,
        b" ",
    ),
]
Damage = tuple[str, int, Any]
one_damage = (
    st.tuples(st.just("flip"), places, st.integers(1, 255))
    | st.tuples(st.just("cut"), places, st.integers(1, 24))
    | st.tuples(st.just("insert"), places, st.sampled_from(PIECES))
    | st.tuples(st.just("double"), places, st.integers(1, 24))
)
harm = st.lists(one_damage, min_size=1, max_size=2)


def damaged(octets: bytes, what: list[Damage]) -> bytes:
    for kind, at, by in what:
        place = at % (len(octets) + 1)
        before, after = octets[:place], octets[place:]
        if kind == "flip":
            octets = before + bytes(octet ^ by for octet in after[:1]) + after[1:]
        elif kind == "cut":
            octets = before + after[by:]
        else:
            octets = before + (by if kind == "insert" else after[:by]) + after
    return octets


words = st.sampled_from(
    [ISSUER, AUDIENCE, "ada", "", "k1", "JWT", "at+jwt", "é", "\U0001f600", [], {}, None, True]
)
numbers = st.sampled_from([NOW - 1, NOW, NOW + 1, NOW + 600, 0, -1, 1.5, 2**53, 2**64 - 1])
claims = st.dictionaries(
    st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "jti", "roles"]),
    words | numbers | st.lists(words, max_size=2),
    max_size=2,
)
headers = st.dictionaries(
    st.sampled_from(["typ", "cty", "kid", "jku", "jwk", "x5c", "x", "crit", "zip", "alg"]),
    words | numbers,
    max_size=1,
)


@dataclass(frozen=True)
class Attempt:
    """A token, and the damage done to its header, its claims, what is signed of it, or the whole."""

    algorithm: str
    header: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    where: str = "nowhere"
    what: list[Damage] = field(default_factory=list)

    def token(self, by: Signer) -> bytes:
        """The token, signed when what is signed has its damage."""
        told = {"typ": "at+jwt", "alg": self.algorithm, "kid": "k1", **self.header}
        head = self._done(json.dumps(told).encode(), "header")
        payload = self._done(json.dumps({**CLAIMS, **self.claims}).encode(), "claims")
        signed = self._done(encoded(head) + b"." + encoded(payload), "signed")
        return self._done(signed + b"." + encoded(by.sign(signed)), "whole")

    def _done(self, octets: bytes, where: str) -> bytes:
        return damaged(octets, self.what) if self.where == where else octets


attempts = st.builds(
    Attempt,
    st.sampled_from(ALGORITHMS),
    headers,
    claims,
    st.sampled_from(["nowhere", "header", "claims", "signed", "whole"]),
    harm,
)


def as_pyjwt_reads(token: bytes, by: Signer) -> dict[str, Any] | None:
    """The claims that the other verifier believes; time is ours to judge, for it asks the clock."""
    key: Any = by.private if isinstance(by.private, bytes) else jwt.PyJWK(by.jwk())
    unasked = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    try:
        return jwt.decode(
            token, key, algorithms=[by.algorithm], audience=AUDIENCE, issuer=ISSUER, options=unasked
        )
    except jwt.InvalidTokenError:
        return None


@QUICK
@given(st.lists(attempts, min_size=1, max_size=BATCH))
def test_what_is_believed_is_believed_by_another_verifier_and_read_alike(batch: list[Attempt]) -> None:
    for attempt in batch:
        one = signer(attempt.algorithm)
        token = attempt.token(one)
        unverified = read(token)
        if isinstance(unverified, Flaw):
            assert unverified.check in Check
            continue
        assert looks_like_jwt(token)
        found = verify(unverified, one.keys(), one.terms(), NOW)
        if isinstance(found, Claims):
            assert len(token) <= LARGEST
            assert as_pyjwt_reads(token, one) == dict(found.values)
            said = dict(found.values)
            assert (said["iss"], said["exp"]) == (ISSUER, found.expires_at)
            assert NOW < found.expires_at < 2**53
            assert AUDIENCE in (said["aud"] if isinstance(said["aud"], list) else [said["aud"]])
        else:
            assert found.check not in {Check.SIZE, Check.SHAPE, Check.ENCODING, Check.HEADER}


@QUICK
@given(st.lists(st.tuples(attempts, harm), min_size=1, max_size=BATCH))
def test_nothing_that_was_changed_after_it_was_signed_is_believed(
    batch: list[tuple[Attempt, list[Damage]]],
) -> None:
    for attempt, what in batch:
        one = signer(attempt.algorithm)
        signed = replace(attempt, where="signed") if attempt.where == "whole" else attempt
        genuine = signed.token(one)
        token = damaged(genuine, what)
        unverified = read(token)
        if token != genuine and isinstance(unverified, UnverifiedToken):
            assert isinstance(verify(unverified, one.keys(), one.terms(), NOW), Flaw)


SET: Final = document(*(signer(name).jwk() for name in ("ES256", "EdDSA", "RS256", "ES512", "Ed448")))


def set_or_sentence(told: bytes) -> KeySet | str:
    try:
        return KeySet.parse(told)
    except KeySetError as refused:
        return str(refused)


@QUICK
@given(st.lists(harm, min_size=1, max_size=BATCH))
def test_a_damaged_key_set_is_refused_with_a_sentence_or_holds_sound_keys(batch: list[list[Damage]]) -> None:
    for what in batch:
        keys = set_or_sentence(damaged(SET, what))
        if isinstance(keys, str):
            assert keys.endswith(".")
            continue
        for told in keys.left_out:
            assert len(told) < LONGEST_KID + 200
        for name in ("RS256", "PS384", "ES256", "ES512", "EdDSA", "Ed448"):
            for key in keys.fitting(None, name):
                assert key.verifies(name, b"signed", b"\1" * 64) is False


def test_undamaged_tokens_are_believed_by_both() -> None:
    for name in ALGORITHMS:
        one = signer(name)
        token = Attempt(name).token(one)
        unverified = read(token)
        assert isinstance(unverified, UnverifiedToken)
        found = verify(unverified, one.keys(), one.terms(), NOW)
        assert isinstance(found, Claims)
        assert as_pyjwt_reads(token, one) == dict(found.values) == dict(CLAIMS)
