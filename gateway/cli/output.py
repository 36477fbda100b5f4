"""How every command speaks: tables for people, JSON for programs, one line for an error, one exit status.

Data goes to standard output, everything said about it (errors, warnings, problems) to standard error, so
that a command's output can always be piped. Nothing printed may move the reader's cursor: control
characters in data are shown escaped.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console

    from gateway.document.problem import Problem

DONE: Final = 0
"""Exit status: the command did what was asked."""

REFUSED: Final = 1
"""Exit status: refused, or what was looked at is wrong."""

USAGE: Final = 2
"""Exit status: the command line itself is wrong; click ends with it too."""

UNBOUNDED: Final = 100_000
"""The width of a table nobody looks at: a pipe has no edge, and a name cut short is useless to a program."""

Command = TypeVar("Command", bound=Callable[..., Any])


def json_option(command: Command) -> Command:
    """Give a command `--json`; its function takes `as_json: bool`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(command)


def widens_option(command: Command) -> Command:
    """Give a command `--widens`; its function takes `widens: bool`."""
    told = "Do it also where somebody may do more afterwards than now."
    return click.option("--widens", is_flag=True, help=told)(command)


def show_json(data: object) -> None:
    """Print a value as JSON, indented, one document. Enums, dates and dataclasses are understood."""
    told = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)
    click.echo("".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in told))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str = "nothing") -> None:
    """Print rows under their column names; without any row the sentence `empty` stands instead.

    A cell is shown as a word: None is `-`, a truth is yes or no, and a list is joined with commas.
    """
    shown = [[word(cell) for cell in row] for row in rows]
    if not shown:
        click.echo(empty)
        return
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - costly, and of no use to `serve`
    from rich.table import Table  # noqa: PLC0415 - likewise
    from rich.text import Text  # noqa: PLC0415 - likewise

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in shown:
        table.add_row(*map(Text, row))
    _console().print(table)


def show_fields(fields: Mapping[str, object]) -> None:
    """Print one thing as `name  value` lines, the values in one column."""
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        click.echo(f"{name.ljust(width)}  {word(value)}".rstrip())


def say(sentence: str) -> None:
    """Tell people what was done, on standard output."""
    click.echo(printable(sentence))


def warn(sentence: str) -> None:
    """Tell people what they should know, on standard error."""
    click.echo(f"{click.style('warning:', fg='yellow')} {printable(sentence)}", err=True)


def show_problems(problems: Iterable[object]) -> None:
    """Print problems on standard error, one a line, each as it reads."""
    for problem in problems:
        click.echo(printable(str(problem)), err=True)


def refuse_configuration(problems: "Sequence[Problem]") -> NoReturn:
    """Tell everything that is wrong with the configuration, for people or for programs; end the command."""
    if asked_for_json():
        count = f"{len(problems)} problem{'s'[: len(problems) != 1]}"
        fail(f"The configuration has {count}.", problems=[problem.as_dict() for problem in problems])
    show_problems(problems)
    raise SystemExit(REFUSED)


def fail(sentence: str, hint: str = "", *, status: int = REFUSED, **facts: object) -> NoReturn:
    """Tell what is wrong, and what to do about it; end the command.

    People read it on standard error. A command that was asked for JSON prints it as such, with further
    `facts` for programs, where they look for its data.
    """
    if asked_for_json():
        show_json({"error": sentence, "hint": hint or None, **facts})
        raise SystemExit(status)
    click.echo(f"{click.style('error:', fg='red')} {printable(sentence)}", err=True)
    if hint:
        click.echo(f"{click.style('hint:', fg='cyan')} {printable(hint)}", err=True)
    raise SystemExit(status)


def word(cell: object) -> str:
    """How a value reads in a table."""
    match cell:
        case None | "" | () | []:
            return "-"
        case bool():
            return "yes" if cell else "no"
        case list() | tuple() | set() | frozenset():
            items = sorted(cell) if isinstance(cell, (set, frozenset)) else cell
            return ", ".join(word(item) for item in items)
        case _:
            return printable(str(cell))


def printable(text: str) -> str:
    """The text with characters that would not show, or would steer the terminal, escaped; line ends stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def _plain(value: object) -> object:
    """What JSON has for a value that it does not know. Raises TypeError for what nobody should print."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} is nothing that programs are told")


def _escaped(character: str) -> str:
    """A character as JSON may write it anywhere in a string, in ASCII (RFC 8259 §7).

    What stands for a byte of the command line that is no text is among them.
    """
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def asked_for_json() -> bool:
    """Whether the command that runs was given `--json`."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.params.get("as_json"))


def _console() -> "Console":
    """A console as wide as the terminal, or endless where there is none."""
    from rich.console import Console  # noqa: PLC0415 - costly, and of no use to `serve`

    terminal = sys.stdout.isatty()
    return Console(highlight=False, markup=False, emoji=False, width=None if terminal else UNBOUNDED)
