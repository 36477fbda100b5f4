"""A feed's answer on its way back: what crosses, what does not, and how its end is told."""

from collections.abc import Callable

import pytest
from conversations import Answered, conversation
from feeds import Feed
from gateways import PlaneUnderTest
from scripts import by_bytes, by_lines, records, saying, whole

BODY = bytes(range(256)) * 3
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'100;why="a; b"\r\n%b\r\n1ff\r\n%b\r\n1\r\n%b\r\n0;last\r\nX-Sum: abc\r\n\r\n'
    % (BODY[:256], BODY[256:767], BODY[767:])
)
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + BODY
OLD_UNTIL_CLOSE = b"HTTP/1.0 200 OK\r\n\r\n" + BODY
OLD_KEPT = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 768\r\n\r\n" + BODY

FRAMINGS = {
    "by length": (LENGTH, "length"),
    "chunked": (CHUNKED, "unsized"),
    "until the connection ends": (UNTIL_CLOSE, "unsized"),
    "HTTP/1.0, until the connection ends": (OLD_UNTIL_CLOSE, "unsized"),
    "HTTP/1.0, by length": (OLD_KEPT, "length"),
}
SPLITS = {"whole": whole, "byte by byte": by_bytes, "around every CRLF": by_lines}


def get(version: str, key: str, *headers: str, method: str = "GET") -> bytes:
    lines = [f"{method} /v2/courses HTTP/{version}", "Host: feeds.test", f"X-API-Key: {key}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def framing_of(answer: Answered) -> tuple[str | None, str | None, str | None]:
    return answer.value("Content-Length"), answer.value("Transfer-Encoding"), answer.value("Connection")


FRAMED = {
    ("1.1", "length"): ("768", None, None),
    ("1.1", "unsized"): (None, "chunked", None),
    ("1.0", "length"): ("768", None, "close"),
    ("1.0", "unsized"): (None, None, "close"),
}


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS.keys())
@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize(("said", "kind"), FRAMINGS.values(), ids=FRAMINGS.keys())
async def test_an_answer_of_any_framing_arrives_whole_with_a_framing_of_our_own(
    plane: PlaneUnderTest,
    feed: Feed,
    full_key: str,
    said: bytes,
    kind: str,
    version: str,
    split: Callable[[bytes], tuple[bytes, ...]],
) -> None:
    feed.script = saying(feed, *split(said), closing="Content-Length" not in said.decode("latin-1"))
    async with conversation(plane.port) as client:
        await client.send(get(version, full_key))
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, BODY)
        assert framing_of(answer) == FRAMED[version, kind]
        assert answer.values("X-Sum") == []
        if version == "1.0":
            assert await client.closed() == b""
        else:
            await client.send(get(version, full_key))
            assert (await client.answer()).body == BODY
    for record in await records(plane, 1 if version == "1.0" else 2):
        assert (record["outcome"], record["status"], record["bytes_out"]) == ("permit", 200, 768)
        assert 0 <= record["upstream_ms"] <= record["ms"]


