"""Request heads: what is read, what is refused, and that a second parser reads alike whatever we accept."""

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.domain.verdict import Reason, Refusal
from gateway.http1.grammar import is_authority, same_authority
from gateway.http1.head import METHODS, RequestLine, Section, parse_request_line, parse_section
from gateway.routing.canonical import canonical_path

MOST = 100


def line_of(read: RequestLine | Refusal) -> RequestLine:
    assert isinstance(read, RequestLine), read
    return read


def section_of(read: Section | Refusal) -> Section:
    assert isinstance(read, Section), read
    return read


# Request lines


@pytest.mark.parametrize(
    ("line", "method", "path", "query", "authority"),
    [
        (b"GET / HTTP/1.1", "GET", b"/", None, None),
        (b"GET /a?b=c HTTP/1.1", "GET", b"/a", b"b=c", None),
        (b"GET /a? HTTP/1.1", "GET", b"/a", b"", None),
        (b"GET /a?b?c HTTP/1.1", "GET", b"/a", b"b?c", None),
        (b"GET //a HTTP/1.1", "GET", b"//a", None, None),
        (b"GET /http://b/c HTTP/1.1", "GET", b"/http://b/c", None, None),
        (b"PATCH /a HTTP/1.0", "PATCH", b"/a", None, None),
        (b"PURGE /a HTTP/1.1", "PURGE", b"/a", None, None),
        (b"get /a HTTP/1.1", "get", b"/a", None, None),
        (b"M-SEARCH /a HTTP/1.1", "M-SEARCH", b"/a", None, None),
        (b"GET http://x/a?b HTTP/1.1", "GET", b"/a", b"b", b"x"),
        (b"GET HTTP://x:8080 HTTP/1.1", "GET", b"/", None, b"x:8080"),
        (b"GET http://x?b HTTP/1.1", "GET", b"/", b"b", b"x"),
        (b"GET http://[::1]:80/a HTTP/1.1", "GET", b"/a", None, b"[::1]:80"),
        (b"GET http://x//a HTTP/1.1", "GET", b"//a", None, b"x"),
    ],
)
def test_a_request_line_is_read(
    line: bytes, method: str, path: bytes, query: bytes | None, authority: bytes | None
) -> None:
    read = line_of(parse_request_line(line))
    assert (read.method, read.path, read.query) == (method, path, query)
    assert read.origin == (authority and (b"http", authority))
    assert read.keeps_alive is line.endswith(b"1.1")


