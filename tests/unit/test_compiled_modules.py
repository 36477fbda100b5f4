"""Which modules may be compiled, and which are."""

import tomllib
from pathlib import Path

import pytest

import gateway

ROOT = Path(__file__).parents[2]
LISTED = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["scopegate"]["compile"]["modules"]


@pytest.mark.parametrize("module", LISTED)
def test_every_module_to_be_compiled_is_there(module: str) -> None:
    assert (ROOT / module).is_file()


def test_either_all_of_them_run_compiled_or_none() -> None:
    names = {module.removesuffix(".py").replace("/", ".") for module in LISTED}
    assert set(gateway.compiled) in (set(), names)


def test_the_permit_is_never_compiled() -> None:
    assert "gateway/domain/permit.py" not in LISTED
