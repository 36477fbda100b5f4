"""TLS for clients: what is negotiated, which certificate is shown, who gets in, and how it ends."""

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from authorities import Authority, Pair, tls_conversation
from conversations import CutShortError, conversation
from feeds import OK, Feed
from gateways import PlaneUnderTest, running_plane
from scripts import settled

REQUEST = b"GET /v2/status HTTP/1.1\r\nHost: feeds.test\r\n\r\n"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def pair(authority: Authority) -> Pair:
    return authority.pair("feeds.test")


@pytest.fixture
async def secure(tmp_path: Path, feed: Feed, pair: Pair) -> AsyncIterator[PlaneUnderTest]:
    async with running_plane(tmp_path, feed.port, main=f"tls: {{{pair.yaml}}}") as plane:
        yield plane


def shown(client: object) -> set[str]:
    """The names in the certificate that a client was shown."""
    certificate = client.writer.get_extra_info("peercert")  # type: ignore[attr-defined]  # a Conversation
    return {name for _, name in certificate["subjectAltName"]}


async def certificate_at(port: int, authority: Authority, name: str) -> set[str]:
    async with tls_conversation(port, authority.client(), name) as client:
        return shown(client)


async def test_a_request_crosses_and_the_feed_is_told_it_came_by_https(
    secure: PlaneUnderTest, feed: Feed, authority: Authority
) -> None:
    async with tls_conversation(secure.port, authority.client()) as client:
        for _ in range(2):
            assert (await client.ask("GET", "/v2/status")).body == b"hello"
    request = feed.requests[0]
    assert request.value("X-Forwarded-Proto") == "https"
    assert request.value("Forwarded") == "for=127.0.0.1;host=feeds.test;proto=https"


async def test_http_1_1_is_negotiated_and_nothing_else_offered(
    secure: PlaneUnderTest, authority: Authority
) -> None:
    async with tls_conversation(secure.port, authority.client()) as client:
        session = client.writer.get_extra_info("ssl_object")
        assert session.selected_alpn_protocol() == "http/1.1"
        assert session.compression() is None
    only_h2 = authority.client()
    only_h2.set_alpn_protocols(["h2"])
    async with tls_conversation(secure.port, only_h2) as client:
        assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() is None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_1_2_and_1_3_are_served(
    secure: PlaneUnderTest, authority: Authority, version: ssl.TLSVersion
) -> None:
    async with tls_conversation(secure.port, authority.client(maximum=version)) as client:
        assert (await client.ask("GET", "/v2/status")).status == 200


async def test_a_version_below_the_minimum_is_refused(
    tmp_path: Path, feed: Feed, pair: Pair, authority: Authority
) -> None:
    old = authority.client(maximum=ssl.TLSVersion.TLSv1_2)
    async with running_plane(tmp_path, feed.port, main=f"tls: {{{pair.yaml}, minimum: 1.3}}") as plane:
        with pytest.raises(ssl.SSLError):
            async with tls_conversation(plane.port, old):
                pass
        async with tls_conversation(plane.port, authority.client()) as client:
            assert (await client.ask("GET", "/v2/status")).status == 200


@pytest.mark.parametrize("size", [1, 16_384, 16_385, 1_000_000])
async def test_bodies_cross_whole_both_ways(
    secure: PlaneUnderTest, feed: Feed, authority: Authority, size: int
) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    feed.answer = lambda request: (
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(request.body), request.body)
    )
    key = await secure.key("api-v2")
    async with tls_conversation(secure.port, authority.client()) as client:
        answer = await client.ask("PUT", "/v2/files/a", f"X-API-Key: {key}", body=body[:size])
    assert answer.body == body[:size]


async def test_requests_sent_in_one_go_are_answered_in_order(
    secure: PlaneUnderTest, feed: Feed, authority: Authority
) -> None:
    async with tls_conversation(secure.port, authority.client()) as client:
        await client.send(REQUEST * 5)
        for _ in range(5):
            assert (await client.answer()).status == 200
    assert len(feed.requests) == 5


