"""YAML, as much of it as a configuration needs, read with the line of every key.

Scalars stay the text they are, so YAML's guesses (`no` is false, `012` is ten, a date is a date) never
bite: the reader of a value knows its type. Anchors, aliases, tags and further documents are refused; so
nothing can grow, and nothing can be built. `${NAME}` takes an environment variable after the text is parsed,
so that a value can never become structure.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from gateway.document.files import Files
from gateway.document.problem import Location, Problem, dotted

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # PyYAML built without libyaml: slower, and the same events
    from yaml import SafeLoader as Loader  # type: ignore[assignment] # either serves yaml.parse

Value = str | None | list["Value"] | dict[str, "Value"]
"""What a file holds: text, nothing, lists and mappings."""

LARGEST_FILE: Final = 8 << 20
"""Bytes: a map of 50,000 routes is smaller."""

DEEPEST: Final = 24
"""Levels of lists and mappings: more than any setting has."""

NOTHING: Final = frozenset({"", "~", "null", "Null", "NULL"})
"""Plain scalars that YAML reads as no value."""

VARIABLE: Final = re.compile(r"\$\{([^{}\n]*)\}")
VARIABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Braces end a plain scalar inside `{…}`; while YAML parses, those of `${NAME}` are characters that do not.
_OPEN, _CLOSE = "\ue000", "\ue001"
_HIDDEN: Final = re.compile(f"\\${_OPEN}([^{_OPEN}{_CLOSE}]*){_CLOSE}")
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ue000\ue001\ufffe\uffff]")


@dataclass(slots=True)
class Document:
    """A file that was read: its content, the line of every location, and what was wrong so far.

    `spoilt` holds the locations that already have a problem, so that none is complained about twice, and
    `around` those around them, too. `from_environment` holds those whose text came, in part or whole, from
    a variable, and is never shown.
    """

    path: Path
    file: str
    content: dict[str, Value] = field(default_factory=dict, repr=False)
    lines: dict[Location, int] = field(default_factory=dict, repr=False)
    from_environment: set[Location] = field(default_factory=set, repr=False)
    spoilt: set[Location] = field(default_factory=set, repr=False)
    around: set[Location] = field(default_factory=set, repr=False)
    problems: list[Problem] = field(default_factory=list, repr=False)

    def line(self, location: Location) -> int | None:
        """The line of a location, or of the nearest one around it."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location)

    def where(self, location: Location) -> str:
        """The location as `file:line`."""
        return f"{self.file}:{self.line(location)}"

    def complain(self, location: Location, message: str, hint: str = "") -> None:
        """Record a problem, unless the location, or the text that stands for its list, has one already."""
        listed = location[:-1] if location and isinstance(location[-1], int) else location
        if self.spoilt.isdisjoint({location, listed}):
            self.spoilt.add(location)
            self.around.update(location[:depth] for depth in range(len(location) + 1))
            self.problems.append(Problem(self.file, self.line(location), dotted(location), message, hint))


