import asyncio

import pytest
from conversations import conversation
from feeds import Feed
from gateways import PlaneUnderTest
from scripts import read_head, records


def silent_feed(feed: Feed) -> tuple[asyncio.Event, asyncio.Event]:
    """Have the feed never answer; the events tell when a request came, and when it was given up."""
    came, given_up = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        await read_head(reader)
        came.set()
        try:
            await reader.read()
        finally:
            given_up.set()

    feed.script = silent
    return came, given_up


@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_the_request_of_a_client_that_left_is_given_up_at_once(
    plane: PlaneUnderTest, feed: Feed, key: str, ending: str
) -> None:
    came, given_up = silent_feed(feed)
    async with conversation(plane.port) as client:
        await client.send(f"GET /v2/courses HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n".encode())
        await came.wait()
        if ending == "reset":
            client.reset()
        else:
            client.writer.close()
        async with asyncio.timeout(3):
            await given_up.wait()
    (record,) = await records(plane, 1)
    assert record["outcome"] == "abort"


async def test_a_client_that_only_stopped_sending_gets_its_answer(
    plane: PlaneUnderTest, feed: Feed, key: str
) -> None:
    come = asyncio.Event()

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        await come.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")

    feed.script = late
    async with conversation(plane.port) as client:
        await client.send(f"GET /v2/courses HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n".encode())
        client.end()
        asyncio.get_running_loop().call_later(1.5, come.set)
        answer = await client.answer()
    assert (answer.status, answer.body, answer.interim) == (200, b"late", (102,))
