"""The gateway itself, started and set up as its users do: configuration files, then its own command line.

Everything is on: key digests, cached scopes, metrics, an access and a denied log in files, a SQLite store.
"""

import csv
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from bench.filling import existing_key, fill_with_keys, give_scopes
from bench.peer import GATEWAY, GATEWAY_COMPILED, Bed, Checks, Command, Load, Peer, Stand
from bench.process import PeerFailedError, free_port
from bench.tools import COMPILED, Toolbox
from bench.trees import Program, installed, of_compiled, of_sources

Settings = Mapping[str, Any]
"""A part of the main configuration, as its YAML would be read."""

ASKED_ROUTES: Final = (
    "  - {path: /v2/courses, module: courses}",
    "  - {path: '/v2/courses/{id}', module: courses}",
    "  - {path: '/v2/bookings/{id}', module: bookings}",
    "  - {path: '/v2/files/{id}', module: files}",
)
AREAS: Final = 40
"""How many modules the generated routes are spread over."""

SCOPE: Final = "web"
DENIED_PATH: Final = "/v2/bookings/17"
UNMAPPED_PATH: Final = "/v2/nowhere"
SET_UP_SECONDS: Final = 300


FEW_ENOUGH: Final = 1000
"""So many keys are brought in by the command that operators have for it, more by SQL."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much the gateway knows: routes in its map, keys in its store, scopes of its caller."""

    routes: int
    keys: int
    scopes: int = 1


FEW: Final = Size(routes=10, keys=10)


def furnish(bed: Bed, size: Size, settings: Settings | None = None, program: Program | None = None) -> Stand:
    """Lay a gateway out at some size, by its own commands. Raises PeerFailedError.

    `settings` are put over those that every gateway of the benchmark has; `program` is the installed one, or
    another commit's.
    """
    program = program or installed(bed.tools)
    bed.write("routes.yaml", route_map(size.routes))
    tree = merged(_configuration(bed), settings or {})
    file = bed.write("gateway.yaml", yaml.safe_dump(tree, sort_keys=False))
    _told(program, file, "db", "upgrade")
    areas = [f"area-{area:02}" for area in range(AREAS)]
    rights = ("--read", ",".join(["courses", "files", *areas]), "--create", "courses", "--update", "files")
    _told(program, file, "scopes", "create", SCOPE, "--label", "Web", "--mode", "allow", *rights)
    made = json.loads(_told(program, file, "keys", "create", "bench", "--scope", SCOPE, "--json"))
    store = bed.directory / "scopegate.db"
    give_scopes(store, int(made["id"]), SCOPE, size.scopes)
    if size.keys > FEW_ENOUGH:
        fill_with_keys(store, size.keys, SCOPE)
    else:
        _told(program, file, "keys", "import", str(_written(bed.directory / "keys.csv", size.keys)))
    serve = Command((*program.argv, "-c", str(file), "serve"), program.environment)
    return Stand((serve,), bed, Load(credentials=(made["key"],)))


def told(bed: Bed, *words: str) -> str:
    """What a command of the gateway laid out there printed. Raises PeerFailedError with its complaint."""
    return _told(installed(bed.tools), bed.directory / "gateway.yaml", *words)


def merged(tree: Settings, over: Settings) -> dict[str, Any]:
    """A configuration with another put over it, section by section."""
    both = dict(tree)
    for name, value in over.items():
        section = isinstance(value, Mapping) and isinstance(both.get(name), Mapping)
        both[name] = merged(both[name], value) if section else value
    return both


def _configuration(bed: Bed) -> dict[str, Any]:
    """What every gateway of the benchmark is told, whatever its age."""
    tree: dict[str, Any] = {
        "listen": f"127.0.0.1:{bed.port}",
        "admin": {"listen": f"127.0.0.1:{free_port()}"},
        "store": f"sqlite:///{bed.directory}/scopegate.db",
        "workers": 1,
        "routes": ["routes.yaml"],
        "feeds": {"bench": {"upstream": f"http://127.0.0.1:{bed.upstream_port}"}},
        "authentication": {"realm": "bench"},
        "limits": {"body": "2GiB", "connections": max(10_000, bed.connections + 100)},
        "logs": {"access": str(bed.access_log), "denied": f"{bed.directory}/denied.log"},
    }
    if bed.certificate:
        certificate, key = map(str, bed.certificate)
        tree["tls"] = {"certificate": certificate, "key": key}
    return tree


def paths_over(size: Size, asked: int) -> tuple[str, ...]:
    """Distinct paths spread evenly over the generated routes of a gateway of this size."""
    generated = size.routes - len(ASKED_ROUTES)
    return tuple(f"/v2/table{n * generated // asked:05}/{n}" for n in range(asked))


def route_map(routes: int) -> str:
    """A map of that many routes: the ones that are asked for, and generated ones over `AREAS` modules."""
    lines = ["feed: bench", "modules:", "  courses: Courses", "  bookings: Bookings", "  files: Files"]
    lines += [f"  area-{area:02}: Area {area}" for area in range(AREAS)]
    lines += ["routes:", *ASKED_ROUTES]
    generated = range(routes - len(ASKED_ROUTES))
    lines += [f"  - {{path: '/v2/table{n:05}/{{id}}', module: area-{n % AREAS:02}}}" for n in generated]
    return "\n".join(lines) + "\n"


def _written(file: Path, keys: int) -> Path:
    """The existing keys as a file to import."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("label", "key", "scopes"))
        rows.writerows((f"integration {n}", existing_key(n), SCOPE) for n in range(keys))
    return file


def _told(program: Program, file: Path, *words: str) -> str:
    """What a command printed. Raises PeerFailedError with its complaint."""
    done = subprocess.run(
        [*program.argv, "-c", str(file), *words],
        env={**os.environ, **program.environment},
        capture_output=True,
        text=True,
        timeout=SET_UP_SECONDS,
        check=False,
    )
    if done.returncode:
        *_, complaint = done.stderr.strip().splitlines() or ["nothing was said"]
        raise PeerFailedError(f"`gateway {' '.join(words[:2])}` ended with {done.returncode}: {complaint}")
    return done.stdout


def _lay_out(bed: Bed) -> Stand:
    return furnish(bed, FEW, program=of_sources(bed.tools))


def _lay_out_compiled(bed: Bed) -> Stand:
    return furnish(bed, FEW, program=of_compiled(bed.tools[COMPILED]))


def _version(tools: Toolbox) -> str:
    return f"Scopegate {tools.version('gateway', '--version')}"


PEER: Final = Peer(
    GATEWAY,
    "**Scopegate**",
    Checks.SCOPES,
    "a JSON line a request to a file",
    ("gateway",),
    _lay_out,
    _version,
)
PEER_COMPILED: Final = Peer(
    GATEWAY_COMPILED,
    "**Scopegate**, hot rooms compiled",
    Checks.SCOPES,
    "a JSON line a request to a file",
    ("gateway", COMPILED),
    _lay_out_compiled,
    _version,
)
