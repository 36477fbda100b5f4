"""Header sections with their varying values left blank: what is read from a form holds for all that fill it.

Most heads differ from others before them in a few values that nobody here reads: a date, a trace id, an
entity tag. With these and the length left blank they are the same form, which is read once, strictly, as any
section is; what is made of it is then filled with the values of the head at hand.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from gateway.http1.grammar import CONTENT_LENGTH

_MARK: Final = b"~varies~"
LENGTH: Final = 987654321987654321
"""Stands for a Content-Length that is left blank."""

_LENGTH_MARK: Final = b"%d" % LENGTH
_BLANKS: Final = re.compile(rb"~([0-9]+)~varies~|(%b)" % _LENGTH_MARK)
_PLAIN: Final = re.compile(rb"(?:[A-Za-z][A-Za-z0-9\-]*+:[\t\x20-\x7e]*+\r\n)++")
"""Sections that every reader reads alike; all others are read whole."""

MOST_NAMES: Final = 1024
LONGEST_NAME: Final = 64


class Blanked(NamedTuple):
    """A section as a form, the values that fill it in order, and its Content-Length if that is blank."""

    form: bytes
    values: list[bytes]
    length: int | None


class Blanks:
    """Leaves blank what nobody reads. `reads` says of a field name whether somebody reads its value."""

    def __init__(self, reads: Callable[[bytes], bool]) -> None:
        self._reads = reads
        self._vary: dict[bytes, bool] = {}

    def in_section(self, section: bytes) -> Blanked | None:
        """The section as a form; None if nothing in it varies, or if it holds the mark of a blank itself."""
        if _PLAIN.fullmatch(section) is None or _MARK in section or _LENGTH_MARK in section:
            return None
        lines = section.split(b"\r\n")
        values: list[bytes] = []
        length = None
        for place, line in enumerate(lines):
            name, _, value = line.partition(b":")
            varies = self._vary.get(name)
            if varies or (varies is None and self._varies(name)):
                value = value.strip(b" \t")
                if value:
                    lines[place] = b"%b: ~%d~varies~" % (name, len(values))
                    values.append(value)
            elif len(name) == len("content-length") and name.lower() == b"content-length":
                value = value.strip(b" \t")
                if CONTENT_LENGTH.fullmatch(value) is not None:
                    lines[place] = b"%b: %b" % (name, _LENGTH_MARK)
                    length = int(value)
        if not values and length is None:
            return None
        return Blanked(b"\r\n".join(lines), values, length)

    def _varies(self, name: bytes) -> bool:
        """Whether a field's value may be left blank; asked once for each name, as long as names are few."""
        if len(self._vary) >= MOST_NAMES:
            self._vary.clear()
        lower = name.lower()
        varies = 0 < len(name) <= LONGEST_NAME and lower != b"content-length" and not self._reads(name)
        if len(name) <= LONGEST_NAME:
            self._vary[name] = varies
        return varies


class Form:
    """Bytes that were made of a form, ready to be filled. A blank that was dropped on the way stays away.

    Only in these bytes blanks are looked for: what stands `before` and `after` them is nobody's to fill.
    """

    __slots__ = ("_parts", "_places")

    def __init__(self, before: bytes, made: bytes, after: bytes) -> None:
        text, *rest = _BLANKS.split(made)
        self._parts: list[bytes] = [before, text]
        self._places: list[tuple[int, int]] = []
        """Which part is which value; -1 is the length."""
        for place, following in zip(rest[::3], rest[2::3], strict=True):
            self._places.append((len(self._parts), -1 if place is None else int(place)))
            self._parts += (b"", following)
        self._parts.append(after)

    def filled(self, values: list[bytes], length: int | None) -> bytes:
        """The bytes with these values; `length` is that of Blanked."""
        made = self._parts.copy()
        for at, value in self._places:
            made[at] = values[value] if value >= 0 else b"%d" % (length or 0)
        return b"".join(made)


class Twice:
    """Tells what comes a second time, so that memory is not filled with what comes but once; bounded."""

    __slots__ = ("_most", "_once")

    def __init__(self, most: int) -> None:
        self._once: set[int] = set()
        self._most = most

    def seen(self, head: bytes) -> bool:
        """Whether this was asked before, lately."""
        mark = hash(head)
        if mark in self._once:
            return True
        if len(self._once) >= self._most:
            self._once.clear()
        self._once.add(mark)
        return False


def filled_value(value: bytes, values: list[bytes]) -> bytes:
    """A field's value in a form, or what fills it where it is blank. A length has a place of its own."""
    blank = _BLANKS.fullmatch(value)
    return value if blank is None or blank[1] is None else values[int(blank[1])]
