"""The access and denied logs: what a line holds, and what happens when the disk does not play along."""

import asyncio
import contextlib
import json
import multiprocessing
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.exchange import Exchange, Outcome
from gateway.domain.verdict import Reason
from gateway.observe.lines import LineWriter
from gateway.observe.log_file import LogFile
from gateway.observe.logs import WAITING_RECORDS, LogPlaces, open_logs

PERMIT = Exchange(
    ts=1_700_000_000.0625,
    request_id="a1",
    client="192.0.2.7",
    method="GET",
    path="/v2/courses",
    feed="training",
    route="/v2/courses",
    module="courses",
    action="read",
    principal="key:1",
    key_id=1,
    outcome=Outcome.PERMIT,
    code=None,
    scope="website",
    status=200,
    bytes_in=0,
    bytes_out=186,
    ms=1.23456,
    upstream_ms=0.98765,
    would_deny=None,
)
REFUSE = PERMIT._replace(request_id="b2", outcome=Outcome.REFUSE, code=Reason.SCOPE_DENIED, status=403)
WATCHED = PERMIT._replace(request_id="c3", would_deny=Reason.SCOPE_DENIED)
BOUND = 10.0
"""How long a condition may take before a test calls it false, in seconds."""


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + BOUND
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def ids(path: Path) -> list[str]:
    return [json.loads(line)["request_id"] for line in path.read_text().splitlines()]


@contextlib.contextmanager
def writing(path: Path) -> Iterator[LogFile]:
    file = LogFile(path, retry_every=0.01)
    file.start()
    try:
        yield file
    finally:
        file.close(within=2)
        assert file.ended(within=4)


def test_a_line_holds_the_fields_of_the_contract_in_order() -> None:
    line = LineWriter().line(PERMIT)
    assert line.endswith(b"\n")
    assert json.loads(line) == {
        "ts": "2023-11-14T22:13:20.062Z",
        "request_id": "a1",
        "client": "192.0.2.7",
        "method": "GET",
        "path": "/v2/courses",
        "feed": "training",
        "route": "/v2/courses",
        "module": "courses",
        "action": "read",
        "principal": "key:1",
        "key_id": 1,
        "outcome": "permit",
        "code": None,
        "scope": "website",
        "status": 200,
        "bytes_in": 0,
        "bytes_out": 186,
        "ms": 1.235,
        "upstream_ms": 0.988,
        "would_deny": None,
    }
    assert list(json.loads(line)) == list(Exchange._fields)


@given(st.text(st.characters()), st.integers())
def test_no_text_and_no_number_breaks_a_line(path: str, count: int) -> None:
    line = LineWriter().line(PERMIT._replace(path=path, bytes_in=count))
    assert line.count(b"\n") == 1
    assert json.loads(line)["path"] == path


@given(st.floats(0, 4_000_000_000))
def test_a_time_is_shown_to_the_millisecond_in_utc(ts: float) -> None:
    shown = json.loads(LineWriter().line(PERMIT._replace(ts=ts)))["ts"]
    second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(int(ts)))
    assert shown == f"{second}.{int((ts - int(ts)) * 1000):03d}Z"


async def test_refused_and_would_be_refused_stand_in_the_denied_log_too(tmp_path: Path) -> None:
    access, denied = tmp_path / "access.log", tmp_path / "denied.log"
    async with open_logs(LogPlaces(access, denied)) as logs:
        for record in (PERMIT, REFUSE, WATCHED):
            logs.exchange(record)
    assert ids(access) == ["a1", "b2", "c3"]
    assert ids(denied) == ["b2", "c3"]
    assert logs.dropped == 0


async def test_a_place_that_both_logs_share_holds_each_line_once(tmp_path: Path) -> None:
    shared = tmp_path / "all.log"
    async with open_logs(LogPlaces(shared, shared)) as logs:
        logs.exchange(REFUSE)
    assert ids(shared) == ["b2"]