def test_the_scheme_of_an_absolute_target_is_kept() -> None:
    assert line_of(parse_request_line(b"GET HTTPS://x/a HTTP/1.1")).origin == (b"https", b"x")


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b" ", b"GET", b"GET /", b"GET  / HTTP/1.1", b"GET /  HTTP/1.1", b" GET / HTTP/1.1"),
        *(b"GET / HTTP/1.1 ", b"GET /a b HTTP/1.1", b"GET\t/ HTTP/1.1", b"GET /\tHTTP/1.1"),
        *(b"GET / HTTP/2.0", b"GET / HTTP/1.2", b"GET / HTTP/0.9", b"GET / http/1.1", b"GET / HTTP/1.10"),
        *(b"GET / HTTP/01.1", b"GET / HTTP/1", b"GET / HTTP/1.1\r", b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\0"),
        *(b"GET / ICY/1.1", b"PRI * HTTP/2.0", b"GET / HTTP/1,1", b"GET / HTTP/+1.1", b"GET / HTTP/1.\xb9"),
        *(b"G(T / HTTP/1.1", b"G\xc9T / HTTP/1.1", b"G\0T / HTTP/1.1", b"G:T / HTTP/1.1", b"{} / HTTP/1.1"),
        *(b"OPTIONS * HTTP/1.1", b"GET * HTTP/1.1", b"GET a HTTP/1.1", b"GET ?a HTTP/1.1", b"GET  HTTP/1.1"),
        *(b"CONNECT x:443 HTTP/1.1", b"CONNECT / HTTP/1.1", b"TRACE / HTTP/1.1", b"M" * 33 + b" / HTTP/1.1"),
        *(
            b"GET httpss://x/ HTTP/1.1",
            b"GET ftp://x/ HTTP/1.1",
            b"GET http:/x HTTP/1.1",
            b"GET http:x HTTP/1.1",
        ),
        *(b"GET http:///a HTTP/1.1", b"GET http://u@x/ HTTP/1.1", b"GET http://u:p@x/ HTTP/1.1"),
        *(b"GET http://x:99999/ HTTP/1.1", b"GET http://x\\y/ HTTP/1.1", b"GET http://x%2ey/ HTTP/1.1"),
        *(b"GET http:\\\\x/ HTTP/1.1", b"GET http://:80/ HTTP/1.1", b"GET http://[::1/ HTTP/1.1"),
        *(b"GET /?\x00 HTTP/1.1", b"GET /?\x7f HTTP/1.1", b"GET /?\xff HTTP/1.1", b"GET /?a\rb HTTP/1.1"),
        *(b"GET /?a\nb HTTP/1.1", b"GET /a\rb HTTP/1.1", b"GET /a\nb HTTP/1.1", b"GET /a\0b HTTP/1.1"),
    ],
)
def test_a_request_line_with_another_reading_is_malformed(line: bytes) -> None:
    read = parse_request_line(line)
    assert isinstance(read, Refusal)
    assert read.reason is Reason.REQUEST_MALFORMED


@pytest.mark.parametrize("line", [b"GET /?a#b HTTP/1.1", b"GET /?# HTTP/1.1"])
def test_a_fragment_after_a_query_is_an_ambiguous_path(line: bytes) -> None:
    read = parse_request_line(line)
    assert isinstance(read, Refusal)
    assert read.reason is Reason.PATH_AMBIGUOUS


# Authorities


@pytest.mark.parametrize(
    "authority",
    [
        *(b"example.com", b"example.com:80", b"EXAMPLE.com.", b"a", b"a:", b"a-b.c", b"localhost:65535"),
        *(b"127.0.0.1", b"127.0.0.1:8080", b"[::1]", b"[::1]:80", b"[2001:db8::ff00:42:8329]"),
        *(b"[::ffff:192.0.2.1]", b"1.example", b"123abc", b"a:0", b"x--y.example", b"a1.b2.c3"),
    ],
)
def test_an_authority_that_names_one_host_in_one_way_is_taken(authority: bytes) -> None:
    assert is_authority(authority)


@pytest.mark.parametrize(
    "authority",
    [
        *(b"", b":80", b".", b"..", b".a", b"a..b", b"a.-", b"-a", b"a-", b"a b", b"a\tb", b" a", b"a "),
        *(b"u@a", b"u:p@a", b"a/b", b"a?b", b"a#b", b"a\\b", b"a%2eb", b"a%00", b"a,b", b"a;b", b"a'b"),
        *(b"a:80:80", b"a:80a", b"a:-1", b"a:65536", b"a:99999", b"a:000080", b"a: 80", b"a:+80", b"a:0x50"),
        *(b"1", b"127.1", b"2130706433", b"0x7f.1", b"0x7f000001", b"127.0.0.256", b"1.2.3", b"1.2.3.4.5"),
        *(b"0177.0.0.1", b"127.0.0.01", b"1.2.3.0x4", b"a.1", b"a.0x", b"127.0.0.1."),
        *(b"[]", b"[:]", b"[::1", b"::1", b"[::1]a", b"[::1]:", b"[1]", b"[127.0.0.1]", b"[::1%25eth0]"),
        *(b"[::1%eth0]", b"[v1.a]", b"[g::1]", b"[::1]]", b"[[::1]]", b"[1:2:3:4:5:6:7:8:9]"),
        *(b"a\x00b", b"a\xff", b"\xc3\xa9.example", b"a\r", b"a\n", b"a\r\nX: y"),
    ],
)
def test_an_authority_with_another_reading_is_refused(authority: bytes) -> None:
    if authority == b"[::1]:":
        assert is_authority(authority)  # RFC 3986 §3.2.3: an empty port is the default one
    else:
        assert not is_authority(authority)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b"a", b"A", True),
        (b"a", b"a:80", True),
        (b"a:", b"a:80", True),
        (b"a:080", b"a:80", True),
        (b"a", b"a:8080", False),
        (b"a", b"b", False),
        (b"a", b"", False),
        (b"[::1]", b"[::1]:80", True),
        (b"[::1]", b"[::2]", False),
    ],
)
def test_authorities_are_compared_as_http_compares_them(one: bytes, other: bytes, same: bool) -> None:  # noqa: FBT001 - a column
    assert same_authority(one, other) is same
    assert same_authority(other, one) is same