class _UnreadableError(Exception):
    """Nothing more can be read from the file: line, message, hint."""

    def __init__(self, line: int | None, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.line, self.message, self.hint = line, message, hint


def read_document(path: Path, environment: Mapping[str, str] | None, files: Files | None = None) -> Document:
    """Read a file. What is wrong is in `.problems`; then `.content` is what could be read, empty if nothing.

    With `environment` None, `${…}` is text like any other. `files` are those read before.
    """
    document = Document(path, shown(path))
    try:
        text = _text(path, files or Files())
        if environment is not None:
            text = VARIABLE.sub(f"${_OPEN}\\1{_CLOSE}", text)
        _Builder(document, environment).build(text)
    except _UnreadableError as error:
        document.problems.append(Problem(document.file, error.line, "", error.message, error.hint))
    return document


def shown(path: Path) -> str:
    """The path as people know it: relative to the working directory when it is below."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _text(path: Path, files: Files) -> str:
    """The file's text, or why there is none."""
    try:
        raw = files.read(path, LARGEST_FILE + 1)
    except FileNotFoundError:
        raise _UnreadableError(None, "there is no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        raise _UnreadableError(None, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if raw is None:
        raise _UnreadableError(None, "is not a file")
    if len(raw) > LARGEST_FILE:
        raise _UnreadableError(None, f"is larger than {LARGEST_FILE >> 20} MiB", "is this the right file?")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _UnreadableError(line, "is not UTF-8 text", "save it as UTF-8") from None
    bad = _UNPRINTABLE.search(text)
    if bad is not None:
        line = text.count("\n", 0, bad.start()) + 1
        raise _UnreadableError(line, f"holds the character U+{ord(bad[0]):04X}, which no configuration has")
    return text


class _Builder:
    """Builds a document's content from YAML's events, one pass, the depth bounded."""

    def __init__(self, document: Document, environment: Mapping[str, str] | None) -> None:
        self.document = document
        self.environment = environment
        self.events: Iterator[yaml.Event] = iter(())

    def build(self, text: str) -> None:
        """Fill the document. Raises _UnreadableError where YAML itself is broken."""
        self.events = yaml.parse(text, Loader=Loader)
        try:
            self._stream()
        except yaml.MarkedYAMLError as error:
            raise _broken(error, text) from None
        except yaml.YAMLError as error:
            raise _UnreadableError(None, f"is not YAML: {error}") from None

    def _stream(self) -> None:
        next(self.events)
        event = next(self.events)
        if isinstance(event, yaml.StreamEndEvent):
            raise _UnreadableError(None, "is empty")
        first = next(self.events)
        if not isinstance(first, yaml.MappingStartEvent):
            raise _UnreadableError(
                _line(first), "must be a mapping of keys to values", "write `key: value` lines"
            )
        content = self._value(first, (), 0)
        next(self.events)
        event = next(self.events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise _UnreadableError(
                _line(event), "a second document begins here", "keep one document in a file"
            )
        if not content and not self.document.problems:
            raise _UnreadableError(None, "is empty")
        if isinstance(content, dict):
            self.document.content = content

    def _value(self, event: yaml.Event, location: Location, depth: int) -> Value:
        if location not in self.document.lines:
            self.document.lines[location] = _line(event)
        if depth > DEEPEST:
            raise _UnreadableError(_line(event), f"is nested deeper than {DEEPEST} levels")
        if isinstance(event, yaml.ScalarEvent) and event.anchor is None and event.tag is None:
            return self._scalar(event, location)
        if isinstance(event, yaml.AliasEvent):
            self.document.complain(
                location, f"aliases (*{event.anchor}) are not used here", "write the value out"
            )
            return None
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self.document.complain(location, f"anchors (&{event.anchor}) are not used here", "leave it out")
        if getattr(event, "tag", None) is not None:
            self.document.complain(location, "tags (!…) are not used here", "leave it out")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(location, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(location, depth)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, location)
        raise _UnreadableError(_line(event), "cannot be read as YAML")

    def _mapping(self, location: Location, depth: int) -> dict[str, Value]:
        mapping: dict[str, Value] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self.document.complain(
                    (*location, "?"), "a key must be a word", "quote it if it holds braces"
                )
                self._value(event, (*location, "?"), depth + 1)
                self._value(next(self.events), (*location, "?"), depth + 1)
                continue
            key = _plain(event.value)
            if key in mapping:
                first = self.document.line((*location, key))
                self._twice(event, (*location, key), first)
                self._value(next(self.events), (*location, f"{key}?"), depth + 1)
                continue
            here = (*location, key)
            self.document.lines[here] = _line(event)
            mapping[key] = self._value(next(self.events), here, depth + 1)
        return mapping

    def _twice(self, event: yaml.Event, location: Location, first: int | None) -> None:
        problem = Problem(
            self.document.file,
            _line(event),
            dotted(location),
            f"is given twice, first on line {first}",
            "keep one",
        )
        self.document.problems.append(problem)

    def _sequence(self, location: Location, depth: int) -> list[Value]:
        sequence: list[Value] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            sequence.append(self._value(event, (*location, len(sequence)), depth + 1))
        return sequence

    def _scalar(self, event: yaml.ScalarEvent, location: Location) -> Value:
        if event.implicit[0] and event.value in NOTHING:
            return None
        return self._filled(event.value, location)

    def _filled(self, text: str, location: Location) -> str:
        """The text with its variables taken from the environment; each that is missing is a problem."""
        if _OPEN not in text or self.environment is None:
            return text
        self.document.from_environment.add(location)
        whole, end = "", 0
        for match in _HIDDEN.finditer(text):
            whole += text[end : match.start()] + self._variable(match[1], location)
            end = match.end()
        return whole + text[end:]

    def _variable(self, name: str, location: Location) -> str:
        if VARIABLE_NAME.fullmatch(name) is None:
            self.document.complain(
                location, f"${{{name}}} does not name an environment variable", "write ${NAME}"
            )
            return ""
        value = (self.environment or {}).get(name)
        if value is None:
            self.document.complain(location, f"the environment variable {name} is not set", f"set {name}")
            return ""
        return value


def _plain(key: str) -> str:
    """A key as it was written: variables are not taken there."""
    return key.replace(_OPEN, "{").replace(_CLOSE, "}")


def _line(event: yaml.Event) -> int:
    mark = event.start_mark
    return 1 if mark is None else mark.line + 1


def _broken(error: yaml.MarkedYAMLError, text: str) -> _UnreadableError:
    """What YAML's parser found, with a hint for the usual slips."""
    mark = error.problem_mark or error.context_mark
    number = None if mark is None else mark.line + 1
    lines = text.splitlines()
    line = lines[number - 1] if number is not None and number <= len(lines) else ""
    hint = ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        hint = "indent with spaces, not tabs"
    elif "/{" in line:
        hint = 'inside { } a path with {name} must be quoted: {path: "/v2/courses/{id}"}'
    said = ", ".join(part for part in (error.context, error.problem) if part)
    return _UnreadableError(number, f"is not YAML: {said}", hint)
