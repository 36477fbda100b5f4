"""The one reading of a path: its normal form, or the reason why it has more readings than one.

RFC 3986 §6.2.2 normalises what cannot be mistaken (escapes of unreserved characters, the case of hex
digits); everything that two servers may read differently is refused instead of guessed at.
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.domain.verdict import Reason, Refusal

ENCODED_SLASH: Final = "encoded-slash"
SEMICOLON: Final = "semicolon"
EMPTY_SEGMENTS: Final = "empty-segments"

# RFC 3986 §3.3 `pchar` without escapes and without the semicolon.
_PLAIN: Final = rb"A-Za-z0-9\-._~!$&'()*+,=:@"
_CANONICAL: Final = re.compile(rb"(?:/(?!\.\.?(?:/|\Z))[" + _PLAIN + rb"]++)++/?|/").fullmatch

_FOREIGN: Final = re.compile(rb"[^/%;" + _PLAIN + rb"]").search
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})").search
_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_CONTROL: Final = re.compile(rb"%(?:[01][0-9A-F]|7F)").search
_OVERLONG: Final = re.compile(
    rb"%C[01]%[89AB][0-9A-F]|%E0%[89][0-9A-F]|%F0%8[0-9A-F]|%F8%8[0-7]|%FC%8[0-3]"
).search
"""UTF-8 longer than need be (RFC 3629 §3): some decoders find a slash or a dot in it."""

_DEEPER: Final = re.compile(rb"%(?:[01][0-9A-Fa-f]|2[EeFf3]|3[Bb]|5[Cc]|7[Ff]|[89A-Fa-f][0-9A-Fa-f])").search
"""An escape that, where it appears only after decoding, hides one of the characters refused here."""


def _refusal(detail: str) -> Refusal:
    return Refusal(Reason.PATH_AMBIGUOUS, detail)


NOT_ROOTED: Final = _refusal("The path must begin with a slash.")
BACKSLASH: Final = _refusal("The path holds a backslash, plain or as %5C; separate segments with a slash.")
CONTROL: Final = _refusal("The path holds a control character, plain or escaped; leave it out.")
NOT_ASCII: Final = _refusal("The path holds a byte over 0x7F; percent-encode it as UTF-8.")
FRAGMENT: Final = _refusal("The path holds a fragment, # or %23; leave it out.")
FOREIGN: Final = _refusal("The path holds a character that no path may hold; percent-encode it.")
BAD_ESCAPE: Final = _refusal("The path holds a % without two hex digits; a percent sign itself is %25.")
PARAMETER: Final = _refusal("The path holds a semicolon, plain or as %3B; leave path parameters out.")
SLASH_ESCAPED: Final = _refusal("The path holds an escaped slash, %2F; separate segments with a plain one.")
OVERLONG: Final = _refusal("The path holds overlong UTF-8; encode each character in its shortest form.")
TWICE: Final = _refusal("The path is percent-encoded more than once; encode it once.")
DOT_SEGMENT: Final = _refusal("The path holds a . or .. segment; send the path it leads to.")
EMPTY_SEGMENT: Final = _refusal("The path holds an empty segment, //; send one slash.")

_WRONG: Final = {ord("\\"): BACKSLASH, ord("#"): FRAGMENT, 0x7F: CONTROL}
_WRONG.update(dict.fromkeys(range(0x20), CONTROL))
_WRONG.update(dict.fromkeys(range(0x80, 0x100), NOT_ASCII))


def canonical_path(path: bytes, allowed: frozenset[str]) -> bytes | Refusal:
    """The normal form of the raw path of an origin-form target, without its query.

    `allowed` holds the rules that are relaxed: encoded-slash, semicolon, empty-segments. The normal form of
    a normal form is itself. Refused with PATH_AMBIGUOUS: what could be read in more ways than one.
    """
    if _CANONICAL(path) is not None:
        return path
    return _normalised(path, allowed)


def _normalised(path: bytes, allowed: frozenset[str]) -> bytes | Refusal:
    """The long way: each rule in turn, then the normal form."""
    if not path.startswith(b"/"):
        return NOT_ROOTED
    foreign = _FOREIGN(path)
    if foreign is not None:
        return _WRONG.get(foreign[0][0], FOREIGN)
    if _BAD_ESCAPE(path) is not None:
        return BAD_ESCAPE
    normal = _ESCAPE.sub(_normal_escape, path)
    return _wrong_escape(normal, allowed) or _wrong_segment(normal, allowed) or normal


def _normal_escape(escape: re.Match[bytes]) -> bytes:
    """RFC 3986 §6.2.2.1 and §6.2.2.2: unreserved characters as themselves, hex digits in upper case."""
    byte = int(escape[1], 16)
    return bytes((byte,)) if byte in _UNRESERVED else escape[0].upper()


def _wrong_escape(normal: bytes, allowed: frozenset[str]) -> Refusal | None:
    """The rule an escape breaks, in a path whose escapes are normal."""
    if _CONTROL(normal) is not None:
        return CONTROL
    if b"%5C" in normal:
        return BACKSLASH
    if b"%23" in normal:
        return FRAGMENT
    if b"%2F" in normal and ENCODED_SLASH not in allowed:
        return SLASH_ESCAPED
    if (b";" in normal or b"%3B" in normal) and SEMICOLON not in allowed:
        return PARAMETER
    if _OVERLONG(normal) is not None:
        return OVERLONG
    return TWICE if b"%25" in normal and _is_encoded_again(normal) else None


def _is_encoded_again(normal: bytes) -> bool:
    """Whether decoding the path a second or a third time would bring out what is refused.

    What is still escaped after that is refused unseen: nobody encodes a path so often in good faith.
    """
    once = unquote_to_bytes(normal)
    twice = unquote_to_bytes(once)
    return _DEEPER(once) is not None or _DEEPER(twice) is not None or _ESCAPE.search(twice) is not None


def _wrong_segment(normal: bytes, allowed: frozenset[str]) -> Refusal | None:
    """The rule a segment breaks. An escaped slash parts segments too, as it does for some feeds."""
    names = [segment.partition(b";")[0] for segment in _readable(normal).split(b"/")[1:]]
    if b"." in names or b".." in names:
        return DOT_SEGMENT
    trailing_slash = _readable(normal).endswith(b"/")
    if b"" in (names[:-1] if trailing_slash else names) and EMPTY_SEGMENTS not in allowed:
        return EMPTY_SEGMENT
    return None


def _readable(normal: bytes) -> bytes:
    """The path with its relaxed escapes as the characters some feeds take them for."""
    return normal.replace(b"%2F", b"/").replace(b"%3B", b";")