# Header sections


@pytest.mark.parametrize(
    ("section", "fields"),
    [
        (b"", ()),
        (b"Host: x\r\n", ((b"Host", b"x"),)),
        (b"A:b\r\nA:  c  \r\na:\td\t\r\n", ((b"A", b"b"), (b"A", b"c"), (b"a", b"d"))),
        (b"A:\r\nB: \t \r\n", ((b"A", b""), (b"B", b""))),
        (b"A: b\tc  d\r\n", ((b"A", b"b\tc  d"),)),
        (b"A: \x80\xff\r\n", ((b"A", b"\x80\xff"),)),
        (b"!#$%&'*+-.^_`|~9z: a:b: c\r\n", ((b"!#$%&'*+-.^_`|~9z", b"a:b: c"),)),
    ],
)
def test_fields_are_read_in_order_with_their_repeats(
    section: bytes, fields: tuple[tuple[bytes, bytes], ...]
) -> None:
    assert section_of(parse_section(section, MOST)).fields == fields


@pytest.mark.parametrize(
    "section",
    [
        *(b"A : b\r\n", b" A: b\r\n", b"A: b\r\n c\r\n", b"A: b\r\n\tc\r\n", b"A\t: b\r\n", b"A b: c\r\n"),
        *(
            b": b\r\n",
            b"A\r\n",
            b"\r\n",
            b"A: b\n",
            b"A: b\r",
            b"A: b\r\r\n",
            b"A: b\n\r\n",
            b"A: b\rB: c\r\n",
        ),
        *(b"A: b\0c\r\n", b"A: \x01\r\n", b"A: \x7f\r\n", b"A: \x0b\r\n", b"A\0: b\r\n", b"\xc9: b\r\n"),
        *(b"A(: b\r\n", b"A,B: c\r\n", b"A;: b\r\n", b"A/B: c\r\n", b'"A": b\r\n', b"A@: b\r\n", b"A: b"),
        *(
            b"Host: x\r\nHost: x\r\n",
            b"Host: x\r\nhost: y\r\n",
            b"Host:\r\n",
            b"Host: a b\r\n",
            b"Host: u@a\r\n",
        ),
        *(b"Content-Length: 1\r\nContent-Length: 1\r\n", b"Content-Length: 1\r\ncontent-length: 2\r\n"),
        *(b"Content-Length: 1, 1\r\n", b"Content-Length: +1\r\n", b"Content-Length: -1\r\n"),
        *(b"Content-Length: 01\r\n", b"Content-Length: 0x1\r\n", b"Content-Length: 1 2\r\n"),
        *(
            b"Content-Length:\r\n",
            b"Content-Length: a\r\n",
            b"Content-Length: 1_0\r\n",
            b"Content-Length: 1.0\r\n",
        ),
        *(b"Content-Length: 9999999999999999999\r\n", b"Content-Length: \xb2\r\n", b"Content-Length: 1;\r\n"),
        *(b"Transfer-Encoding: gzip\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding:\r\n"),
        *(b"Transfer-Encoding: chunked, chunked\r\n", b"Transfer-Encoding: chunked;a=b\r\n"),
        *(
            b"Transfer-Encoding: identity\r\n",
            b"Transfer-Encoding: chunked,\r\n",
            b"Transfer-Encoding: xchunked\r\n",
        ),
        *(b"Transfer-Encoding: \x0bchunked\r\n", b"Transfer-Encoding: chun\tked\r\n"),
        *(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",),
        *(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",),
        *(
            b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
            b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        ),
        *(
            b"Connection: host\r\n",
            b"Connection: close, Content-Length\r\n",
            b"Connection: x-forwarded-port\r\n",
        ),
    ],
)
def test_a_section_with_another_reading_is_malformed(section: bytes) -> None:
    read = parse_section(section, MOST)
    assert isinstance(read, Refusal)
    assert read.reason is Reason.REQUEST_MALFORMED


@pytest.mark.parametrize(
    ("section", "length", "chunked"),
    [
        (b"Host: x\r\n", None, False),
        (b"Content-Length: 0\r\n", 0, False),
        (b"content-length:   42  \r\n", 42, False),
        (b"Content-Length: 999999999999999999\r\n", 999_999_999_999_999_999, False),
        (b"Transfer-Encoding: chunked\r\n", None, True),
        (b"transfer-encoding: \t CHUNKED \r\n", None, True),
    ],
)
def test_framing_is_read_once(section: bytes, length: int | None, chunked: bool) -> None:  # noqa: FBT001 - a column
    read = section_of(parse_section(section, MOST))
    assert (read.length, read.chunked) == (length, chunked)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"100-continue", None),
        (b"100-CONTINUE", None),
        (b"100-continue, 100-continue", Reason.EXPECTATION_FAILED),
        (b"200-ok", Reason.EXPECTATION_FAILED),
        (b"", Reason.EXPECTATION_FAILED),
    ],
)
def test_only_one_expectation_can_be_met(value: bytes, reason: Reason | None) -> None:
    read = parse_section(b"Expect: %b\r\n" % value, MOST)
    if reason is None:
        assert section_of(read).expects_continue
    else:
        assert isinstance(read, Refusal)
        assert read.reason is reason


