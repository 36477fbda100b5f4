"""Who is asked about a token is told by its shape and its issuer alone, and no more often than needed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from tokens import AUDIENCE, ISSUER, SigningKey, b64, key_set

from gateway.domain.ports import KeysUnavailableError
from gateway.domain.token import TokenFacts
from gateway.domain.verdict import Reason, Refusal
from gateway.identity.claims import ClaimNames
from gateway.identity.prover import Prover, TrustedIntrospection, TrustedIssuer
from gateway.jose.flaw import Check, Flaw
from gateway.jose.key_set import KeySet
from gateway.jose.verify import TokenTerms

OTHER: Final = "https://other.example.com"
KEY: Final = SigningKey()
OTHERS: Final = SigningKey(kid=KEY.kid)
NEWER: Final = SigningKey(kid="k2")


@dataclass
class Supply:
    """An issuer's keys; `later` are those it has when it is asked again. It counts."""

    keys: KeySet
    later: KeySet | None = None
    asked: list[str] = field(default_factory=list)
    fault: Exception | None = None

    async def current(self) -> KeySet:
        """See KeySupply."""
        self.asked.append("current")
        if self.fault is not None:
            raise self.fault
        return self.keys

    async def knowing(self, kid: str | None) -> KeySet:
        """See KeySupply."""
        self.asked.append(f"knowing {kid}")
        return self.later or self.keys


@dataclass
class Endpoint:
    """An introspection endpoint with one answer. It counts."""

    answer: Mapping[str, object] | None
    asked: list[bytes] = field(default_factory=list)

    async def of(self, token: bytes) -> Mapping[str, object] | None:
        """See Introspecting."""
        self.asked.append(token)
        return self.answer


def supply(*keys: SigningKey) -> Supply:
    return Supply(KeySet.parse(key_set(*keys)))


def trusted(supplied: Supply, issuer: str = ISSUER, leeway: float = 0.0) -> TrustedIssuer:
    terms = TokenTerms(issuer, frozenset({AUDIENCE}), frozenset({"ES256"}), leeway=leeway)
    return TrustedIssuer(terms, ClaimNames(issuer), supplied)


def prover_of(*issuers: TrustedIssuer, endpoint: Endpoint | None = None, now: float | None = None) -> Prover:
    told = (
        None if endpoint is None else TrustedIntrospection(endpoint, ClaimNames("https://id.example.com/ask"))
    )
    by_name = {one.terms.issuer: one for one in issuers}
    return Prover(by_name, told) if now is None else Prover(by_name, told, lambda: now)


async def check_of(prover: Prover, token: str) -> Check | None:
    """The check that a token fails; None for a good one. The sentence tells nothing of the token."""
    found = await prover.examine(token.encode())
    if isinstance(found, TokenFacts):
        return None
    assert isinstance(found, Flaw)
    assert not [part for part in token.split(".") if len(part) > 8 and part in found.sentence]
    return found.check


NO_JWTS: Final = [
    "opaque",
    "a.b.c",
    "a.b",
    "a.b.c.d.e",
    "..",
    "...",
    "eyJ.eyJ.x",
    f"{b64(b'{}')}.e30.x",
    "x" * 8000,
]
JWTS: Final = [
    KEY.token(iss=OTHER),
    KEY.token(iss=None),
    KEY.sign({"alg": "none"}, {"iss": ISSUER}),
    KEY.sign({"alg": "HS256"}, b"not json"),
    b64(b'{"alg":"dir","enc":"A256GCM"}') + "....",
    b64(b'{"alg":7}') + ".e30.",
]


def each(tokens: list[str]) -> pytest.MarkDecorator:
    """A case a token, by its number: no two processes of a run sign alike."""
    return pytest.mark.parametrize("token", tokens, ids=range(len(tokens)))


@each(JWTS)
async def test_what_is_meant_to_be_a_jwt_is_never_asked_about_elsewhere(token: str) -> None:
    """Else a forger who is refused here could hope that somebody else is taken in."""
    endpoint = Endpoint({"active": True, "sub": "admin"})
    assert await check_of(prover_of(trusted(supply(KEY)), endpoint=endpoint), token) is not None
    assert endpoint.asked == []


