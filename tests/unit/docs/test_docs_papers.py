"""The papers point at what is there: files, make targets, decisions; and the README's table is the code's."""

import re
from pathlib import Path

import pytest

from gateway.domain.action import Action
from gateway.domain.rights import ModuleIndex, Rights
from gateway.domain.scope import Mode, ModuleSet, Scope

ROOT = Path(__file__).parents[3]
PAPERS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
MODULES = ("courses", "course-dates", "users", "bookings", "invoices")


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
def test_every_link_in_the_papers_leads_somewhere(paper: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", paper.read_text())
    assert [link for link in links if not (paper.parent / link).exists()] == []


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
def test_every_make_target_in_the_papers_exists(paper: Path) -> None:
    named = re.findall(r"(?:^\s*|`)make ([a-z-]+)", paper.read_text(), re.MULTILINE)
    assert set(named) <= TARGETS


def test_every_place_in_the_pictures_of_the_house_exists() -> None:
    rooms = re.findall(r"`(gateway/[a-z0-9_./]+)`", (ROOT / "ARCHITECTURE.md").read_text())
    assert rooms
    assert [room for room in rooms if not (ROOT / room).exists()] == []
    steps = re.findall(r"`([a-z0-9]+/[a-z_]+\.py)`", (ROOT / "docs" / "life-of-a-request.md").read_text())
    assert [step for step in steps if not (ROOT / "gateway" / step.removeprefix("gateway/")).exists()] == []


def test_every_room_is_in_the_picture_of_the_house() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    rooms = [path for path in (ROOT / "gateway").iterdir() if not path.name.startswith(("_", "py.typed"))]
    assert [room.name for room in rooms if f"{room.name}`" not in page and f"{room.name}/`" not in page] == []


def test_the_index_of_decisions_lists_them_all() -> None:
    index = (ROOT / "docs" / "decisions" / "README.md").read_text()
    there = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert re.findall(r"\]\((\d{4}-[a-z-]+\.md)\) \|", index) == there


def test_every_dependency_has_its_reason() -> None:
    page = (ROOT / "docs" / "decisions" / "0003-dependencies.md").read_text().lower()
    names = re.findall(
        r'^    "([a-z0-9-]+)(?:\[.*?\])?>=', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert names
    assert [name for name in names if name.removeprefix("types-") not in page] == []


def scope_written(text: str, number: int) -> Scope:
    """A scope as the README writes it: `allow{read: courses}`."""
    mode, inside = text.removesuffix("}").split("{")
    actions, module = inside.replace("\\", "").split(": ")
    sets = dict.fromkeys(actions.split(", "), ModuleSet.of([module]))
    return Scope(number, f"s{number}", text, Mode(mode), **sets)


def rows_of_the_algebra() -> list[tuple[str, str, str]]:
    section = (ROOT / "README.md").read_text().split("## How scopes add up")[1].split("\n## ")[0]
    return re.findall(r"^\| (.+?) \| (\w+ \w+|anything) \| (permit|refuse) \|$", section, re.MULTILINE)


@pytest.mark.parametrize(("held", "asked", "answer"), rows_of_the_algebra())
def test_the_readme_tells_the_truth_about_scopes(held: str, asked: str, answer: str) -> None:
    scopes = [] if held == "none" else [scope_written(text, n) for n, text in enumerate(held.split(" + "))]
    index = ModuleIndex.of(MODULES)
    rights = Rights.of(scopes, index)
    words = asked.split()
    actions = [Action.named(words[0])] if len(words) > 1 else list(Action)
    modules = MODULES if words[-1] == "anything" else [words[-1]]
    for action in actions:
        assert action is not None
        for module in modules:
            assert rights.covers(action, index.bits[module]) == (answer == "permit")
