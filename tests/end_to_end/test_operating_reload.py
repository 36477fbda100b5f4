"""New configuration under a running gateway: swapped whole when it is good, reported when it is not."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import Commands
from conversations import conversation
from feeds import OK, Feed
from gateways import ROUTES, GatewayUnderTest, write_configuration
from operations import ask, counted, readiness, said_by, samples, serving, status, told, until

IN_FORCE = "the configuration was read again and is in force"


class Reloading:
    """A running gateway with a key for everything, whose files are rewritten and read again."""

    def __init__(self, gateway: GatewayUnderTest, commands: Commands, feed: Feed) -> None:
        self.gateway = gateway
        self.commands = commands
        self.feed = feed
        self.number, self.key = commands.key("api-v2")

    def write(self, *, routes: str = ROUTES, feed: str = "", main: str = "") -> None:
        """Replace the files."""
        write_configuration(self.gateway.file.parent, [self.feed.port], routes=routes, feed=feed, main=main)

    def hang_up(self) -> None:
        """Send SIGHUP."""
        self.gateway.process.send_signal(signal.SIGHUP)

    def takes_up(self, *, routes: str = ROUTES, feed: str = "", main: str = "") -> None:
        """Replace the files and have them read again, which has to succeed."""
        before = said_by(self.gateway).count(IN_FORCE)
        self.write(routes=routes, feed=feed, main=main)
        self.hang_up()
        until(lambda: said_by(self.gateway).count(IN_FORCE) > before)

    def told(self, method: str, path: str) -> tuple[int, str | None]:
        """What the gateway answers to a request with the key."""
        return told(ask(self.gateway, method, path, key=self.key))


@pytest.fixture
def reloading(tmp_path: Path, commands: Commands, feed: Feed) -> Iterator[Reloading]:
    run = commands.on(write_configuration(tmp_path, [feed.port], main="workers: 2"))
    with serving(run.file) as gateway:
        yield Reloading(gateway, run, feed)


MORE_ROUTES = f"{ROUTES}  - {{path: /v3/courses, module: courses}}\n"
OTHER_MODULE = ROUTES.replace("{path: /v2/courses, module: courses}", "{path: /v2/courses, module: bookings}")


def test_what_a_good_configuration_changes_is_in_force_after_sighup(reloading: Reloading) -> None:
    two = "workers: 2"
    reloading.commands.scope("website", read="courses")
    _, narrow = reloading.commands.key("website")
    first = {row["hash"] for row, _ in samples(reloading.gateway)["gateway_config_info"]}
    assert reloading.told("GET", "/v3/courses") == (404, "route_unmapped")
    reloading.takes_up(routes=MORE_ROUTES, main=two)
    assert reloading.told("GET", "/v3/courses") == (200, None)
    second = {row["hash"] for row, _ in samples(reloading.gateway)["gateway_config_info"]}
    assert (len(first), len(second), first & second) == (1, 1, set())

    assert status(reloading.gateway, "GET", "/v2/courses", narrow) == 200
    reloading.takes_up(routes=OTHER_MODULE, main=two)
    assert status(reloading.gateway, "GET", "/v2/courses", narrow) == 403
    assert status(reloading.gateway, "GET", "/v2/courses/1", narrow) == 200
    assert reloading.told("GET", "/v3/courses") == (404, "route_unmapped")

    reloading.takes_up(main=f"{two}\nauthentication: {{realm: another, api_key: {{header: X-Other}}}}")
    refused = ask(reloading.gateway, "GET", "/v2/courses", key=narrow)
    assert told(refused) == (401, "credential_missing")
    assert refused.values("WWW-Authenticate")[0] == 'Bearer realm="another"'
    assert told(ask(reloading.gateway, "GET", "/v2/courses", f"X-Other: {narrow}")) == (200, None)

    reloading.takes_up(feed="enabled: false", main=two)
    assert reloading.told("GET", "/v2/courses") == (403, "feed_disabled")
    assert any("switched off" in warning for warning in readiness(reloading.gateway)["warnings"])
    reloading.takes_up(feed="credentials: {header: X-Feed-Key, value: the-feeds-own}", main=two)
    assert reloading.told("GET", "/v2/courses") == (200, None)
    sent = reloading.feed.requests[-1]
    assert (sent.value("X-Feed-Key"), sent.value("X-API-Key")) == ("the-feeds-own", None)
    assert readiness(reloading.gateway)["warnings"] == []
    assert counted(reloading.gateway, "gateway_denied_total", reason="feed_disabled") == 1


BAD = [
    ({"routes": "feed: [\n"}, "routes.yaml"),
    ({"routes": ROUTES.replace("module: files", "module: fiels")}, "did you mean files?"),
    ({"main": "workers: 2\nlistne: 127.0.0.1:1"}, "listne"),
    ({"main": "workers: 2\ncache: {ttl: soon}"}, "cache.ttl"),
    ({"main": "workers: 3"}, "workers"),
    ({"feed": "credentials: {header: X, value: '${NOT_SET_ANYWHERE}'}", "main": "workers: 2"}, "NOT_SET_ANY"),
]


def test_a_bad_configuration_is_reported_and_the_last_good_one_stays(reloading: Reloading) -> None:
    for files, said in BAD:
        reloading.write(**files)
        before = said_by(reloading.gateway).count("reload refused")
        reloading.hang_up()
        until(lambda before=before: said_by(reloading.gateway).count("reload refused") > before)
        assert said in said_by(reloading.gateway)
        ready = until(lambda: readiness(reloading.gateway))
        assert ready["status"] == "ready"
        assert any("reload refused" in warning and said in warning for warning in ready["warnings"]), said
        assert reloading.told("GET", "/v2/courses") == (200, None)
    for file in ("routes.yaml", "gateway.yaml"):
        (reloading.gateway.file.parent / file).unlink()
        reloading.hang_up()
        until(lambda file=file: any(file in warning for warning in readiness(reloading.gateway)["warnings"]))
        assert reloading.told("GET", "/v2/courses") == (200, None)
    reloading.takes_up(routes=MORE_ROUTES, main="workers: 2")
    assert reloading.told("GET", "/v3/courses") == (200, None)
    assert readiness(reloading.gateway)["warnings"] == []
    assert "Traceback" not in said_by(reloading.gateway)


def held_back(feed: Feed) -> Callable[[], None]:
    """Have the feed wait before it answers requests for files; call the answer to let it go on."""
    released = threading.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await feed.read_request(reader, writer)) is not None:
            while request.target.startswith("/v2/files") and not released.is_set():  # noqa: ASYNC110 - another thread's event
                await asyncio.sleep(0.01)
            writer.write(OK)
            await writer.drain()

    feed.script = script
    return released.set


async def test_requests_in_flight_and_open_connections_live_through_a_reload(
    tmp_path: Path, commands: Commands, feed: Feed
) -> None:
    release = held_back(feed)
    run = commands.on(write_configuration(tmp_path, [feed.port]))
    with serving(run.file) as gateway:
        reloading = Reloading(gateway, run, feed)
        key = f"X-API-Key: {reloading.key}"
        async with conversation(gateway.port) as waiting, conversation(gateway.port) as idle:
            assert (await idle.ask("GET", "/v2/courses", key)).status == 200
            upload = b"GET /v2/files/slow HTTP/1.1\r\nHost: x\r\n" + key.encode() + b"\r\n\r\n"
            await waiting.send(upload)
            await asyncio.to_thread(until, lambda: any("slow" in sent.target for sent in feed.requests))
            assert told(await idle.ask("GET", "/v3/courses", key)) == (404, "route_unmapped")
            await asyncio.to_thread(reloading.takes_up, routes=MORE_ROUTES)
            assert told(await idle.ask("GET", "/v3/courses", key)) == (200, None)
            release()
            assert (await waiting.answer()).body == b"hello"
            assert told(await waiting.ask("GET", "/v3/courses", key)) == (200, None)


def test_watching_takes_up_a_changed_file_by_itself(tmp_path: Path, commands: Commands, feed: Feed) -> None:
    run = commands.on(write_configuration(tmp_path, [feed.port]))
    with serving(run.file, "--watch") as gateway:
        reloading = Reloading(gateway, run, feed)
        reloading.write(routes=MORE_ROUTES)
        until(lambda: reloading.told("GET", "/v3/courses") == (200, None))
        reloading.write(routes="feed: [\n")
        until(lambda: any("routes.yaml" in warning for warning in readiness(gateway)["warnings"]))
        assert reloading.told("GET", "/v3/courses") == (200, None)
        replaced = tmp_path / "new.yaml"
        replaced.write_text(ROUTES)
        replaced.replace(tmp_path / "routes.yaml")
        until(lambda: reloading.told("GET", "/v3/courses") == (404, "route_unmapped"))
        assert readiness(gateway)["warnings"] == []


def test_logs_moved_away_are_opened_anew_by_sighup(reloading: Reloading) -> None:
    log = reloading.gateway.file.parent / "access.log"
    assert reloading.told("GET", "/v2/courses/1") == (200, None)
    until(lambda: "/v2/courses/1" in log.read_text())
    log.rename(log.with_suffix(".1"))
    reloading.takes_up(main="workers: 2")
    assert reloading.told("GET", "/v2/courses/2") == (200, None)
    until(lambda: log.exists() and "/v2/courses/2" in log.read_text())
    assert "/v2/courses/2" not in log.with_suffix(".1").read_text()