@each(NO_JWTS)
async def test_what_is_no_jwt_is_asked_about_and_no_issuers_keys_are(token: str) -> None:
    endpoint, keys = Endpoint({"active": True, "sub": "ada"}), supply(KEY)
    assert await check_of(prover_of(trusted(keys), endpoint=endpoint), token) is None
    assert (endpoint.asked, keys.asked) == ([token.encode()], [])


@each([*JWTS, *NO_JWTS, KEY.token()])
async def test_without_issuers_every_token_is_asked_about(token: str) -> None:
    endpoint = Endpoint(None)
    assert await check_of(prover_of(endpoint=endpoint), token) is Check.ACTIVE
    assert endpoint.asked == [token.encode()]


NO_TOKENS: Final = ["", "a" * 8193, "two words", "a,b", "=", "a=b", "tok\u00e9n", "a\r\nb"]


@pytest.mark.parametrize("issuers", [(), (trusted(supply(KEY)),)], ids=["alone", "beside issuers"])
@each(NO_TOKENS)
async def test_nobody_is_asked_about_what_no_bearer_could_send(
    issuers: tuple[TrustedIssuer, ...], token: str
) -> None:
    """RFC 6750 §2.1; the data plane does not get this far with them, and `explain --token -` does."""
    endpoint = Endpoint({"active": True, "sub": "ada"})
    assert await check_of(prover_of(*issuers, endpoint=endpoint), token) in {Check.SIZE, Check.SHAPE}
    assert endpoint.asked == []


@each(NO_JWTS)
async def test_without_an_endpoint_what_is_no_jwt_is_refused(token: str) -> None:
    keys = supply(KEY)
    assert await check_of(prover_of(trusted(keys)), token) is not None
    assert keys.asked == []


# Issuers


async def test_each_issuer_is_held_to_its_own_keys() -> None:
    prover = prover_of(trusted(supply(KEY)), trusted(supply(OTHERS), OTHER))
    assert await check_of(prover, KEY.token()) is None
    assert await check_of(prover, OTHERS.token(iss=OTHER)) is None
    assert await check_of(prover, KEY.token(iss=OTHER)) is Check.SIGNATURE
    assert await check_of(prover, OTHERS.token()) is Check.SIGNATURE


@pytest.mark.parametrize(
    "issuer",
    [f"{ISSUER}/", ISSUER.upper(), f" {ISSUER}", "", "https://id.example.com.evil.example", 7, [ISSUER], {}],
)
async def test_an_issuer_is_believed_by_its_exact_name(issuer: Any) -> None:  # noqa: ANN401 - what a claim may be
    keys = supply(KEY)
    assert await check_of(prover_of(trusted(keys)), KEY.token(iss=issuer)) is not None
    assert keys.asked == []


async def test_keys_are_asked_for_again_only_when_none_fits() -> None:
    keys = supply(KEY)
    prover = prover_of(trusted(keys))
    for token in (KEY.token(), OTHERS.token(), KEY.token(iat=1, exp=2), KEY.token(aud="other")):
        await prover.examine(token.encode())
    assert keys.asked == ["current"] * 4
    assert await check_of(prover, NEWER.token()) is Check.KEY
    assert keys.asked[4:] == ["current", "knowing k2"]
    keys.later = KeySet.parse(key_set(KEY, NEWER))
    assert await check_of(prover, NEWER.token()) is None


async def test_keys_that_cannot_be_had_are_an_outage_and_no_flaw() -> None:
    keys = supply(KEY)
    keys.fault = KeysUnavailableError("away")
    with pytest.raises(KeysUnavailableError):
        await prover_of(trusted(keys)).prove(KEY.token().encode())


@pytest.mark.parametrize(
    ("leeway", "at", "good"), [(0, 99, True), (0, 100, False), (5, 104, True), (5, 105, False)]
)
async def test_a_token_is_good_until_its_end_and_the_leeway(leeway: float, at: float, *, good: bool) -> None:
    """And what is remembered of it ends at the same time."""
    prover = prover_of(trusted(supply(KEY), leeway=leeway), now=at)
    found = await prover.prove(KEY.token(iat=1, exp=100).encode())
    if good:
        assert isinstance(found, TokenFacts)
        assert found.expires_at == 100 + leeway
    else:
        assert isinstance(found, Refusal)
        assert found.reason is Reason.CREDENTIAL_EXPIRED
