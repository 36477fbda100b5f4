"""Active health checks: who is asked, what it takes to be put aside and to come back, and who is told."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from conversations import ask
from feeds import OK, Feed, Received, Script, running_feed
from gateways import PlaneUnderTest, running_plane
from scripts import faults, read_head, reset
from waiting import until

PATH = "/v2/courses"
HEALTH = (
    "health: {path: '/health?deep=1', interval: 100ms, timeout: 80ms, unhealthy_after: 3, healthy_after: 2}"
)
WELL = b"HTTP/1.1 204 No Content\r\n\r\n"
ILL = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


class Patient:
    """A feed that answers requests with its name, and checks as it is told."""

    def __init__(self, name: str, feed: Feed) -> None:
        self.name = name.encode()
        self.feed = feed
        self.says: bytes | None = WELL
        self.served = 0
        self.checks = 0
        feed.answer = self.answer

    def answer(self, asked: Received) -> bytes | None:
        """Answer a check or a request."""
        if asked.target.startswith("/health"):
            self.checks += 1
            return self.says
        self.served += 1
        return b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + self.name

    async def until_checked(self, times: int) -> None:
        """Wait until so many more checks were answered."""
        wanted = self.checks + times
        await until(lambda: self.checks >= wanted)


@pytest.fixture
async def patients() -> AsyncIterator[tuple[Patient, Patient]]:
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(running_feed()) for _ in range(2)]
        yield Patient("1", first), Patient("2", second)


def well(plane: PlaneUnderTest) -> list[bool]:
    """What the metric says of each address, in the order of the configuration."""
    rows = plane.counted("gateway_upstream_healthy")
    assert {labels[0] for labels, _ in rows} == {"test"}
    return [bool(value) for _, value in rows]


def warned(plane: PlaneUnderTest) -> list[str]:
    return [line for line in plane.worker.health()["warnings"] if "health checks" in line]


async def said(plane: PlaneUnderTest, key: str, times: int = 6) -> set[bytes]:
    return {(await ask(plane.port, "GET", PATH, f"X-API-Key: {key}")).body for _ in range(times)}


async def test_an_address_that_fails_its_checks_is_passed_over_and_comes_back(
    tmp_path: Path, patients: tuple[Patient, Patient], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first, second = patients
    async with running_plane(tmp_path, first.feed.port, second.feed.port, feed=HEALTH) as plane:
        key = await plane.key("api-v2")
        await first.until_checked(1)
        assert await said(plane, key) == {b"1", b"2"}
        assert (well(plane), warned(plane)) == ([True, True], [])
        first.says = ILL
        await until(lambda: well(plane) == [False, True])
        assert await said(plane, key) == {b"2"}
        (warning,) = warned(plane)
        assert f"127.0.0.1:{first.feed.port}" in warning
        assert plane.worker.health()["checks"] == {"store": None}
        first.says = WELL
        await until(lambda: well(plane) == [True, True])
        assert await said(plane, key) == {b"1", b"2"}
        assert warned(plane) == []
        assert faults(plane) == {}
    told = [record.getMessage() for record in caplog.records if record.name == "gateway.forward.health"]
    assert [("answered 500" in line, "well again" in line) for line in told] == [(True, False), (False, True)]


async def test_a_check_is_a_plain_get_on_a_connection_of_its_own_without_a_credential(
    tmp_path: Path, patients: tuple[Patient, Patient]
) -> None:
    first, _ = patients
    feed = HEALTH + "\ncredentials: {header: X-Feed-Key, value: secret}"
    async with running_plane(tmp_path, first.feed.port, feed=feed) as plane:
        await first.until_checked(3)
        assert plane.counted("gateway_requests_total") == []
    assert first.feed.connections >= len(first.feed.requests) >= 3
    check = first.feed.requests[0]
    assert (check.method, check.target, check.body) == ("GET", "/health?deep=1", b"")
    assert dict(check.headers) == {
        "Host": f"127.0.0.1:{first.feed.port}",
        "User-Agent": "scopegate-health",
        "Accept": "*/*",
        "Connection": "close",
    }


async def test_the_first_check_decides_at_once(tmp_path: Path, patients: tuple[Patient, Patient]) -> None:
    """As after a reload: nobody is sent to what was ill before while three checks go by."""
    first, second = patients
    first.says = ILL
    slowly = HEALTH.replace("interval: 100ms", "interval: 1h")
    async with running_plane(tmp_path, first.feed.port, second.feed.port, feed=slowly) as plane:
        await until(lambda: well(plane) == [False, True])
        assert (first.checks, await said(plane, await plane.key("api-v2"))) == (1, {b"2"})


async def test_checks_that_fail_now_and_then_put_nobody_aside(
    tmp_path: Path, patients: tuple[Patient, Patient]
) -> None:
    first, second = patients
    async with running_plane(tmp_path, first.feed.port, second.feed.port, feed=HEALTH) as plane:
        await first.until_checked(1)
        seen = []
        for number in range(9):
            first.says = WELL if number % 3 == 2 else ILL
            await first.until_checked(1)
            seen.append(well(plane))
        assert seen == [[True, True]] * 9


async def test_when_all_addresses_are_down_they_are_tried_all_the_same(
    tmp_path: Path, patients: tuple[Patient, Patient]
) -> None:
    for patient in patients:
        patient.says = ILL
    async with running_plane(tmp_path, *(p.feed.port for p in patients), feed=HEALTH) as plane:
        await until(lambda: well(plane) == [False, False])
        assert await said(plane, await plane.key("api-v2")) == {b"1", b"2"}
        assert len(warned(plane)) == 2


async def closes(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await read_head(reader)


async def closes_at_once(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    pass


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_head(reader)
    reset(writer)


async def is_silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


def saying(answer: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(answer)
        await reader.read()

    return script


ILLNESSES: dict[str, Script] = {
    "closes": closes,
    "closes at once": closes_at_once,
    "resets": resets,
    "is silent": is_silent,
    "speaks something else": saying(b"220 mail.example.com ESMTP\r\n\r\n"),
    "404": saying(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
    "503": saying(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
    "switches protocols": saying(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
    "only interim answers": saying(b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "a flood of interim answers": saying(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 40),
    "half a head": saying(b"HTTP/1.1 200 OK\r\nContent-"),
    "two lengths": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
}


@pytest.mark.parametrize("script", ILLNESSES.values(), ids=ILLNESSES.keys())
async def test_whatever_is_no_good_answer_in_time_is_a_bad_check(
    tmp_path: Path, feed: Feed, script: Script
) -> None:
    feed.script = script
    async with running_plane(tmp_path, feed.port, feed=HEALTH) as plane:
        await until(lambda: well(plane) == [False])
        assert faults(plane) == {}  # a check is nobody's request
        assert plane.worker._plane.upstreams["test"]._addresses[0].outstanding == 0


async def test_an_address_that_refuses_connections_fails_its_checks(tmp_path: Path, closed_port: int) -> None:
    async with running_plane(tmp_path, closed_port, feed=HEALTH) as plane:
        await until(lambda: well(plane) == [False])


GOOD = {
    "200 with a body that does not end": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
    "200 in chunks": saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "302": saying(b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n"),
    "304": saying(b"HTTP/1.1 304 Not Modified\r\n\r\n"),
    "HTTP/1.0": saying(b"HTTP/1.0 200 OK\r\n\r\nhello"),
    "after an interim answer": saying(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK),
}


@pytest.mark.parametrize("script", GOOD.values(), ids=GOOD.keys())
async def test_2xx_and_3xx_are_good_and_the_body_does_not_matter(
    tmp_path: Path, feed: Feed, script: Script
) -> None:
    feed.script = script
    async with running_plane(tmp_path, feed.port, feed=HEALTH) as plane:
        await feed.until(lambda feed: feed.connections >= 4)
        assert well(plane) == [True]


async def test_checks_follow_a_reload_and_end_with_the_worker(
    tmp_path: Path, patients: tuple[Patient, Patient]
) -> None:
    first, second = patients
    async with running_plane(tmp_path, first.feed.port, feed=HEALTH) as plane:
        await first.until_checked(2)
        file = tmp_path / "gateway.yaml"
        file.write_text(file.read_text().replace(f":{first.feed.port}", f":{second.feed.port}"))
        await plane.worker.reload()
        before = first.checks
        await second.until_checked(4)
        assert first.checks <= before + 1  # one may have been under way
        file.write_text(file.read_text().replace(HEALTH, ""))
        await plane.worker.reload()
        assert well(plane) == [True]
        before = second.checks
        assert not plane.worker._plane.upstreams["test"]._checks
        file.write_text(file.read_text().replace("feeds:\n  test:\n", f"feeds:\n  test:\n    {HEALTH}\n"))
        await plane.worker.reload()
        await second.until_checked(2)
    checking = [task for task in asyncio.all_tasks() if "AddressChecks" in repr(task.get_coro())]
    assert [task for task in checking if not (task.done() or task.cancelling())] == []


async def test_checks_bring_back_at_once_what_failed_requests_had_put_aside(
    tmp_path: Path, patients: tuple[Patient, Patient]
) -> None:
    first, second = patients
    first.says = None
    serve = first.feed.answer
    first.feed.answer = lambda _asked: None
    async with running_plane(tmp_path, first.feed.port, second.feed.port, feed=HEALTH) as plane:
        key = await plane.key("api-v2")
        await until(lambda: well(plane) == [False, True])
        address = plane.worker._plane.upstreams["test"]._addresses[0]
        address.failures, address.shunned_until = 3, float("inf")
        first.says, first.feed.answer = WELL, serve
        await until(lambda: well(plane) == [True, True])
        assert await said(plane, key) == {b"1", b"2"}
