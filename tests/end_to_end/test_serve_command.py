"""`gateway serve` as operators start it: the real command and workers, and what is told when it cannot."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

CONFIG = """
listen: 127.0.0.1:0
admin: {listen: 127.0.0.1:0}
store: sqlite:///var/store.db
routes: [routes.yaml]
feeds: {training: {upstream: http://127.0.0.1:9}}
"""
ROUTES = """
feed: training
modules: {courses: Courses}
routes:
  - {path: /v2/courses, module: courses}
"""
PATIENCE = 30.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    (tmp_path / "routes.yaml").write_text(ROUTES)
    return tmp_path


@contextlib.contextmanager
def serving(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    with (folder / "errors.txt").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "-c", "gateway.yaml", "serve", *options],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    with process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def refused_to_start(folder: Path, *options: str) -> str:
    """What is told on standard error by a gateway that does not start."""
    with serving(folder, *options) as process:
        assert process.wait(PATIENCE) == 1
        assert process.stdout is not None
        assert process.stdout.read() == ""
    told = (folder / "errors.txt").read_text()
    assert "Traceback" not in told
    return told


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("gateway.yaml", "listen: [", "gateway.yaml:"),
        ("gateway.yaml", CONFIG + "wrokers: 2\n", "did you mean workers?"),
        ("gateway.yaml", CONFIG.replace("127.0.0.1:9", "${MISSING_PORT}"), "MISSING_PORT"),
        ("routes.yaml", ROUTES.replace("module: courses", "module: course"), "routes.yaml:5"),
    ],
)
def test_a_configuration_with_problems_is_not_started(folder: Path, file: str, text: str, told: str) -> None:
    (folder / file).write_text(text)
    assert told in refused_to_start(folder)


def test_a_configuration_that_is_not_there_is_told(folder: Path) -> None:
    (folder / "gateway.yaml").unlink()
    assert "gateway.yaml" in refused_to_start(folder)


def test_a_store_that_is_no_store_is_told(folder: Path) -> None:
    (folder / "var").mkdir()
    (folder / "var" / "store.db").write_text("not a database" * 100)
    assert "store.db" in refused_to_start(folder)


@pytest.mark.parametrize("format_", ["text", "json"])
def test_requests_are_served_counted_and_logged_until_sigterm(folder: Path, format_: str) -> None:
    with serving(folder, "--log-format", format_) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        told = re.fullmatch(r"ready: gateway (http://\S+), admin (http://\S+)\n", line)
        assert told, (folder / "errors.txt").read_text()
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(told[1] + "/v2/courses", timeout=PATIENCE)  # noqa: S310 - our own
        refused.value.close()
        assert refused.value.code == 401
        deadline = time.monotonic() + PATIENCE
        while 'reason="credential_missing"} 1.0' not in _fetched(told[2] + "/metrics"):
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    for log in ("access.log", "denied.log"):
        (entry,) = (folder / "var" / log).read_text().splitlines()
        assert json.loads(entry)["code"] == "credential_missing"
    errors = (folder / "errors.txt").read_text()
    assert "Traceback" not in errors
    if format_ == "json":
        assert all(json.loads(line)["process"] for line in errors.splitlines())


def _fetched(url: str) -> str:
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310 - our own
        text: str = answer.read().decode()
        return text
