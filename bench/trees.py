"""The gateway of another commit, beside this one: its sources, and the words that run them."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Final

from bench.process import ROOT, PeerFailedError
from bench.tools import Toolbox

GIT_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Program:
    """A gateway's command line: the words before its own, and what its environment needs."""

    argv: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)


def installed(tools: Toolbox) -> Program:
    """The gateway as it is installed here."""
    return Program((str(tools["gateway"]),))


def of_tree(tree: Path) -> Program:
    """The gateway of a source tree, run by this interpreter with this one's dependencies.

    Raises PeerFailedError unless it is that tree's sources that would be run.
    """
    environment = {"PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1"}
    asked = "import gateway; print(gateway.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", asked],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=GIT_SECONDS,
        check=False,
    )
    if done.returncode or not Path(done.stdout.strip()).is_relative_to(tree):
        raise PeerFailedError(f"{tree} has no package `gateway` that can be imported")
    return Program((sys.executable, "-m", "gateway"), environment)


def sources(tree: str, trees: Path) -> Path:
    """Where the sources of a directory or of a commit are; a commit's are laid out below `trees`, once.

    Raises PeerFailedError if it is neither.
    """
    if Path(tree).is_dir():
        return Path(tree).resolve()
    commit = (
        _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{tree}^{{commit}}").decode().strip()
    )
    if not commit:
        raise PeerFailedError(f"{tree} is neither a directory nor a commit")
    place = trees / commit[:12]
    if not place.exists():
        half = trees / f"{commit[:12]}.{hashlib.sha256(os.urandom(8)).hexdigest()[:8]}"
        with tarfile.open(fileobj=BytesIO(_git("archive", commit, "gateway"))) as archive:
            archive.extractall(half, filter="data")
        shutil.rmtree(place, ignore_errors=True)
        half.rename(place)
    return place


def version(tree: str) -> str:
    """What a tree is called in the report: its commit, or the directory's name."""
    if Path(tree).is_dir():
        return Path(tree).resolve().name
    return _git("rev-parse", "--short=9", f"{tree}^{{commit}}").decode().strip()


def _git(*words: str) -> bytes:
    """What git says of this repository; nothing if it is an error, or there is no git."""
    git = shutil.which("git")
    if git is None:
        return b""
    done = subprocess.run(
        [git, "-C", str(ROOT), *words], capture_output=True, timeout=GIT_SECONDS, check=False
    )
    return b"" if done.returncode else done.stdout
