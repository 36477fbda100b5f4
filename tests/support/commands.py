"""Many commands in little time: each a process of its own, forked from one that has read the program already.

A Python process takes most of a second to import what a command needs, which hundreds of commands cannot
afford. `Commands` keeps one process that imports everything once and forks for each command line; the child
runs it as `gateway -c FILE ARGUMENTS…` would, with output and exit status of its own.
"""

import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any


class Commands:
    """Runs commands against one configuration file."""

    def __init__(self, server: subprocess.Popen[str], file: Path) -> None:
        self.file = file
        self._server = server

    def __call__(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run `gateway -c FILE ARGUMENTS…`; how it ended."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        command = ["-c", str(self.file), *arguments]
        self._server.stdin.write(json.dumps([command, stdin]) + "\n")
        self._server.stdin.flush()
        returncode, stdout, stderr = json.loads(self._server.stdout.readline())
        return subprocess.CompletedProcess(command, returncode, stdout, stderr)

    def on(self, file: Path) -> "Commands":
        """The same for another configuration file."""
        return Commands(self._server, file)

    def gets(self, *arguments: str, stdin: str = "") -> Any:  # noqa: ANN401 - whatever JSON holds
        """What a command that is done prints with `--json`."""
        done = self(*arguments, "--json", stdin=stdin)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return json.loads(done.stdout)

    def scope(self, name: str, mode: str = "allow", *options: str, **sets: str) -> None:
        """Make a scope; module sets are comma separated."""
        chosen = [part for action, names in sets.items() for part in (f"--{action}", names)]
        self.gets("scopes", "create", name, "--mode", mode, *chosen, *options)

    def key(self, *scopes: str, label: str = "an integration") -> tuple[str, str]:
        """Make a key with scopes: its id as commands take it, and its secret."""
        made = self.gets("keys", "create", label, *(part for name in scopes for part in ("--scope", name)))
        return str(made["id"]), made["key"]


@contextmanager
def ready_commands(file: Path) -> Iterator[Commands]:
    """Commands against a configuration file, as long as the block lasts."""
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            yield Commands(server, file)
        finally:
            assert server.stdin is not None
            server.stdin.close()


def _read_program() -> Any:  # noqa: ANN401 - click's command, imported here and not by the tests
    from gateway.cli import COMMANDS, main  # noqa: PLC0415 - in the forking process alone

    for place in COMMANDS.values():
        import_module(place.partition(":")[0])
    for name in ("configuration", "control.keys", "control.key_import", "control.explain", "store.opening"):
        import_module(f"gateway.{name}")
    return main


def _run(main: Any, command: list[str], stdin: str) -> tuple[int, str, str]:  # noqa: ANN401 - likewise
    with tempfile.TemporaryDirectory() as place:
        paths = [os.path.join(place, name) for name in ("stdin", "stdout", "stderr")]  # noqa: PTH118 - for os.open
        Path(paths[0]).write_bytes(stdin.encode("utf-8", "surrogateescape"))
        child = os.fork()
        if child == 0:
            _become(main, command, paths)
        _, status = os.waitpid(child, 0)
        told = [Path(path).read_bytes().decode("utf-8", "replace") for path in paths[1:]]
        return os.waitstatus_to_exitcode(status), told[0], told[1]


def _become(main: Any, command: list[str], paths: list[str]) -> None:  # noqa: ANN401 - likewise
    for number, path in enumerate(paths):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    status = 0
    try:
        main(command, prog_name="gateway")
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except BaseException:  # noqa: BLE001 - what the interpreter does with it
        traceback.print_exc()
        status = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _serve() -> None:
    main = _read_program()
    while line := sys.stdin.readline():
        command, stdin = json.loads(line)
        sys.stdout.write(json.dumps(_run(main, command, stdin)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
