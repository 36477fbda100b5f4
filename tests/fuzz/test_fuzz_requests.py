"""Damaged requests by the thousand: what reaches the feed is what was permitted, byte for byte framed.

`SCOPEGATE_FUZZ_EXAMPLES=5000 pytest tests/fuzz` looks longer; each example is a batch of conversations.
"""

import asyncio
import os
import random
import re
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import uvloop
from conversations import conversation
from damage import KEY, SEEDS, conversations, speak
from feeds import running_feed
from gateways import PlaneUnderTest, running_plane
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seen import Seen

EXAMPLES = int(os.environ.get("SCOPEGATE_FUZZ_EXAMPLES", "20"))
BATCH = 16
PERMITTED = {("courses", "read"), ("bookings", "create"), ("files", "update"), (None, "read")}
"""What the key may do, and what is public."""


@dataclass
class Range:
    """A plane under fire, and its feed."""

    plane: PlaneUnderTest
    seen: Seen
    key: bytes
    logged: int = 0
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Every record so far: the feed may notice after its batch that an upload was cut."""

    async def records(self, mark: str) -> list[dict[str, Any]]:
        """The access log since last time, up to a request that marks its end."""
        async with conversation(self.plane.port) as client:
            await client.ask("GET", mark)
        async with asyncio.timeout(10):
            while True:
                records = await self.plane.logged()
                if records and records[-1]["path"] == mark:
                    break
                await asyncio.sleep(0.01)
        fresh, self.logged = records[self.logged : -1], len(records)
        before = len(self.known)
        self.known.update((record["request_id"], record) for record in fresh)
        assert len(self.known) == before + len(fresh)
        return fresh


@asynccontextmanager
async def firing_range(directory: Path) -> AsyncIterator[Range]:
    """A plane with a key that may do some things, and a feed that is read by another parser."""
    seen = Seen()
    async with running_feed() as feed, running_plane(directory, feed.port) as plane:
        feed.script = seen.read
        await plane.scope("some", read="courses", create="bookings", update="files")
        yield Range(plane, seen, (await plane.key("some")).encode())


@pytest.fixture(scope="module")
def target() -> Iterator[tuple[asyncio.Runner, Range]]:
    with (
        tempfile.TemporaryDirectory() as directory,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        plane = firing_range(Path(directory))
        yield runner, runner.run(plane.__aenter__())
        runner.run(plane.__aexit__(None, None, None))


async def fire(target: Range, batch: list[tuple[bytes, list[int]]], mark: str) -> None:
    """Hold the conversations of a batch, then compare what the feed saw with what was logged."""
    random.seed()  # hypothesis seeds it alike for each example, and request ids would repeat
    port = target.plane.port
    said = [speak(port, data.replace(KEY, target.key), places) for data, places in batch]
    answers = b"".join(await asyncio.gather(*said))
    records = await target.records(mark)
    judge_the_feed(target.seen, target.known, records)
    target.seen.forget()
    judge_the_answers(answers, records)


def judge_the_feed(seen: Seen, known: dict[str, dict[str, Any]], records: list[dict[str, Any]]) -> None:
    """Each request at the feed is one that was permitted, and each permitted one is there, once."""
    assert seen.broken == []
    arrived = Counter[str]()
    for request, size in [*seen.whole, *((request, None) for request in seen.cut)]:
        headers = [(name.decode(), value.decode("latin-1")) for name, value in request.headers]
        told = dict(headers)
        record = known[told["x-request-id"]]
        assert (record["module"], record["action"]) in PERMITTED
        assert (told.get("x-gateway-module"), told.get("x-gateway-action")) == (
            record["module"],
            record["action"],
        )
        assert told.get("x-gateway-principal") == record["principal"]
        assert [name for name, _ in headers].count("x-gateway-principal") == (record["principal"] is not None)
        assert request.method.decode() == record["method"]
        assert request.target.decode().partition("?")[0] == record["path"]
        assert "x-api-key" not in told
        if size is not None:
            arrived[record["request_id"]] += 1
            assert record["outcome"] != "refuse"
            assert size == record["bytes_in"]
    permitted = {record["request_id"] for record in records if record["outcome"] == "permit"}
    assert permitted <= set(arrived)
    assert set(arrived.values()) <= {1}


ANSWER_ID = re.compile(rb"^X-Request-Id: (\S+)\r$", re.MULTILINE)


def judge_the_answers(answers: bytes, records: list[dict[str, Any]]) -> None:
    """Each answer is to one request, and each request that was not left was answered once."""
    told = Counter(found.decode() for found in ANSWER_ID.findall(answers))
    assert set(told.values()) <= {1}
    assert set(told) <= {record["request_id"] for record in records}
    answered = {record["request_id"] for record in records if record["outcome"] in {"permit", "refuse"}}
    assert answered <= set(told)


MARKS = (f"/v2/end-of-batch-{number}" for number in count())


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(batch=st.lists(conversations, min_size=1, max_size=BATCH))
def test_what_reaches_the_feed_is_what_was_permitted(
    target: tuple[asyncio.Runner, Range], batch: list[tuple[bytes, list[int]]]
) -> None:
    runner, plane = target
    runner.run(fire(plane, batch, next(MARKS)))


def test_undamaged_requests_all_get_their_due(target: tuple[asyncio.Runner, Range]) -> None:
    runner, plane = target
    batch = [(seed, []) for seed in SEEDS] + [(b"".join(SEEDS[:9]), [50, 100, 400])]
    runner.run(fire(plane, batch, next(MARKS)))
