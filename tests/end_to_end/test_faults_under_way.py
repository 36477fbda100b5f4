"""What goes wrong while a gateway runs: stores and feeds that leave, full disks, unruly clients."""

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Commands
from conversations import conversation
from feeds import Feed
from gateways import GatewayUnderTest, write_configuration
from operations import (
    ask,
    counted,
    feed_beside,
    fetched,
    logged,
    readiness,
    said_by,
    serving,
    status,
    told,
    until,
)


def moved_away(store: Path, place: Path) -> None:
    """Take the store from the gateway: its file and what SQLite keeps beside it."""
    place.mkdir()
    for file in store.parent.glob(f"{store.name}*"):
        file.rename(place / file.name)


def test_without_its_store_a_gateway_serves_who_it_knows_and_refuses_nobody_for_it(
    tmp_path: Path, commands: Commands, feed: Feed
) -> None:
    run = commands.on(write_configuration(tmp_path, [feed.port], main="cache: {ttl: 1h, negative_ttl: 1h}"))
    run.scope("website", read="courses")
    _, known = run.key("website")
    _, stranger = run.key("website")
    with serving(run.file) as gateway:
        assert status(gateway, "GET", "/v2/courses", known) == 200
        moved_away(tmp_path / "scopegate.db", tmp_path / "away")
        until(lambda: any("is not there" in warning for warning in readiness(gateway)["warnings"]))
        assert fetched(gateway, "/readyz")[0] == 200
        assert told(ask(gateway, "GET", "/v2/courses", key=known)) == (200, None)
        assert told(ask(gateway, "GET", "/v2/users", key=known)) == (403, "scope_denied")
        refused = ask(gateway, "GET", "/v2/courses", key=stranger)
        assert told(refused) == (503, "store_unavailable")
        assert int(refused.value("Retry-After") or 0) > 0
        assert refused.values("WWW-Authenticate") == []
        assert told(ask(gateway, "GET", "/v2/courses", key="imported-key")) == (503, "store_unavailable")
        damaged = known[:-1] + ("a" if known[-1] != "a" else "b")
        assert told(ask(gateway, "GET", "/v2/courses", key=damaged)) == (401, "credential_invalid")
        assert told(ask(gateway, "GET", "/v2/courses")) == (401, "credential_missing")
        assert told(ask(gateway, "GET", "/v2/status")) == (200, None)
        assert fetched(gateway, "/livez")[0] == 200
        assert not list(tmp_path.glob("scopegate.db*"))
        for file in (tmp_path / "away").iterdir():
            file.rename(tmp_path / file.name)
        until(lambda: readiness(gateway)["warnings"] == [])
        assert told(ask(gateway, "GET", "/v2/courses", key=stranger)) == (200, None)
        number, third = run.key("website")
        until(lambda: told(ask(gateway, "GET", "/v2/courses", key=third)) == (200, None))
        run.gets("keys", "revoke", number)
        until(lambda: status(gateway, "GET", "/v2/courses", third) == 401, within=2)
        assert "Traceback" not in said_by(gateway)


def test_a_key_that_is_remembered_is_not_served_longer_than_its_time_without_the_store(
    tmp_path: Path, commands: Commands, feed: Feed
) -> None:
    run = commands.on(write_configuration(tmp_path, [feed.port], stale_for="2s"))
    _, known = run.key("api-v2")
    with serving(run.file) as gateway:
        assert status(gateway, "GET", "/v2/courses", known) == 200
        moved_away(tmp_path / "scopegate.db", tmp_path / "away")
        expected = (503, "store_unavailable")
        until(lambda: told(ask(gateway, "GET", "/v2/courses", key=known)) == expected, within=5)
        assert fetched(gateway, "/readyz")[0] == 503
        assert "is not there" in readiness(gateway)["checks"]["store"]


def test_a_full_disk_costs_log_lines_and_nothing_else(tmp_path: Path, commands: Commands, feed: Feed) -> None:
    file = write_configuration(tmp_path, [feed.port])
    (tmp_path / "access.log").symlink_to("/dev/full")
    _, key = commands.on(file).key("api-v2")
    with serving(file) as gateway:
        for _ in range(20):
            assert status(gateway, "GET", "/v2/courses", key) == 200
        assert status(gateway, "GET", "/v2/courses") == 401
        until(lambda: any("access.log" in warning for warning in readiness(gateway)["warnings"]))
        assert fetched(gateway, "/readyz")[0] == 200
        until(lambda: len(logged(gateway, "denied.log")) == 1)
        assert gateway.stop() == 0
    assert "Traceback" not in said_by(gateway)


