"""The PROXY protocol: whose word is believed, what it changes, and what ends a connection."""

import ssl
import struct
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from authorities import Authority
from conversations import Conversation, conversation
from feeds import Feed
from gateways import PlaneUnderTest, running_plane
from scripts import records, settled

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
REQUEST = b"GET /v2/status HTTP/1.1\r\nHost: feeds.test\r\n\r\n"
TRUSTED = "proxy_protocol: true\ntrusted_proxies: [127.0.0.1]\nlimits: {header_timeout: 500ms}"


@pytest.fixture
async def behind(tmp_path: Path, feed: Feed) -> AsyncIterator[PlaneUnderTest]:
    async with running_plane(tmp_path, feed.port, main=TRUSTED) as plane:
        yield plane


def version_2(payload: bytes, command: int = 0x21, protocol: int = 0x11, length: int | None = None) -> bytes:
    stated = len(payload) if length is None else length
    return SIGNATURE + struct.pack("!BBH", command, protocol, stated) + payload


def addresses(source: str, target: str = "") -> bytes:
    return ip_address(source).packed + ip_address(target or source).packed + struct.pack("!HH", 56324, 443)


UNIX = b"/run/a.sock".ljust(108, b"\0") * 2
TLV = b"\x04\x00\x05hello\x20\x00\x02ab"

