"""Every request is read in one way, however its bytes arrive, or it is refused and the connection ends."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from conversations import Answered, Conversation, CutShortError, conversation
from feeds import Feed, running_feed
from gateways import PlaneUnderTest, running_plane
from writings import WAYS, Way, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = b"%(key)s"
GET = b"GET /v2/courses HTTP/1.1\r\nHost: feeds.test\r\nX-API-Key: " + KEY + b"\r\n"
POST = b"POST /v2/bookings HTTP/1.1\r\nHost: feeds.test\r\nX-API-Key: " + KEY + b"\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /v2/courses/next HTTP/1.1\r\nHost: feeds.test\r\nX-API-Key: " + KEY + b"\r\n\r\n"
INNER = b"GET /v2/users HTTP/1.1\r\n\r\n"
LAST = NEXT.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


def line(text: bytes) -> bytes:
    """A request with another request line."""
    return text + GET.partition(b"\r\n")[2].join((b"\r\n", b"\r\n"))


def field(text: bytes) -> bytes:
    """A good request but for one field line, with its end."""
    return GET + text + b"\r\n\r\n"


MALFORMED = {
    # the request line, RFC 9112 section 3
    "HTTP/0.9": line(b"GET /v2/courses"),
    "nothing but a method": line(b"GET"),
    "no target": line(b"GET  HTTP/1.1"),
    "two spaces before the target": line(b"GET  /v2/courses HTTP/1.1"),
    "two spaces before the version": line(b"GET /v2/courses  HTTP/1.1"),
    "a tab for a space": line(b"GET\t/v2/courses\tHTTP/1.1"),
    "a space in the target": line(b"GET /v2/cour ses HTTP/1.1"),
    "a space at the end": line(b"GET /v2/courses HTTP/1.1 "),
    "a space at the beginning": line(b" GET /v2/courses HTTP/1.1"),
    "HTTP/2 in words": line(b"GET /v2/courses HTTP/2.0"),
    "the HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.2": line(b"GET /v2/courses HTTP/1.2"),
    "HTTP/1.10": line(b"GET /v2/courses HTTP/1.10"),
    "HTTP in lower case": line(b"GET /v2/courses http/1.1"),
    "another protocol": line(b"GET /v2/courses ICAP/1.0"),
    "a method that is no token": line(b"G@T /v2/courses HTTP/1.1"),
    "a method beyond ASCII": line(b"G\xc9T /v2/courses HTTP/1.1"),
    "an endless method": line(b"G" * 500 + b" /v2/courses HTTP/1.1"),
    "CONNECT": line(b"CONNECT feeds.test:443 HTTP/1.1"),
    "CONNECT with a path": line(b"CONNECT /v2/courses HTTP/1.1"),
    "TRACE": line(b"TRACE /v2/courses HTTP/1.1"),
    "the asterisk": line(b"OPTIONS * HTTP/1.1"),
    "the authority-form": line(b"GET feeds.test:80 HTTP/1.1"),
    "a path without a slash": line(b"GET v2/courses HTTP/1.1"),
    "an absolute-form for another host": line(b"GET http://other.test/v2/courses HTTP/1.1"),
    "an absolute-form for another port": line(b"GET http://feeds.test:8080/v2/courses HTTP/1.1"),
    "an absolute-form with a user": line(b"GET http://me@feeds.test/v2/courses HTTP/1.1"),
    "an absolute-form of another scheme": line(b"GET https://feeds.test/v2/courses HTTP/1.1"),
    "an absolute-form without a host": line(b"GET http:///v2/courses HTTP/1.1"),
    "a control character in the query": line(b"GET /v2/courses?a=\x01 HTTP/1.1"),
    "a byte over 0x7F in the query": line(b"GET /v2/courses?a=\xe9 HTTP/1.1"),
    # line ends, RFC 9112 section 2.2
    "a bare LF after the request line": GET.replace(b"\r\n", b"\n", 1) + b"\r\n",
    "bare LFs everywhere": (GET + b"\r\n").replace(b"\r\n", b"\n"),
    "a bare LF after a field": field(b"A: b\nC: d"),
    "a bare CR in the request line": line(b"GET /v2/courses\rHTTP/1.1"),
    "a bare CR in the version": line(b"GET /v2/courses HTTP/1.1\r"),
    "a bare CR in a value": field(b"A: b\rC: d"),
    "a bare LF in the target": line(b"GET /v2/cour\nses HTTP/1.1"),
    "a NUL in the target": line(b"GET /v2/cour\0ses HTTP/1.1"),
    "a NUL in a value": field(b"A: b\0c"),
    "two empty lines first": b"\r\n\r\n" + GET + b"\r\n",
    # field lines, RFC 9112 section 5
    "a folded line": field(b"A: b\r\n c"),
    "a fold first": GET.replace(b"\r\n", b"\r\n X: y\r\n", 1) + b"\r\n",
    "a space before the colon": field(b"A : b"),
    "a tab before the colon": field(b"A\t: b"),
    "a line without a colon": field(b"A"),
    "a field without a name": field(b": b"),
    "a name with a space": field(b"A B: c"),
    "a name beyond ASCII": field(b"\xc3\x84: b"),
    "a name in quotes": field(b'"A": b'),
    "a DEL in a value": field(b"A: b\x7f"),
    "a vertical tab in a value": field(b"A: b\x0bc"),
    # Host, RFC 9112 section 3.2
    "no Host": (GET + b"\r\n").replace(b"Host: feeds.test\r\n", b""),
    "two Hosts": field(b"Host: other.test"),
    "the same Host twice": field(b"host: feeds.test"),
    "an empty Host": (GET + b"\r\n").replace(b"feeds.test", b""),
    "two hosts in one Host": (GET + b"\r\n").replace(b"feeds.test", b"feeds.test, other.test"),
    "a Host with a user": (GET + b"\r\n").replace(b"feeds.test", b"me@feeds.test"),
    "a Host with a path": (GET + b"\r\n").replace(b"feeds.test", b"feeds.test/v2"),
    "a Host with a port too high": (GET + b"\r\n").replace(b"feeds.test", b"feeds.test:65536"),
    "a Host in escapes": (GET + b"\r\n").replace(b"feeds.test", b"feeds%2Etest"),
    # framing, RFC 9112 section 6
    "a length and a coding": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding and a length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "a coding and no length of 0": POST + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "the same length twice": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of lengths": POST + b"Content-Length: 5, 5\r\n\r\nhello",
    "a signed length": POST + b"Content-Length: +5\r\n\r\nhello",
    "a negative length": POST + b"Content-Length: -1\r\n\r\nhello",
    "a padded length": POST + b"Content-Length: 05\r\n\r\nhello",
    "a length in hex": POST + b"Content-Length: 0x5\r\n\r\nhello",
    "a length with an underscore": POST + b"Content-Length: 1_0\r\n\r\nhello",
    "a length with a fraction": POST + b"Content-Length: 5.0\r\n\r\nhello",
    "a length in other digits": POST + b"Content-Length: \xd9\xa5\r\n\r\nhello",
    "an empty length": POST + b"Content-Length: \r\n\r\nhello",
    "a length of twenty digits": POST + b"Content-Length: 18446744073709551621\r\n\r\nhello",
    "two codings": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked in two fields": POST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding that is not the last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding in quotes": POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "a coding with a parameter": POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "an empty coding": POST + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n",
    "a coding after a vertical tab": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "a space before a coding's colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a coding in HTTP/1.0": CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n",
    "Connection names the length": POST + b"Connection: content-length\r\nContent-Length: 5\r\n\r\nhello",
    "Connection names Host": field(b"Connection: close, host"),
    # chunks, RFC 9112 section 7.1
    "a chunk size that is no number": CHUNKED + b"x\r\nhello\r\n0\r\n\r\n",
    "a chunk size with 0x": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "a signed chunk size": CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n",
    "a negative chunk size": CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "a chunk size after a space": CHUNKED + b" 5\r\nhello\r\n0\r\n\r\n",
    "a chunk size before a space": CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n",
    "an empty chunk size": CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
    "a chunk size beyond 64 bits": CHUNKED + b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "a chunk size with an underscore": CHUNKED + b"0_5\r\nhello\r\n0\r\n\r\n",
    "a bare LF after a chunk size": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "a bare CR after a chunk size": CHUNKED + b"5\rhello\r\n0\r\n\r\n",
    "a bare LF after a chunk": CHUNKED + b"5\r\nhello\n0\r\n\r\n",
    "a chunk longer than its size": CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n",
    "a chunk shorter than its size": CHUNKED + b"6\r\nhello\r\n0\r\n\r\n",
    "a bare LF in an extension": CHUNKED + b"5;a=b\nhello\r\n0\r\n\r\n",
    "an extension without a name": CHUNKED + b"5;\r\nhello\r\n0\r\n\r\n",
    "an endless extension": CHUNKED + b"5;" + b"a" * 500 + b"\r\nhello\r\n0\r\n\r\n",
    "a trailer that is no field": CHUNKED + b"5\r\nhello\r\n0\r\nGET / HTTP/1.1\r\n\r\n",
    "a folded trailer": CHUNKED + b"5\r\nhello\r\n0\r\nA: b\r\n c\r\n\r\n",
    "a bare LF for the last line": CHUNKED + b"5\r\nhello\r\n0\r\n\n",
}
"""What is not HTTP as we read it. Nothing of it is finished at the feed, and nothing after it is read."""

NOT_HTTP = {
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2,
    "an SSH banner": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "a PROXY line": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    "a PROXY v2 header": b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12),
    "a JSON document": b'{"hello": "world"}\r\n\r\n',
    "zeros": bytes(300),
    "bytes over 0x7F": bytes(range(128, 256)),
    "an LF": b"\n",
    "a memcached command": b"stats\r\n",
    "XML": b"<policy-file-request/>\0",
}

ACCEPTED = {
    "a plain request": (GET + b"\r\n", b""),
    "an empty line first": (b"\r\n" + GET + b"\r\n", b""),
    "an absolute-form": (GET.replace(b" /v2", b" http://feeds.test/v2") + b"\r\n", b""),
    "an absolute-form in capitals": (GET.replace(b" /v2", b" HTTP://FEEDS.TEST:80/v2") + b"\r\n", b""),
    "a value with a tab": (field(b"A: b\tc"), b""),
    "a value over 0x7F": (field(b"A: b\xe9"), b""),
    "an empty value": (field(b"A:"), b""),
    "no space after the colon": (field(b"A:b"), b""),
    "spaces around a value": (field(b"A: \t b \t "), b""),
    "a field name of all token characters": (field(b"A!#$%&'*+-.^`|~9: b"), b""),
    "a body of length 0": (POST + b"Content-Length: 0\r\n\r\n", b""),
    "a body by length": (POST + b"Content-Length: 5\r\n\r\nhello", b"hello"),
    "a body that looks like a request": (POST + b"Content-Length: %d\r\n\r\n" % len(INNER) + INNER, INNER),
    "a body in one chunk": (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    "a body in chunks": (CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello"),
    "a chunked body without content": (CHUNKED + b"0\r\n\r\n", b""),
    "Chunked in capitals": (CHUNKED.replace(b"chunked", b"CHUNKED") + b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    "chunk sizes in hex and zeros": (CHUNKED + b"00A\r\n0123456789\r\n000\r\n\r\n", b"0123456789"),
    "chunk extensions": (CHUNKED + b'5;a=b;c="d;e"\r\nhello\r\n0;f\r\n\r\n', b"hello"),
    "trailers": (CHUNKED + b"5\r\nhello\r\n0\r\nA: b\r\nX-Gateway-Scopes: all\r\n\r\n", b"hello"),
    "a GET with a body": (GET + b"Content-Length: 5\r\n\r\nhello", b"hello"),
    "HTTP/1.0 kept alive": (
        GET.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Connection: Keep-Alive\r\n\r\n",
        b"",
    ),
}
"""What is read, and the body the feed gets; the connection goes on."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[PlaneUnderTest, Feed, bytes]]:
    async with (
        running_feed() as feed,
        running_plane(tmp_path_factory.mktemp("plane"), feed.port) as plane,
    ):
        await plane.scope("website", read="courses", create="bookings")
        yield plane, feed, (await plane.key("website")).encode()