def test_logging_resumes_by_itself_when_there_is_room_again(
    tmp_path: Path, commands: Commands, feed: Feed
) -> None:
    place = tmp_path / "small"
    place.mkdir()
    small = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(place)], capture_output=True, check=False
    )
    if small.returncode:
        pytest.skip("this user may not mount")
    try:
        file = write_configuration(tmp_path, [feed.port])
        file.write_text(file.read_text().replace(f"{tmp_path}/access.log", f"{place}/access.log"))
        _, key = commands.on(file).key("api-v2")
        (place / "ballast").write_bytes(bytes(60 << 10))
        with serving(file) as gateway:
            for _ in range(60):
                assert status(gateway, "GET", f"/v2/courses/{'x' * 400}", key) == 200
            until(lambda: any("access.log" in warning for warning in readiness(gateway)["warnings"]))
            (place / "ballast").unlink()
            until(lambda: not readiness(gateway)["warnings"])
            assert status(gateway, "GET", "/v2/courses/last-of-all", key) == 200
            until(lambda: "last-of-all" in (place / "access.log").read_text())
            lines = (place / "access.log").read_text().splitlines()
            assert {json.loads(line)["status"] for line in lines} == {200}
            dropped = counted(gateway, "gateway_log_dropped_total")
            assert len(lines) + dropped == 61
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_feed_that_is_down_at_the_start_is_found_when_it_comes(tmp_path: Path, commands: Commands) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    run = commands.on(write_configuration(tmp_path, [port]))
    _, key = run.key("api-v2")
    with serving(run.file) as gateway:
        refused = ask(gateway, "GET", "/v2/courses", key=key)
        assert told(refused) == (502, "upstream_unreachable")
        assert (refused.value("Proxy-Status") or "").startswith("scopegate; error=")
        assert fetched(gateway, "/readyz")[0] == 200
        with socket.create_server(("127.0.0.1", port)) as listening:
            listening.settimeout(5)
            answer = asyncio.run(answered_by_hand(listening, gateway, key))
        assert answer == b"hello"
        assert told(ask(gateway, "POST", "/v2/courses", key=key, body=b"{}"))[0] in {502, 504}
        assert counted(gateway, "gateway_upstream_errors_total", feed="test") >= 2


async def answered_by_hand(listening: socket.socket, gateway: GatewayUnderTest, key: str) -> bytes:
    """The body of an answer that the feed, back again, gives to one request."""

    def answer() -> None:
        link, _ = listening.accept()
        with link:
            link.settimeout(5)
            while b"\r\n\r\n" not in link.recv(1 << 16):
                pass
            link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")

    feed = asyncio.create_task(asyncio.to_thread(answer))
    body = (await asyncio.to_thread(ask, gateway, "GET", "/v2/courses", key=key)).body
    await feed
    return body


@pytest.fixture(scope="module")
def sturdy(
    tmp_path_factory: pytest.TempPathFactory, commands: Commands
) -> Iterator[tuple[GatewayUnderTest, Feed, str]]:
    """A gateway with short patience, its feed, and a key."""
    with feed_beside() as feed:
        patience = "limits: {header_timeout: 1s, body_idle_timeout: 1s, keepalive_timeout: 2s, body: 1KiB}"
        run = commands.on(write_configuration(tmp_path_factory.mktemp("sturdy"), [feed.port], main=patience))
        _, key = run.key("api-v2")
        with serving(run.file) as gateway:
            yield gateway, feed, key


GARBAGE = {
    "random": os.urandom(4096),
    "TLS": bytes.fromhex("16030100a5010000a10303") + bytes(160),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "zeros": bytes(1000),
    "line ends": b"\r\n" * 500,
    "a long line": b"A" * 100_000,
    "SSH": b"SSH-2.0-OpenSSH_9.0\r\n",
    "SMTP": b"EHLO example.com\r\n",
    "HTTP/0.9": b"GET /v2/status\r\n",
    "no host": b"GET /v2/status HTTP/1.1\r\n\r\n",
    "two lengths": b"POST /v2/status HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": (
        b"POST /v2/status HTTP/1.1\r\nHost: x\r\n"
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "a bad chunk": b"POST /v2/files/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
}


@pytest.mark.parametrize("sent", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_is_answered_or_hung_up_on_and_never_forwarded(
    sturdy: tuple[GatewayUnderTest, Feed, str], sent: bytes
) -> None:
    gateway, feed, key = sturdy
    seen, raw = len(feed.requests), len(feed.raw)
    async with conversation(gateway.port) as client:
        try:
            await client.send(sent)
            client.end()
        except ConnectionError:
            pass
        answer = await client.closed(within=5)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:80]
    assert (len(feed.requests), len(feed.raw)) == (seen, raw)
    assert await asyncio.to_thread(status, gateway, "GET", "/v2/courses", key) == 200


AUTHORISED = b" /v2/courses HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n"

HALVES = {
    "no byte": b"",
    "half a request line": b"GET /v2/cour",
    "half a head": b"GET" + AUTHORISED + b"X-Other: y",
    "half a body": b"POST" + AUTHORISED + b"Content-Length: 100\r\n\r\nhalf",
    "half a chunk": b"POST" + AUTHORISED + b"Transfer-Encoding: chunked\r\n\r\n10\r\nhalf",
}


@pytest.mark.parametrize("sent", HALVES.values(), ids=HALVES)
async def test_half_a_request_is_never_a_whole_one_at_the_feed_and_ends_in_time(
    sturdy: tuple[GatewayUnderTest, Feed, str], sent: bytes
) -> None:
    gateway, feed, key = sturdy
    seen = len(feed.requests)
    async with conversation(gateway.port) as client:
        await client.send(sent.replace(b"{key}", key.encode()))
        answer = await client.closed(within=6)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408 "), answer[:80]
    async with conversation(gateway.port) as client:
        await client.send(sent.replace(b"{key}", key.encode()))
        client.end()
        await client.closed(within=6)
    assert len(feed.requests) == seen


def test_clients_that_left_are_forgotten_and_nothing_was_said_on_standard_error(
    sturdy: tuple[GatewayUnderTest, Feed, str],
) -> None:
    gateway, _, key = sturdy
    assert told(ask(gateway, "POST", "/v2/courses", key=key, body=bytes(2000)))[0] == 413
    until(lambda: counted(gateway, "gateway_connections") == 0)
    assert counted(gateway, "gateway_in_flight") == 0
    assert "Traceback" not in said_by(gateway)
    assert " error " not in said_by(gateway)
