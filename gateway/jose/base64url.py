"""Base64url as JOSE writes it, and in no other way: each string of octets has exactly one spelling."""

import re
from base64 import urlsafe_b64decode
from types import MappingProxyType
from typing import Final

_ALPHABET: Final = re.compile(rb"[A-Za-z0-9_-]*")
_GROUP: Final = 4

_LAST: Final = MappingProxyType({1: b"", 2: b"AQgw", 3: b"AEIMQUYcgkosw048"})
"""What a last, short group may end with, by its length: the bits that stand for nothing are zero."""


def octets(text: bytes) -> bytes | None:
    """The octets that are written so; None if that is not base64url without padding (RFC 7515 §2)."""
    rest = len(text) % _GROUP
    if _ALPHABET.fullmatch(text) is None or (rest and text[-1] not in _LAST[rest]):
        return None
    return urlsafe_b64decode(text + b"=" * (-len(text) % _GROUP))
