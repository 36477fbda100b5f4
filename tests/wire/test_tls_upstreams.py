"""TLS to the feed: how it must prove itself, how the gateway does, and what happens if either fails."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest
from authorities import Authority
from conversations import CutShortError, ask, conversation
from feeds import Feed, running_feed
from gateways import PlaneUnderTest, running_plane
from scripts import faults

from gateway.document.problem import SettingsError
from gateway.supervisor.planning import warnings_of


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def warnings(plane: PlaneUnderTest) -> list[str]:
    return list(warnings_of(plane.worker.settings))


async def test_a_feed_that_proves_itself_is_asked_by_tls(tmp_path: Path, authority: Authority) -> None:
    async with (
        running_feed(authority.server(authority.pair("localhost"))) as feed,
        running_plane(
            tmp_path, f"https://localhost:{feed.port}", feed=f"tls: {{ca: {authority.file}}}"
        ) as plane,
        conversation(plane.port) as client,
    ):
        for _ in range(3):
            assert (await client.ask("GET", "/v2/status")).body == b"hello"
        assert feed.connections == 1
        assert feed.requests[0].value("X-Forwarded-Proto") == "http"


async def test_a_large_body_crosses_both_ways(tmp_path: Path, authority: Authority) -> None:
    body = bytes(range(256)) * 8192
    async with (
        running_feed(authority.server(authority.pair("127.0.0.1"))) as feed,
        running_plane(
            tmp_path, f"https://127.0.0.1:{feed.port}", feed=f"tls: {{ca: {authority.file}}}"
        ) as plane,
    ):
        feed.answer = lambda request: (
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(request.body), request.body)
        )
        key = await plane.key("api-v2")
        answer = await ask(plane.port, "PUT", "/v2/files/a", f"X-API-Key: {key}", body=body)
    assert answer.body == body


async def test_the_name_in_the_certificate_may_be_another_than_the_addresss(
    tmp_path: Path, authority: Authority
) -> None:
    async with (
        running_feed(authority.server(authority.pair("feed.internal"))) as feed,
        running_plane(
            tmp_path,
            f"https://127.0.0.1:{feed.port}",
            feed=f"tls: {{ca: {authority.file}, server_name: feed.internal}}",
        ) as plane,
    ):
        assert (await ask(plane.port, "GET", "/v2/status")).status == 200


UNPROVEN = {
    "a certificate for another name": ("other.test", "ca: {ours}"),
    "a certificate of another authority": ("127.0.0.1", "ca: {another}"),
    "an authority that the system does not know": ("127.0.0.1", ""),
    "another server_name": ("127.0.0.1", "ca: {ours}, server_name: other.test"),
}


@pytest.mark.parametrize(("name", "rules"), UNPROVEN.values(), ids=UNPROVEN.keys())
async def test_a_feed_that_does_not_prove_itself_is_sent_nothing(
    tmp_path: Path, authority: Authority, name: str, rules: str
) -> None:
    another = Authority(tmp_path, "another")
    tls = rules.format(ours=authority.file, another=another.file)
    async with (
        running_feed(authority.server(authority.pair(name))) as feed,
        running_plane(tmp_path, f"https://127.0.0.1:{feed.port}", feed=f"tls: {{{tls}}}") as plane,
    ):
        answer = await ask(plane.port, "GET", "/v2/status")
        assert (answer.status, answer.code) == (502, "upstream_unreachable")
        assert faults(plane) == {"tls": 1}
        assert feed.raw == b""
        assert any("did not prove itself" in warning for warning in plane.worker.health()["warnings"])


async def test_a_feed_in_clear_is_sent_nothing_in_clear(tmp_path: Path, feed: Feed) -> None:
    async with running_plane(tmp_path, f"https://127.0.0.1:{feed.port}") as plane:
        answer = await ask(plane.port, "GET", "/v2/status")
        assert (answer.status, answer.code) == (502, "upstream_unreachable")
    assert b"/v2/status" not in feed.raw
    assert feed.requests == []


async def test_a_feed_that_never_shakes_hands_is_a_timeout(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        async with running_plane(tmp_path, url, feed="timeouts: {connect: 200ms}") as plane:
            answer = await ask(plane.port, "GET", "/v2/status")
            assert (answer.status, answer.code) == (504, "upstream_timeout")


async def test_a_feed_below_tls_1_2_is_not_asked(tmp_path: Path, authority: Authority) -> None:
    old = authority.server(authority.pair("127.0.0.1"))
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with (
        running_feed(old) as feed,
        running_plane(
            tmp_path, f"https://127.0.0.1:{feed.port}", feed=f"tls: {{ca: {authority.file}}}"
        ) as plane,
    ):
        assert (await ask(plane.port, "GET", "/v2/status")).status == 502
        assert faults(plane) == {"tls": 1}


@pytest.mark.parametrize("shown", [True, False], ids=["shown", "not shown"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_feed_may_ask_for_the_gateways_certificate(
    tmp_path: Path, authority: Authority, version: ssl.TLSVersion, *, shown: bool
) -> None:
    clients = Authority(tmp_path, "clients")
    context = authority.server(authority.pair("127.0.0.1"), clients)
    context.maximum_version = version
    ours = f", {clients.pair('gateway.test').yaml}" if shown else ""
    async with (
        running_feed(context) as feed,
        running_plane(
            tmp_path, f"https://127.0.0.1:{feed.port}", feed=f"tls: {{ca: {authority.file}{ours}}}"
        ) as plane,
    ):
        assert (await ask(plane.port, "GET", "/v2/status")).status == (200 if shown else 502)
        # with TLS 1.3 a client is told after its handshake, and the end may outrun the alert
        assert sum(faults(plane).values()) == (not shown)
        assert set(faults(plane)) <= ({"tls"} if version is ssl.TLSVersion.TLSv1_2 else {"tls", "reset"})
        assert len(feed.requests) == shown


async def test_verification_can_be_switched_off_with_a_loud_warning(
    tmp_path: Path, authority: Authority
) -> None:
    async with (
        running_feed(authority.server(authority.pair("other.test"))) as feed,
        running_plane(tmp_path, f"https://127.0.0.1:{feed.port}", feed="tls: {verify: false}") as plane,
    ):
        assert (await ask(plane.port, "GET", "/v2/status")).status == 200
        assert any("NOT VERIFIED" in warning for warning in warnings(plane))


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "cut"])
async def test_an_answer_that_ends_with_its_connection_is_whole_only_with_a_close_notify(
    tmp_path: Path, authority: Authority, *, ended: bool
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await feed.read_request(reader, writer)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await writer.drain()
        if not ended:
            writer.transport.abort()

    async with (
        running_feed(authority.server(authority.pair("127.0.0.1"))) as feed,
        running_plane(
            tmp_path, f"https://127.0.0.1:{feed.port}", feed=f"tls: {{ca: {authority.file}}}"
        ) as plane,
        conversation(plane.port) as client,
    ):
        feed.script = script
        if ended:
            assert (await client.ask("GET", "/v2/status")).body == b"hello"
        else:
            with pytest.raises(CutShortError):
                await client.ask("GET", "/v2/status")


# What operators write


BAD = {
    "a missing file": ("tls: {ca: nowhere.pem}", "cannot be read: no such file or directory"),
    "no certificate": ("tls: {ca: gateway.yaml}", "holds no certificates of authorities"),
    "a certificate alone": ("tls: {certificate: a.crt}", "has no key"),
    "a key alone": ("tls: {key: a.key}", "has no certificate"),
    "an authority in vain": ("tls: {ca: a.pem, verify: false}", "has a ca and does not verify"),
    "a bad name": ("tls: {server_name: 'a b'}", "is not a host name"),
    "an unknown key": ("tls: {cert: a.crt}", "unknown key"),
}


@pytest.mark.parametrize(("feed_lines", "problem"), BAD.values(), ids=BAD.keys())
async def test_bad_rules_are_told_with_their_line(tmp_path: Path, feed_lines: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem) as told:
        async with running_plane(tmp_path, "https://127.0.0.1:9", feed=feed_lines):
            pass
    assert f"{tmp_path / 'gateway.yaml'}:" in str(told.value)
