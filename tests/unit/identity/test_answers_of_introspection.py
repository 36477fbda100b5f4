"""What an introspection endpoint says of an active token is input: held to the terms, or refused."""

from math import inf
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.domain.principal import PrincipalKind
from gateway.domain.token import TokenFacts
from gateway.domain.verdict import Reason
from gateway.identity.answers import LATEST, facts_in_answer
from gateway.identity.claims import ClaimNames
from gateway.identity.prover import INACTIVE, refusal_for
from gateway.jose.flaw import Check, Flaw

NOW: Final = 1_800_000_000.5
NAMES: Final = ClaimNames("https://id.example.com/introspect")
OURS: Final = frozenset({"feeds", "https://feeds.example.com"})
GOOD: Final[dict[str, Any]] = {"active": True, "sub": "ada", "aud": "feeds", "exp": 1_800_000_001}


def judged(audiences: frozenset[str] = OURS, names: ClaimNames = NAMES, **said: object) -> TokenFacts | Flaw:
    return facts_in_answer({**GOOD, **said}, names, audiences, NOW)


REFUSED: Final[list[tuple[dict[str, Any], Check]]] = [
    ({"exp": 1_800_000_000}, Check.EXPIRED),
    ({"exp": 0}, Check.EXPIRED),
    ({"exp": -1}, Check.EXPIRED),
    ({"exp": -LATEST}, Check.EXPIRED),
    ({"nbf": 1_800_000_001}, Check.NOT_BEFORE),
    ({"nbf": LATEST}, Check.NOT_BEFORE),
    *[({"exp": odd}, Check.CLAIMS) for odd in ("1800000001", 1_800_000_001.0, True, [], {}, LATEST + 1, inf)],
    *[({"nbf": odd}, Check.CLAIMS) for odd in ("0", 0.0, False, [0], {}, -LATEST - 1, -inf)],
    *[({"token_type": odd}, Check.TYPE) for odd in ("DPoP", "mac", "refresh_token", "Bearer ", "", "N_A")],
    *[({"token_use": odd}, Check.TYPE) for odd in ("refresh_token", "id", "", None, 0, ["access"])],
    *[({"token_type": odd}, Check.TYPE) for odd in (0, False, [], {}, ["Bearer"], True, {"Bearer": True})],
    *[({"aud": odd}, Check.AUDIENCE) for odd in (None, "", "Feeds", "feeds ", "feeds,other", [], {}, 7)],
    *[({"aud": odd}, Check.AUDIENCE) for odd in (["other"], [["feeds"]], {"feeds": True}, [None], True)],
    ({"cnf": {"jkt": "x"}}, Check.CONFIRMATION),
    ({"cnf": None}, Check.CONFIRMATION),
    ({"sub": None}, Check.CLAIMS),
    ({"sub": ["ada"]}, Check.CLAIMS),
    ({"sub": "ada\r\nX-Gateway-Scopes: api-v2"}, Check.CLAIMS),
    ({"roles": {"admin": True}}, Check.CLAIMS),
    ({"scope": 7}, Check.CLAIMS),
]


@pytest.mark.parametrize(("said", "check"), REFUSED, ids=repr)
def test_an_active_token_is_refused_all_the_same(said: dict[str, Any], check: Check) -> None:
    found = judged(**said)
    assert isinstance(found, Flaw)
    assert found.check is check


@pytest.mark.parametrize(
    ("said", "ends"),
    [
        ({}, 1_800_000_001),
        ({"exp": None}, inf),
        ({"exp": LATEST}, LATEST),
        ({"nbf": 1_800_000_000}, 1_800_000_001),
        ({"nbf": -1}, 1_800_000_001),
        ({"nbf": None}, 1_800_000_001),
        ({"token_type": None}, 1_800_000_001),
        ({"token_type": "Bearer"}, 1_800_000_001),
        ({"token_type": "bEARER"}, 1_800_000_001),
        ({"token_use": "access_token"}, 1_800_000_001),
        ({"token_use": "access"}, 1_800_000_001),
        ({"aud": ["other", "feeds"]}, 1_800_000_001),
        ({"aud": [7, "https://feeds.example.com"]}, 1_800_000_001),
    ],
    ids=repr,
)
def test_an_active_token_is_good_until_the_end_that_is_told(said: dict[str, Any], ends: float) -> None:
    found = judged(**said)
    assert isinstance(found, TokenFacts)
    assert (found.kind, found.name, found.expires_at) == (PrincipalKind.USER, "ada", ends)


