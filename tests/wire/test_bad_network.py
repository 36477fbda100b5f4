"""Delays, losses, resets and half-closes between the gateway and its feed: every request is accounted for."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from conversations import Answered, CutShortError, conversation
from fault_proxy import BadNetwork, Fault, How, bad_network
from feeds import OK, Feed, Received
from gateways import PlaneUnderTest, running_plane

REQUESTS = 12
ROUTES = """\
feed: test
modules: {courses: Courses}
routes:
  - {path: /**, public: true}
"""


@dataclass
class Way:
    """A plane, a bad network, and a feed."""

    plane: PlaneUnderTest
    network: BadNetwork
    feed: Feed


@pytest.fixture
async def way(tmp_path: Path, feed: Feed) -> AsyncIterator[Way]:
    async with bad_network(feed.port) as network:
        timeouts = "timeouts: {connect: 1s, response: 500ms, idle: 500ms}"
        async with running_plane(tmp_path, network.port, routes=ROUTES, feed=timeouts) as plane:
            feed.answer = telling
            yield Way(plane, network, feed)


def telling(request: Received) -> bytes:
    """An answer that says which request it is to."""
    said = f"{request.target} {len(request.body)}".encode()
    return OK.replace(b"Content-Length: 5", b"Content-Length: %d" % len(said)).replace(b"hello", said)


async def ask(way: Way, method: str, number: int) -> str:
    """One request on a connection of its own, and what became of it in a word."""
    body = b"x" * 300 if method == "POST" else None
    async with conversation(way.plane.port) as client:
        try:
            answer: Answered = await client.ask(method, f"/{number:02}", "Connection: close", body=body)
        except CutShortError:
            return "cut"
    if answer.status == 200:
        assert answer.body == f"/{number:02} {len(body or b'')}".encode()
        return "answered"
    assert answer.value("Proxy-Status") is not None
    return f"refused {answer.status}"


async def many(way: Way, method: str, at_once: int = 1) -> Counter[str]:
    """Ask some times; what became of the requests. Nothing is lost: each has ended in one of these words."""
    fates = Counter[str]()
    numbers = iter(range(REQUESTS))
    for _ in range(0, REQUESTS, at_once):
        fates.update(await asyncio.gather(*(ask(way, method, next(numbers)) for _ in range(at_once))))
    assert fates.total() == REQUESTS
    await way.plane.until_logged(REQUESTS)
    assert len(await way.plane.logged()) == REQUESTS
    return fates


async def often_seen(way: Way) -> int:
    """How often the request that the feed saw most often was seen."""
    return max(Counter(request.target for request in way.feed.requests).values(), default=0)


BEFORE_THE_ANSWER = [
    Fault(How.RESET, up=0),
    Fault(How.RESET, up=20),
    Fault(How.CLOSE, up=0),
    Fault(How.CLOSE, up=40),
    Fault(How.RESET, down=0),
    Fault(How.CLOSE, down=0),
    Fault(How.HALF_CLOSE, down=0),
]
IN_THE_HEAD = [Fault(How.RESET, down=10), Fault(How.CLOSE, down=25), Fault(How.HALF_CLOSE, down=30)]
IN_THE_BODY = [Fault(How.RESET, down=66), Fault(How.CLOSE, down=66), Fault(How.HALF_CLOSE, down=66)]


def named(fault: Fault) -> str:
    place = f"{fault.up} up" if fault.down is None else f"{fault.down} down"
    return f"{fault.how.name.lower()} after {place}"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("fault", [*BEFORE_THE_ANSWER, *IN_THE_HEAD], ids=named)
async def test_a_new_connection_that_fails_before_the_answer_is_a_502_and_the_next_request_is_served(
    way: Way, fault: Fault, method: str
) -> None:
    way.network.fault_of = lambda number: fault if number % 2 == 0 else None
    fates = await many(way, method)
    assert set(fates) <= {"answered", "refused 502"}
    assert fates["answered"] >= REQUESTS // 2
    assert fates["refused 502"] <= way.network.struck
    assert await often_seen(way) <= 1


@pytest.mark.parametrize("fault", IN_THE_BODY, ids=named)
async def test_an_answer_that_is_cut_in_its_body_is_cut_for_the_client_and_never_told_as_whole(
    way: Way, fault: Fault
) -> None:
    way.network.fault_of = lambda number: fault if number % 2 == 0 else None
    fates = await many(way, "GET")
    assert set(fates) <= {"answered", "cut", "refused 502"}
    assert fates["cut"] + fates["refused 502"] == way.network.struck > 0
    assert await often_seen(way) == 1


@pytest.mark.parametrize("how", [How.RESET, How.CLOSE, How.HALF_CLOSE], ids=lambda how: how.name.lower())
async def test_a_kept_connection_that_fails_before_the_answer_costs_an_idempotent_request_nothing(
    way: Way, how: How
) -> None:
    whole = len(telling(Received("GET", "/00", [], b"", b"")))
    way.network.fault_of = lambda _number: Fault(how, down=whole)
    assert await many(way, "GET") == {"answered": REQUESTS}
    assert way.network.struck > 0


async def test_a_kept_connection_that_fails_is_never_asked_twice_what_must_not_be_done_twice(
    way: Way,
) -> None:
    whole = len(telling(Received("POST", "/00", [], b"x" * 300, b"")))
    way.network.fault_of = lambda _number: Fault(How.RESET, down=whole)
    fates = await many(way, "POST")
    assert set(fates) <= {"answered", "refused 502"}
    assert await often_seen(way) == 1


@pytest.mark.parametrize("fault", [Fault(How.STALL, up=0), Fault(How.STALL, up=50), Fault(How.STALL, down=0)])
async def test_a_network_that_swallows_is_a_504_within_the_time_that_was_set(way: Way, fault: Fault) -> None:
    way.network.fault_of = lambda number: fault if number % 2 == 0 else None
    fates = await many(way, "GET", at_once=4)
    assert set(fates) == {"answered", "refused 504"}
    assert fates["refused 504"] == way.network.struck


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_delays_within_the_time_that_was_set_change_nothing(way: Way, method: str) -> None:
    places = count()
    way.network.fault_of = lambda _number: Fault(How.DELAY, down=next(places) * 7 % 70)
    assert await many(way, method, at_once=4) == {"answered": REQUESTS}
    assert way.network.struck > 0
