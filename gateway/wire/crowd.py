"""How many connections each client has, so that one of them cannot take the room of all others."""

from ipaddress import IPv6Address, ip_address
from typing import Final

NETWORK_OF_ONE: Final = 64
"""Bits of an IPv6 address that name a customer's network; within it, addresses are free (RFC 6177)."""


class Crowd:
    """Counts connections by client."""

    def __init__(self) -> None:
        self._present: dict[str, int] = {}

    def enter(self, client: str, most: int) -> bool:
        """Count one more of a client's, unless it has `most` already."""
        present = self._present.get(client, 0)
        if present >= most:
            return False
        self._present[client] = present + 1
        return True

    def leave(self, client: str) -> None:
        """Count one less of a client's that had entered."""
        present = self._present[client] - 1
        if present:
            self._present[client] = present
        else:
            del self._present[client]

    def __len__(self) -> int:
        """How many clients are here."""
        return len(self._present)


def client_of(address: str) -> str:
    """Who is counted as one: an IPv4 address, or the /64 network of an IPv6 address."""
    if ":" not in address:
        return address
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    return str(IPv6Address(int(parsed) >> NETWORK_OF_ONE << NETWORK_OF_ONE))
