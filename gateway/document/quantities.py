"""How long and how much, as operators write them: `500ms 2s 5m 1h 90d`, `8KiB 16MiB`.

A unit is always said for a time. A size without one is in bytes; the units are powers of 1024 and spelt so
(IEC 80000-13), because `KB` means 1000 to some and 1024 to others.
"""

import re
from types import MappingProxyType
from typing import Final

SECONDS_IN: Final = MappingProxyType({"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0})
BYTES_IN: Final = MappingProxyType({"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30})

DURATION_HINT: Final = "write a number and its unit: 500ms, 2s, 5m, 1h or 90d"
SIZE_HINT: Final = "write bytes, or a number and its unit: 512B, 8KiB, 16MiB or 1GiB"

LONGEST: Final = 36_500 * 86_400.0
"""A century, in seconds: what is longer is a slip of the hand, and would overflow a date."""

LARGEST: Final = 1 << 40
"""A tebibyte: no body is larger, and a limit beyond it is none."""

_DURATION: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)(ms|s|m|h|d)")
_SIZE: Final = re.compile(r"([0-9]{1,15})(B|KiB|MiB|GiB)?")


def duration(text: str) -> float:
    """The seconds a duration means. Raises ValueError with a sentence for people."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"is not a duration; {DURATION_HINT}")
    number = match[1]
    seconds = (
        int(number) / 1000 if match[2] == "ms" and number.isdigit() else float(number) * SECONDS_IN[match[2]]
    )
    if seconds > LONGEST:
        raise ValueError("is too long; the longest duration is 36500d")
    return seconds


def size(text: str) -> int:
    """The bytes a size means. Raises ValueError with a sentence for people."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"is not a size; {SIZE_HINT}")
    amount = int(match[1]) * BYTES_IN[match[2] or ""]
    if amount > LARGEST:
        raise ValueError("is too large; the largest size is 1024GiB")
    return amount
