"""Answer heads read before: whole, or as forms that differ in a date, a length and what nobody here reads."""

from collections.abc import Callable
from typing import Final

from gateway.http1.answer import ANSWER_VALUES_READ, AnswerHead, parse_answer
from gateway.http1.blanks import LENGTH, Blanks, Form, Twice

MOST_FIELDS: Final = 256
LONGEST_REMEMBERED: Final = 2048
MOST_REMEMBERED: Final = 1024


def _reads(name: bytes) -> bool:
    return name.lower() in ANSWER_VALUES_READ


class AnswerHeads:
    """One feed's answer heads, bounded: most of them repeat one another's lines, but for a few values."""

    def __init__(self, rewritten: Callable[[AnswerHead], AnswerHead] | None = None) -> None:
        """`rewritten` makes of each head what may cross; it must not read what `parse_answer` does not."""
        self._whole: dict[bytes, AnswerHead] = {}
        self._forms: dict[bytes, tuple[AnswerHead, Form]] = {}
        self._blanks = Blanks(_reads)
        self._twice = Twice(MOST_REMEMBERED)
        self._rewritten = rewritten

    def read(self, head: bytes) -> AnswerHead:
        """The head, parsed once. Raises InvalidAnswerError."""
        known = self._whole.get(head)
        if known is not None:
            return known
        line, _, section = head.partition(b"\r\n")
        blanked = self._blanks.in_section(section)
        if blanked is None:
            read = self._parsed(head)
        else:
            form, start = self._form(b"%b\r\n%b" % (line, blanked.form))
            length = blanked.length if form.length == LENGTH else form.length
            read = AnswerHead(
                form.status,
                start.filled(blanked.values, blanked.length),
                length,
                form.upgrade,
                chunked=form.chunked,
                closes=form.closes,
                streams=form.streams,
            )
        if len(head) <= LONGEST_REMEMBERED and self._twice.seen(head):
            if len(self._whole) >= MOST_REMEMBERED:
                self._whole.clear()
            self._whole[head] = read
        return read

    def _form(self, head: bytes) -> tuple[AnswerHead, Form]:
        known = self._forms.get(head)
        if known is None:
            read = self._parsed(head)
            line, end, lines = read.start.partition(b"\r\n")
            known = read, Form(line + end, lines, b"")
            if len(head) <= LONGEST_REMEMBERED:
                if len(self._forms) >= MOST_REMEMBERED:
                    self._forms.clear()
                self._forms[head] = known
        return known

    def _parsed(self, head: bytes) -> AnswerHead:
        read = parse_answer(head, MOST_FIELDS)
        return read if self._rewritten is None else self._rewritten(read)
