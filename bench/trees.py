"""Which gateway is run: the one installed here, that of another commit, or one in another environment."""

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
ASKED_PLACE: Final = "import gateway; print(gateway.__file__)"
SAFE: Final = {"PYTHONSAFEPATH": "1", "PYTHONPATH": ""}
"""Keeps an interpreter from taking a gateway that is not its own: of the directory it is started in, say."""


@dataclass(frozen=True, slots=True)
class Program:
    """A gateway's command line: the words before its own, and what its environment needs.

    `python` is the interpreter that runs it.
    """

    argv: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    python: str = sys.executable


def installed(tools: Toolbox) -> Program:
    """The gateway as it is installed here."""
    return Program((str(tools["gateway"]),))


def of_tree(tree: Path) -> Program:
    """The gateway of a source tree, run by this interpreter with this one's dependencies.

    Raises PeerFailedError unless it is that tree's sources that would be run.
    """
    environment = {**SAFE, "PYTHONPATH": str(tree)}
    place = told_by(sys.executable, environment, ASKED_PLACE)
    if not place or not Path(place).is_relative_to(tree):
        raise PeerFailedError(f"{tree} has no package `gateway` that can be imported")
    return Program((sys.executable, "-m", "gateway"), environment)


def of_environment(python: Path) -> Program:
    """The gateway that is installed where this interpreter is. Raises PeerFailedError if there is none."""
    if not told_by(str(python), SAFE, ASKED_PLACE):
        raise PeerFailedError(f"{python} is no interpreter with a package `gateway`")
    return Program((str(python), "-m", "gateway"), SAFE, str(python))


def of_compiled(python: Path) -> Program:
    """The gateway with its hot rooms compiled, where this interpreter is.

    Raises PeerFailedError unless it runs compiled, and was compiled of the sources of the work tree.
    """
    program = of_environment(python)
    if not compiled_rooms(program):
        raise PeerFailedError(f"the gateway of {python} does not run compiled")
    place = Path(told_by(program.python, SAFE, ASKED_PLACE)).parent
    if other := differing(place, ROOT / "gateway"):
        raise PeerFailedError(f"the gateway of {python} was compiled of other sources: {other} differs")
    return program


def of_sources(tools: Toolbox) -> Program:
    """The gateway as it is installed here. Raises PeerFailedError unless it runs from its sources."""
    program = installed(tools)
    if compiled_rooms(program):
        raise PeerFailedError("the gateway that is installed here runs compiled")
    return program


def compiled_rooms(program: Program) -> bool:
    """Whether a gateway says that it runs compiled; those that are older than the question do not."""
    asked = "import gateway; print(bool(getattr(gateway, 'compiled', ())))"
    return told_by(program.python, program.environment, asked) == "True"


def differing(one: Path, other: Path) -> str:
    """The first source file that is not the same in two packages; empty if none is."""
    files = {file.relative_to(place) for place in (one, other) for file in place.rglob("*.py")}
    for file in sorted(files):
        texts = [(place / file).read_bytes() if (place / file).is_file() else None for place in (one, other)]
        if texts[0] != texts[1]:
            return str(file)
    return ""


def told_by(python: str, environment: dict[str, str], asked: str) -> str:
    """What an interpreter prints when it is given this code; nothing if it fails."""
    try:
        done = subprocess.run(
            [python, "-c", asked],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    except OSError:
        return ""
    return "" if done.returncode else done.stdout.strip()


def chosen(what: str, trees: Path) -> Program:
    """The gateway of a commit, of a directory, or of the environment of an interpreter that is named.

    Raises PeerFailedError if it is none of them.
    """
    file = Path(what)
    return of_environment(file.absolute()) if file.is_file() else of_tree(sources(what, trees))


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
    """What a tree is called in the report: its commit, or the name of the directory or the environment."""
    if Path(tree).is_dir():
        return Path(tree).resolve().name
    if Path(tree).is_file():
        return Path(tree).absolute().parent.parent.name
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
