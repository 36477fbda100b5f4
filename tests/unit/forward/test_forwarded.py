"""Who sent the request, told to the feed and to the logs: a stranger's word counts for nothing."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.forward.forwarded import Networks, client_address, given_request_id, is_trusted, own_lines
from gateway.http1.head import Section, parse_section

PROXIES: Networks = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"), ip_network("192.0.2.7/32"))


def section(*lines: str) -> Section:
    read = parse_section("".join(f"{line}\r\n" for line in lines).encode("latin-1"), 100)
    assert isinstance(read, Section), read
    return read


def told(peer: str, *lines: str, trusted: bool = False) -> list[str]:
    return own_lines(peer, section(*lines), trusted=trusted).decode("latin-1").split("\r\n")[:-1]


def test_a_feed_is_told_who_asked_how_and_for_which_host() -> None:
    assert told("203.0.113.9", "Host: feeds.example:8080") == [
        "X-Forwarded-For: 203.0.113.9",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: feeds.example:8080",
        'Forwarded: for=203.0.113.9;host="feeds.example:8080";proto=http',
        "Via: 1.1 scopegate",
    ]


def test_an_ipv6_address_is_quoted_where_the_grammar_asks_for_it() -> None:
    lines = told("2001:db8::9", "Host: [2001:db8::1]:80")
    assert lines[0] == "X-Forwarded-For: 2001:db8::9"
    assert lines[3] == 'Forwarded: for="[2001:db8::9]";host="[2001:db8::1]:80";proto=http'


def test_a_zone_is_of_no_use_to_anyone_else() -> None:
    """RFC 7239 §6 knows no zone, and RFC 4007 §11 says that one means something on its own machine alone."""
    lines = told("fe80::1%eth0", "Host: x")
    assert lines[0] == "X-Forwarded-For: fe80::1"
    assert lines[3] == 'Forwarded: for="[fe80::1]";host=x;proto=http'


def test_without_a_host_none_is_made_up() -> None:
    assert told("203.0.113.9") == [
        "X-Forwarded-For: 203.0.113.9",
        "X-Forwarded-Proto: http",
        "Forwarded: for=203.0.113.9;proto=http",
        "Via: 1.1 scopegate",
    ]


def test_an_unknown_peer_is_called_unknown() -> None:
    assert told("unknown", "Host: x")[2] == "X-Forwarded-Host: x"
    assert told("unknown", "Host: x")[3] == "Forwarded: for=unknown;host=x;proto=http"


SPOOF = (
    *("X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example"),
    *("Forwarded: for=1.1.1.1;proto=https", "Host: x", "x-forwarded-for: 2.2.2.2"),
)


def test_a_strangers_word_is_replaced() -> None:
    assert told("203.0.113.9", *SPOOF) == told("203.0.113.9", "Host: x")


def test_a_trusted_proxys_word_is_extended() -> None:
    assert told("10.0.0.1", *SPOOF, trusted=True) == [
        "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 10.0.0.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.example",
        "Forwarded: for=1.1.1.1;proto=https, for=10.0.0.1;host=x;proto=http",
        "Via: 1.1 scopegate",
    ]


def test_a_trusted_proxy_that_says_nothing_is_the_client() -> None:
    assert told("10.0.0.1", "Host: x", trusted=True) == told("10.0.0.1", "Host: x")
    assert told("10.0.0.1", "Host: x", "X-Forwarded-For: ", trusted=True) == told("10.0.0.1", "Host: x")


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.1.2.3", True),
        ("11.0.0.1", False),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("2001:db8::1", True),
        ("2001:DB8:0::1", True),
        ("2001:db9::1", False),
        ("2001:db8::1%eth0", True),
        ("::ffff:10.1.2.3", True),
        ("::ffff:11.0.0.1", False),
        ("unknown", False),
        ("", False),
        ("10.1.2.3, 11.0.0.1", False),
        ("10.1.2.3:80", False),
    ],
)
def test_a_peer_is_trusted_by_its_address_however_the_socket_spells_it(peer: str, trusted: bool) -> None:  # noqa: FBT001 - a column
    assert is_trusted(peer, PROXIES) is trusted
    assert not is_trusted(peer, ())


@pytest.mark.parametrize(
    ("peer", "chain", "client"),
    [
        ("203.0.113.9", ("1.1.1.1",), "203.0.113.9"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("1.1.1.1",), "1.1.1.1"),
        ("10.0.0.1", ("9.9.9.9, 1.1.1.1",), "1.1.1.1"),
        ("10.0.0.1", ("9.9.9.9, 1.1.1.1, 10.0.0.2",), "1.1.1.1"),
        ("10.0.0.1", ("9.9.9.9", "1.1.1.1,10.0.0.2", "10.0.0.3"), "1.1.1.1"),
        ("10.0.0.1", ("10.0.0.3, 10.0.0.2",), "10.0.0.1"),
        ("10.0.0.1", ("2001:db9::7",), "2001:db9::7"),
        ("10.0.0.1", ("1.1.1.1, 2001:db8::5",), "1.1.1.1"),
        ("10.0.0.1", ("1.1.1.1, garbage",), "10.0.0.1"),
        ("10.0.0.1", ("garbage, 1.1.1.1",), "1.1.1.1"),
        ("10.0.0.1", ("",), "10.0.0.1"),
        ("10.0.0.1", (",,",), "10.0.0.1"),
        ("10.0.0.1", ("1.1.1.1, ",), "10.0.0.1"),
        ("10.0.0.1", ("\xff",), "10.0.0.1"),
        ("10.0.0.1", ("fe80::1%\xff",), "10.0.0.1"),
        ("10.0.0.1", ('fe80::1%" onload="x',), "10.0.0.1"),
        ("::ffff:10.0.0.1", ("1.1.1.1",), "1.1.1.1"),
    ],
)
def test_the_client_is_the_nearest_that_no_trusted_proxy_answers_for(
    peer: str, chain: tuple[str, ...], client: str
) -> None:
    fields = section(*(f"X-Forwarded-For: {hops}" for hops in chain)).fields
    assert client_address(peer, fields, PROXIES) == client


@given(
    st.lists(
        st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f")), max_size=4
    )
)
def test_what_is_logged_as_an_address_is_ascii_whatever_a_proxy_says(chain: list[str]) -> None:
    lines = [f"X-Forwarded-For: {hop}" for hop in chain]
    read = parse_section("".join(f"{line}\r\n" for line in lines).encode("latin-1"), 100)
    if isinstance(read, Section):
        assert client_address("10.0.0.1", read.fields, PROXIES).isascii()


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        (("X-Request-Id: abc-123_X.y",), b"abc-123_X.y"),
        (("x-request-id: a",), b"a"),
        (("X-Request-Id: " + "a" * 128,), b"a" * 128),
        (("X-Request-Id: " + "a" * 129,), None),
        (("X-Request-Id:",), None),
        (("X-Request-Id: a b",), None),
        (("X-Request-Id: a", "X-Request-Id: b"), None),
        (('X-Request-Id: a"b',), None),
        (("X-Request-Id: \xe9",), None),
        ((), None),
    ],
)
def test_a_proxys_request_id_is_kept_if_it_looks_like_one(lines: tuple[str, ...], kept: bytes | None) -> None:
    assert given_request_id(section(*lines).fields) == kept
