"""Instructions a request: what is counted, of what, and that the walk which is counted is the real way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from gateways import write_configuration

from bench.count import a_request, answer_of, copied, instructions, request_of, table
from bench.peer import BODY, Load
from bench.process import BENCH, ROOT, PeerFailedError, keep_bytecode
from bench.trees import SAFE, chosen, of_environment
from gateway.control.keys import create_key
from gateway.control.scopes import ScopeEdit, create_scope
from gateway.domain.action import Action
from gateway.domain.scope import Mode
from gateway.store.opening import open_store

SAID = """\
==12== Cachegrind, a cache and branch-prediction profiler
==12== Command: python walk.py
==12==
==12== I   refs:      1,234,567,890
"""


# The arithmetic


def test_what_valgrind_has_counted_is_read() -> None:
    assert instructions(SAID) == 1_234_567_890


@pytest.mark.parametrize("said", ["", "valgrind: python: command not found", "==1== D refs: 5"])
def test_a_run_that_counted_nothing_is_told_of(said: str) -> None:
    with pytest.raises(PeerFailedError, match="nothing was counted"):
        instructions(said)


@pytest.mark.parametrize(
    ("few", "many", "requests", "found"),
    [(1000, 4000, (1, 4), 1000.0), (5_000_000, 5_000_000, (10, 20), 0.0), (10, 25, (0, 10), 1.5)],
)
def test_neither_the_start_nor_the_end_is_in_the_count_of_a_request(
    few: int, many: int, requests: tuple[int, int], found: float
) -> None:
    assert a_request(few, many, requests) == found


def test_a_count_stands_alone_or_beside_another() -> None:
    assert table({"post": 1234.5}, {}).splitlines()[-1] == "| post | 1,234 |"
    beside = table({"permitted": 90.0, "refused": 50.0}, {"permitted": 100.0, "refused": 50.0})
    assert beside.splitlines()[2:] == ["| permitted | 90 | 100 | 0.900 |", "| refused | 50 | 50 | 1.000 |"]


# Whose gateway


def test_an_interpreter_without_a_gateway_is_refused(tmp_path: Path) -> None:
    none = tmp_path / "python"
    none.write_text("#!/bin/false\n")
    none.chmod(0o755)
    for what in (none, tmp_path / "nowhere"):
        with pytest.raises(PeerFailedError, match="no interpreter with a package `gateway`"):
            of_environment(what)
    with pytest.raises(PeerFailedError, match="neither a directory nor a commit"):
        chosen(str(tmp_path / "nowhere"), tmp_path)


def test_the_gateway_of_an_interpreter_is_the_one_of_its_environment_wherever_it_is_run() -> None:
    program = chosen(sys.executable, Path("unused"))
    assert program.argv == (sys.executable, "-m", "gateway")
    assert program.environment == SAFE


def test_what_is_measured_has_its_bytecode_whatever_the_shell_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", "elsewhere")
    keep_bytecode(tmp_path)
    subprocess.run([sys.executable, "-c", "import bench.peer"], cwd=ROOT, check=True, timeout=30)
    assert [file.name.split(".")[0] for file in tmp_path.rglob("peer.*.pyc")] == ["peer"]


def test_a_directory_is_counted_as_it_was_when_counting_began(tmp_path: Path) -> None:
    package = tmp_path / "tree" / "gateway"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    copy = copied(tmp_path / "tree", tmp_path / "copy")
    (package / "__init__.py").write_text("1 / 0")
    assert (copy / "gateway" / "__init__.py").read_text() == ""
    with pytest.raises(PeerFailedError, match="has no package `gateway`"):
        copied(tmp_path, tmp_path / "other")


# The walk


async def laid_out(directory: Path, load: Load) -> Load:
    """Lay a gateway out with a key that may read courses; the load with that key."""
    write_configuration(directory, [9])
    async with open_store(f"sqlite:///{directory}/scopegate.db") as store:
        edit = ScopeEdit(label="Web", mode=Mode.ALLOW, modules={Action.READ: ["courses"]})
        await create_scope(store, "tests", "web", edit, ("courses",))
        key = await create_key(store, "tests", "own", ("web",), None)
    asked = Load(load.paths, (key.secret,), method=load.method, body_bytes=load.body_bytes)
    (directory / "request").write_bytes(request_of(asked, 80))
    (directory / "answer").write_bytes(answer_of(asked))
    return asked


def walked(directory: Path, status: int) -> subprocess.CompletedProcess[str]:
    """Walk as it is walked under valgrind, but without it."""
    argv = [sys.executable, BENCH / "walk.py", directory, "10", str(status)]
    environment = {**os.environ, **SAFE, "PYTHONPATH": str(ROOT)}
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("load", "status"),
    [
        (Load(), 200),
        (Load(("/v2/users",)), 403),
        (Load(("/v2/courses/search",), method="POST", body_bytes=1024), 200),
    ],
)
async def test_a_walk_goes_the_whole_way_and_is_put_on_record(
    tmp_path: Path, load: Load, status: int
) -> None:
    await laid_out(tmp_path, load)
    done = walked(tmp_path, status)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("path", "status"), [("/v2/nowhere", 403), ("/v2/users", 401)])
async def test_a_walk_that_is_answered_otherwise_is_not_counted(
    tmp_path: Path, path: str, status: int
) -> None:
    await laid_out(tmp_path, Load((path,)))
    done = walked(tmp_path, status)
    assert done.returncode == 1
    assert done.stderr.startswith("walk: ")


def test_a_request_is_what_wrk_sends_and_its_answer_is_the_feeds() -> None:
    load = Load(("/a",), ("k",), method="POST", body_bytes=3)
    assert request_of(load, 80) == (
        b"POST /a HTTP/1.1\r\nHost: 127.0.0.1:80\r\nContent-Length: 3\r\nX-API-Key: k\r\n\r\nxxx"
    )
    head, _, body = answer_of(load).partition(b"\r\n\r\n")
    assert body == BODY
    assert b"Content-Length: 186" in head
