"""Leaving in order: what is under way ends well, what rests is closed, and nothing new begins."""

import asyncio
from pathlib import Path
from time import monotonic

import pytest
from conversations import conversation
from feeds import Feed
from gateways import PlaneUnderTest, running_plane
from scripts import read_head, records, settled

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def request(key: str, *headers: str, method: str = "GET") -> bytes:
    lines = [f"{method} /v2/courses HTTP/1.1", "Host: feeds.test", f"X-API-Key: {key}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


class Held:
    """A feed that answers only when told to, after what it says at once."""

    def __init__(self, feed: Feed, at_once: bytes, later: bytes) -> None:
        self.go_on = asyncio.Event()
        self.given_up = asyncio.Event()
        self._feed, self._at_once, self._later = feed, at_once, later
        feed.script = self.script

    async def script(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak on one connection."""
        while await self._feed.read_request(reader, writer) is not None:
            writer.write(self._at_once)
            leaving = asyncio.create_task(reader.read(1))
            going_on = asyncio.create_task(self.go_on.wait())
            await asyncio.wait({leaving, going_on}, return_when=asyncio.FIRST_COMPLETED)
            if leaving.done():
                going_on.cancel()
                self.given_up.set()
                return
            writer.write(self._later)
            if not await leaving:
                return


def drain(plane: PlaneUnderTest, patience: float = 5.0) -> asyncio.Task[None]:
    return asyncio.create_task(plane.worker.drain(patience))


async def is_draining(plane: PlaneUnderTest) -> None:
    await settled(lambda: plane.worker._listener.draining)


async def refused(port: int) -> bool:
    """Whether nobody accepts a new connection."""
    try:
        async with conversation(port):
            return False
    except ConnectionRefusedError:
        return True


async def test_what_is_under_way_is_answered_and_told_that_the_connection_ends(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    held = Held(feed, b"", LENGTH + b"0123456789")
    async with conversation(plane.port) as client:
        await client.send(request(full_key))
        await feed.until(lambda feed: len(feed.requests) == 1)
        leaving = drain(plane)
        await is_draining(plane)
        assert await refused(plane.port)
        held.go_on.set()
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"0123456789")
        assert answer.value("Connection") == "close"
        assert await client.closed() == b""
    await asyncio.wait_for(leaving, 5)
    (record,) = await records(plane, 1)
    assert record["outcome"] == "permit"


@pytest.mark.parametrize(
    ("at_once", "later"),
    [(LENGTH + b"01234", b"56789"), (CHUNKED + b"5\r\n01234\r\n", b"5\r\n56789\r\n0\r\n\r\n")],
    ids=["length", "chunked"],
)
async def test_an_answer_that_has_begun_ends_whole(
    plane: PlaneUnderTest, feed: Feed, full_key: str, at_once: bytes, later: bytes
) -> None:
    held = Held(feed, at_once, later)
    async with conversation(plane.port) as client:
        await client.send(request(full_key))
        began = await client.reader.readuntil(b"01234")
        leaving = drain(plane)
        await is_draining(plane)
        held.go_on.set()
        rest = await client.closed()
        assert b"56789" in rest
        assert began.startswith(b"HTTP/1.1 200 OK\r\n")
    await asyncio.wait_for(leaving, 5)
    assert (await records(plane, 1))[0]["outcome"] == "permit"


async def test_an_upload_under_way_is_taken_to_its_end(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    async with conversation(plane.port) as client:
        await client.send(request(full_key, "Content-Length: 10", method="POST") + b"01234")
        await feed.until(lambda feed: b"01234" in feed.raw)
        leaving = drain(plane)
        await is_draining(plane)
        await client.send(b"56789")
        answer = await client.answer("POST")
        assert (answer.status, answer.value("Connection")) == (200, "close")
        assert await client.closed() == b""
    await asyncio.wait_for(leaving, 5)
    assert feed.requests[0].body == b"0123456789"


async def test_connections_at_rest_are_closed_at_once(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    async with (
        conversation(plane.port) as used,
        conversation(plane.port) as unused,
        conversation(plane.port) as begun,
    ):
        assert (await used.ask("GET", "/v2/courses", f"X-API-Key: {full_key}")).status == 200
        await begun.send(b"GET /v2/courses HTTP/1.1\r\nHo")
        await settled(lambda: len(plane.worker._listener.connections) == 3)
        began = monotonic()
        leaving = drain(plane)
        for client in (used, unused, begun):
            assert await client.closed() == b""
        await asyncio.wait_for(leaving, 5)
        assert monotonic() - began < 2
    assert len(feed.requests) == 1


async def test_requests_sent_ahead_of_the_last_answer_are_not_begun(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    held = Held(feed, b"", LENGTH + b"0123456789")
    async with conversation(plane.port) as client:
        await client.send(request(full_key) * 3)
        await feed.until(lambda feed: len(feed.requests) == 1)
        leaving = drain(plane)
        await is_draining(plane)
        held.go_on.set()
        assert (await client.answer()).value("Connection") == "close"
        assert await client.closed() == b""
    await asyncio.wait_for(leaving, 5)
    assert len(feed.requests) == 1
    await records(plane, 1)


async def test_what_outlasts_the_patience_is_cut_and_given_up_at_the_feed(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    held = Held(feed, LENGTH + b"01234", b"56789")
    async with conversation(plane.port) as client:
        await client.send(request(full_key))
        await client.reader.readuntil(b"01234")
        await asyncio.wait_for(drain(plane, patience=0.3), 5)
        assert await client.closed() == b""
        await asyncio.wait_for(held.given_up.wait(), 5)
    (record,) = await records(plane, 1)
    assert (record["outcome"], record["status"], record["bytes_out"]) == ("abort", 200, 5)


async def test_a_client_that_keeps_its_end_open_does_not_hold_the_drain_up_for_long(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    held = Held(feed, b"", LENGTH + b"0123456789")
    async with conversation(plane.port) as client:
        await client.send(request(full_key))
        await feed.until(lambda feed: len(feed.requests) == 1)
        leaving = drain(plane, patience=20)
        await is_draining(plane)
        held.go_on.set()
        assert (await client.answer()).status == 200
        await asyncio.wait_for(leaving, 6)


async def test_connections_to_the_feed_are_closed_in_the_end(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    ended = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(LENGTH + b"0123456789")
        assert await reader.read() == b""
        ended.set()

    feed.script = script
    async with conversation(plane.port) as client:
        assert (await client.ask("GET", "/v2/courses", f"X-API-Key: {full_key}")).status == 200
        assert not ended.is_set()
        await asyncio.wait_for(drain(plane), 5)
        await asyncio.wait_for(ended.wait(), 5)


async def asked_alone(port: int, key: str) -> int:
    async with conversation(port) as client:
        await client.send(request(key))
        return (await client.answer()).status


async def test_a_drain_waits_for_everyone(tmp_path: Path, feed: Feed) -> None:
    async with running_plane(tmp_path, feed.port) as plane:
        key = await plane.key("api-v2")
        held = Held(feed, b"", LENGTH + b"0123456789")
        asking = [asyncio.create_task(asked_alone(plane.port, key)) for _ in range(20)]
        await feed.until(lambda feed: len(feed.requests) == 20)
        leaving = drain(plane)
        await is_draining(plane)
        held.go_on.set()
        assert await asyncio.gather(*asking) == [200] * 20
        await asyncio.wait_for(leaving, 5)
        assert {r["outcome"] for r in await records(plane, 20)} == {"permit"}
