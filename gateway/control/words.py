"""The rules for what operators write, shared by every use case: labels, names, module lists, expiry."""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Final

from gateway.control.refused import InvalidError
from gateway.document.problem import nearest
from gateway.document.quantities import duration
from gateway.domain.scope import EVERY, SCOPE_NAME, ModuleSet
from gateway.domain.scope_use import LONGEST_MEMBER

LONGEST_LABEL: Final = 200
NEVER: Final = "never"
OTHER_EXPIRIES: Final = "or write a date such as 2030-12-31, or never"


def label_of(text: str) -> str:
    """A label as it may be put on record. Raises InvalidError."""
    if not text.strip():
        raise InvalidError("The label is empty; say what the integration is for.")
    if len(text) > LONGEST_LABEL:
        raise InvalidError(f"The label has {len(text)} characters; {LONGEST_LABEL} is the most.")
    if not text.isprintable():
        raise InvalidError("The label holds a character that cannot be printed.")
    return text


def scope_name_of(text: str) -> str:
    """A name for a scope. Raises InvalidError."""
    if SCOPE_NAME.fullmatch(text) is None:
        raise InvalidError(
            f"{text[:80]!r} cannot name a scope.",
            hint="use lower-case letters, digits and . _ -, beginning with a letter or digit, 64 at most",
        )
    return text


def member_name_of(kind: str, text: str) -> str:
    """The name of a user, a role or a client as tokens are compared with it, exactly. Raises InvalidError."""
    if not text.strip():
        raise InvalidError(f"The {kind}'s name is empty; write it as the token has it.")
    if len(text) > LONGEST_MEMBER:
        raise InvalidError(f"The {kind}'s name has {len(text)} characters; {LONGEST_MEMBER} is the most.")
    unseen = next((character for character in text if not character.isprintable()), None)
    if unseen is not None:
        raise InvalidError(f"The {kind}'s name holds U+{ord(unseen):04X}, which cannot be printed.")
    return text


def module_set_of(names: Iterable[str], known: Collection[str], kept: ModuleSet) -> ModuleSet:
    """A set of modules as it may be put on record; those `kept` already need not be mapped any more.

    Raises InvalidError that names every unknown module and its nearest known one.
    """
    listed = list(names)
    unknown = [name for name in listed if name != EVERY and name not in known and name not in kept.names]
    if unknown:
        raise InvalidError(*(_unknown_module(name, known) for name in unknown))
    return ModuleSet.of(listed)


def _unknown_module(name: str, known: Collection[str]) -> str:
    hint = nearest(name, known, what="mapped modules") or "the route map has no modules"
    return f"The module {name[:80]!r} is not in the route map; {hint}"


def expiry_of(text: str, now: float) -> float | None:
    """When something ends, in seconds since the epoch: after a duration, at a date, or never (None).

    A date is ISO 8601, in UTC where it names no zone. Raises InvalidError, also for a time that is past.
    """
    if text == NEVER:
        return None
    try:
        ends = _ends(text, now)
    except ValueError as error:
        raise InvalidError(f"The expiry {text[:40]!r} {error}", hint=OTHER_EXPIRIES) from None
    if ends <= now:
        raise InvalidError(f"The expiry {text[:40]!r} is in the past.")
    return ends


def expiry_fault(text: str) -> str:
    """Why an expiry cannot be read, as the end of a sentence; empty if it can, were it in the past."""
    try:
        if text != NEVER:
            _ends(text, 0.0)
    except ValueError as error:
        return f"{error}; {OTHER_EXPIRIES}"
    return ""


def _ends(text: str, now: float) -> float:
    moment = _moment(text)
    return now + duration(text) if moment is None else moment


def _moment(text: str) -> float | None:
    """The time an ISO 8601 date means, or None for text of another shape."""
    try:
        read = datetime.fromisoformat(text)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
