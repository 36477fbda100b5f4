"""Bodies: the same content and the same end however the bytes come, and no memory for the hostile."""

import re
import sys

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from insides import held_by

from gateway.http1.body import (
    LARGEST_TRAILERS,
    LAST_CHUNK,
    LONGEST_CHUNK_LINE,
    MOST_EXTENSIONS,
    Body,
    ChunkedBody,
    FramingError,
    LengthBody,
    UntilClose,
    chunk,
)
from gateway.http1.small_chunks import SmallChunks


def read(body: Body, pieces: list[bytes]) -> tuple[bytes, bytes]:
    """Feed pieces as a connection does: the content, and what is left for the next message."""
    content = bytearray()
    waiting = b""
    for piece in pieces:
        waiting += piece
        if body.done:
            continue
        got, taken = body.feed(waiting)
        content += got
        waiting = waiting[taken:]
        assert body.done or not waiting  # it takes everything unless the body ends within
    return bytes(content), waiting


def split(data: bytes, places: list[int]) -> list[bytes]:
    cuts = sorted({place % (len(data) + 1) for place in places})
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def one_by_one(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


CUTS = st.lists(st.integers(0, 5000), max_size=12)
EXTENSION = st.sampled_from(
    [b"", b"", b"", b";a", b" ; a = b", b';a="b\\"c"', b";a;b;c=d", b';q=""', b"\t;x"]
)
TRAILERS = st.sampled_from([b"", b"", b"X-A: b\r\n", b"X-A: b\r\nX-B:\r\n", b"Content-Length: 3\r\n"])
SIZES = st.sampled_from(["%x", "%X", "0%x", "000000%x"])


@st.composite
def chunked(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A well-formed chunked body and its content."""
    contents = draw(st.lists(st.binary(min_size=1, max_size=60), max_size=6))
    coded = b"".join(
        (draw(SIZES) % len(content)).encode() + draw(EXTENSION) + b"\r\n" + content + b"\r\n"
        for content in contents
    )
    last = draw(st.sampled_from([b"0", b"00", b"0000"])) + draw(EXTENSION) + b"\r\n"
    return coded + last + draw(TRAILERS) + b"\r\n", b"".join(contents)


@settings(max_examples=300, deadline=None)
@given(chunked(), CUTS, st.sampled_from([b"", b"G", b"\r\n", b"GET / HTTP/1.1\r\n\r\n", b"0\r\n\r\n"]))
def test_any_split_of_a_chunked_body_is_the_same_content_and_the_same_end(
    body: tuple[bytes, bytes], cuts: list[int], next_message: bytes
) -> None:
    coded, content = body
    assert read(ChunkedBody(), split(coded + next_message, cuts)) == (content, next_message)


@settings(max_examples=100, deadline=None)
@given(chunked(), st.sampled_from([b"", b"GET"]))
def test_a_chunked_body_may_come_byte_by_byte(body: tuple[bytes, bytes], next_message: bytes) -> None:
    coded, content = body
    assert read(ChunkedBody(), one_by_one(coded + next_message)) == (content, next_message)


@settings(max_examples=300, deadline=None)
@given(
    chunked(), st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=2)), min_size=1, max_size=2), CUTS
)
def test_a_damaged_body_is_refused_or_read_as_another_parser_reads_it(
    body: tuple[bytes, bytes], damage: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    coded = body[0].replace(b"Content-Length", b"X-Length")  # h11 reads that even among trailers
    for place, replacement in damage:
        at = place % (len(coded) + 1)
        coded = coded[:at] + replacement + coded[at + 1 :]
    whole, apart = ChunkedBody(), ChunkedBody()
    try:
        content, rest = read(whole, [coded])
    except FramingError:
        try:
            read(apart, split(coded, cuts))
        except FramingError:
            return
        assert not apart.done, "read in pieces what was refused whole"
        return
    assert read(apart, split(coded, cuts)) == (content, rest)
    assert apart.done is whole.done
    space_before_extension = re.search(rb"[ \t];", coded)  # RFC 9112 §7.1.1 allows it, h11 does not
    if whole.done and not space_before_extension:
        assert _by_h11(coded) == (content, rest)


def _by_h11(coded: bytes) -> tuple[bytes, bytes]:
    other = h11.Connection(h11.SERVER)
    other.receive_data(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + coded)
    content = bytearray()
    while True:
        event = other.next_event()
        if isinstance(event, h11.Data):
            content += event.data
        elif isinstance(event, h11.EndOfMessage):
            return bytes(content), other.trailing_data[0]
        else:
            assert isinstance(event, h11.Request), event


SIZES_OF_SMALL = ["%x", "%X", "0%x", "%013X", "%014x", "%015x", "%016x"]
CONTENT = bytes(range(256)) + b"\r\n0\r\n\r\n"


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(SIZES_OF_SMALL), st.integers(1, 18) | st.integers(250, 260)), max_size=20
    ),
    st.lists(st.tuples(st.integers(0, 3000), st.sampled_from([b"", b"\n", b"\r", b"0", b"f", b";a", b"x"]))),
    TRAILERS,
    CUTS,
)
def test_runs_of_small_chunks_are_read_as_strictly_as_one_that_comes_byte_by_byte(
    chunks: list[tuple[str, int]], damage: list[tuple[int, bytes]], trailers: bytes, cuts: list[int]
) -> None:
    coded = b"".join(
        (size % length).encode() + b"\r\n" + CONTENT[:length] + b"\r\n" for size, length in chunks
    )
    coded += b"0\r\n" + trailers + b"\r\n"
    for place, inserted in damage:
        at = place % (len(coded) + 1)
        coded = coded[:at] + inserted + coded[at:]
    verdicts = []
    for pieces in ([coded], split(coded, cuts), one_by_one(coded)):
        body = ChunkedBody()
        try:
            verdicts.append((*read(body, pieces), body.done))
        except FramingError:
            verdicts.append(None)
    if None in verdicts and verdicts != [None] * 3:  # in pieces, what is broken may not have come to light
        assert all(verdict is None or not verdict[2] for verdict in verdicts)
    else:
        assert verdicts[0] == verdicts[1] == verdicts[2]


MALFORMED = [
    *(
        b"\r\n",
        b"g\r\n",
        b" 5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"-5\r\n",
        b"0x5\r\nhello\r\n",
    ),
    *(
        b"5\nhello\n",
        b"5\n",
        b"5\r",
        b"5\rhello",
        b"5\r\r\nhello\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
    ),
    *(
        b"5\r\nhello\r0\r\n\r\n",
        b"5\r\nhello!\r\n",
        b"5\r\nhello \r\n",
        b"5\r\nhello\r\r\n",
        b"5\r\nhello\n\r\n",
    ),
    *(b"5\r\nhello\r\n\r\n", b"5;\r\nhello\r\n", b"5;;a\r\n", b'5;a="\r\n', b"5;a=b c\r\n", b'5;a="b"c\r\n'),
    *(b"5;a\0\r\n", b"5;\x80\r\n", b'5;a="\x80"\r\n', b"5;a\nb\r\n", b"5;a\rb\r\n", b"5 a\r\n", b"5,a\r\n"),
    *(b"5_0\r\n", b"\xb2\r\n", b"5\0\r\n", b"\0", b"5\x0b\r\n", b"\x0c5\r\n", b"1" * 16 + b"\r\n"),
    *(b"0" * 16 + b"5\r\nhello\r\n", b"ffffffffffffffff\r\n", b"10000000000000005\r\nhello\r\n"),
    *(b"0\r\n\n", b"0\r\n\r\r\n", b"0\n\r\n", b"0\r\n \r\n", b"0\r\nA : b\r\n\r\n", b"0\r\nA\r\n\r\n"),
    *(b"0\r\n A: b\r\n\r\n", b"0\r\nA: b\r\n c\r\n\r\n", b"0\r\nA: \0\r\n\r\n", b"0\r\nA: b\nB: c\r\n\r\n"),
    *(b"0\r\n\rX", b"0\r\nA: b\rB: c\r\n\r\n", b"0\r\n: b\r\n\r\n"),
]
"""What RFC 9112 §7.1 forbids, and what it lets a recipient read in two ways."""


@pytest.mark.parametrize("coded", MALFORMED)
def test_a_malformed_chunked_body_is_refused_however_it_comes(coded: bytes) -> None:
    for pieces in ([coded], one_by_one(coded)):
        body = ChunkedBody()
        refused = False
        try:
            read(body, pieces)
        except FramingError:
            refused = True
        assert refused or (not body.done and coded.endswith((b"\r", b"\n"))), coded
        if not refused:
            with pytest.raises(FramingError):
                body.feed(b"x\r\n\r\n")


@pytest.mark.parametrize(
    "endless",
    [
        b"0" * 100_000,
        b"5;" + b"a" * 100_000,
        b'5;a="' + b"b" * 100_000,
        b"5" + b" " * 100_000,
        b"0\r\n" + b"A" * 100_000,
        b"0\r\nA:" + b" " * 100_000,
        b"0\r\n" + b"A: b\r\n" * 20_000,
        b"0\r\n" + b"A:\r\n" * 40_000,
        b"1;a\r\nx\r\n" * 20_000,
        b"1;" + b"a" * 200 + b"\r\nx\r\n" + (b"1;" + b"a" * 200 + b"\r\nx\r\n") * 5000,
    ],
    ids=[
        "zeros",
        "extension",
        "quoted",
        "spaces",
        "name",
        "value",
        "trailers",
        "bare trailers",
        "many",
        "long",
    ],
)
@pytest.mark.parametrize("step", [100_000, 1000, 7])
def test_endless_lines_extensions_and_trailers_are_refused_within_a_bound(endless: bytes, step: int) -> None:
    body = ChunkedBody()
    taken = 0
    with pytest.raises(FramingError):  # noqa: PT012 - it is refused on the way, nobody knows where
        for at in range(0, len(endless), step):
            piece = endless[at : at + step]
            body.feed(piece)
            taken += len(piece)
            held = sum(map(sys.getsizeof, held_by(body)))
            assert held < LARGEST_TRAILERS + 1024
    assert taken <= max(LARGEST_TRAILERS * 2, MOST_EXTENSIONS * 4) + step


@pytest.mark.parametrize(
    "run", [b"1\nx\r\n", b"1 \r\nx\r\n", b"2\r\nx\r\n", b"1\r\nxx\r\n", b"g\r\n", b"1\r\nx\n"]
)
def test_what_the_other_parser_reads_differently_is_told(run: bytes) -> None:
    assert SmallChunks().content_of(run + b"1\r\nx\r\n") is None


def test_many_chunks_may_have_an_extension_and_too_many_may_not() -> None:
    few, many = (b"1;a\r\nx\r\n" * number + LAST_CHUNK for number in (256, 257))
    assert read(ChunkedBody(), [few]) == read(ChunkedBody(), one_by_one(few)) == (b"x" * 256, b"")
    for pieces in ([many], one_by_one(many)):
        with pytest.raises(FramingError, match="extensions"):
            read(ChunkedBody(), pieces)


def test_trailers_may_be_as_large_as_agreed_and_no_larger() -> None:
    line = b"A: " + b"b" * 59 + b"\r\n"
    fits = b"0\r\n" + line * (LARGEST_TRAILERS // len(line)) + b"\r\n"
    too_large = b"0\r\n" + line * (LARGEST_TRAILERS // len(line) + 1) + b"\r\n"
    assert read(ChunkedBody(), [fits]) == read(ChunkedBody(), one_by_one(fits)) == (b"", b"")
    for pieces in ([too_large], one_by_one(too_large)):
        with pytest.raises(FramingError, match="trailer"):
            read(ChunkedBody(), pieces)


def test_a_chunk_line_may_be_as_long_as_agreed_and_no_longer() -> None:
    fits = b"1;" + b"a" * (LONGEST_CHUNK_LINE - 2) + b"\r\nx\r\n0\r\n\r\n"
    too_long = b"1;" + b"a" * (LONGEST_CHUNK_LINE - 1) + b"\r\nx\r\n0\r\n\r\n"
    assert read(ChunkedBody(), [fits]) == read(ChunkedBody(), one_by_one(fits)) == (b"x", b"")
    for pieces in ([too_long], one_by_one(too_long)):
        with pytest.raises(FramingError):
            read(ChunkedBody(), pieces)


def test_a_large_chunk_is_held_nowhere() -> None:
    body = ChunkedBody()
    body.feed(b"40000000\r\n")
    piece = b"x" * 65536
    for _ in range(100):
        content, taken = body.feed(piece)
        assert taken == len(content) == len(piece)
    assert sum(map(sys.getsizeof, held_by(body))) < 1024


def test_a_body_of_many_small_chunks_is_read_in_time_that_grows_with_its_size() -> None:
    coded = chunk(b"x") * 100_000 + LAST_CHUNK
    content, rest = read(ChunkedBody(), [coded])
    assert (len(content), rest) == (100_000, b"")


@given(st.lists(st.binary(min_size=1, max_size=100), max_size=5), CUTS)
def test_what_we_write_in_chunks_we_read_and_so_does_another_parser(
    pieces: list[bytes], cuts: list[int]
) -> None:
    coded = b"".join(map(chunk, pieces)) + LAST_CHUNK
    assert read(ChunkedBody(), split(coded, cuts)) == (b"".join(pieces), b"")
    assert _by_h11(coded) == (b"".join(pieces), b"")


# Bodies of a known length, and of none


@given(st.binary(max_size=200), st.binary(max_size=50), CUTS)
def test_a_body_of_a_known_length_ends_after_it(content: bytes, next_message: bytes, cuts: list[int]) -> None:
    body = LengthBody(len(content))
    assert body.done is (not content)
    assert read(body, split(content + next_message, cuts)) == (content, next_message)
    assert body.done


@given(st.binary(max_size=200), st.integers(1, 2**60), CUTS)
def test_a_body_that_is_cut_short_is_not_done(content: bytes, missing: int, cuts: list[int]) -> None:
    body = LengthBody(len(content) + missing)
    assert read(body, split(content, cuts)) == (content, b"")
    assert not body.done
    assert body.left == missing


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_a_body_until_close_is_never_done_by_itself(pieces: list[bytes]) -> None:
    body = UntilClose()
    assert read(body, pieces) == (b"".join(pieces), b"")
    assert not body.done