async def test_a_reader_that_reads_nothing_is_not_fed_into_memory(
    secure: PlaneUnderTest, feed: Feed, authority: Authority
) -> None:
    size = 64 << 20

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await feed.read_request(reader, writer)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while not writer.is_closing():
            writer.write(bytes(1 << 16))
            await writer.drain()
            written.append(1 << 16)

    written: list[int] = []
    feed.script = script
    async with tls_conversation(secure.port, authority.client()) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a reading transport
        await client.send(REQUEST)
        await settled(lambda: bool(written))
        before = -1
        while before != sum(written):
            before = sum(written)
            await asyncio.sleep(0.3)  # that nothing more is written is what is tested
    assert sum(written) < size // 2


# Absolute-form


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("https://feeds.test/v2/status", "feeds.test", 200),
        ("https://feeds.test:443/v2/status", "feeds.test", 200),
        ("https://feeds.test/v2/status", "feeds.test:443", 200),
        ("https://feeds.test:80/v2/status", "feeds.test", 400),
        ("http://feeds.test/v2/status", "feeds.test", 400),
        ("https://other.test/v2/status", "feeds.test", 400),
    ],
)
async def test_an_absolute_target_must_have_the_scheme_of_the_connection(
    secure: PlaneUnderTest, authority: Authority, target: str, host: str, status: int
) -> None:
    async with tls_conversation(secure.port, authority.client()) as client:
        await client.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert (await client.answer()).status == status


async def test_an_https_target_is_refused_in_clear(plane: PlaneUnderTest) -> None:
    async with conversation(plane.port) as client:
        await client.send(b"GET https://feeds.test/v2/status HTTP/1.1\r\nHost: feeds.test\r\n\r\n")
        assert (await client.answer()).code == "request_malformed"


# Names


@pytest.mark.parametrize(
    ("asked", "certificate"),
    [
        ("feeds.test", "feeds.test"),
        ("one.example.com", "one.example.com"),
        ("ONE.example.com", "one.example.com"),
        ("two.example.com", "*.example.com"),
        ("three.two.example.com", "feeds.test"),
        ("example.com", "feeds.test"),
        ("unknown.test", "feeds.test"),
    ],
)
async def test_the_certificate_is_chosen_by_the_exact_name_then_by_the_wildcard(
    tmp_path: Path, feed: Feed, authority: Authority, pair: Pair, asked: str, certificate: str
) -> None:
    names = [
        f"{{name: '{name}', {authority.pair(name).yaml}}}" for name in ("one.example.com", "*.example.com")
    ]
    async with running_plane(
        tmp_path, feed.port, main=f"tls: {{{pair.yaml}, names: [{', '.join(names)}]}}"
    ) as plane:
        context = authority.client()
        context.check_hostname = False
        async with tls_conversation(plane.port, context, asked) as client:
            assert shown(client) == {certificate}


# Clients' certificates


