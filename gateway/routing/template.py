"""Path templates: literal segments, `{name}` for exactly one, `/**` for any number of further ones."""

import re
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Final, NamedTuple

from gateway.domain.verdict import Refusal
from gateway.routing.canonical import canonical_path


class Wild(Enum):
    """A segment of a template that is no literal."""

    ONE = "{…}"
    """Exactly one non-empty segment."""
    REST = "**"
    """Any number of further segments, none included; always last."""


Segment = bytes | Wild
Shape = tuple[Segment, ...]
"""What a template matches, placeholder names and a trailing slash left out."""


@dataclass(frozen=True, slots=True)
class Template:
    """A path template as it was written, and its shape."""

    text: str
    shape: Shape

    @property
    def literal(self) -> bytes | None:
        """The one path a template without placeholders matches, without a trailing slash; else None."""
        parts = [segment for segment in self.shape if isinstance(segment, bytes)]
        return b"/" + b"/".join(parts) if len(parts) == len(self.shape) else None


class Fault(NamedTuple):
    """Why a text is no template, and what to write instead."""

    message: str
    hint: str = ""


_REST: Final = "**"
_WILD: Final = re.compile(r"[{}*]").search
_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_-]*)\}")
DEEPEST: Final = 64
"""Segments of a template at most; no API is deeper."""

PLACEHOLDER_HINT: Final = "a placeholder is a whole segment: /{id}"
STAND_IN: Final = b"x"
"""A segment that is always in its normal form; it stands for placeholders while the rest is checked."""


def parse_template(text: str, allowed: frozenset[str]) -> Template | Fault:
    """The template a text means, or what is wrong with it; `allowed` holds the relaxed path rules."""
    if not text.startswith("/"):
        return Fault("must begin with a slash", f"write /{text}" if text else "write /v2/courses")
    for mark, what in (("?", "query"), ("#", "fragment")):
        if mark in text:
            return Fault(f"holds a {what}", "templates are matched against the path alone")
    written = text[1:].removesuffix("/").split("/") if text != "/" else []
    fault = _fault_in(written)
    if fault is not None:
        return fault
    if not text.isascii():
        return Fault("holds a letter outside ASCII", "percent-encode it as UTF-8, as clients do")
    shape = tuple(map(_segment, written))
    return _not_canonical(text, written, shape, allowed) or Template(text, shape)


def segments_of(path: bytes) -> list[bytes]:
    """The segments of a canonical path, one trailing slash ignored."""
    trimmed = path.removesuffix(b"/")
    return trimmed.split(b"/")[1:] if trimmed else []


def _segment(written: str) -> Segment:
    if written == _REST:
        return Wild.REST
    return Wild.ONE if written.startswith("{") else written.encode()


def _fault_in(written: list[str]) -> Fault | None:
    """What is wrong with the wild segments of a template."""
    if len(written) > DEEPEST:
        return Fault(f"has more than {DEEPEST} segments", "end it with /**")
    wild = [(place, segment) for place, segment in enumerate(written, 1) if _WILD(segment) is not None]
    names = [match[1] for _, segment in wild if (match := _PLACEHOLDER.fullmatch(segment))]
    if twice := next((a for a, b in pairwise(sorted(names)) if a == b), None):
        return Fault(f"names the placeholder {{{twice}}} twice", "give each a name of its own")
    for place, segment in wild:
        if segment == _REST:
            if place < len(written):
                return Fault("has ** before its end", "** matches all further segments, so it stands last")
        elif "*" in segment:
            return Fault(
                f"has a star in the segment {segment}", "write {name} for one segment, /** for the rest"
            )
        elif "{}" in segment:
            return Fault("has a placeholder without a name", "write /{id}")
        elif ("{" in segment or "}" in segment) and _PLACEHOLDER.fullmatch(segment) is None:
            return Fault(f"has braces in the segment {segment}", PLACEHOLDER_HINT)
    return None


def _not_canonical(text: str, written: list[str], shape: Shape, allowed: frozenset[str]) -> Fault | None:
    """What keeps a template from ever matching a canonical path."""
    end = b"/" if text.endswith("/") and written else b""
    plain = b"/" + b"/".join([STAND_IN if isinstance(part, Wild) else part for part in shape]) + end
    normal = canonical_path(plain, allowed)
    if isinstance(normal, Refusal):
        return Fault(f"can never match: {normal.detail[0].lower()}{normal.detail[1:].rstrip('.')}")
    if normal != plain:
        wanted = normal.decode()[1:].removesuffix("/").split("/")
        triples = zip(written, shape, wanted, strict=True)
        better = "/".join(part if isinstance(kind, Wild) else new for part, kind, new in triples)
        return Fault("is not in its normal form, so it can never match", f"write /{better}{end.decode()}")
    return None
