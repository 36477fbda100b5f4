"""PROXY headers as values: what comes is a header, the beginning of one, or refused, however it is cut."""

from ipaddress import IPv4Address, IPv6Address

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.wire.proxy_protocol import (
    LONGEST_V1,
    LONGEST_V2,
    SIGNATURE,
    MalformedError,
    Told,
    read_header,
)

ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
PORTS = st.integers(0, 65535)


def line(source: IPv4Address | IPv6Address, ports: tuple[int, int]) -> bytes:
    return f"PROXY TCP{source.version} {source} {source} {ports[0]} {ports[1]}\r\n".encode()


def block(source: IPv4Address | IPv6Address, tail: bytes) -> bytes:
    payload = source.packed * 2 + bytes(4) + tail
    family = b"\x11" if source.version == 4 else b"\x21"
    return SIGNATURE + b"\x21" + family + len(payload).to_bytes(2, "big") + payload


def plain(source: IPv4Address | IPv6Address) -> str:
    return str((isinstance(source, IPv6Address) and source.ipv4_mapped) or source)


def verdict(data: bytes) -> Told | str | None:
    try:
        return read_header(data)
    except MalformedError:
        return "malformed"


@given(source=ADDRESSES, ports=st.tuples(PORTS, PORTS), tail=st.binary(max_size=400), after=st.binary())
@example(source=IPv6Address("::ffff:203.0.113.7"), ports=(1, 2), tail=b"", after=b"")
def test_a_header_is_read_to_its_end_and_no_further(
    source: IPv4Address | IPv6Address, ports: tuple[int, int], tail: bytes, after: bytes
) -> None:
    for header in (line(source, ports), block(source, tail)):
        assert read_header(header + after) == (plain(source), len(header))
        assert {read_header(header[:end]) for end in range(len(header))} == {None}


@given(data=st.one_of(st.binary(), st.binary().map(SIGNATURE.__add__), st.binary().map(b"PROXY ".__add__)))
def test_a_verdict_stands_whatever_comes_after(data: bytes) -> None:
    early = next((seen for end in range(len(data)) if (seen := verdict(data[:end])) is not None), None)
    if early is not None:
        assert verdict(data) == early
        assert verdict(data + b"more") == early


@given(data=st.binary(min_size=LONGEST_V2, max_size=LONGEST_V2 + 50))
def test_nobody_is_waited_for_beyond_the_bounds(data: bytes) -> None:
    assert verdict(data) is not None
    assert verdict(SIGNATURE + data) is not None
    assert verdict(b"PROXY " + data[:LONGEST_V1]) is not None
