"""docs/configuration.md lists exactly the settings there are, with the defaults they have."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from gateway.document.quantities import duration
from gateway.document.section import Section
from gateway.settings.bearer import (
    DISCOVER,
    BearerNames,
    IntrospectionSettings,
    IssuerSettings,
    ResourceSettings,
)
from gateway.settings.credentials import CredentialRule
from gateway.settings.loading import load_settings
from gateway.settings.model import Settings

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"
ROW = re.compile(r"^\| `([a-z_.A-Z]+)` \| (.+?) \| ", re.MULTILINE)
PARTS = re.split(r"^##+ (.+)$", PAGE.read_text(), flags=re.MULTILINE)
LISTED = dict(ROW.findall(PARTS[0]))
FURTHER = dict(zip(PARTS[1::2], map(ROW.findall, PARTS[2::2]), strict=True))
"""The tables of sections that stand further below, by their headings."""

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
        if (
            not below
            or below[0] is CredentialRule
            or name in {"issuers", "introspection", "resource", "names"}
        ):
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


@pytest.mark.parametrize(
    ("heading", "section", "as_elsewhere"),
    [
        ("Issuers", IssuerSettings, set()),
        ("Introspection", IntrospectionSettings, set(BearerNames.model_fields)),
        ("Resource", ResourceSettings, set()),
    ],
)
def test_the_tables_further_below_list_what_there_is_with_its_default(
    heading: str, section: type[Section], as_elsewhere: set[str]
) -> None:
    listed = dict(FURTHER[heading])
    assert sorted(listed) == sorted(set(section.model_fields) - as_elsewhere)
    for name, text in listed.items():
        field = section.model_fields[name]
        if text == "required":
            assert field.is_required(), name
        elif name == "jwks":
            assert text == f"`{DISCOVER}`"
        else:
            written = None if text == "none" else yaml.safe_load(text.strip("`"))
            assert not field.is_required(), name
            assert comparable(field.default) == comparable(written), name


def comparable(value: object) -> object:
    """A default as it stands in settings, or as it is written."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(ms|s|m|h|d)", value):
        return duration(value)
    return list(value) if isinstance(value, tuple) else value


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
