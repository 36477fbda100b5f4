"""The build backend: that of setuptools, which asks for a compiler where SCOPEGATE_COMPILE=1 wants one."""

import os
import tomllib
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import build_editable, build_sdist, build_wheel

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

Settings = dict[str, Any] | None

get_requires_for_build_editable = build_meta.get_requires_for_build_editable
get_requires_for_build_sdist = build_meta.get_requires_for_build_sdist
prepare_metadata_for_build_editable = build_meta.prepare_metadata_for_build_editable
prepare_metadata_for_build_wheel = build_meta.prepare_metadata_for_build_wheel


def wanted() -> dict[str, list[str]]:
    """What is to be compiled (`modules`) and with what (`requires`); nothing, unless it is asked for."""
    asked = os.environ.get("SCOPEGATE_COMPILE", "0")
    if asked not in {"0", "1"}:
        raise SystemExit(
            f"SCOPEGATE_COMPILE is 1 to compile the hot rooms, 0 or unset not to; it is {asked!r}"
        )
    if asked == "0":
        return {"requires": [], "modules": []}
    project = tomllib.loads(Path(__file__).with_name("pyproject.toml").read_text("utf-8"))
    compiling: dict[str, list[str]] = project["tool"]["scopegate"]["compile"]
    return compiling


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """See PEP 517."""
    return [*build_meta.get_requires_for_build_wheel(config_settings), *wanted()["requires"]]
