"""Answer heads read as forms: nothing may differ from reading each by itself."""

from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from gateway.cors import governed
from gateway.forward.answer_heads import MOST_FIELDS, MOST_REMEMBERED, AnswerHeads
from gateway.http1.answer import AnswerHead, InvalidAnswerError, parse_answer

Rewriting = Callable[[AnswerHead], AnswerHead] | None
STATUSES: Final = (
    *(b"200 ~0~varies~", b"200 ~9~varies~", b"200 987654321987654321"),
    *(b"200 OK", b"204 No Content", b"304 Not Modified", b"103 Early Hints", b"200", b"99 No"),
)
NAMES: Final = (
    *(b"Date", b"ETag", b"Content-Length", b"content-length", b"Content-Type", b"Transfer-Encoding"),
    *(b"Connection", b"Upgrade", b"Keep-Alive", b"X-Request-Id", b"Set-Cookie", b"X_Under", b"Bad Name", b""),
    *(b"Access-Control-Allow-Origin", b"Vary", b"Proxy-Status", b"Cache-Control"),
)
VALUES: Final = (
    *(b"", b"a", b" two words ", b"0", b"5", b"05", b"987654321987654321", b"1" * 19, b"~0~varies~", b"\xe9"),
    *(b"chunked", b"close", b"ETag, Date", b"x-request-id", b"text/event-stream; a=b", b"text/plain"),
    *(b"Sun, 22 Nov 2026 10:00:00 GMT", b'"abc"', b"websocket", b"\x00", b"a\nb", b"a\r\n folded"),
)
lines = some.tuples(some.sampled_from(NAMES), some.sampled_from(VALUES) | some.binary(max_size=4))


def head_of(status: bytes, told: list[tuple[bytes, bytes]]) -> bytes:
    return b"HTTP/1.1 %b\r\n" % status + b"".join(b"%b: %b\r\n" % line for line in told)


def facts(head: AnswerHead) -> object:
    return head.status, head.start, head.length, head.upgrade, head.chunked, head.closes, head.streams


def read(heads: AnswerHeads, head: bytes) -> object:
    try:
        return facts(heads.read(head))
    except InvalidAnswerError as why:
        return str(why)


def alone(head: bytes, rewritten: Rewriting) -> object:
    try:
        parsed = parse_answer(head, MOST_FIELDS)
        return facts(rewritten(parsed) if rewritten else parsed)
    except InvalidAnswerError as why:
        return str(why)


@given(
    some.sampled_from(STATUSES),
    some.lists(lines, max_size=8),
    some.lists(some.sampled_from(VALUES), min_size=8, max_size=8),
    some.sampled_from([None, governed]),
)
@example(b"200 OK", [(b"X-Request-Id", b"1"), (b"ETag", b"2"), (b"Content-Length", b"3")], [b"a"] * 8, None)
@example(b"200 OK", [(b"Connection", b"ETag"), (b"ETag", b"2"), (b"Date", b"3")], [b"a"] * 8, governed)
@example(b"200 ~0~varies~", [(b"Date", b"3")], [b"a"] * 8, None)
@example(b"200 ~9~varies~", [(b"Date", b"3")], [b"a"] * 8, governed)
@example(b"204 No Content", [(b"Content-Length", b"3"), (b"Date", b"3")], [b"a"] * 8, None)
def test_a_head_says_the_same_as_a_form_as_by_itself(
    status: bytes, told: list[tuple[bytes, bytes]], others: list[bytes], rewritten: Rewriting
) -> None:
    heads = AnswerHeads(rewritten)
    read(heads, head_of(status, [(name, other) for (name, _), other in zip(told, others, strict=False)]))
    for _ in range(3):  # as a form, the second time, and remembered whole
        head = head_of(status, told)
        assert read(heads, head) == alone(head, rewritten)


@pytest.mark.parametrize("length", [0, 1, 10**17])
def test_each_answer_has_its_own_length(length: int) -> None:
    heads = AnswerHeads()
    for other in (7, length, 8, length):
        head = heads.read(head_of(b"200 OK", [(b"Date", b"now"), (b"Content-Length", b"%d" % other)]))
        assert head.length == other
        assert b"\r\nContent-Length: %d\r\n" % other in head.start


def test_what_is_remembered_is_bounded() -> None:
    heads = AnswerHeads()
    for number in range(3 * MOST_REMEMBERED):
        for _ in range(2):
            heads.read(head_of(b"200 OK", [(b"Content-Type", b"a/%d" % number), (b"ETag", b"%d" % number)]))
    assert len(heads._whole) <= MOST_REMEMBERED
    assert len(heads._forms) <= MOST_REMEMBERED