def test_connection_options_are_read_from_every_line_in_lower_case() -> None:
    read = section_of(parse_section(b"Connection: Close,, X-A \r\nConnection:\tkeep-alive\r\n", MOST))
    assert read.options == {b"close", b"x-a", b"keep-alive"}


@pytest.mark.parametrize(
    ("section", "upgrade"),
    [
        (b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"websocket"),
        (b"Upgrade: websocket\r\n", None),
        (b"Connection: upgrade\r\n", None),
    ],
)
def test_an_upgrade_is_asked_for_by_both_fields(section: bytes, upgrade: bytes | None) -> None:
    assert section_of(parse_section(section, MOST)).upgrade == upgrade


def test_the_number_of_fields_is_bounded() -> None:
    assert len(section_of(parse_section(b"A: b\r\n" * MOST, MOST)).fields) == MOST
    read = parse_section(b"A: b\r\n" * (MOST + 1), MOST)
    assert isinstance(read, Refusal)
    assert read.reason is Reason.HEADERS_TOO_LARGE


# A second opinion: whatever we accept, h11 reads alike

TOKENS = st.sampled_from(
    ["Host", "A", "Accept", "Content-Length", "Transfer-Encoding", "Connection", "X_y", "Expect"]
)
VALUES = st.one_of(
    st.sampled_from(
        ["x", "a.example:80", "chunked", "Chunked", "0", "5", "05", "5, 5", "close", "", " \t b ", "é"]
    ),
    st.text(st.characters(max_codepoint=255), max_size=8),
)
SEPARATORS = st.sampled_from([":", ": ", ":\t", " : ", ":  "])
LINE_ENDS = st.sampled_from(["\r\n"] * 12 + ["\n", "\r", "\r\n ", "\0\r\n"])
LINES = st.tuples(TOKENS, SEPARATORS, VALUES, LINE_ENDS).map("".join)
METHOD_WORDS = st.one_of(
    st.sampled_from([*METHODS.values(), "get", "PURGE", "G T"]), st.text("GET\t:é", max_size=4)
)
TARGETS = st.one_of(
    st.sampled_from(["/", "/a?b=c", "http://x/a", "*", "x:1", "/a b", "//", "/%zz"]),
    st.text(st.characters(max_codepoint=255), max_size=12).map("/".__add__),
)
VERSIONS = st.sampled_from(["HTTP/1.1"] * 6 + ["HTTP/1.0", "HTTP/2.0", "http/1.1", "HTTP/1.1 "])
HEADS = st.tuples(
    st.tuples(METHOD_WORDS, TARGETS, VERSIONS).map(" ".join), st.lists(LINES, max_size=5).map("".join)
).map(lambda parts: (parts[0].encode("latin-1"), b"Host: x\r\n" + parts[1].encode("latin-1")))
MUTATIONS = st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=2)), max_size=2)


