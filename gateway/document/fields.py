"""Kinds of values that settings and route maps share, each checked as it is read.

Values made in code (numbers for durations and sizes) pass as they are; text is read as operators write it.
"""

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Annotated, Final, TypeVar

from pydantic import BeforeValidator, Field

from gateway.document.quantities import duration, size
from gateway.document.section import unfit

TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
"""RFC 9110 §5.6.2, bounded."""

_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
"""RFC 1123 §2.1, with the underscore that service names use."""

_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,=:@-]+)+")
_LAST_NUMERIC: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9a-fA-F]*)")

Parsed = TypeVar("Parsed")


def _reading(parse: Callable[[str], Parsed]) -> BeforeValidator:
    """A validator that parses text and lets values made in code through."""

    def read(value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return parse(value)
        except ValueError as error:
            said, _, hint = str(error).partition("; ")
            raise unfit(said, hint) from None

    return BeforeValidator(read)


def host_name(text: str) -> str:
    """A host without port, lower-cased; an IPv6 address may stand in brackets. Raises ValueError."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        address = ip_address(bare)
    except ValueError:
        if _LAST_NUMERIC.fullmatch(text) or HOST_NAME.fullmatch(text) is None:
            raise ValueError(
                "is not a host name; write a name or an address without port, such as feeds.example.com"
            ) from None
        return text.lower()
    if address.version == 4 and bare != text:  # noqa: PLR2004 - the number is the version's name
        raise ValueError("is not a host name; only IPv6 addresses stand in brackets")
    return str(address)


def prefix(text: str) -> str:
    """A path prefix of whole segments, without a slash at its end. Raises ValueError."""
    if _PREFIX.fullmatch(text) is None or not {".", ".."}.isdisjoint(text.split("/")):
        raise ValueError(
            "is not a path prefix; write whole plain segments, such as /training/v2, without a slash last"
        )
    return text


Duration = Annotated[float, _reading(duration), Field(gt=0)]
"""Seconds, more than none."""

DurationOrNone = Annotated[float, _reading(duration), Field(ge=0)]
"""Seconds; `0s` switches off."""

Size = Annotated[int, _reading(size), Field(gt=0)]
"""Bytes, at least one."""

SizeOrNone = Annotated[int, _reading(size), Field(ge=0)]
"""Bytes, or none at all."""


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Listed = BeforeValidator(_listed)
"""One text stands for a list of it."""

HostNames = Annotated[tuple[Annotated[str, _reading(host_name)], ...], Listed]
"""Hosts that tell a feed apart: one, or a list."""

Prefix = Annotated[str, _reading(prefix)]
"""The path prefix that tells a feed apart; empty for none."""
