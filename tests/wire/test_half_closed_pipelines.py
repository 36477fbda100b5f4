"""A client that ends while an earlier answer is under way: what it left unfinished is refused."""

import pytest
from conversations import conversation
from feeds import Feed
from gateways import PlaneUnderTest

UNFINISHED = [
    b"PUT /v2/files/a HTTP/1.1\r\nHost: a\r\nX-API-Key: %b\r\nContent-Length: 40\r\n\r\ntoo little",
    b"PUT /v2/files/a HTTP/1.1\r\nHost: a\r\nX-API-Key: %b\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
    b"PUT /v2/files/a HTTP/1.1\r\nHost: a\r\nX-API-Key: %b\r\nContent-Length: 40\r\n\r\n",
]


@pytest.mark.parametrize("unfinished", UNFINISHED)
async def test_a_body_that_can_no_longer_come_is_refused_at_once_and_not_sent_to_the_feed(
    plane: PlaneUnderTest, feed: Feed, full_key: str, unfinished: bytes
) -> None:
    async with conversation(plane.port) as client:
        first = f"GET /v2/courses HTTP/1.1\r\nHost: a\r\nX-API-Key: {full_key}\r\n\r\n".encode()
        await client.send(first + unfinished % full_key.encode())
        client.end()
        assert (await client.answer()).status == 200
        refused = await client.answer("PUT", within=2)
        assert (refused.status, refused.code) == (400, "request_malformed")
        assert await client.closed(within=5) == b""
    assert [request.method for request in feed.requests] == ["GET"]
    assert feed.raw.count(b"PUT") == 0