@pytest.fixture
def plane(house: tuple[PlaneUnderTest, Feed, bytes]) -> PlaneUnderTest:
    return house[0]


@pytest.fixture
def feed(house: tuple[PlaneUnderTest, Feed, bytes]) -> Feed:
    house[1].requests.clear()
    house[1].raw.clear()
    return house[1]


@pytest.fixture
def key(house: tuple[PlaneUnderTest, Feed, bytes]) -> bytes:
    return house[2]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


async def every_answer(client: Conversation) -> list[Answered]:
    """All answers until the gateway ends the connection."""
    answers = []
    while True:
        try:
            answers.append(await client.answer())
        except CutShortError:
            return answers


@pytest.mark.parametrize("what", MALFORMED)
async def test_what_is_malformed_is_refused_once_and_nothing_after_it_is_read(
    plane: PlaneUnderTest, feed: Feed, key: bytes, way: Way, what: str
) -> None:
    data = (MALFORMED[what] + NEXT).replace(KEY, key)
    async with conversation(plane.port) as client:
        await write(client, way(data))
        answers = await every_answer(client)
    assert [answer.status for answer in answers] == [400]
    assert answers[0].code in {"request_malformed", "path_ambiguous"}
    assert answers[0].value("Connection") == "close"
    assert feed.requests == []


