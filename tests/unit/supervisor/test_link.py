"""The link: what parent and worker tell each other, and what neither lets itself be told."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.link import Link, WorkerLink
from gateway.messages import (
    LARGEST,
    LENGTH,
    AskHealth,
    AskMetrics,
    Drain,
    Failed,
    Health,
    KeyRecord,
    KeysFetched,
    LinkError,
    Message,
    Metrics,
    Ready,
    Reload,
    Reloaded,
    ReloadRefused,
    ReopenLogs,
    Start,
    decode,
    encode,
)
from gateway.observe.health import worker_health
from gateway.observe.snapshot import empty

KEYS: KeyRecord = {"source": "an issuer", "document": '{"keys": ["ü"]}\n', "fetched_at": 1_700_000_000.25}

EVERY: list[Message] = [
    Start("config/gateway.yaml", 3, "json"),
    Start("config/gateway.yaml", 0, "text", {"/etc/gateway.yaml": "routes: [ü.yaml]\n"}, again=True),
    Start("config/gateway.yaml", 1, keys=[KEYS, KEYS | {"source": "another"}]),
    Reload({"/etc/gateway.yaml": "routes: []\n"}),
    AskMetrics(),
    AskHealth(),
    Reload(),
    ReopenLogs(),
    Drain(),
    Ready(),
    Failed("the store is away"),
    Metrics(empty()),
    Health(worker_health({"store": "away"}, ["observing"])),
    Reloaded(),
    ReloadRefused("unknown key"),
    KeysFetched(KEYS),
]


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[Link, Link]]:
    near, far = socket.socketpair()
    parent, worker = await Link.over(near), await Link.over(far)
    try:
        yield parent, worker
    finally:
        parent.close()
        worker.close()


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Link, WorkerLink]]:
    async with linked() as (parent, end):
        worker = WorkerLink(end)
        answering = asyncio.create_task(worker.serve())
        try:
            yield parent, worker
        finally:
            answering.cancel()


@pytest.mark.parametrize("message", EVERY, ids=lambda message: type(message).__name__)
async def test_a_message_arrives_as_it_was_told(message: Message) -> None:
    async with linked() as (parent, worker):
        await parent.tell(message)
        assert await worker.hear() == message


async def test_messages_arrive_in_order_however_the_bytes_are_cut() -> None:
    near, far = socket.socketpair()
    worker = await Link.over(far)
    with near:
        near.settimeout(0)
        sent = b"".join(map(encode, EVERY))
        for place in range(0, len(sent), 7):
            await asyncio.get_running_loop().sock_sendall(near, sent[place : place + 7])
        assert [await worker.hear() for _ in EVERY] == EVERY
    assert await worker.hear() is None
    worker.close()


@pytest.mark.parametrize("cut", [1, 3, 4, 10])
async def test_an_end_in_the_middle_of_a_frame_is_an_end(cut: int) -> None:
    near, far = socket.socketpair()
    with near:
        near.send(encode(Failed("why"))[:cut])
    link = await Link.over(far)
    assert await link.hear() is None
    link.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"[]",
        b'["Ready"]',
        b'["Ready", {}, {}]',
        b'["Ready", []]',
        b'["Ready", {"why": "not"}]',
        b'["Failed", {}]',
        b'["Failed", {"why": 7}]',
        b'["Failed", {"why": null}]',
        b'["Start", {"config": "x", "number": true, "log_format": "text"}]',
        b'["Metrics", {"snapshot": []}]',
        b'["KeysFetched", {"keys": ["an issuer"]}]',
        b'["Unheard", {}]',
        b'[["Ready"], {}]',
        b"\xff\xfe",
    ],
)
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(LinkError):
        decode(body)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reading(body: bytes) -> None:
    try:
        decode(body)
    except LinkError:
        return
    assert orjson.loads(body)


async def test_a_frame_longer_than_the_link_takes_is_refused_unread() -> None:
    near, far = socket.socketpair()
    link = await Link.over(far)
    with near:
        near.send(LENGTH.pack(LARGEST + 1))
        with pytest.raises(LinkError, match="longer than the link takes"):
            await link.hear()
    link.close()


def test_a_message_longer_than_the_link_takes_is_not_sent() -> None:
    with pytest.raises(LinkError, match="Failed of"):
        encode(Failed("x" * (LARGEST + 1)))


async def test_a_worker_answers_what_it_is_asked() -> None:
    async with serving() as (parent, worker):
        report = worker_health({"store": None}, ["one"])
        worker.on_metrics(empty)
        worker.on_health(lambda: report)
        await parent.tell(AskMetrics())
        assert await parent.hear() == Metrics(empty())
        await parent.tell(AskHealth())
        assert await parent.hear() == Health(report)


async def test_a_worker_tells_what_became_of_a_reload_and_answers_meanwhile() -> None:
    async with serving() as (parent, worker):
        swapping = asyncio.Event()

        async def reload() -> None:
            await swapping.wait()

        async def refused() -> None:
            raise ValueError("line 3")

        worker.on_reload(reload)
        await parent.tell(Reload())
        await parent.tell(AskMetrics())
        assert isinstance(await parent.hear(), Metrics)
        swapping.set()
        assert await parent.hear() == Reloaded()
        worker.on_reload(refused)
        await parent.tell(Reload())
        assert await parent.hear() == ReloadRefused("line 3")


async def test_a_worker_that_cannot_reload_yet_says_so() -> None:
    async with serving() as (parent, _):
        await parent.tell(Reload())
        assert await parent.hear() == ReloadRefused("the worker cannot reload yet")


async def test_a_worker_tells_every_key_set_that_it_fetched() -> None:
    async with serving() as (parent, worker):
        for source in ("one", "another"):
            worker.keys_fetched(KEYS | {"source": source})
        heard = [await parent.hear() for _ in range(2)]
        assert {message.keys["source"] for message in heard if isinstance(message, KeysFetched)} == {
            "one",
            "another",
        }
        worker.keys_fetched(KEYS)
        assert await parent.hear() == KeysFetched(KEYS)


async def test_a_parent_that_is_slow_to_hear_is_told_the_last_key_set_of_a_source_and_few_before() -> None:
    document = "x" * 256 * 1024
    async with serving() as (parent, worker):
        for number in range(1000):
            worker.keys_fetched({"source": "one", "document": document, "fetched_at": float(number)})
            await asyncio.sleep(0)
        worker.keys_fetched({"source": "another", "document": "", "fetched_at": 0.0})
        told = []
        while (message := await parent.hear()) != KeysFetched(
            {"source": "another", "document": "", "fetched_at": 0.0}
        ):
            assert isinstance(message, KeysFetched)
            told.append(message.keys["fetched_at"])
        if told[-1] != 999.0:
            last = await parent.hear()
            assert isinstance(last, KeysFetched)
            told.append(last.keys["fetched_at"])
        assert told == sorted(told)
        assert told[-1] == 999.0
        assert len(told) < 20


async def test_logs_are_reopened_when_asked() -> None:
    async with serving() as (parent, worker):
        reopened = asyncio.Event()
        worker.on_reopen_logs(reopened.set)
        await parent.tell(ReopenLogs())
        async with asyncio.timeout(5):
            await reopened.wait()


async def test_an_answer_that_breaks_stops_no_worker(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as (parent, worker):

        def broken() -> None:
            raise RuntimeError("broken source")

        worker.on_reopen_logs(broken)
        await parent.tell(ReopenLogs())
        await parent.tell(AskHealth())
        assert isinstance(await parent.hear(), Health)
        assert not worker.drain_requested.is_set()
    assert "ReopenLogs" in caplog.text


@pytest.mark.parametrize("ending", ["drain", "end", "garbage", "not for a worker"])
async def test_a_worker_drains_when_asked_and_when_its_parent_is_gone_or_mad(ending: str) -> None:
    near, far = socket.socketpair()
    link = await Link.over(far)
    worker = WorkerLink(link)
    answering = asyncio.create_task(worker.serve())
    frames = {"drain": encode(Drain()), "garbage": os.urandom(64), "not for a worker": encode(Ready())}
    near.send(frames.get(ending, b"\0"))
    if ending != "drain":
        near.close()
    async with asyncio.timeout(5):
        await worker.drain_requested.wait()
    near.close()
    answering.cancel()
    link.close()


async def test_telling_a_parent_that_is_gone_asks_for_the_drain() -> None:
    near, far = socket.socketpair()
    link = await Link.over(far)
    worker = WorkerLink(link)
    near.close()
    async with asyncio.timeout(5):
        while not worker.drain_requested.is_set():
            await worker.ready()
            await asyncio.sleep(0)
    link.close()
