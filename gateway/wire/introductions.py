"""Header sections read before: whole, or as forms that differ in values which nobody reads."""

from typing import Final

from gateway.domain.verdict import Refusal
from gateway.http1.blanks import Blanks, Twice
from gateway.http1.head import parse_section
from gateway.pipeline import Introduction, Pipeline

LONGEST_REMEMBERED: Final = 2048
MOST_REMEMBERED: Final = 4096
MOST_BYTES_REMEMBERED: Final = 1024 * 1024
"""Header sections remembered: at most 4096, of at most 2 KiB each and 1 MiB together, and as many forms. With
what is read from them they take 35 MiB at the very worst."""


class Remembered:
    """Introductions by the bytes they were read from, bounded."""

    __slots__ = ("_bytes", "known")

    def __init__(self) -> None:
        self.known: dict[bytes, Introduction] = {}
        self._bytes = 0

    def keep(self, section: bytes, introduction: Introduction) -> None:
        """Remember one more; all others are forgotten when there are too many."""
        if len(section) > LONGEST_REMEMBERED:
            return
        self._bytes += len(section)
        if len(self.known) >= MOST_REMEMBERED or self._bytes > MOST_BYTES_REMEMBERED:
            self.known.clear()
            self._bytes = len(section)
        self.known[section] = introduction


class Introductions:
    """What header sections say of their callers, under one configuration."""

    def __init__(self, pipeline: Pipeline, most_fields: int) -> None:
        self._pipeline = pipeline
        self._most_fields = most_fields
        self._blanks = Blanks(pipeline.reads)
        self._forms = Remembered()
        self._whole = Remembered()
        self._twice = Twice(MOST_REMEMBERED)

    def of(self, section: bytes) -> Introduction | Refusal:
        """What a header section says: read once for all that repeat it, byte for byte or as a form."""
        known = self._whole.known.get(section)
        if known is not None:
            return known
        blanked = self._blanks.in_section(section)
        if blanked is None:
            introduction = self._read(section)
        else:
            form = self._form(blanked.form)
            if isinstance(form, Refusal):
                return form
            introduction = form.filled(blanked.values, blanked.length)
        if not isinstance(introduction, Refusal) and self._twice.seen(section):
            self._whole.keep(section, introduction)
        return introduction

    def _form(self, form: bytes) -> Introduction | Refusal:
        known = self._forms.known.get(form)
        if known is not None:
            return known
        read = self._read(form)
        if not isinstance(read, Refusal):
            self._forms.keep(form, read)
        return read

    def _read(self, section: bytes) -> Introduction | Refusal:
        read = parse_section(section, self._most_fields)
        return read if isinstance(read, Refusal) else self._pipeline.introduce(read)
