"""The gateway itself, started and set up as its users do: configuration files, then its own command line.

Everything is on: key digests, cached scopes, metrics, an access and a denied log in files, a SQLite store.
"""

import csv
import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from peer import Bed, Checks, Command, Load, Peer, Stand
from process import PeerFailedError, free_port
from tools import Toolbox

CONFIGURATION: Final = """\
listen: 127.0.0.1:{port}
admin:
  listen: 127.0.0.1:{admin_port}
store: sqlite:///{directory}/scopegate.db
workers: 1
routes: [routes.yaml]
feeds:
  bench:
    upstream: http://127.0.0.1:{upstream}
authentication:
  realm: bench
limits:
  body: 2GiB
logs:
  access: {log}
  denied: {directory}/denied.log
"""

ASKED_ROUTES: Final = (
    "  - {path: /v2/courses, module: courses}",
    "  - {path: '/v2/courses/{id}', module: courses}",
    "  - {path: '/v2/bookings/{id}', module: bookings}",
    "  - {path: '/v2/files/{id}', module: files}",
)
AREAS: Final = 40
"""How many modules the generated routes are spread over."""

DENIED_PATH: Final = "/v2/bookings/17"
UNMAPPED_PATH: Final = "/v2/nowhere"
SET_UP_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class Size:
    """How much the gateway knows: routes in its map, and keys in its store beside the benchmark's own."""

    routes: int
    keys: int


FEW: Final = Size(routes=10, keys=10)


def furnish(bed: Bed, size: Size) -> Stand:
    """Lay a gateway out at some size, by its own commands. Raises PeerFailedError."""
    file = _configure(bed, size)
    gateway = bed.tools["gateway"]
    _told(gateway, file, "db", "upgrade")
    areas = [f"area-{area:02}" for area in range(AREAS)]
    rights = ("--read", ",".join(["courses", "files", *areas]), "--create", "courses", "--update", "files")
    _told(gateway, file, "scopes", "create", "web", "--label", "Web", "--mode", "allow", *rights)
    made = json.loads(_told(gateway, file, "keys", "create", "bench", "--scope", "web", "--json"))
    _told(gateway, file, "keys", "import", str(_written(bed.directory / "keys.csv", size.keys)))
    return Stand((Command.of(gateway, "-c", file, "serve"),), bed, Load(keys=(made["key"],)))


def paths_over(size: Size, asked: int) -> tuple[str, ...]:
    """Distinct paths spread evenly over the generated routes of a gateway of this size."""
    generated = size.routes - len(ASKED_ROUTES)
    return tuple(f"/v2/table{n * generated // asked:05}/{n}" for n in range(asked))


def keys_over(size: Size, asked: int) -> tuple[str, ...]:
    """Imported keys of a gateway of this size, spread evenly, at most so many."""
    step = max(1, size.keys // asked)
    return tuple(map(_existing_key, range(0, size.keys, step)))


def _configure(bed: Bed, size: Size) -> Path:
    bed.write("routes.yaml", _route_map(size.routes))
    return bed.write(
        "gateway.yaml",
        CONFIGURATION.format(
            port=bed.port,
            admin_port=free_port(),
            directory=bed.directory,
            upstream=bed.upstream_port,
            log=bed.access_log,
        ),
    )


def _route_map(routes: int) -> str:
    """A map of that many routes: the ones that are asked for, and generated ones over `AREAS` modules."""
    lines = ["feed: bench", "modules:", "  courses: Courses", "  bookings: Bookings", "  files: Files"]
    lines += [f"  area-{area:02}: Area {area}" for area in range(AREAS)]
    lines += ["routes:", *ASKED_ROUTES]
    generated = range(routes - len(ASKED_ROUTES))
    lines += [f"  - {{path: '/v2/table{n:05}/{{id}}', module: area-{n % AREAS:02}}}" for n in generated]
    return "\n".join(lines) + "\n"


def _existing_key(n: int) -> str:
    """A key as another product might have made it; the same in every run."""
    return f"old-{n:06}-{hashlib.sha256(b'bench %d' % n).hexdigest()[:40]}"


def _written(file: Path, keys: int) -> Path:
    """The existing keys as a file to import."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("label", "key", "scopes"))
        rows.writerows((f"integration {n}", _existing_key(n), "web") for n in range(keys))
    return file


def _told(gateway: Path, file: Path, *words: str) -> str:
    """What a command of the gateway printed. Raises PeerFailedError with its complaint."""
    argv = [str(gateway), "-c", str(file), *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=SET_UP_SECONDS, check=False)
    if done.returncode:
        *_, complaint = done.stderr.strip().splitlines() or ["nothing was said"]
        raise PeerFailedError(f"`gateway {' '.join(words[:2])}` ended with {done.returncode}: {complaint}")
    return done.stdout


def _lay_out(bed: Bed) -> Stand:
    return furnish(bed, FEW)


def _version(tools: Toolbox) -> str:
    return f"Scopegate {tools.version('gateway', '--version')}"


PEER: Final = Peer(
    "gateway",
    "**Scopegate**",
    Checks.SCOPES,
    "a JSON line a request to a file",
    ("gateway",),
    _lay_out,
    _version,
)
