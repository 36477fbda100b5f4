"""The PROXY protocol, versions 1 and 2: a balancer's word on who calls, before the first byte of the caller.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
"""

import re
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
LONGEST_V1: Final = 107
"""Bytes of a line of version 1, its CRLF included (§2.1)."""

LONGEST_V2: Final = 536
"""Bytes of a header of version 2: what fits into the smallest segment (§2.2)."""

_V1: Final = re.compile(
    rb"PROXY (?:UNKNOWN(?: [\x20-\x7e]*)?|(?P<family>TCP[46]) (?P<source>[0-9A-Fa-f.:]{2,45})"
    rb" (?P<target>[0-9A-Fa-f.:]{2,45}) (?P<ports>(?:0|[1-9][0-9]{0,4}) (?:0|[1-9][0-9]{0,4})))\r\n"
)
_V1_BEGINNING: Final = b"PROXY "
_V2: Final = struct.Struct("!12sBBH")
_HIGHEST_PORT: Final = 65535
_LOCAL: Final = 0x20
_PROXY: Final = 0x21
_STREAM: Final = 1
_BLOCKS: Final = {0: 0, 1: 12, 2: 36, 3: 216}
"""Bytes of the address block by family: none, IPv4, IPv6, Unix (§2.2)."""


class MalformedError(Exception):
    """What came is no PROXY header, or none that may be; the text says why."""


class Told(NamedTuple):
    """What a header told: the client's address, None where the peer's own stands; and the header's length."""

    address: str | None
    length: int


def read_header(data: bytes) -> Told | None:
    """Read the header that data begins with; None while it is incomplete. Raises MalformedError."""
    if data.startswith(SIGNATURE):
        return _version_2(data)
    if data.startswith(_V1_BEGINNING):
        return _version_1(data)
    if SIGNATURE.startswith(data) or _V1_BEGINNING.startswith(data):
        return None
    raise MalformedError("it does not begin with a PROXY header")


def _version_1(data: bytes) -> Told | None:
    end = data.find(b"\n", 0, LONGEST_V1) + 1
    if not end:
        if len(data) >= LONGEST_V1:
            raise MalformedError(f"the PROXY line is longer than {LONGEST_V1} bytes")
        return None
    line = _V1.fullmatch(data, 0, end)
    if line is None:
        raise MalformedError("the PROXY line is malformed")
    if line["family"] is None:
        return Told(None, end)
    if any(int(port) > _HIGHEST_PORT for port in line["ports"].split(b" ")):
        raise MalformedError("the PROXY line has a port that is none")
    read = IPv4Address if line["family"] == b"TCP4" else IPv6Address
    try:
        source, _ = (read(line[name].decode("ascii")) for name in ("source", "target"))
    except ValueError:
        raise MalformedError("the PROXY line has an address that is none") from None
    return Told(_shown(source), end)


def _version_2(data: bytes) -> Told | None:
    if len(data) < _V2.size:
        return None
    _, command, protocol, length = _V2.unpack_from(data)
    end = _V2.size + length
    family, transport = protocol >> 4, protocol & 0x0F
    if command not in (_LOCAL, _PROXY) or family not in _BLOCKS or transport > _STREAM + 1:
        raise MalformedError("the PROXY header has a version, a command or a family that is unknown")
    if end > LONGEST_V2:
        raise MalformedError(f"the PROXY header is longer than {LONGEST_V2} bytes")
    if command == _PROXY and length < _BLOCKS[family]:
        raise MalformedError("the PROXY header is shorter than its addresses")
    if len(data) < end:
        return None
    if command == _LOCAL or transport != _STREAM:
        return Told(None, end)
    block = data[_V2.size : end]
    if family == 1:
        return Told(_shown(IPv4Address(block[:4])), end)
    if family == 2:  # noqa: PLR2004 - the row of the table above
        return Told(_shown(IPv6Address(block[:16])), end)
    return Told(None, end)


def _shown(address: IPv4Address | IPv6Address) -> str:
    """The address as text; the IPv4 one where that is mapped into IPv6 (RFC 4291 §2.5.5.2)."""
    return str((isinstance(address, IPv6Address) and address.ipv4_mapped) or address)