def mutated(data: bytes, mutations: list[tuple[int, bytes]]) -> bytes:
    for place, replacement in mutations:
        at = place % (len(data) + 1)
        data = data[:at] + replacement + data[at + 1 :]
    return data


@settings(max_examples=400, deadline=None)
@given(HEADS, MUTATIONS)
@example((b"GET / HTTP/1.1", b"Host: x\r\nTransfer-Encoding: chunked\r\n"), [])
@example((b"POST /a?b HTTP/1.0", b"Content-Length: 7\r\nA:\x80\r\n"), [])
def test_whatever_is_accepted_is_read_alike_by_another_parser(
    head: tuple[bytes, bytes], mutations: list[tuple[int, bytes]]
) -> None:
    line, section = head[0], mutated(head[1], mutations)
    if b"\r\n\r\n" in section or section.startswith(b"\r\n"):
        return  # the wire finds the end of the head before it is read
    asked, read = parse_request_line(line), parse_section(section, MOST)
    if isinstance(asked, Refusal) or isinstance(read, Refusal):
        return
    if isinstance(canonical_path(asked.path, frozenset()), Refusal):
        return
    if asked.keeps_alive and read.host is None:
        return  # what line and section have against each other is the wire's to say
    other = h11.Connection(h11.SERVER)
    other.receive_data(line + b"\r\n" + section + b"\r\n")
    event = other.next_event()
    assert isinstance(event, h11.Request)
    assert event.method == asked.method.encode()
    target = asked.path if asked.query is None else asked.path + b"?" + asked.query
    assert event.target.endswith(target) or event.target + b"/" == b"http://x/"
    assert [(name, value) for name, value in event.headers.raw_items()] == list(read.fields)
    named = dict(event.headers)
    assert (named.get(b"transfer-encoding") == b"chunked") is read.chunked
    assert named.get(b"content-length") == (None if read.length is None else b"%d" % read.length)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_garbage_is_refused_and_never_an_error(garbage: bytes) -> None:
    assert isinstance(parse_request_line(garbage), RequestLine | Refusal)
    assert isinstance(parse_section(garbage, MOST), Section | Refusal)
    assert is_authority(garbage) in (True, False)


@settings(max_examples=300, deadline=None)
@given(HEADS, MUTATIONS, MUTATIONS)
def test_nearly_right_heads_are_refused_and_never_an_error(
    head: tuple[bytes, bytes], first: list[tuple[int, bytes]], second: list[tuple[int, bytes]]
) -> None:
    assert isinstance(parse_request_line(mutated(head[0], first)), RequestLine | Refusal)
    assert isinstance(parse_section(mutated(head[1], second), MOST), Section | Refusal)
