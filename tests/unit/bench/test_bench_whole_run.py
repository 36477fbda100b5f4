"""A short run of the benchmark with everything real: the gateway, its feed, the load, the report."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.machine import usable_cores
from bench.process import ROOT
from bench.results import Results
from bench.run import NEEDED
from bench.tools import gather

TOOLS = gather(NEEDED, Path("nowhere"), may_install=False)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not TOOLS.has(NEEDED), reason=TOOLS.why_not(NEEDED)),
    pytest.mark.skipif(len(usable_cores()) < 2, reason="the benchmark needs two cores"),
]


def bench(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """One run of the command."""
    argv = [sys.executable, "-m", "bench.run", *map(str, words)]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)


def test_the_core_table_of_the_gateway_alone_is_measured_and_made_again_from_its_samples(
    tmp_path: Path,
) -> None:
    short = ("--peers", "gateway", "--rounds", "1", "--seconds", "1", "--no-install")
    first = bench(*short, "--out", tmp_path / "first")
    assert first.returncode == 0, first.stderr
    core = Results.read(tmp_path / "first" / "samples.json").case("core")
    assert core is not None
    assert {reading.row for reading in core.readings} == {"direct", "gateway"}
    (gateway,) = (reading.figures for reading in core.readings if reading.row == "gateway")
    assert gateway["requests"] > 0
    assert gateway["cpu_us"] > 0
    assert gateway["asked"] == 1000
    assert (core.left_out, core.failures) == ([], 0)
    assert not (tmp_path / "first" / "work" / "core").exists()

    again = bench("--from-file", tmp_path / "first" / "samples.json", "--out", tmp_path / "again")
    assert (again.returncode, again.stdout) == (0, first.stdout)
    pictures = [(tmp_path / run / "picture.svg").read_text() for run in ("first", "again")]
    assert pictures[0] == pictures[1]


def test_samples_that_are_none_are_told_from_a_run(tmp_path: Path) -> None:
    file = tmp_path / "samples.json"
    file.write_text(json.dumps({"cases": [{"name": "core"}]}))
    done = bench("--from-file", file, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.startswith(f"bench: {file} does not hold the samples of a run")
