"""Answer heads: what of a feed's answer may cross, and that none with two readings is relayed."""

from contextlib import suppress

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.http1.answer import AnswerHead, InvalidAnswerError, parse_answer

MOST = 50


@pytest.mark.parametrize(
    ("line", "status", "crosses"),
    [
        (b"HTTP/1.1 200 OK", 200, b"HTTP/1.1 200 OK\r\n"),
        (b"HTTP/1.0 404 Not Found", 404, b"HTTP/1.1 404 Not Found\r\n"),
        (b"HTTP/1.1 204 ", 204, b"HTTP/1.1 204 \r\n"),
        (b"HTTP/1.1 204", 204, b"HTTP/1.1 204 \r\n"),
        (b"HTTP/1.1 599 \xe9t\xe9\t!", 599, b"HTTP/1.1 599 \xe9t\xe9\t!\r\n"),
        (b"HTTP/1.1 103 Early Hints", 103, b"HTTP/1.1 103 Early Hints\r\n"),
    ],
)
def test_a_status_line_is_read(line: bytes, status: int, crosses: bytes) -> None:
    read = parse_answer(line + b"\r\n", MOST)
    assert (read.status, read.start) == (status, crosses)


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"HTTP/1.1", b"HTTP/1.1 ", b"HTTP/1.1 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK"),
        *(b"HTTP/1.1 200OK", b"HTTP/1.1 2001", b"HTTP/1.1  200 OK", b" HTTP/1.1 200 OK", b"HTTP/2.0 200 OK"),
        *(b"HTTP/1.2 200 OK", b"http/1.1 200 OK", b"HTTP/1.1 000 OK", b"HTTP/1.1 600 OK", b"HTTP/1.1 999 OK"),
        *(
            b"HTTP/1.1\t200 OK",
            b"HTTP/1.1 200 O\0K",
            b"HTTP/1.1 200 O\rK",
            b"HTTP/1.1 200 O\nK",
            b"ICY 200 OK",
        ),
        *(b"HTTP/1.1 +20 OK", b"HTTP/1.1 2\xb20 OK", b"HTTP/1.1 200\tOK", b"HTTP/1.1 200\x7f"),
    ],
)
def test_a_status_line_with_another_reading_is_invalid(line: bytes) -> None:
    with pytest.raises(InvalidAnswerError):
        parse_answer(line + b"\r\n", MOST)


