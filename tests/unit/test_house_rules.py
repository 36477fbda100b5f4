"""Rules of the house that no other tool holds: read from the code itself."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gateway

ROOT = Path(gateway.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
DATA_PLANE = ("domain", "http1", "jose", "identity", "routing", "decision", "forward", "wire")
IN_THE_PATH = [
    file
    for file in FILES
    if file.relative_to(ROOT).parts[0] in (*DATA_PLANE, "pipeline.py", "cors.py", "deadlines.py", "wiring.py")
]
LONGEST_FILE = 400


def named(files: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("file", files, ids=[str(file.relative_to(ROOT)) for file in files])


def nodes(file: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(file.read_text()))


def names_in(tree: ast.AST) -> set[str]:
    """Every name and attribute that code mentions."""
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    found |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom | ast.Import)]
    return found | {alias.name for node in imports for alias in node.names}


@named(FILES)
def test_nothing_is_asserted_that_must_hold_in_production(file: Path) -> None:
    """Python leaves assert statements out when it is told to optimise."""
    assert not [node.lineno for node in nodes(file) if isinstance(node, ast.Assert)]


@named(IN_THE_PATH)
def test_nobody_prints_in_the_path_of_a_request(file: Path) -> None:
    calls = [node for node in nodes(file) if isinstance(node, ast.Call)]
    assert not [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]


@named([file for file in FILES if file.relative_to(ROOT).parts[0] in {"domain", "decision"}])
def test_the_nouns_and_the_decision_are_typed_through_and_through(file: Path) -> None:
    assert not names_in(ast.parse(file.read_text())) & {"Any", "cast"}


def _module_level_assignments(file: Path) -> Iterator[tuple[str, ast.expr, ast.expr | None]]:
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.value, node.annotation
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value, None


MAKES_SOMETHING_MUTABLE = {
    "dict",
    "list",
    "set",
    "bytearray",
    "defaultdict",
    "deque",
    "Counter",
    "OrderedDict",
}


def _is_mutable(value: ast.expr) -> bool:
    if isinstance(value, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp):
        return True
    return isinstance(value, ast.Call) and bool(names_in(value.func) & MAKES_SOMETHING_MUTABLE)


def _is_written_to(file: Path, name: str) -> bool:
    """Whether anything in the file writes into what a name holds, once its definition is done."""
    for statement in ast.parse(file.read_text()).body:
        inside = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        for node in ast.walk(statement) if inside else ():
            place = node.value if isinstance(node, ast.Subscript | ast.Attribute) else None
            held = isinstance(place, ast.Name) and place.id == name
            if held and isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
                return True
            if held and isinstance(node, ast.Attribute) and node.attr in WRITING:
                return True
    return False


WRITING = {
    *("append", "add", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "setdefault"),
    *("sort", "update"),
}


@named(IN_THE_PATH)
def test_the_data_plane_has_no_globals_that_change(file: Path) -> None:
    for name, value, annotation in _module_level_assignments(file):
        if name == "__all__":
            continue
        if _is_mutable(value):
            assert annotation is not None, f"{name} is not Final"
            assert "Final" in names_in(annotation), f"{name} is not Final"
        assert not _is_written_to(file, name), f"{name} is written to"


@named(FILES)
def test_nobody_rebinds_a_global(file: Path) -> None:
    assert not [node.lineno for node in nodes(file) if isinstance(node, ast.Global)]


def _public(body: list[ast.stmt], owner: str = "") -> Iterator[tuple[str, ast.AST]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield owner + node.name, node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield owner + node.name, node
            yield from _public(node.body, f"{owner}{node.name}.")


@named(FILES)
def test_whatever_is_public_says_what_it_is_for(file: Path) -> None:
    tree = ast.parse(file.read_text())
    assert ast.get_docstring(tree), "the file"
    documented = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    silent = [
        name
        for name, node in _public(tree.body)
        if isinstance(node, documented) and not ast.get_docstring(node)
    ]
    assert not silent


@named(FILES)
def test_a_file_has_one_noun_and_fits_the_eye(file: Path) -> None:
    assert len(file.read_text().splitlines()) < LONGEST_FILE


FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "misc"}


@named(FILES)
def test_nothing_is_named_after_nothing(file: Path) -> None:
    assert file.stem not in FORBIDDEN_NAMES
    assert file.parent.name not in FORBIDDEN_NAMES
    classes = [node.name for node in nodes(file) if isinstance(node, ast.ClassDef)]
    assert not [name for name in classes if name.endswith(("Manager", "Handler", "Processor", "Helper"))]


# Importing does nothing


IMPORT_AND_LOOK = """
import json, os, sys, threading
begun = []
def watch(event, arguments):
    watched = ("socket.__new__", "socket.bind", "socket.connect", "subprocess.Popen", "os.fork",
               "os.posix_spawn", "_thread.start_new_thread", "os.remove", "os.rename", "os.mkdir",
               "signal.signal")
    written = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if event in watched or written:
        begun.append(f"{event} {arguments!r}"[:200])
import asyncio, ssl, sqlite3, concurrent.futures  # what they do when imported is theirs
names = json.loads(sys.argv[1])
import importlib
environment = dict(os.environ)
sys.addaudithook(watch)
for name in names:
    importlib.import_module(name)
if dict(os.environ) != environment:
    begun.append("the environment was written to")
if threading.active_count() > 1:
    begun.append(f"{threading.active_count()} threads")
try:
    asyncio.get_running_loop()
    begun.append("a loop runs")
except RuntimeError:
    pass
print(json.dumps(begun))
"""

RUN_BY_ALEMBIC = {"gateway.store.migrations.env"}
"""Alembic's environment is a script that it runs; nobody imports it."""


def _modules() -> dict[str, list[str]]:
    """Every module, by the package it is in."""
    packages: dict[str, list[str]] = {}
    for file in FILES:
        parts = ("gateway", *file.relative_to(ROOT).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        room = parts[1] if len(parts) > 2 else "gateway"
        if name not in RUN_BY_ALEMBIC:
            packages.setdefault(room, []).append(name)
    return packages


@pytest.mark.parametrize("room", sorted(_modules()))
def test_importing_starts_nothing(room: str) -> None:
    done = subprocess.run(
        [sys.executable, "-B", "-X", "utf8", "-c", IMPORT_AND_LOOK, json.dumps(_modules()[room])],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT.parent,
    )
    assert done.returncode == 0, done.stderr
    assert (done.stderr, json.loads(done.stdout)) == ("", [])
