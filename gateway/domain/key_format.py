"""The shape of generated API keys: `sg_`, the key's id, 256 random bits, and a checksum.

    sg_17_8Kx…43 characters…Qz3fT0aB
    │  │  └ 256 bits, base62        └ CRC-32 of everything before it, base62, 6 characters
    │  └ id of the key, so that a key found in a log or a mailbox can be revoked without its secret
    └ what secret scanners look for

The checksum is no message authentication code, on purpose. It is there to refuse a typing error without a
look-up; what keeps a key from being guessed are its random bits, and what proves it is its digest in the
store. A MAC would need a secret on every machine that wants to tell a typo, and would prove nothing more.
"""

import re
from hashlib import sha256
from secrets import token_bytes
from typing import Final
from zlib import crc32

PREFIX: Final = b"sg_"
RANDOM_BYTES: Final = 32
RANDOM_WIDTH: Final = 43
"""62 ** 43 > 2 ** 256 > 62 ** 42: every value fits, in a fixed width."""
CHECKSUM_WIDTH: Final = 6
"""62 ** 6 > 2 ** 32 > 62 ** 5."""

_DIGITS: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHAPE: Final = re.compile(rb"sg_[1-9][0-9]{0,18}_[0-9A-Za-z]{49}")


def new_key(key_id: int) -> str:
    """A new key for the record with that id: the secret itself, to be shown once and then forgotten."""
    bits = int.from_bytes(token_bytes(RANDOM_BYTES), "big")
    body = b"%s%d_%s" % (PREFIX, key_id, _base62(bits, RANDOM_WIDTH))
    return (body + _checksum(body)).decode("ascii")


def well_formed(key: bytes) -> bool | None:
    """Whether a key is one of ours: True, or False when it is damaged; None when it has another shape.

    False needs no look-up to be refused. None is what imported keys look like.
    """
    if not key.startswith(PREFIX):
        return None
    if _SHAPE.fullmatch(key) is None:
        return False
    return key[-CHECKSUM_WIDTH:] == _checksum(key[:-CHECKSUM_WIDTH])


def digest(key: bytes) -> bytes:
    """What the store keeps of a key: its SHA-256, 32 bytes.

    A slow password hash would add nothing: 256 random bits cannot be searched, and every cache miss pays.
    """
    return sha256(key).digest()


def _checksum(body: bytes) -> bytes:
    return _base62(crc32(body), CHECKSUM_WIDTH)


def _base62(number: int, width: int) -> bytes:
    digits = bytearray(width)
    for place in range(width - 1, -1, -1):
        number, digit = divmod(number, 62)
        digits[place] = _DIGITS[digit]
    return bytes(digits)
