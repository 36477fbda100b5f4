"""docs/configuration.md lists exactly the settings there are, with the defaults they have."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from gateway.document.section import Section
from gateway.settings.credentials import CredentialRule
from gateway.settings.loading import load_settings
from gateway.settings.model import Settings

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"
LISTED = dict(
    re.findall(r"^\| `([a-z_.A-Z]+)` \| (.+?) \| ", PAGE.read_text().split("## Route maps")[0], re.MULTILINE)
)
REQUIRED: dict[str, Any] = {
    "routes": ["routes.yaml"],
    "feeds": {"NAME".lower(): {"upstream": "http://127.0.0.1:9000"}},
}


def sections_in(annotation: object) -> list[type[Section]]:
    """The settings sections an annotation holds, however deep in it."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [section for inner in get_args(annotation) for section in sections_in(inner)]


def leaves(section: type[Section], before: str = "") -> list[str]:
    """The dotted names of everything an operator can set."""
    found = []
    for name, field in section.model_fields.items():
        below = sections_in(field.annotation)
        dotted = f"{before}{name}"
        if not below or below[0] is CredentialRule or name in {"issuers", "introspection", "names"}:
            found.append(dotted)
        else:
            found += leaves(below[0], f"{dotted}.NAME." if name == "feeds" else f"{dotted}.")
    return found


OPTIONAL: dict[str, dict[str, Any]] = {
    "health": {"path": "/health"},
    "cors": {"origins": "https://app.example.com"},
}
"""Sections of a feed that are not there unless something is said in them, and the least that must be."""


def test_the_page_lists_exactly_the_settings_there_are() -> None:
    assert sorted(LISTED) == sorted(leaves(Settings))


def placed(tree: dict[str, Any], dotted: str, value: object) -> None:
    *path, last = dotted.lower().split(".")
    for step in path:
        tree = tree.setdefault(step, {})
    tree[last] = value


@pytest.fixture
def as_documented() -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for dotted, default in LISTED.items():
        if dotted.split(".")[2:3] and dotted.split(".")[2] in OPTIONAL:
            continue
        if default not in {"required", "none"} and default != '`""`':
            placed(tree, dotted, yaml.safe_load(default.strip("`")))
    tree["routes"] = REQUIRED["routes"]
    tree["feeds"]["name"] |= REQUIRED["feeds"]["name"]
    return tree


def test_writing_every_default_down_changes_nothing(tmp_path: Path, as_documented: dict[str, Any]) -> None:
    bare, whole = tmp_path / "bare.yaml", tmp_path / "whole.yaml"
    bare.write_text(yaml.safe_dump(REQUIRED))
    whole.write_text(yaml.safe_dump(as_documented))
    assert load_settings(whole, {}) == load_settings(bare, {})


@pytest.mark.parametrize("section", OPTIONAL)
def test_what_an_optional_section_says_by_default_is_documented(tmp_path: Path, section: str) -> None:
    before = f"feeds.NAME.{section}."
    said = {name.removeprefix(before): text for name, text in LISTED.items() if name.startswith(before)}
    least = OPTIONAL[section]
    defaults = {
        name: yaml.safe_load(text.strip("`"))
        for name, text in said.items()
        if text not in {"required", "none"}
    }
    loaded = []
    for number, content in enumerate((least, {**defaults, **least})):
        file = tmp_path / f"{number}.yaml"
        feed = {**REQUIRED["feeds"]["name"], section: content}
        file.write_text(yaml.safe_dump({**REQUIRED, "feeds": {"name": feed}}))
        loaded.append(load_settings(file, {}))
    assert loaded[0] == loaded[1]
