"""JSON that every reader reads alike, and no other (RFC 8259, RFC 7493).

A forger's favourite is a document that its signer and its reader, or two readers, understand differently.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import orjson

_Container = dict[str, object] | list[object]

DEEPEST: Final = 16
"""How many objects and arrays may be inside each other."""

_WHOLE_NUMBERS: Final = range(-(2**63), 2**64)
"""What readers with machine integers read as it is written."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """Why a document is refused: words to put after its name. They hold nothing of the document."""

    why: str


class _UnfitError(ValueError):
    """Found while reading; says why."""


def read_object(document: bytes, deepest: int = DEEPEST) -> dict[str, object] | Malformed:
    """The object that a document holds.

    Members that occur twice, numbers that are not finite, and strings that are not Unicode are refused at any
    depth. Whole numbers have 64 bits at the most.
    """
    try:
        found = orjson.loads(document)
        if not isinstance(found, dict):
            return Malformed("is not a JSON object")
        if _depth(found) > deepest:
            return Malformed(f"has objects or arrays inside each other more than {deepest} deep")
        strict: dict[str, object] = _STRICT.decode(document.decode())
    except _UnfitError as unfit:
        return Malformed(str(unfit))
    except ValueError:
        return Malformed("is not JSON (UTF-8, finite numbers, whole characters)")
    return strict


def _depth(found: object) -> int:
    depth, level = 0, _containers([found])
    while level:
        level = _containers(inner for outer in level for inner in _inside(outer))
        depth += 1
    return depth


def _containers(values: Iterable[object]) -> list[_Container]:
    return [value for value in values if isinstance(value, dict | list)]


def _inside(container: _Container) -> Iterable[object]:
    return container.values() if isinstance(container, dict) else container


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _UnfitError("has a member twice")
    return members


def _whole(digits: str) -> int:
    number = int(digits)
    if number not in _WHOLE_NUMBERS:
        raise _UnfitError("has a whole number of more than 64 bits")
    return number


_STRICT: Final = json.JSONDecoder(object_pairs_hook=_members, parse_int=_whole)
"""The second reader: it tells of members that occur twice, which the first, strict in all else, does not."""
