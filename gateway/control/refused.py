"""Why an operator's wish is not carried out: sentences for people, a kind for programs."""

from gateway.domain.scope_use import ScopeUse


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
