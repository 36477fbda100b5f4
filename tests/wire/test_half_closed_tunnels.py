"""Tunnels in which one side has said its last: the other goes on, and the end of each reaches the other."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from conversations import Conversation, conversation
from feeds import Feed
from gateways import PlaneUnderTest, running_plane
from scripts import read_head, records, reset
from waiting import until, until_so

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat/1\r\n\r\n"


def upgrade(key: str) -> bytes:
    lines = ["GET /v2/courses HTTP/1.1", "Host: a", f"X-API-Key: {key}", "Connection: upgrade"]
    return "\r\n".join([*lines, "Upgrade: chat/1", "", ""]).encode()


class Chat:
    """A feed's end of one tunnel: it switches when it is told to, and keeps what it hears."""

    def __init__(self, feed: Feed, last: bytes = b"", *, ends_first: bool = False) -> None:
        self.came = asyncio.Event()
        self.may_switch = asyncio.Event()
        self.may_end = asyncio.Event()
        self.heard = bytearray()
        self.over: str | None = None
        self._last = last
        self._ends_first = ends_first
        feed.script = self._chat

    async def _chat(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        self.came.set()
        await self.may_switch.wait()
        writer.write(SWITCH)
        if self._ends_first:
            await self.may_end.wait()
            writer.write(self._last)
            writer.write_eof()
        try:
            while piece := await reader.read(1 << 16):
                self.heard += piece
            if not self._ends_first:
                await self.may_end.wait()
                writer.write(self._last)
            self.over = "ended"
        except ConnectionError:
            self.over = "reset"


async def _until_switched(client: Conversation) -> None:
    async with asyncio.timeout(5):
        head = await client.reader.readuntil(b"\r\n\r\n")
        while b" 101 " not in head:
            head = await client.reader.readuntil(b"\r\n\r\n")


MOMENTS = ["with the request", "before the switch", "after the switch"]


@pytest.mark.parametrize("ahead", [b"", b"ahead of the answer"], ids=["silent", "ahead"])
@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_client_may_say_its_last_at_any_moment_and_hear_the_feed_out(
    plane: PlaneUnderTest, feed: Feed, key: str, moment: str, ahead: bytes
) -> None:
    chat = Chat(feed, b"goodbye")
    async with conversation(plane.port) as client:
        await client.send(upgrade(key) + ahead)
        if moment == "with the request":
            client.end()
        await chat.came.wait()
        if moment == "before the switch":
            client.end()
        chat.may_switch.set()
        await _until_switched(client)
        if moment == "after the switch":
            await client.send(b", and more")
            client.end()
        await until(lambda: ahead in chat.heard)
        chat.may_end.set()
        assert await client.closed() == b"goodbye"
    await until(lambda: chat.over == "ended")
    assert bytes(chat.heard) == ahead + (b", and more" if moment == "after the switch" else b"")
    (record,) = await records(plane, 1)
    assert (record["status"], record["outcome"], record["bytes_out"]) == (101, "permit", len(b"goodbye"))


@pytest.mark.parametrize("moment", ["with the switch", "later"])
async def test_a_feed_may_say_its_last_at_any_moment_and_hear_the_client_out(
    plane: PlaneUnderTest, feed: Feed, key: str, moment: str
) -> None:
    chat = Chat(feed, b"that was all", ends_first=True)
    if moment == "with the switch":
        chat.may_end.set()
    chat.may_switch.set()
    async with conversation(plane.port) as client:
        await client.send(upgrade(key))
        await _until_switched(client)
        if moment == "later":
            await client.send(b"one, ")
            chat.may_end.set()
        async with asyncio.timeout(5):
            assert await client.reader.read() == b"that was all"
        await client.send(b"two, ")
        await until(lambda: chat.heard.endswith(b"two, "))
        await client.send(b"three")
        client.end()
        await until(lambda: chat.over == "ended")
    assert bytes(chat.heard) == (b"one, " if moment == "later" else b"") + b"two, three"
    (record,) = await records(plane, 1)
    assert (record["status"], record["outcome"], record["bytes_in"]) == (101, "permit", len(chat.heard))


async def test_a_large_last_word_arrives_whole_whoever_says_it(
    plane: PlaneUnderTest, feed: Feed, key: str
) -> None:
    large = bytes(range(256)) * 20_000
    chat = Chat(feed, large, ends_first=True)
    chat.may_switch.set()
    chat.may_end.set()
    async with conversation(plane.port) as client:
        await client.send(upgrade(key))
        await _until_switched(client)
        sending = asyncio.create_task(client.send(large))
        async with asyncio.timeout(10):
            assert await client.reader.read() == large
            await sending
        client.end()
        await until(lambda: chat.over == "ended")
    assert bytes(chat.heard) == large


@pytest.mark.parametrize("first", ["client", "feed"])
async def test_a_half_closed_tunnel_in_which_nothing_is_said_ends_after_the_idle_time(
    tmp_path: Path, feed: Feed, first: str
) -> None:
    async with running_plane(tmp_path, feed.port, feed="timeouts: {idle: 300ms}") as plane:
        await plane.scope("website", read="courses")
        chat = Chat(feed, ends_first=first == "feed")
        chat.may_switch.set()
        if first == "feed":
            chat.may_end.set()
        async with conversation(plane.port) as client:
            await client.send(upgrade(await plane.key("website")))
            await _until_switched(client)
            if first == "client":
                client.end()
            assert await client.closed() == b""
            (record,) = await records(plane, 1)
        chat.may_end.set()
    assert (record["status"], record["outcome"]) == (101, "permit")


@pytest.mark.parametrize("first", ["client", "feed"])
async def test_a_client_that_leaves_a_half_closed_tunnel_takes_the_feeds_end_with_it(
    plane: PlaneUnderTest, feed: Feed, key: str, first: str
) -> None:
    chat = Chat(feed, ends_first=first == "feed")
    chat.may_switch.set()
    async with conversation(plane.port) as client:
        await client.send(upgrade(key))
        await _until_switched(client)
        if first == "client":
            client.end()
        else:
            chat.may_end.set()
            assert await client.reader.read() == b""
        client.reset()
        await records(plane, 1)
        chat.may_end.set()
        await until(lambda: chat.over is not None)


async def test_a_feed_that_breaks_off_a_half_closed_tunnel_ends_it(
    plane: PlaneUnderTest, feed: Feed, key: str
) -> None:
    may_break = asyncio.Event()

    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(SWITCH + b"last")
        writer.write_eof()
        await may_break.wait()
        reset(writer)

    feed.script = broken
    async with conversation(plane.port) as client:
        await client.send(upgrade(key))
        await _until_switched(client)
        assert await client.reader.read() == b"last"
        may_break.set()

        async def told() -> bool:
            """What is sent to nobody meets the reset."""
            if not client.writer.is_closing():
                with suppress(ConnectionError):
                    await client.send(b"to nobody")
            return bool(await plane.logged())

        await until_so(told)
    assert [record["status"] for record in await plane.logged()] == [101]
