"""Why an operator's wish is not carried out: sentences for people, a kind for programs."""

from collections.abc import Sequence
from typing import Final

from gateway.control.gain import Gain
from gateway.domain.scope_use import ScopeUse

LISTED_GAINS: Final = 20
"""How many of those who gain a refusal names; programs are told of all."""


class RefusedError(Exception):
    """What was asked may not be done. `sentences` say all that is wrong, `hint` what to do about it."""

    def __init__(self, *sentences: str, hint: str = "") -> None:
        self.sentences = sentences
        self.hint = hint
        super().__init__("\n".join(sentences))


class UnknownError(RefusedError):
    """Something named does not exist."""


class InvalidError(RefusedError):
    """A value breaks its rule."""


class TakenError(RefusedError):
    """A name is in use already."""


class LockedError(RefusedError):
    """A standard scope may not be edited or deleted."""


class StateError(RefusedError):
    """What the thing is now does not allow this."""


class InUseError(RefusedError):
    """Somebody still needs it; `use` says who."""

    def __init__(self, *sentences: str, use: ScopeUse, hint: str = "") -> None:
        self.use = use
        super().__init__(*sentences, hint=hint)


class WideningError(RefusedError):
    """What takes a scope away would let somebody do more; `gains` says who and what."""

    def __init__(self, deed: str, gains: Sequence[Gain]) -> None:
        self.gains = tuple(gains)
        more = len(gains) - LISTED_GAINS
        told = [f"{gain.sentence}." for gain in gains[:LISTED_GAINS]]
        told += [f"And {more} others."] if more > 0 else []
        super().__init__(
            f"{deed} lets more be done, not less:", *told, hint="add --widens if that is what you want"
        )
