"""Existing keys, brought in from a CSV file: all of its rows or none.

Columns: `label`; `key` or `sha256` (one of the two filled in each row); `scopes`, separated by spaces or `;`;
and `expires`, which may be missing or empty. No message ever repeats a key.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import Final

from gateway.control.refused import InvalidError, UnknownError
from gateway.control.scopes import scope_called
from gateway.control.words import NEVER, expiry_of, label_of
from gateway.document.problem import nearest
from gateway.domain.change import EVERY_SUBJECT
from gateway.domain.key_format import digest, well_formed
from gateway.domain.new_key import NewKey
from gateway.domain.scope import Scope
from gateway.store.questions import Questions
from gateway.store.store import Store

COLUMNS: Final = ("label", "key", "sha256", "scopes", "expires")
LONGEST_KEY: Final = 4096
GUESSABLE: Final = 16
"""Keys shorter than this are taken, and warned about."""

_KEY: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")


Problem = tuple[int, str]
"""A line number, and what is wrong there."""


@dataclass(frozen=True, slots=True)
class ImportedKeys:
    """The ids of the new keys, in the order of the file, and what their operator should know."""

    ids: tuple[int, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Row:
    """A row as it stands in the file; its secret does not print."""

    line: int
    label: str
    key: str = field(repr=False)
    sha256: str = field(repr=False)
    scopes: tuple[str, ...]
    expires: str


async def import_keys(store: Store, actor: str, content: bytes) -> ImportedKeys:
    """Bring in every key of a file. Raises RefusedError that tells all problems with their lines."""
    rows, problems = _read(content)
    async with store.writing(actor) as writing:
        scopes = await _scopes_named_in(writing, rows)
        keys: list[NewKey] = []
        lines: dict[bytes, int] = {}
        for row in rows:
            wrong, expires_at = _faults(row, scopes, writing.now)
            if not _secret_fault(row):
                digest_of = _digest(row)
                first = lines.setdefault(digest_of, row.line)
                if first != row.line:
                    wrong.append(f"this key is on line {first} too")
                granted = (scopes.get(name) for name in row.scopes)
                ids = frozenset(scope.id for scope in granted if isinstance(scope, Scope))
                keys.append(NewKey(row.label, digest_of, ids, expires_at))
            problems += [(row.line, sentence) for sentence in wrong]
        owners = await writing.owners_of(lines)
        problems += [(lines[d], f"this key is on record already, as key {owners[d]}") for d in owners]
        _refuse(problems, keys)
        ids_given = await writing.add_keys(keys)
        detail = {"count": len(keys), "first": ids_given[0], "last": ids_given[-1]}
        await writing.record("key.import", f"key:{EVERY_SUBJECT}", detail)
    return ImportedKeys(tuple(ids_given), tuple(_warnings(rows)))


def _refuse(problems: list[Problem], keys: Sequence[NewKey]) -> None:
    """Raise InvalidError with every problem in the order of the lines; a file without keys is one."""
    if problems:
        sentences = [f"line {line}: {sentence}" for line, sentence in sorted(problems)]
        raise InvalidError(*sentences, hint="nothing was imported; mend the file and try again")
    if not keys:
        raise InvalidError("The file has no keys.", hint="write one row a key below the column names")


def _read(content: bytes) -> tuple[list[_Row], list[Problem]]:
    """The rows of a file, and what is wrong with its form. Raises InvalidError where no row can be read."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InvalidError(f"line {line}: the file is not UTF-8 text") from None
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    rows: list[_Row] = []
    problems: list[Problem] = []
    try:
        columns = next(reader, [])
        _refuse_columns(columns)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if len(cells) == len(columns):
                    rows.append(_row(reader.line_num, dict(zip(columns, cells, strict=True))))
                else:
                    wanted = f"{len(columns)} columns are named and {len(cells)} are here"
                    problems.append((reader.line_num, wanted))
    except csv.Error as error:
        problems.append((reader.line_num, f"the row cannot be read as CSV ({error})"))
    return rows, problems


def _refuse_columns(columns: Sequence[str]) -> None:
    wrong = [
        f"line 1: the column {name[:40]!r} is not known; {nearest(name, COLUMNS)}"
        for name in columns
        if name not in COLUMNS
    ]
    wrong += [f"line 1: the column {name!r} is named twice" for name in COLUMNS if columns.count(name) > 1]
    wrong += [
        f"line 1: the column {name!r} is missing" for name in ("label", "scopes") if name not in columns
    ]
    if not {"key", "sha256"} & set(columns):
        wrong.append("line 1: neither a column 'key' nor a column 'sha256' is there")
    if wrong:
        raise InvalidError(*wrong, hint=f"name the columns in the first line: {','.join(COLUMNS)}")


def _row(line: int, cells: dict[str, str]) -> _Row:
    def cell(name: str) -> str:
        return cells.get(name, "").strip()

    scopes = tuple(cell("scopes").replace(";", " ").split())
    return _Row(line, cell("label"), cell("key"), cell("sha256"), scopes, cell("expires"))


async def _scopes_named_in(store: Questions, rows: Iterable[_Row]) -> dict[str, Scope | str]:
    """Every scope reference of the file, as the scope it means or the sentence that none is meant."""
    found: dict[str, Scope | str] = {}
    for name in dict.fromkeys(name for row in rows for name in row.scopes):
        try:
            found[name] = await scope_called(store, name)
        except UnknownError as error:
            found[name] = f"there is no scope {name[:80]!r}; {error.hint}"
    return found


def _faults(row: _Row, scopes: Mapping[str, Scope | str], now: float) -> tuple[list[str], float | None]:
    """Everything that is wrong with a row by itself, and its expiry if that can be read."""
    wrong = [said for name in row.scopes if isinstance(said := scopes[name], str)]
    if not row.scopes:
        wrong.append("the key has no scope")
    if fault := _secret_fault(row):
        wrong.append(fault)
    expires_at = None
    try:
        label_of(row.label)
    except InvalidError as error:
        wrong.append(_inside(error))
    try:
        expires_at = expiry_of(row.expires or NEVER, now)
    except InvalidError as error:
        wrong.append(_inside(error))
    return wrong, expires_at


def _secret_fault(row: _Row) -> str:
    """What is wrong with a row's key or digest, without repeating it; empty if nothing is."""
    if bool(row.key) == bool(row.sha256):
        return "both a key and a sha256 are given" if row.key else "neither a key nor a sha256 is given"
    if row.sha256:
        return "" if _SHA256.fullmatch(row.sha256) else "the sha256 is not 64 hexadecimal digits"
    if len(row.key) > LONGEST_KEY:
        return f"the key has {len(row.key)} characters; {LONGEST_KEY} is the most"
    if _KEY.fullmatch(row.key) is None:
        return "the key holds a character that is not printable ASCII"
    if well_formed(row.key.encode("ascii")) is False:
        return "the key begins with sg_ and its checksum is wrong; it was damaged on its way here"
    return ""


def _digest(row: _Row) -> bytes:
    return bytes.fromhex(row.sha256) if row.sha256 else digest(row.key.encode("ascii"))


def _inside(error: InvalidError) -> str:
    """An error's sentence as it stands after a line number."""
    said = " ".join((*error.sentences, error.hint)).strip()
    return said[0].lower() + said[1:]


def _warnings(rows: Iterable[_Row]) -> Iterator[str]:
    for row in rows:
        if row.key and len(row.key) < GUESSABLE:
            yield f"line {row.line}: the key has {len(row.key)} characters and can be guessed; rotate it soon"
