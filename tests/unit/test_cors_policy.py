"""A feed's policy for origins as values: what it says to whom, and that it never says more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cors import VARY, OriginPolicies, OriginPolicy, Preflight, governed
from gateway.domain.feed import Feed
from gateway.domain.target import Route, Unmapped
from gateway.domain.verdict import Reason
from gateway.http1.answer import parse_answer

APP = "https://app.example.com"
FEED = Feed("test")
POLICY = OriginPolicy(frozenset({APP}), ("GET", "PUT"), ("X-Key",), credentials=True)
MAPPED = Unmapped(FEED, Reason.METHOD_UNMAPPED, Route("/v2/x", "routes.yaml:1"), ("GET", "POST"))
UNKNOWN = Unmapped(FEED, Reason.ROUTE_UNMAPPED)
ELSEWHERE = Unmapped(Feed("other"), Reason.ROUTE_UNMAPPED)
NOWHERE = Unmapped(None, Reason.ROUTE_UNMAPPED)


@given(st.binary(max_size=40), st.sampled_from([MAPPED, UNKNOWN, ELSEWHERE, NOWHERE]))
def test_an_origin_that_is_not_named_is_told_nothing(origin: bytes, place: Unmapped) -> None:
    policies = OriginPolicies({"test": POLICY}, feeds=2)
    if origin != APP.encode():
        assert policies.answer_to(Preflight(origin, "GET"), place) is None
        assert policies.lines(origin, FEED) == b""


@given(
    st.frozensets(st.sampled_from(["GET", "PUT", "POST", "DELETE"]), min_size=1),
    st.frozensets(st.sampled_from(["GET", "PUT", "POST", "DELETE"]), min_size=1),
)
def test_no_method_is_offered_that_policy_or_map_has_not(
    named: frozenset[str], mapped: frozenset[str]
) -> None:
    policy = OriginPolicy(frozenset({APP}), tuple(sorted(named)), ())
    place = Unmapped(FEED, Reason.METHOD_UNMAPPED, MAPPED.route, tuple(sorted(mapped)))
    lines = OriginPolicies({"test": policy}, 1).answer_to(Preflight(APP.encode(), "GET"), place) or b""
    told = [
        line for line in lines.decode().split("\r\n") if line.startswith("Access-Control-Allow-Methods: ")
    ]
    offered = set(told[0].partition(": ")[2].split(", ")) if told else set()
    assert offered == named & mapped


@pytest.mark.parametrize(
    ("place", "answered"), [(MAPPED, True), (UNKNOWN, True), (ELSEWHERE, False), (NOWHERE, False)]
)
def test_a_preflight_is_answered_where_its_feed_has_a_policy(place: Unmapped, *, answered: bool) -> None:
    policies = OriginPolicies({"test": POLICY}, feeds=1)
    assert (policies.answer_to(Preflight(APP.encode(), "GET"), place) is not None) == answered


@pytest.mark.parametrize(("feeds", "told"), [(1, True), (2, False)])
def test_where_no_feed_is_known_the_only_one_speaks(feeds: int, *, told: bool) -> None:
    assert bool(OriginPolicies({"test": POLICY}, feeds).lines(APP.encode(), None)) == told


def test_a_known_head_loses_what_the_feed_says_of_origins_and_nothing_else() -> None:
    head = parse_answer(
        b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nETag: x\r\nACCESS-CONTROL-MAX-AGE: 1\r\n"
        b"X-Access-Control: y\r\nContent-Length: 2\r\n",
        10,
    )
    ours = governed(head)
    assert ours.start == b"HTTP/1.1 200 OK\r\nETag: x\r\nX-Access-Control: y\r\nContent-Length: 2\r\n" + VARY
    assert (ours.status, ours.length, ours.chunked, ours.closes) == (200, 2, False, False)


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n", b"HTTP/1.1 100 Continue\r\n"]
)
def test_an_interim_head_stays_as_it_is(start: bytes) -> None:
    head = parse_answer(start, 10)
    assert governed(head) is head


def test_a_head_of_a_status_line_alone_gets_its_vary() -> None:
    assert governed(parse_answer(b"HTTP/1.1 204 No Content\r\n", 10)).start.endswith(b"Content\r\n" + VARY)
