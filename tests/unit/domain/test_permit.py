"""A permit is proof: it cannot be made, altered, copied or passed off without the decision's seal."""

import ast
import copy
import pickle
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

import gateway
from gateway.domain.feed import Feed
from gateway.domain.permit import SEAL, Permit
from gateway.domain.target import Route
from gateway.domain.verdict import Reason

GATEWAY = Path(gateway.__file__).parent
FEED = Feed("demo")
ROUTE = Route("/courses", "routes.yaml:1")


def permit() -> Permit:
    return Permit(SEAL, FEED, ROUTE, "courses", "read", None, Reason.SCOPE_DENIED)


@pytest.mark.parametrize("seal", [None, object(), True, "SEAL", 0, FEED])
def test_without_the_seal_there_is_no_permit(seal: object) -> None:
    with pytest.raises(PermissionError, match="only the decision makes a permit"):
        Permit(seal, FEED, ROUTE, "courses", "read", None)


def test_a_permit_says_what_was_proven() -> None:
    made = permit()
    assert (made.feed, made.route, made.module, made.action) == (FEED, ROUTE, "courses", "read")
    assert (made.principal, made.would_deny) == (None, Reason.SCOPE_DENIED)


@pytest.mark.parametrize("name", ["feed", "route", "module", "action", "principal", "would_deny", "another"])
def test_a_permit_cannot_be_altered(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(permit(), name, None)


def test_a_permit_cannot_be_altered_by_place() -> None:
    with pytest.raises(TypeError):
        permit()[0] = Feed("another")  # type: ignore[index] # the attempt is the test


@pytest.mark.parametrize(
    "forge",
    [copy.copy, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))],  # noqa: S301 - our own bytes
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_permit_has_no_second_making(forge: object) -> None:
    with pytest.raises((TypeError, PermissionError, FrozenInstanceError)):
        forge(permit())  # type: ignore[operator] # each of them is a function


@pytest.mark.parametrize(
    "derived",
    [permit()[:], (*permit(),), permit() * 1, tuple(permit())],
    ids=["slice", "sum", "product", "tuple"],
)
def test_what_is_derived_from_a_permit_is_none(derived: object) -> None:
    assert type(derived) is tuple


def _names_in(source: Path) -> set[str]:
    tree = ast.parse(source.read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom | ast.Import)]
    names |= {alias.name for node in imports for alias in node.names}
    names |= {alias.asname for node in imports for alias in node.names if alias.asname}
    return names | {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_only_the_decision_names_the_seal() -> None:
    naming = {str(file.relative_to(GATEWAY)) for file in GATEWAY.rglob("*.py") if "SEAL" in _names_in(file)}
    assert naming == {"domain/permit.py", "decision/decide.py"}


def _makes_by_the_back_door(source: Path) -> bool:
    """Whether a file calls `something.__new__(…)`, by which a seal could be gone around."""
    return any(
        isinstance(node, ast.Attribute) and node.attr == "__new__"
        for node in ast.walk(ast.parse(source.read_text()))
    )


def test_nobody_goes_around_the_seal() -> None:
    going = {
        str(file.relative_to(GATEWAY)) for file in GATEWAY.rglob("*.py") if _makes_by_the_back_door(file)
    }
    assert going == {"domain/permit.py"}


def _inherits_from_permit(source: Path) -> bool:
    classes = [node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.ClassDef)]
    return any(isinstance(base, ast.Name) and base.id == "Permit" for node in classes for base in node.bases)


def test_nobody_inherits_from_permit() -> None:
    assert not [file for file in GATEWAY.rglob("*.py") if _inherits_from_permit(file)]
