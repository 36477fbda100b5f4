"""What a client is told when its feed is away, breaks off, stalls, or does not speak HTTP."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest
from conversations import Answered, Conversation, CutShortError, conversation
from feeds import Feed, Script
from gateways import PlaneUnderTest, running_plane
from scripts import by_bytes, faults, in_pieces, read_head, records, reset, saying, whole

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def fault_seen(plane: PlaneUnderTest, key: str, status: int, code: str, kind: str) -> Answered:
    """Ask once, and hold that answer, record and count tell the same fault."""
    async with conversation(plane.port) as client:
        answer = await client.ask("GET", "/v2/courses", f"X-API-Key: {key}")
        assert (answer.status, answer.code) == (status, code)
        assert (answer.value("Proxy-Status") or "").startswith("scopegate; error=")
        # the client's connection has done nothing wrong
        assert answer.value("Connection") is None
        again = await client.ask("GET", "/v2/nowhere", f"X-API-Key: {key}")
        assert again.status == 404
    assert faults(plane) == {kind: 1}
    record, _ = await records(plane, 2)
    assert (record["outcome"], record["status"], record["code"]) == ("error", status, code)
    return answer


async def test_a_feed_that_refuses_connections_is_unreachable(tmp_path: Path, closed_port: int) -> None:
    async with running_plane(tmp_path, closed_port) as plane:
        await fault_seen(plane, await plane.key("api-v2"), 502, "upstream_unreachable", "connect")
        assert (await plane.logged())[0]["upstream_ms"] is None


async def closes_before_the_request(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    pass


async def resets_before_the_request(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    reset(writer)


async def closes_before_the_answer(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await read_head(reader)


async def resets_before_the_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_head(reader)
    reset(writer)


def breaks_off(said: bytes, *, how: Callable[[asyncio.StreamWriter], None] | None = None) -> Script:
    """Say something in answer to a request, and then no more."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        await in_pieces(writer, [said])
        if how is not None:
            how(writer)

    return script


