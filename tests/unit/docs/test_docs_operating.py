"""docs/operating.md lists exactly the commands, metrics and log fields there are."""

import re
from pathlib import Path

import click
import pytest

from gateway.cli import COMMANDS, main
from gateway.domain.exchange import Exchange
from gateway.observe.families import FAMILIES
from gateway.supervisor.supervising import RESTARTS, WORKERS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "operating.md").read_text()
PAPERS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OPTION = re.compile(r"(?<=\s)--[a-z-]+")


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def first_cells(text: str) -> list[str]:
    return [
        name
        for cell in re.findall(r"^\| (`.+?) \|", text, re.MULTILINE)
        for name in re.findall(r"`(.+?)`", cell)
    ]


def command_called(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that words name, and the words after it."""
    command: click.Command = main
    context = click.Context(main)
    while words and isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        assert found is not None, f"there is no command {words[0]}"
        command, words = found, words[1:]
    return command, words


def every_command() -> list[str]:
    context = click.Context(main)
    found = []
    for name in COMMANDS:
        command = main.get_command(context, name)
        below = command.list_commands(context) if isinstance(command, click.Group) else []
        found += [f"{name} {word}" for word in below] or [name]
    return found


def test_the_page_lists_exactly_the_commands_there_are() -> None:
    assert sorted(first_cells(section("Commands"))) == sorted(every_command())


def test_the_page_lists_exactly_the_metrics_there_are_with_their_labels() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) ?\| ", section("Metrics"), re.MULTILINE)
    listed = {name: tuple(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    assert listed == {family.name: family.labels for family in (*FAMILIES, WORKERS, RESTARTS)}


def test_the_page_lists_exactly_the_fields_of_a_log_line_in_order() -> None:
    assert tuple(first_cells(section("Logs"))) == Exchange._fields


def gateway_lines() -> list[tuple[str, str]]:
    """Every `gateway …` line that the papers tell people to run."""
    found = []
    for paper in PAPERS:
        text = paper.read_text()
        blocks = re.findall(r"^```(?:sh|console)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
        lines += re.findall(r"`(gateway [^`…]+)`", text)
        found += [(paper.name, line) for line in lines if re.match(r"(\.venv/bin/)?gateway ", line)]
    return found


@pytest.mark.parametrize(("paper", "line"), gateway_lines())
def test_every_command_line_in_the_papers_names_a_command_and_its_options(paper: str, line: str) -> None:
    words = re.sub(r"^\S*gateway (-c \S+ )?", "", line).split()
    if words[0] in {"COMMAND", "[-c"}:
        return
    command, _ = command_called([word for word in words if not word.startswith("-")][:2])
    known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    assert set(OPTION.findall(f" {line}")) <= known, paper