@pytest.mark.parametrize(
    ("rule", "presented", "gets_in"),
    [
        ("required", "none", False),
        ("required", "ours", True),
        ("required", "another's", False),
        ("optional", "none", True),
        ("optional", "ours", True),
        ("optional", "another's", False),
    ],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_certificate_opens_the_door_as_the_rule_says(
    tmp_path: Path,
    feed: Feed,
    authority: Authority,
    pair: Pair,
    rule: str,
    presented: str,
    gets_in: bool,  # noqa: FBT001 - a row of the table
    version: ssl.TLSVersion,
) -> None:
    clients = Authority(tmp_path, "clients")
    certificates = {
        "none": None,
        "ours": clients.pair("integration.test"),
        "another's": authority.pair("other.test"),
    }
    tls = f"tls: {{{pair.yaml}, client_ca: {clients.file}, client_certificates: {rule}}}"
    context = authority.client(certificates[presented], version)
    async with running_plane(tmp_path, feed.port, main=tls) as plane:
        try:
            async with tls_conversation(plane.port, context) as client:
                answered = (await client.ask("GET", "/v2/status")).status == 200
        except (ssl.SSLError, ConnectionError, CutShortError):
            answered = False
    assert answered is gets_in
    assert len(feed.requests) == gets_in


# The end


async def test_the_end_of_an_answer_without_length_is_told_by_a_close_notify(
    secure: PlaneUnderTest, feed: Feed, authority: Authority
) -> None:
    feed.answer = lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    said = await asyncio.to_thread(
        said_to, secure.port, authority, b"GET /v2/status HTTP/1.0\r\nHost: feeds.test\r\n\r\n"
    )
    assert said.endswith(b"\r\n\r\nok")


async def test_an_answer_cut_short_ends_without_a_close_notify(
    secure: PlaneUnderTest, feed: Feed, authority: Authority
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await feed.read_request(reader, writer)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await writer.drain()
        writer.close()

    feed.script = script
    with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
        await asyncio.to_thread(
            said_to, secure.port, authority, b"GET /v2/status HTTP/1.1\r\nHost: feeds.test\r\n\r\n"
        )


async def test_a_refusal_in_the_middle_of_an_upload_reaches_the_client(
    secure: PlaneUnderTest, feed: Feed, authority: Authority
) -> None:
    """The client still sends when it is answered; closing on that would reset the connection."""
    said = await asyncio.to_thread(
        said_to,
        secure.port,
        authority,
        b"POST /v2/courses HTTP/1.1\r\nHost: feeds.test\r\nContent-Length: 9000000\r\n\r\n"
        + bytes(4_000_000),
    )
    assert said.startswith(b"HTTP/1.1 401 ")
    assert said.endswith(b"}")
    assert feed.requests == []


def said_to(port: int, authority: Authority, request: bytes) -> bytes:
    """Everything the gateway says to a request, by Python's own blocking TLS; raises if it was cut."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        authority.client().wrap_socket(
            plain, server_hostname="feeds.test", suppress_ragged_eofs=False
        ) as session,
    ):
        session.sendall(request)
        said = b""
        while piece := session.recv(1 << 16):
            said += piece
        return said


async def test_a_client_that_says_close_notify_ends_its_connection(
    secure: PlaneUnderTest, authority: Authority
) -> None:
    async with tls_conversation(secure.port, authority.client()) as client:
        await client.ask("GET", "/v2/status")
        client.writer.close()
        await settled(lambda: not secure.worker.snapshot()["values"]["gateway_connections"][0][1])


async def test_a_handshake_that_does_not_come_is_ended(
    tmp_path: Path, feed: Feed, pair: Pair, authority: Authority
) -> None:
    main = f"tls: {{{pair.yaml}}}\nlimits: {{header_timeout: 300ms}}"
    async with (
        running_plane(tmp_path, feed.port, main=main) as plane,
        conversation(plane.port) as slow,
        conversation(plane.port) as slower,
    ):
        await slower.send(b"\x16\x03\x01\x02\x00\x01")
        async with tls_conversation(plane.port, authority.client()) as client:
            assert (await client.ask("GET", "/v2/status")).status == 200
        assert await slow.closed() == b""
        assert await slower.closed() == b""


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST", "CONNECT"])
async def test_a_request_in_clear_is_told_that_the_port_speaks_tls(
    secure: PlaneUnderTest, feed: Feed, method: str
) -> None:
    async with conversation(secure.port) as client:
        answer = await client.ask(method, "/v2/status")
        assert (answer.status, answer.code) == (400, "request_malformed")
        assert "TLS" in answer.problem["detail"]
        assert await client.closed() == b""
    assert feed.requests == []
    await secure.until_logged(1)


@pytest.mark.parametrize(
    "garbage", [b"\0", b"\x16\x03\x01\x00\x05hello", b"\x80" * 4096, b"\x16\x03\x03\xff\xff" + bytes(70_000)]
)
async def test_garbage_ends_the_connection_and_nothing_else(
    secure: PlaneUnderTest, feed: Feed, authority: Authority, garbage: bytes
) -> None:
    async with conversation(secure.port) as client:
        client.writer.write(garbage)
        client.end()
        await client.closed()
    async with tls_conversation(secure.port, authority.client()) as client:
        assert (await client.ask("GET", "/v2/status")).status == 200
    assert len(feed.requests) == 1


@pytest.mark.skipif(shutil.which("openssl") is None, reason="asks OpenSSL's own client")
@pytest.mark.parametrize(
    ("version", "command", "heard", "said"),
    [
        ("-tls1_2", b"R", b"RENEGOTIATING", b"no renegotiation"),
        ("-tls1_3", b"k", b"KEYUPDATE", b"hello"),
        ("-tls1_3", b"K", b"KEYUPDATE", b"hello"),
    ],
    ids=["renegotiation", "key update", "key update of both"],
)
async def test_openssl_may_change_its_keys_and_not_renegotiate(
    secure: PlaneUnderTest, authority: Authority, version: str, command: bytes, heard: bytes, said: bytes
) -> None:
    arguments = ["openssl", "s_client", "-connect", f"127.0.0.1:{secure.port}", version]
    arguments += ["-CAfile", str(authority.file), "-servername", "feeds.test", "-alpn", "h2,http/1.1"]
    process = await asyncio.create_subprocess_exec(
        *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdin is not None
    process.stdin.write(command + b"\n")
    output = await said_until(process, heard)
    process.stdin.write(REQUEST)
    output += await said_until(process, said)
    process.stdin.close()
    await process.wait()
    assert b"Verify return code: 0 (ok)" in output
    assert b"ALPN protocol: http/1.1" in output
    assert (b"hello" in output) is (said == b"hello")


async def said_until(process: asyncio.subprocess.Process, word: bytes) -> bytes:
    """What a process says until a word, or its end."""
    assert process.stdout is not None
    said = b""
    async with asyncio.timeout(10):
        while word not in said and (piece := await process.stdout.read(1 << 16)):
            said += piece
    return said


# New certificates


async def test_new_certificates_are_taken_up_and_connections_live_on(
    secure: PlaneUnderTest, authority: Authority
) -> None:
    before = await certificate_at(secure.port, authority, "feeds.test")
    async with tls_conversation(secure.port, authority.client()) as client:
        authority.pair("feeds.test", "new.test", file="feeds.test")
        await looked_twice(secure)
        assert await certificate_at(secure.port, authority, "feeds.test") == before | {"new.test"}
        assert (await client.ask("GET", "/v2/status")).status == 200


async def looked_twice(plane: PlaneUnderTest) -> None:
    """A change is taken up at the second look: the files must have come to rest."""
    watch = plane.worker.certificates
    assert watch is not None
    await watch.look()
    await watch.look()


async def test_a_bad_pair_is_reported_and_the_good_one_stays(
    secure: PlaneUnderTest, authority: Authority, pair: Pair
) -> None:
    before = await certificate_at(secure.port, authority, "feeds.test")
    good = pair.key.read_bytes()
    pair.key.write_bytes(authority.pair("other.test").key.read_bytes())
    await looked_twice(secure)
    assert await certificate_at(secure.port, authority, "feeds.test") == before
    (warning,) = secure.worker.health()["warnings"]
    assert f"{pair.key} is not the key for the certificate {pair.certificate}" in warning
    pair.key.write_bytes(good)
    await looked_twice(secure)
    assert secure.worker.health()["warnings"] == []


async def test_a_reload_turns_tls_on_for_new_connections(
    tmp_path: Path, feed: Feed, pair: Pair, authority: Authority
) -> None:
    async with running_plane(tmp_path, feed.port) as plane, conversation(plane.port) as before:
        file = tmp_path / "gateway.yaml"
        file.write_text(f"{file.read_text()}\ntls: {{{pair.yaml}}}\n")
        await plane.worker.reload()
        async with tls_conversation(plane.port, authority.client()) as client:
            assert (await client.ask("GET", "/v2/status")).status == 200
        assert (await before.ask("GET", "/v2/status")).status == 200


async def test_a_drain_ends_what_waits_at_the_door(secure: PlaneUnderTest) -> None:
    async with conversation(secure.port) as client:
        await settled(lambda: secure.worker.at_the_door == 1)
        await secure.worker.drain(patience=0.2)
        assert await client.closed() == b""


async def test_a_request_under_way_survives_the_drain(
    secure: PlaneUnderTest, feed: Feed, authority: Authority
) -> None:
    going_on = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await feed.read_request(reader, writer)
        await going_on.wait()
        writer.write(OK)

    feed.script = script
    async with tls_conversation(secure.port, authority.client()) as client:
        await client.send(REQUEST)
        await feed.until(lambda feed: len(feed.requests) == 1)
        draining = asyncio.create_task(secure.worker.drain(patience=5))
        going_on.set()
        answer = await client.answer()
        assert (answer.body, answer.value("Connection")) == (b"hello", "close")
        await draining
