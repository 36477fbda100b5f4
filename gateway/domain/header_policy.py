"""What operators decide about header fields; said in the settings, done by forwarding."""

from enum import StrEnum


class Underscores(StrEnum):
    """What becomes of a field whose name has `_`, which CGI-like servers cannot tell from `-`."""

    DROP = "drop"
    REJECT = "reject"
    ALLOW = "allow"


class Overrides(StrEnum):
    """What becomes of X-HTTP-Method-Override and its kin."""

    REJECT = "reject"
    STRIP = "strip"
    HONOUR = "honour"


class Credentials(StrEnum):
    """What a feed gets to see of the caller's credential: nothing, all of it, or one of its own instead."""

    STRIP = "strip"
    PASS = "pass"  # noqa: S105 - an operator's word, not a password
    SET = "set"