@pytest.mark.parametrize("what", NOT_HTTP)
async def test_what_is_not_http_is_answered_at_most_once_and_the_connection_ends(
    plane: PlaneUnderTest, feed: Feed, key: bytes, way: Way, what: str
) -> None:
    async with conversation(plane.port) as client:
        await write(client, way((NOT_HTTP[what] + NEXT).replace(KEY, key)))
        answers = await every_answer(client)
    assert [answer.status for answer in answers] == [400]
    assert feed.raw == b""


@pytest.mark.parametrize("what", ACCEPTED)
async def test_what_is_http_is_read_alike_however_it_arrives(
    plane: PlaneUnderTest, feed: Feed, key: bytes, way: Way, what: str
) -> None:
    data, body = ACCEPTED[what]
    async with conversation(plane.port) as client:
        await write(client, way((data + LAST).replace(KEY, key)))
        answers = await every_answer(client)
    assert [answer.status for answer in answers] == [200, 200]
    assert [request.target for request in feed.requests][1:] == ["/v2/courses/next"]
    assert feed.requests[0].body == body


async def test_http_1_0_is_answered_and_the_connection_ends(
    plane: PlaneUnderTest, feed: Feed, key: bytes, way: Way
) -> None:
    async with conversation(plane.port) as client:
        await write(client, way((GET.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n" + NEXT).replace(KEY, key)))
        answers = await every_answer(client)
    assert [(answer.status, answer.value("Connection")) for answer in answers] == [(200, "close")]
    assert len(feed.requests) == 1


async def test_http_1_0_needs_no_host_and_the_feed_gets_one_all_the_same(
    plane: PlaneUnderTest, feed: Feed, key: bytes, way: Way
) -> None:
    async with conversation(plane.port) as client:
        data = b"GET /v2/courses HTTP/1.0\r\nX-API-Key: " + key + b"\r\n\r\n"
        await write(client, way(data))
        answers = await every_answer(client)
    assert [answer.status for answer in answers] == [200]
    assert feed.requests[0].values("Host") == [f"127.0.0.1:{feed.port}"]
    assert feed.requests[0].values("X-Forwarded-Host") == []


async def test_an_http_1_0_client_is_sent_no_chunks(plane: PlaneUnderTest, feed: Feed, key: bytes) -> None:
    before = feed.answer
    feed.answer = lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    async with conversation(plane.port) as client:
        await client.send(GET.replace(b"1.1", b"1.0").replace(KEY, key) + b"Connection: keep-alive\r\n\r\n")
        said = await client.closed()
    feed.answer = before
    head, _, body = said.partition(b"\r\n\r\n")
    assert body == b"hello"
    assert b"transfer-encoding" not in head.lower()
    assert b"Connection: close" in head


@pytest.mark.parametrize("after", ["at once", "byte by byte"])
async def test_an_empty_line_after_a_body_is_let_pass(
    plane: PlaneUnderTest, feed: Feed, key: bytes, after: str
) -> None:
    data = POST + b"Content-Length: 5\r\n\r\nhello\r\n" + LAST
    async with conversation(plane.port) as client:
        await write(client, WAYS[after](data.replace(KEY, key)))
        answers = await every_answer(client)
    assert [answer.status for answer in answers] == [200, 200]
    assert feed.requests[0].body == b"hello"


async def test_an_empty_line_after_the_last_request_is_no_request(
    plane: PlaneUnderTest, feed: Feed, key: bytes
) -> None:
    async with conversation(plane.port) as client:
        await client.send((POST + b"Content-Length: 5\r\n\r\nhello").replace(KEY, key))
        assert (await client.answer("POST")).status == 200
        await client.send(b"\r\n")
        client.end()
        assert await client.closed() == b""
    assert len(feed.requests) == 1


@pytest.mark.parametrize("cut", [b"GET", GET, POST + b"Content-Length: 5\r\n\r\nhel", CHUNKED + b"5\r\nhel"])
async def test_half_a_request_and_no_more_is_refused_and_not_finished_at_the_feed(
    plane: PlaneUnderTest, feed: Feed, key: bytes, cut: bytes
) -> None:
    async with conversation(plane.port) as client:
        await client.send(cut.replace(KEY, key))
        client.end()
        answers = await every_answer(client)
    assert [(answer.status, answer.code) for answer in answers] == [(400, "request_malformed")]
    assert feed.requests == []


async def test_a_client_that_ends_its_side_still_gets_every_answer(
    plane: PlaneUnderTest, feed: Feed, key: bytes
) -> None:
    data = (NEXT + POST + b"Content-Length: 5\r\n\r\nhello" + NEXT).replace(KEY, key)
    async with conversation(plane.port) as client:
        await client.send(data)
        client.end()
        answers = await every_answer(client)
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert len(feed.requests) == 3


async def test_a_connection_on_which_nothing_is_said_ends_without_an_answer(plane: PlaneUnderTest) -> None:
    async with conversation(plane.port) as client:
        client.end()
        assert await client.closed() == b""
