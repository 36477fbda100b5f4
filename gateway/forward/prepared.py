"""What a header section amounts to for feeds: bytes made once for all requests that repeat it."""

from collections.abc import Callable
from typing import Final, NamedTuple

from gateway.http1.blanks import Form
from gateway.http1.head import Section

MOST: Final = 8
"""For how many feeds and callers lines are kept: a section has one caller, as a rule, and few feeds."""


class Lines(NamedTuple):
    """Lines for a feed: the client's own that cross, and what we say before and after them."""

    before: bytes
    crossing: bytes
    after: bytes


class Prepared:
    """Lines by whom they are for. Those of a section that fills a form are made from the form's lines.

    `made` is there to be looked into first: most requests find there what they need.
    """

    __slots__ = ("_form", "_forms", "_length", "_section", "_values", "made")

    def __init__(
        self,
        section: Section,
        form: "Prepared | None" = None,
        values: list[bytes] | None = None,
        length: int | None = None,
    ) -> None:
        """`section` is the form's where there is one; `values` and `length` fill it."""
        self._section = section
        self._form = form
        self._values = values or []
        self._length = length
        self._forms: dict[object, Form] | None = None
        self.made: dict[object, bytes] = {}

    def make(self, key: object, make: Callable[[Section], Lines]) -> bytes:
        """Make lines from the section, and keep them under `key`."""
        if len(self.made) >= MOST:
            self.made.clear()
        if self._form is None:
            made = b"".join(make(self._section))
        else:
            made = self._form.form(key, make).filled(self._values, self._length)
        self.made[key] = made
        return made

    def form(self, key: object, make: Callable[[Section], Lines]) -> Form:
        """The lines of a form under `key`, ready to be filled."""
        forms = self._forms
        known = None if forms is None else forms.get(key)
        if known is None:
            if forms is None or len(forms) >= MOST:
                forms = self._forms = {}
            known = forms[key] = Form(*make(self._section))
        return known