async def test_an_http_1_0_client_that_asks_for_it_keeps_its_connection(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    feed.script = saying(feed, LENGTH)
    async with conversation(plane.port) as client:
        for _ in range(2):
            await client.send(get("1.0", full_key, "Connection: keep-alive"))
            answer = await client.answer()
            assert framing_of(answer) == ("768", None, "keep-alive")
    assert feed.connections == 1


WITHOUT_CONTENT = {
    "HEAD with a length": ("HEAD", b"200 OK\r\nContent-Length: 5000", ("5000", None)),
    "HEAD of a chunked resource": ("HEAD", b"200 OK\r\nTransfer-Encoding: chunked", (None, None)),
    "HEAD without framing": ("HEAD", b"200 OK\r\nX-Any: thing", (None, None)),
    "HEAD of what is not there": ("HEAD", b"404 Not Found\r\nContent-Length: 12", ("12", None)),
    "204": ("GET", b"204 No Content\r\nX-Any: thing", (None, None)),
    # RFC 9110 §8.6: a 204 has no Content-Length, and a client that believed this one would wait for ever
    "204 with a length": ("GET", b"204 No Content\r\nContent-Length: 5", (None, None)),
    "204 with a length of none": ("GET", b"204 No Content\r\nContent-Length: 0", (None, None)),
    "204 that says chunked": ("GET", b"204 No Content\r\nTransfer-Encoding: chunked", (None, None)),
    "304": ("GET", b"304 Not Modified\r\nETag: x", (None, None)),
    "304 with the length of what was not sent": (
        "GET",
        b"304 Not Modified\r\nContent-Length: 9",
        ("9", None),
    ),
    "304 that says chunked": ("GET", b"304 Not Modified\r\nTransfer-Encoding: chunked", (None, None)),
    "200 with a length of none": ("GET", b"200 OK\r\nContent-Length: 0", ("0", None)),
}


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize(("method", "said", "framing"), WITHOUT_CONTENT.values(), ids=WITHOUT_CONTENT.keys())
async def test_an_answer_without_content_ends_with_its_head(
    plane: PlaneUnderTest,
    feed: Feed,
    full_key: str,
    method: str,
    said: bytes,
    framing: tuple[str | None, str | None],
    version: str,
) -> None:
    feed.script = saying(feed, b"HTTP/1.1 " + said + b"\r\n\r\n")
    async with conversation(plane.port) as client:
        for _ in range(2):
            await client.send(get(version, full_key, "Connection: keep-alive", method=method))
            answer = await client.answer(method)
            assert answer.status == int(said[:3])
            assert (answer.value("Content-Length"), answer.value("Transfer-Encoding")) == framing
            assert answer.value("Connection") == (None if version == "1.1" else "keep-alive")
            assert answer.body == b""
    assert feed.connections == 1
    assert [r["bytes_out"] for r in await records(plane, 2)] == [0, 0]


async def test_an_answer_crosses_byte_for_byte_but_for_what_is_for_one_hop(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    packed = b"\x1f\x8b\x08not-really-gzip"
    feed.script = saying(
        feed,
        b"HTTP/1.1 418 I'm a teapot\r\n"
        b"set-COOKIE: a=1\r\n"
        b"Connection: keep-alive, X-Hop , x-other\r\n"
        b"X-Hop: gone\r\n"
        b"Content-Encoding: gzip\r\n"
        b"Set-Cookie:b=2\r\n"
        b"Keep-Alive: timeout=5\r\n"
        b"X-Empty:\r\n"
        b"X-Other: gone\r\n"
        b"Proxy-Connection: keep-alive\r\n"
        b"Proxy-Status: scopegate; error=http_request_denied\r\n"
        b"proxy-status: another\r\n"
        b"X-Latin: caf\xe9 \t \r\n"
        b"Trailer: X-Sum\r\n"
        b"Upgrade: h2c\r\n"
        b"TE: trailers\r\n"
        b"Content-Length: %d\r\n"
        b"Vary: a\r\n"
        b"Vary: b\r\n"
        b"\r\n" % len(packed) + packed,
    )
    async with conversation(plane.port) as client:
        await client.send(get("1.1", full_key, "Connection: close"))
        said = await client.closed()
    request_id = feed.requests[0].value("X-Request-Id") or ""
    assert said == (
        b"HTTP/1.1 418 I'm a teapot\r\n"
        b"set-COOKIE: a=1\r\n"
        b"Content-Encoding: gzip\r\n"
        b"Set-Cookie: b=2\r\n"
        b"X-Empty: \r\n"
        b"X-Latin: caf\xe9\r\n"
        b"Content-Length: %d\r\n"
        b"Vary: a\r\n"
        b"Vary: b\r\n"
        b"X-Request-Id: %b\r\n"
        b"Connection: close\r\n"
        b"\r\n" % (len(packed), request_id.encode()) + packed
    )
    assert (await records(plane, 1))[0]["request_id"] == request_id


async def test_the_request_id_in_an_answer_is_the_one_in_the_log_whatever_the_feed_says(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    feed.script = saying(feed, b"HTTP/1.1 200 OK\r\nx-request-id: feed-7\r\nContent-Length: 0\r\n\r\n")
    async with conversation(plane.port) as client:
        await client.send(get("1.1", full_key))
        told = (await client.answer()).value("X-Request-Id")
    (record,) = await records(plane, 1)
    assert told == record["request_id"]


STATUS_LINES = {
    "no reason": b"HTTP/1.1 200 ",
    "no reason and no space": b"HTTP/1.1 200",
    "a reason in Latin-1": b"HTTP/1.1 200 d\xe9j\xe0 vu",
    "a status nobody knows": b"HTTP/1.1 599 Whatever this is",
    "a refusal of the feed's": b"HTTP/1.1 403 Forbidden",
    "a fault of the feed's": b"HTTP/1.1 503 Service Unavailable",
}


@pytest.mark.parametrize("line", STATUS_LINES.values(), ids=STATUS_LINES.keys())
async def test_any_final_status_of_the_feed_is_the_clients_and_no_fault(
    plane: PlaneUnderTest, feed: Feed, full_key: str, line: bytes
) -> None:
    feed.script = saying(feed, line + b"\r\nContent-Length: 2\r\n\r\nno")
    async with conversation(plane.port) as client:
        await client.send(get("1.1", full_key))
        answer = await client.answer()
    assert (answer.status, answer.body) == (int(line[9:12]), b"no")
    assert answer.values("Proxy-Status") == []
    (record,) = await records(plane, 1)
    assert (record["outcome"], record["status"], record["code"]) == ("permit", answer.status, None)


async def test_requests_sent_ahead_are_answered_in_their_order(
    plane: PlaneUnderTest, feed: Feed, full_key: str
) -> None:
    feed.answer = lambda asked: (
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
        % (
            len(asked.target),
            asked.target.encode(),
        )
    )
    paths = [f"/v2/courses/{number}" for number in range(50)]
    async with conversation(plane.port) as client:
        await client.send(
            b"".join(f"GET {p} HTTP/1.1\r\nHost: x\r\nX-API-Key: {full_key}\r\n\r\n".encode() for p in paths)
        )
        assert [(await client.answer()).body.decode() for _ in paths] == paths
    assert [asked.target for asked in feed.requests] == paths
    assert feed.connections == 1
