"""Requests, and ways to damage them: what the fuzz tests fire."""

from typing import Any

from conversations import conversation
from hypothesis import strategies as st

KEY = b"K" * 24
"""Stands for the key in what is damaged, so that the damage does not depend on it."""

HEAD = b"Host: feeds.test\r\nX-API-Key: %b\r\n" % KEY
SEEDS = [
    b"GET /v2/courses/17?page=2 HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"HEAD /v2/courses HTTP/1.1\r\n" + HEAD + b"Accept: */*\r\n\r\n",
    b"GET /v2/status HTTP/1.1\r\nHost: feeds.test\r\n\r\n",
    b"GET /v2/users HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"GET http://feeds.test/v2/courses HTTP/1.1\r\n" + HEAD + b"Connection: X-Hop\r\nX-Hop: 1\r\n\r\n",
    b"POST /v2/bookings HTTP/1.1\r\n" + HEAD + b"Content-Length: 11\r\n\r\nhello=world",
    b"POST /v2/courses/search HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX-T: 1\r\n\r\n",
    b"PUT /v2/files/a/b HTTP/1.1\r\n" + HEAD + b"Content-Length: 40\r\n\r\n"
    b"GET /v2/users HTTP/1.1\r\nHost: x\r\n\r\n12345",
    b"POST /v2/bookings HTTP/1.0\r\n" + HEAD + b"Connection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
    b"DELETE /v2/bookings/1 HTTP/1.1\r\n" + HEAD + b"Content-Length: 0\r\n\r\n",
]
SPLICES = [
    *(b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"\r\n\r\n", b"\r\n ", b"0\r\n\r\n", b"\x80", b"\xff"),
    *(
        b"Content-Length: 5\r\n",
        b"Content-Length: 0\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"chunked, chunked",
    ),
    *(
        b"Transfer-Encoding : chunked\r\n",
        b"Content-Length: +5\r\n",
        b"\r\nTransfer-Encoding: \x0bchunked\r\n",
    ),
    *(b"GET /v2/users HTTP/1.1\r\n", b"GET /v2/users HTTP/1.1\r\nHost: a\r\n\r\n", b"Connection: close\r\n"),
    *(b"%2e%2e/", b"../", b"%2F", b"%00", b";a", b"//", b"?", b"#", b"HTTP/1.0", b"X-API-Key: a\r\n", b"@x"),
    *(b"X-HTTP-Method-Override: DELETE\r\n", b"Host: y\r\n", b"ffffffffffffffff", b'5;a="\r\n', b"-1"),
    *(b"Connection: Content-Length\r\n", b"Connection: Transfer-Encoding\r\n", b"Upgrade: h2c\r\n", b"POST"),
]

places = st.integers(0, 400)
damage = st.one_of(
    st.tuples(st.just("replace"), places, st.binary(min_size=1, max_size=1)),
    st.tuples(st.just("splice"), places, st.sampled_from(SPLICES)),
    st.tuples(st.just("over"), places, st.sampled_from(SPLICES)),
    st.tuples(st.just("cut"), places, st.integers(1, 12)),
    st.tuples(st.just("repeat"), places, st.integers(1, 60)),
)


def damaged(data: bytes, wounds: list[tuple[str, int, Any]]) -> bytes:
    """The bytes with each wound in turn."""
    for kind, place, what in wounds:
        at = place % (len(data) + 1)
        if kind == "splice":
            data = data[:at] + what + data[at:]
        elif kind == "cut":
            data = data[:at] + data[at + what :]
        elif kind == "repeat":
            data = data[: at + what] + data[at:]
        else:
            data = data[:at] + what + data[at + len(what) :]
    return data


conversations = st.tuples(
    st.lists(st.sampled_from(SEEDS), min_size=1, max_size=3).map(b"".join),
    st.lists(damage, max_size=3),
    st.lists(places, max_size=3),
).map(lambda parts: (damaged(parts[0], parts[1]), parts[2]))


async def speak(port: int, data: bytes, places: list[int]) -> bytes:
    """Say the bytes in pieces, then that nothing follows; everything that was answered."""
    cuts = sorted({place % (len(data) + 1) for place in places})
    async with conversation(port) as client:
        try:
            for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
                await client.send(data[start:end])
            client.end()
        except ConnectionError:
            pass
        return await client.closed(within=10)