BREAKS: Final = {
    "closes before the request": closes_before_the_request,
    "resets before the request": resets_before_the_request,
    "closes before the answer": closes_before_the_answer,
    "resets before the answer": resets_before_the_answer,
    "closes in the status line": breaks_off(b"HTTP/1.1 2"),
    "closes in the head": breaks_off(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"),
    "closes before the head's last byte": breaks_off(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r"),
    "resets in the head": breaks_off(b"HTTP/1.1 200 OK\r\n", how=reset),
    "closes after an interim answer": breaks_off(b"HTTP/1.1 103 Early Hints\r\n\r\n"),
}


@pytest.mark.parametrize("script", BREAKS.values(), ids=BREAKS.keys())
async def test_a_feed_that_breaks_off_before_the_end_of_its_head_is_unreachable(
    plane: PlaneUnderTest, feed: Feed, full_key: str, script: Script
) -> None:
    feed.script = script
    before = {closes_before_the_request, resets_before_the_request}
    for _ in range(30 if script in before else 1):
        async with conversation(plane.port) as client:
            answer = await client.ask("GET", "/v2/courses", f"X-API-Key: {full_key}")
            assert (answer.status, answer.code) == (502, "upstream_unreachable")
    for record in await plane.logged():
        assert (record["outcome"], record["status"]) == ("error", 502)


GARBAGE: Final = {
    "noise": b"\x00\xff\x13\x37" * 40 + b"\r\n\r\n",
    "another protocol": b"220 mail.example.com ESMTP\r\n\r\n",
    "HTTP/0.9": b"<html></html>\r\n\r\n",
    "HTTP/2 frames": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\r\n\r\n",
    "a version with no dot": b"HTTP/11 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a version in lower case": b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "two digits of status": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "four digits of status": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 No\r\nContent-Length: 0\r\n\r\n",
    "a status above 599": b"HTTP/1.1 600 No\r\nContent-Length: 0\r\n\r\n",
    "a status of letters": b"HTTP/1.1 OK 200\r\nContent-Length: 0\r\n\r\n",
    "two spaces before the status": b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
    "space before the status line": b" HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "an empty line first": b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "NUL in the reason": b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n",
    "CR in a value": b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
    "LF for a line's end": b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
    "LF between two fields": b"HTTP/1.1 200 OK\r\nX: a\nContent-Length: 0\r\n\r\n",
    "a folded field": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "a field without a name": b"HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 0\r\n\r\n",
    "a field without a colon": b"HTTP/1.1 200 OK\r\nno-colon\r\nContent-Length: 0\r\n\r\n",
    "space before a colon": b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
    "length and coding": b"HTTP/1.1 200 \r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "two lengths in one": b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello!",
    "a list of one length": b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "a signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    "a padded length": b"HTTP/1.1 200 OK\r\nContent-Length: 005\r\n\r\nhello",
    "a length in hex": b"HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello",
    "no length in Content-Length": b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
    "a length beyond all bodies": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "two codings": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "the coding twice": b"HTTP/1.1 200 OK\r\n" + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
    "no coding in Transfer-Encoding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n",
    "chunked with a vertical tab": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a head that does not end": b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 70_000,
    "a head of 70 KB": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
    "three hundred fields": b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 300 + b"Content-Length: 0\r\n\r\n",
    "a chunk size that is none, at once": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\nhi\r\n",
}


@pytest.mark.parametrize("said", GARBAGE.values(), ids=GARBAGE.keys())
async def test_an_answer_that_can_be_read_in_two_ways_or_none_is_not_relayed(
    plane: PlaneUnderTest, feed: Feed, full_key: str, said: bytes
) -> None:
    feed.script = saying(feed, said)
    answer = await fault_seen(plane, full_key, 502, "upstream_invalid", "invalid")
    assert b"Set-Cookie" not in answer.body


CUT_SHORT: Final = {
    "a length not reached": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
    "nothing of a length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
    "no chunk at all": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "within a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    "after a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "within the last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    "within the trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: \r\n",
}
BROKEN_LATER: Final = {
    "a chunk size that is none": b"zz\r\n",
    "a chunk longer than its size": b"3\r\nhello\r\n",
    "a bare LF after a size": b"3\nabc\r\n0\r\n\r\n",
    "a malformed trailer": b"0\r\nno-colon\r\n\r\n",
    "a size beyond all bodies": b"fffffffffffffffff\r\n",
    "a size with a sign": b"+3\r\nabc\r\n",
    "a size without end": b"1;" + b"a" * 300,
}


async def cut_seen(plane: PlaneUnderTest, key: str, version: str) -> None:
    """The client sees the connection break, and so does not take what it has for all there is."""
    async with conversation(plane.port) as client:
        await client.send(f"GET /v2/courses HTTP/{version}\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n".encode())
        with pytest.raises(CutShortError):
            await client.answer()


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("how", [None, reset], ids=["closed", "reset"])
@pytest.mark.parametrize("said", CUT_SHORT.values(), ids=CUT_SHORT.keys())
async def test_an_answer_cut_short_is_a_cut_connection_and_never_a_whole_answer(
    plane: PlaneUnderTest,
    feed: Feed,
    full_key: str,
    said: bytes,
    how: Callable[[asyncio.StreamWriter], None] | None,
    version: str,
) -> None:
    feed.script = breaks_off(said, how=how)
    await cut_seen(plane, full_key, version)
    (record,) = await records(plane, 1)
    assert (record["outcome"], record["status"], record["code"]) == ("error", 200, "upstream_unreachable")
    assert record["bytes_out"] == (5 if b"hello" in said else 3 if b"hel" in said else 0)
    assert faults(plane) == {"reset": 1}


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_an_answer_that_ends_with_a_reset_is_not_whole(
    plane: PlaneUnderTest, feed: Feed, full_key: str, version: str
) -> None:
    feed.script = breaks_off(b"HTTP/1.1 200 OK\r\n\r\nhello", how=reset)
    await cut_seen(plane, full_key, version)
    assert faults(plane) == {"reset": 1}


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("split", [whole, by_bytes], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("said", BROKEN_LATER.values(), ids=BROKEN_LATER.keys())
async def test_chunks_that_break_their_framing_later_cut_the_connection(
    plane: PlaneUnderTest,
    feed: Feed,
    full_key: str,
    said: bytes,
    split: Callable[[bytes], tuple[bytes, ...]],
    version: str,
) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    feed.script = saying(feed, head, *split(said))
    await cut_seen(plane, full_key, version)
    (record,) = await records(plane, 1)
    assert (record["outcome"], record["code"]) == ("error", "upstream_invalid")
    assert faults(plane) == {"invalid": 1}


async def waits(reader: asyncio.StreamReader) -> None:
    """Say nothing more, until the gateway gives up."""
    assert await reader.read() == b""


def stalls_after(said: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        await in_pieces(writer, [said] if said else [])
        await waits(reader)

    return script


TIMEOUTS: Final = "timeouts: {response: 200ms, idle: 500ms}"


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 102 Processing\r\n\r\n"])
async def test_a_feed_that_is_silent_too_long_is_given_up(tmp_path: Path, feed: Feed, said: bytes) -> None:
    feed.script = stalls_after(said)
    async with running_plane(tmp_path, feed.port, feed=TIMEOUTS) as plane:
        await fault_seen(plane, await plane.key("api-v2"), 504, "upstream_timeout", "timeout")


async def test_a_head_that_trickles_in_is_given_up_too(tmp_path: Path, feed: Feed) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
        reading = asyncio.create_task(reader.read())
        while not reading.done():
            writer.write(b"a")
            await asyncio.wait({reading}, timeout=0.05)

    feed.script = script
    async with running_plane(tmp_path, feed.port, feed=TIMEOUTS) as plane:
        await fault_seen(plane, await plane.key("api-v2"), 504, "upstream_timeout", "timeout")


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
    ],
)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_an_answer_that_stalls_is_cut_after_the_idle_time(
    tmp_path: Path, feed: Feed, said: bytes, version: str
) -> None:
    feed.script = stalls_after(said)
    async with running_plane(tmp_path, feed.port, feed=TIMEOUTS) as plane:
        await cut_seen(plane, await plane.key("api-v2"), version)
        (record,) = await records(plane, 1)
        assert (record["outcome"], record["status"], record["code"]) == ("error", 200, "upstream_timeout")
        assert 500 <= record["ms"] < 2500
        assert faults(plane) == {"timeout": 1}


async def test_an_answer_slower_than_the_idle_time_in_all_is_whole(tmp_path: Path, feed: Feed) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            await asyncio.sleep(0.2)
            writer.write(b"x")

    feed.script = script
    async with running_plane(tmp_path, feed.port, feed=TIMEOUTS) as plane, conversation(plane.port) as client:
        answer = await client.ask("GET", "/v2/courses", f"X-API-Key: {await plane.key('api-v2')}")
        assert answer.body == b"x" * 8


Leave = Callable[[Conversation], Awaitable[None]]


async def leave_with_a_reset(client: Conversation) -> None:
    reset(client.writer)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"])
async def test_a_request_is_given_up_at_once_when_its_client_leaves(
    plane: PlaneUnderTest, feed: Feed, full_key: str, said: bytes
) -> None:
    given_up = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await feed.read_request(reader, writer)
        await in_pieces(writer, [said] if said else [])
        try:
            assert await reader.read() == b""
        finally:
            given_up.set()

    feed.script = script
    async with conversation(plane.port) as client:
        await client.send(f"GET /v2/courses HTTP/1.1\r\nHost: x\r\nX-API-Key: {full_key}\r\n\r\n".encode())
        await feed.until(lambda feed: len(feed.requests) == 1)
        if said:
            await client.reader.readuntil(b"hello")
        await leave_with_a_reset(client)
        await asyncio.wait_for(given_up.wait(), 2)
    (record,) = await records(plane, 1)
    assert (record["outcome"], record["status"]) == ("abort", 200 if said else 0)
    assert record["bytes_out"] == (5 if said else 0)
    assert faults(plane) == {}