async def test_lines_are_written_soon_without_being_asked(tmp_path: Path) -> None:
    access = tmp_path / "access.log"
    async with open_logs(LogPlaces(access, Path("/dev/null"))) as logs:
        logs.exchange(PERMIT)
        deadline = time.monotonic() + BOUND
        while not access.exists() or not access.read_text():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        assert ids(access) == ["a1"]


async def test_rendering_many_lines_never_keeps_the_loop_long(tmp_path: Path) -> None:
    access = tmp_path / "access.log"
    async with open_logs(LogPlaces(access, Path("/dev/null"))) as logs:
        for number in range(20_000):
            logs.exchange(PERMIT._replace(request_id=str(number)))
        turns = 0
        while logs._waiting:
            turns += 1
            await asyncio.sleep(0)
    assert turns > 10
    assert ids(access) == [str(number) for number in range(20_000)]


async def test_no_line_is_lost_of_more_than_may_wait(tmp_path: Path) -> None:
    access = tmp_path / "access.log"
    async with open_logs(LogPlaces(access, Path("/dev/null"))) as logs:
        for number in range(WAITING_RECORDS + 5000):
            logs.exchange(PERMIT._replace(request_id=str(number)))
        assert len(logs._waiting) <= WAITING_RECORDS
        assert logs.dropped == 0
    assert ids(access) == [str(number) for number in range(WAITING_RECORDS + 5000)]