TOLD = {
    "v1 IPv4": (b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n", "203.0.113.7"),
    "v1 IPv6": (b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n", "2001:db8::7"),
    "v1 IPv6 in full": (
        b"PROXY TCP6 2001:0db8:0000:0000:0000:0000:0000:0007 ::1 65535 0\r\n",
        "2001:db8::7",
    ),
    "v1 mapped": (b"PROXY TCP6 ::ffff:203.0.113.7 ::1 1 2\r\n", "203.0.113.7"),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    "v1 unknown with words": (b"PROXY UNKNOWN ffff:f... 0 0\r\n", "127.0.0.1"),
    "v1 unknown, longest": (b"PROXY UNKNOWN ".ljust(105, b"x") + b"\r\n", "127.0.0.1"),
    "v2 IPv4": (version_2(addresses("203.0.113.7")), "203.0.113.7"),
    "v2 IPv6": (version_2(addresses("2001:db8::7"), protocol=0x21), "2001:db8::7"),
    "v2 mapped": (version_2(addresses("::ffff:203.0.113.7"), protocol=0x21), "203.0.113.7"),
    "v2 with TLVs": (version_2(addresses("203.0.113.7") + TLV), "203.0.113.7"),
    "v2 longest": (version_2(addresses("203.0.113.7").ljust(520, b"\0")), "203.0.113.7"),
    "v2 Unix": (version_2(UNIX, protocol=0x31), "127.0.0.1"),
    "v2 unspecified": (version_2(b"", protocol=0x00), "127.0.0.1"),
    "v2 unspecified with words": (version_2(b"whatever", protocol=0x00), "127.0.0.1"),
    "v2 datagrams": (version_2(addresses("203.0.113.7"), protocol=0x12), "127.0.0.1"),
    "v2 local": (version_2(b"", command=0x20, protocol=0x00), "127.0.0.1"),
    "v2 local with addresses": (version_2(addresses("203.0.113.7"), command=0x20), "127.0.0.1"),
}


@pytest.mark.parametrize("whole", [True, False], ids=["at once", "byte by byte"])
@pytest.mark.parametrize(("header", "address"), TOLD.values(), ids=TOLD.keys())
async def test_the_address_it_tells_is_the_clients(
    behind: PlaneUnderTest, feed: Feed, header: bytes, address: str, *, whole: bool
) -> None:
    async with conversation(behind.port) as client:
        everything = header + REQUEST
        pieces = [everything] if whole else [everything[at : at + 1] for at in range(len(everything))]
        await client.send(*pieces)
        assert (await client.answer()).status == 200
        assert (await client.ask("GET", "/v2/status")).status == 200
    for request in feed.requests:
        assert request.value("X-Forwarded-For") == address
    assert [record["client"] for record in await records(behind, 2)] == [address, address]


@pytest.mark.parametrize(
    "header",
    [
        REQUEST,
        b"\x16\x03\x01\x02\x00\x01",
        b"PROXZ",
        b"proxy TCP4 203.0.113.7 192.0.2.1 1 2\r\n",
        b"PROXY\r\n",
        b"PROXY TCP4\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 1 2\n",
        b"PROXY TCP4  203.0.113.7 192.0.2.1 1 2\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 1 2 \r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 1\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 1 65536\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 01 2\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 -1 2\r\n",
        b"PROXY TCP4 203.0.113.07 192.0.2.1 1 2\r\n",
        b"PROXY TCP4 203.0.113 192.0.2.1 1 2\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
        b"PROXY TCP6 203.0.113.7 192.0.2.1 1 2\r\n",
        b"PROXY TCP6 fe80::1%lo ::1 1 2\r\n",
        b"PROXY UDP4 203.0.113.7 192.0.2.1 1 2\r\n",
        b"PROXY UNKNOWNS\r\n",
        b"PROXY UNKNOWN a\rb\r\n",
        b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
        b"PROXY UNKNOWN " + b"x" * 4000,
        SIGNATURE[:-1] + b"X",
        version_2(addresses("203.0.113.7"), command=0x11),
        version_2(addresses("203.0.113.7"), command=0x22),
        version_2(addresses("203.0.113.7"), protocol=0x13),
        version_2(UNIX, protocol=0x41),
        version_2(addresses("203.0.113.7")[:-1]),
        version_2(addresses("203.0.113.7"), protocol=0x21),
        version_2(addresses("203.0.113.7").ljust(521, b"\0")),
        version_2(b"", length=0xFFFF),
    ],
)
async def test_what_is_no_header_ends_the_connection_unanswered(
    behind: PlaneUnderTest, feed: Feed, header: bytes
) -> None:
    async with conversation(behind.port) as client:
        await client.send(header + REQUEST)
        assert await client.closed() == b""
    assert feed.requests == []


@pytest.mark.parametrize("part", [b"", b"P", b"PROXY TCP4 203.0.113.7", SIGNATURE, version_2(b"", length=12)])
async def test_a_header_that_does_not_come_whole_ends_the_connection_in_time(
    behind: PlaneUnderTest, part: bytes
) -> None:
    async with conversation(behind.port) as client:
        if part:
            await client.send(part)
        await settled(lambda: behind.worker.at_the_door == 1)
        assert await client.closed() == b""
    assert behind.worker.at_the_door == 0


async def test_nobody_but_a_trusted_proxy_may_speak_it(tmp_path: Path, feed: Feed) -> None:
    main = "proxy_protocol: true\ntrusted_proxies: [10.0.0.0/8]"
    async with running_plane(tmp_path, feed.port, main=main) as plane, conversation(plane.port) as client:
        await said_into(client, TOLD["v1 IPv4"][0] + REQUEST)
        assert await client.closed() == b""
    assert feed.requests == []


async def said_into(client: Conversation, data: bytes) -> None:
    """Write to a connection that may be gone already."""
    try:
        await client.send(data)
    except ConnectionError:
        return


async def test_without_the_setting_a_header_is_a_malformed_request(plane: PlaneUnderTest, feed: Feed) -> None:
    async with conversation(plane.port) as client:
        await client.send(TOLD["v1 IPv4"][0] + REQUEST)
        assert (await client.answer()).code == "request_malformed"
    assert feed.requests == []


async def test_a_told_client_that_is_no_proxy_cannot_say_who_it_stands_for(
    behind: PlaneUnderTest, feed: Feed
) -> None:
    async with conversation(behind.port) as client:
        await client.send(
            TOLD["v1 IPv4"][0] + REQUEST.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n")
        )
        await client.answer()
    assert feed.requests[0].value("X-Forwarded-For") == "203.0.113.7"


async def test_the_header_comes_before_the_handshake(tmp_path: Path, feed: Feed) -> None:
    """The header and the handshake's first bytes arrive in one piece."""
    authority = Authority(tmp_path)
    main = f"tls: {{{authority.pair('feeds.test').yaml}}}\n{TRUSTED}"
    async with running_plane(tmp_path, feed.port, main=main) as plane, conversation(plane.port) as client:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = authority.client().wrap_bio(incoming, outgoing, server_hostname="feeds.test")
        header = TOLD["v2 IPv6"][0]
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                await client.send(header + outgoing.read())
                header = b""
                incoming.write(await client.reader.read(1 << 16))
        session.write(REQUEST)
        await client.send(outgoing.read())
        await feed.until(lambda feed: len(feed.requests) == 1)
        assert feed.requests[0].value("X-Forwarded-For") == "2001:db8::7"
        assert feed.requests[0].value("X-Forwarded-Proto") == "https"
