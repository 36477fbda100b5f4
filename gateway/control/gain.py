"""Somebody who could do more than now, and what."""

from dataclasses import dataclass
from typing import Final

LISTED_PAIRS: Final = 6
"""How many pairs a sentence names."""


@dataclass(frozen=True, slots=True)
class Gain:
    """Somebody who could do more, and what: pairs as `read users`; None is everything.

    `surely` is False where it takes a token with certain roles, or scopes, to do it.
    """

    who: str
    pairs: tuple[str, ...] | None
    surely: bool

    @property
    def sentence(self) -> str:
        """The gain, as it stands in a list."""
        if self.pairs is None:
            return f"{self.who} may do everything, where no other scope is left (without_scope: full-access)"
        more = len(self.pairs) - LISTED_PAIRS
        listed = ", ".join(self.pairs[:LISTED_PAIRS]) + (f" and {more} more" if more > 0 else "")
        return f"{self.who} may {listed}{'' if self.surely else ', where another scope allows it'}"