@pytest.mark.parametrize(
    "section",
    [
        *(b"A : b\r\n", b"A: b\r\n c\r\n", b" A: b\r\n", b"A\r\n", b"A: b\n", b"A: \0\r\n", b"A: \x1b\r\n"),
        *(
            b"Content-Length: 1\r\nContent-Length: 2\r\n",
            b"Content-Length: 1, 1\r\n",
            b"Content-Length: x\r\n",
        ),
        *(
            b"Content-Length: 5\r\ncontent-length: 5\r\n",
            b"Content-Length: 5\r\nA: b\r\nContent-Length: 5\r\n",
        ),
        *(b"Content-Length: -1\r\n", b"Content-Length: 01\r\n", b"Content-Length:\r\n"),
        *(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n"),
        *(b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding: chunked, chunked\r\n"),
        *(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding:\r\n"),
    ],
)
def test_an_answer_with_two_readings_is_invalid(section: bytes) -> None:
    with pytest.raises(InvalidAnswerError):
        parse_answer(b"HTTP/1.1 200 OK\r\n" + section, MOST)


def test_an_old_answer_has_no_transfer_coding() -> None:
    with pytest.raises(InvalidAnswerError):
        parse_answer(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n", MOST)


def test_the_number_of_fields_is_bounded() -> None:
    parse_answer(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * MOST, MOST)
    with pytest.raises(InvalidAnswerError):
        parse_answer(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * (MOST + 1), MOST)


def test_hop_by_hop_fields_and_those_named_by_connection_stay_here() -> None:
    read = parse_answer(
        b"HTTP/1.1 200 OK\r\nConnection: x-hop, Keep-Alive\r\nX-Hop: a\r\nKeep-Alive: b\r\nUpgrade: c\r\n"
        b"Proxy-Status: feed; error=x\r\nTrailer: d\r\nProxy-Authenticate: e\r\nTE: f\r\n"
        b"Set-Cookie: 1\r\nset-cookie: 2\r\nX-End: g\r\nContent-Encoding: gzip\r\n",
        MOST,
    )
    assert read.start == (
        b"HTTP/1.1 200 OK\r\nSet-Cookie: 1\r\nset-cookie: 2\r\nX-End: g\r\nContent-Encoding: gzip\r\n"
    )
    assert not read.closes


def test_a_length_stays_even_where_connection_names_it() -> None:
    read = parse_answer(b"HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 5\r\n", MOST)
    assert b"Content-Length: 5\r\n" in read.start


@pytest.mark.parametrize("status", [100, 103, 199, 204])
def test_an_answer_that_never_has_a_body_crosses_without_a_length(status: int) -> None:
    """RFC 9110 §8.6; a client that believed it would take the next answer for a body."""
    read = parse_answer(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n" % status, MOST)
    assert b"content-length" not in read.start.lower()


def test_what_describes_a_body_that_was_not_asked_for_crosses() -> None:
    assert b"Content-Length: 5\r\n" in parse_answer(b"HTTP/1.1 304 X\r\nContent-Length: 5\r\n", MOST).start


@pytest.mark.parametrize(
    ("head", "closes"),
    [
        (b"HTTP/1.1 200 OK\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: CLOSE\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: a, close\r\n", True),
        (b"HTTP/1.0 200 OK\r\n", True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\n", True),
    ],
)
def test_whether_the_connection_can_be_used_again_is_read(head: bytes, closes: bool) -> None:  # noqa: FBT001 - a column
    assert parse_answer(head, MOST).closes is closes


LINES = st.tuples(
    st.sampled_from(["A", "Content-Length", "Transfer-Encoding", "Connection", "Server"]),
    st.sampled_from([":", ": ", " : "]),
    st.one_of(
        st.sampled_from(["5", "0", "chunked", "close", "", "5, 5"]),
        st.text(st.characters(max_codepoint=255), max_size=6),
    ),
    st.sampled_from(["\r\n"] * 8 + ["\n", "\r\n "]),
).map("".join)
STATUS_LINES = st.one_of(
    st.sampled_from(["HTTP/1.1 200 OK", "HTTP/1.1 200", "HTTP/1.0 301 Moved", "HTTP/1.1 2000 OK"]),
    st.text(st.characters(max_codepoint=255), max_size=10).map("HTTP/1.1 200".__add__),
)


@settings(max_examples=400, deadline=None)
@given(STATUS_LINES, st.lists(LINES, max_size=4).map("".join))
def test_whatever_is_relayed_is_read_alike_by_another_parser(line: str, section: str) -> None:
    head = f"{line}\r\n{section}".encode("latin-1")
    if b"\r\n\r\n" in head:
        return
    try:
        read = parse_answer(head, MOST)
    except InvalidAnswerError:
        return
    came, went = _by_h11(head), _by_h11(read.start)
    assert came.status_code == went.status_code == read.status
    assert came.reason == went.reason
    named = dict(came.headers)
    assert (named.get(b"transfer-encoding") == b"chunked") is read.chunked
    assert named.get(b"content-length") == (None if read.length is None else b"%d" % read.length)


def _by_h11(head: bytes) -> h11.Response:
    other = h11.Connection(h11.CLIENT)
    other.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    other.send(h11.EndOfMessage())
    other.receive_data(head + b"\r\n")
    event = other.next_event()
    assert isinstance(event, h11.Response)
    return event


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=120), st.binary(max_size=80).map(b"HTTP/1.1 200 OK\r\n".__add__)))
def test_garbage_is_an_invalid_answer_and_no_other_error(garbage: bytes) -> None:
    with suppress(InvalidAnswerError):
        assert isinstance(parse_answer(garbage, MOST), AnswerHead)