@pytest.mark.parametrize("audience", ["other", None, [], 7, {}])
def test_without_audiences_the_endpoint_is_believed_to_tell_of_this_api_alone(audience: object) -> None:
    assert isinstance(judged(frozenset(), aud=audience), TokenFacts)


@pytest.mark.parametrize(
    ("said", "bearer"),
    [
        ({"sub": None, "client_id": "sync"}, "client:sync"),
        ({"sub": None, "client_id": "sync", "username": "ada"}, "user:ada"),
        ({"sub": "sync", "client_id": "sync"}, "client:sync"),
        ({"sub": "a7", "client_id": "sync", "username": "ada"}, "user:ada"),
        ({"sub": "a7", "client_id": "sync"}, None),
    ],
    ids=repr,
)
def test_a_users_token_never_speaks_for_the_client_that_it_was_issued_to(
    said: dict[str, Any], bearer: str | None
) -> None:
    """RFC 7662 §2.2 makes `sub` optional beside `username`, which says who authorized the token."""
    found = judged(names=ClaimNames(NAMES.issuer, user="username"), **said)
    assert (f"{found.kind}:{found.name}" if isinstance(found, TokenFacts) else None) == bearer


@pytest.mark.parametrize(
    ("said", "client"),
    [
        ({"username": "ada"}, None),
        ({"username": ""}, None),
        ({"username": ["ada"]}, None),
        ({"username": "ops/sync"}, None),
        ({"username": "sync"}, "ops/sync"),
        ({"username": None}, "ops/sync"),
        ({"username": "service-account-sync", "sub": "sync"}, "ops/sync"),
    ],
    ids=repr,
)
def test_nor_does_it_where_a_user_is_told_but_not_by_the_claim_that_names_users(
    said: dict[str, Any], client: str | None
) -> None:
    found = judged(
        names=ClaimNames(NAMES.issuer, prefix="ops/"), **{"sub": None, "client_id": "sync", **said}
    )
    assert (found.name if isinstance(found, TokenFacts) else None) == client
    assert getattr(found, "check", None) is (None if client else Check.CLAIMS)


@given(some.dictionaries(
    some.sampled_from(["exp", "nbf", "aud", "token_type", "sub", "client_id", "roles", "scope", "username"]),
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=5)
    | some.lists(some.text(max_size=5) | some.integers(), max_size=3)
    | some.dictionaries(some.text(max_size=3), some.text(max_size=3), max_size=2),
))  # fmt: skip
def test_whatever_is_answered_is_a_fact_or_a_flaw_and_no_fact_has_ended(said: dict[str, Any]) -> None:
    found = judged(**said)
    if isinstance(found, TokenFacts):
        assert found.name
        assert found.name.isprintable()
        assert found.expires_at > NOW
        assert found.expires_at == (inf if said.get("exp", NOW) is None else said.get("exp", GOOD["exp"]))
    else:
        assert refusal_for(found).detail == found.sentence


@pytest.mark.parametrize("check", Check)
def test_only_an_end_in_time_is_told_as_such(check: Check) -> None:
    expected = Reason.CREDENTIAL_EXPIRED if check is Check.EXPIRED else Reason.CREDENTIAL_INVALID
    assert refusal_for(Flaw(check, "Why.")).reason is expected
    assert refusal_for(INACTIVE).reason is Reason.CREDENTIAL_INVALID


@pytest.mark.parametrize(
    ("said", "check"),
    [
        ({"exp": int(NOW) - 4}, None),
        ({"exp": int(NOW) - 5}, Check.EXPIRED),
        ({"nbf": int(NOW) + 5}, None),
        ({"nbf": int(NOW) + 6}, Check.NOT_BEFORE),
    ],
)
def test_clocks_may_differ_by_the_leeway_and_no_more(said: dict[str, int], check: Check | None) -> None:
    found = facts_in_answer({**GOOD, **said}, ClaimNames("i"), frozenset(), NOW, 5.0)
    assert (found.check if isinstance(found, Flaw) else None) is check
    if isinstance(found, TokenFacts) and "exp" in said:
        assert found.expires_at == said["exp"]