async def test_beyond_the_bound_lines_are_dropped_and_counted(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    async with open_logs(LogPlaces(blocked / "access.log", Path("/dev/null")), held_bytes=2000) as logs:
        for _ in range(100):
            logs.exchange(PERMIT)
        before = time.monotonic()
        await logs.close(within=0.2)
    assert time.monotonic() - before < BOUND
    assert logs.dropped == 100


def test_a_log_is_created_with_its_folder_and_not_readable_by_all(tmp_path: Path) -> None:
    path = tmp_path / "var" / "log" / "access.log"
    with writing(path):
        until(path.exists)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_moved_file_is_left_and_a_new_one_begun(tmp_path: Path) -> None:
    path, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    with writing(path) as file:
        file.offer([b"one\n"])
        until(lambda: path.exists() and path.read_text() == "one\n")
        path.rename(moved)
        file.offer([b"two\n"])
    assert (moved.read_text(), path.read_text()) == ("one\n", "two\n")


def test_a_removed_file_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "access.log"
    with writing(path) as file:
        file.offer([b"one\n"])
        until(lambda: path.exists() and path.read_text() == "one\n")
        path.unlink()
        path.parent.rmdir()
        file.offer([b"two\n"])
    assert path.read_text() == "two\n"


def test_reopening_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    with writing(path) as file:
        for number in range(50):
            file.offer([b"%d\n" % number])
            file.reopen()
    assert path.read_text().split() == [str(number) for number in range(50)]


def test_a_folder_in_the_way_is_told_once_and_lines_wait_until_it_is_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "access.log"
    path.mkdir()
    with writing(path) as file:
        file.offer([b"one\n"])
        until(lambda: file.failing)
        file.offer([b"two\n"])
        assert file.failing == f"{path}: Is a directory"
        path.rmdir()
        until(lambda: not file.failing)
    assert path.read_text() == "one\ntwo\n"
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 2
    assert str(path) in warnings[0]
    assert "Is a directory" in warnings[0]
    assert "written again, 0 lines lost" in warnings[1]


def test_a_file_that_can_be_had_again_is_told_so_without_waiting_for_a_line(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.mkdir()
    with writing(path) as file:
        until(lambda: file.failing)
        path.rmdir()
        until(lambda: not file.failing)


def test_reopening_makes_the_new_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    with writing(path) as file:
        until(path.exists)
        path.unlink()
        file.reopen()
        until(path.exists)


def test_a_device_that_is_always_full_holds_nobody_up() -> None:
    before = time.monotonic()
    file = LogFile(Path("/dev/full"), held_bytes=100, retry_every=0.01)
    file.start()
    file.offer([b"x" * 49 + b"\n"] * 5)
    file.close(within=0.2)
    assert file.ended(within=BOUND)
    assert file.dropped == 5
    assert time.monotonic() - before < BOUND


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_leaves_no_half_line_and_logging_resumes_when_there_is_room(small_disk: Path) -> None:
    ballast, path = small_disk / "ballast", small_disk / "access.log"
    lines = [json.dumps({"request_id": number, "pad": "x" * 300}).encode() + b"\n" for number in range(150)]
    ballast.write_bytes(b"x" * 30_000)
    with writing(path) as file:
        file.offer(lines)
        until(lambda: file.failing)
        assert "No space left" in file.failing
        stuck = path.read_bytes()
        assert stuck.endswith(b"\n")
        assert stuck == b"".join(lines)[: len(stuck)]
        ballast.unlink()
        until(lambda: not file.failing)
    assert path.read_bytes() == b"".join(lines)
    assert file.dropped == 0


LIMITED = """
import resource, signal, sys
from pathlib import Path
from gateway.observe.log_file import LogFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
file = LogFile(Path(sys.argv[1]), retry_every=0.01)
file.start()
file.offer([b"%099d\\n" % number for number in range(9)] + [b"y" * 299 + b"\\n"])
while not file.failing:
    pass
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
file.close(within=5)
assert file.ended(within=6) and not file.dropped
"""


def test_a_write_cut_short_is_cut_back_to_a_whole_line_and_done_again(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    ended = subprocess.run([sys.executable, "-c", LIMITED, str(path)], check=False, capture_output=True)
    assert ended.returncode == 0, ended.stderr
    lines = path.read_bytes().splitlines()
    assert lines == [b"%099d" % number for number in range(9)] + [b"y" * 299]


def _append(path: Path, name: str, count: int) -> None:
    file = LogFile(path)
    file.start()
    for number in range(count):
        file.offer([json.dumps({"by": name, "n": number, "pad": "x" * 2000}).encode() + b"\n"])
    file.close(within=20)
    file.ended(within=21)


def test_several_processes_append_whole_lines_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    spawn = multiprocessing.get_context("forkserver")
    writers = [spawn.Process(target=_append, args=(path, name, 500)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    seen: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    for line in path.read_text().splitlines():
        told = json.loads(line)
        seen[told["by"]].append(told["n"])
    assert seen == {name: list(range(500)) for name in "abc"}


def test_a_pipe_that_nobody_reads_holds_nobody_up_and_loses_nothing_once_read(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    line = b"x" * 999 + b"\n"
    file = LogFile(fifo)
    file.start()
    before = time.monotonic()
    file.offer([line] * 500)
    assert time.monotonic() - before < 1
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()))
    reader.start()
    file.close(within=5)
    assert file.ended(within=6)
    reader.join(timeout=BOUND)
    assert read == [line * 500]


def test_no_path_is_standard_output() -> None:
    script = (
        "from gateway.observe.log_file import LogFile\n"
        "f = LogFile(None); f.start(); f.offer([b'one\\n', b'two\\n']); f.close(5); f.ended(6)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert ended.stdout == b"one\ntwo\n"
    assert ended.stderr == b""


def test_a_standard_output_that_was_closed_is_only_warned_about() -> None:
    script = (
        "from gateway.observe.log_file import LogFile\n"
        "f = LogFile(None, retry_every=0.01); f.start(); f.offer([b'one\\n']*3); f.close(0.2); f.ended(6)\n"
        "import sys; sys.exit(f.dropped)\n"
    )
    reading, writing_end = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-c", script], check=False, stdout=writing_end, stderr=subprocess.PIPE
    )
    os.close(writing_end)
    assert ended.returncode == 3
    assert b"Broken pipe" in ended.stderr
    assert b"Traceback" not in ended.stderr
