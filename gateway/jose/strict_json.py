"""JSON that every reader reads alike, and no other (RFC 8259, RFC 7493).

A forger's favourite is a document that its signer and its reader, or two readers, understand differently.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import orjson

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
    depth, level = 0, [found]
    while level:
        level = [inner for outer in level for inner in _inside(outer)]
        depth += 1
    return depth - 1


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


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
