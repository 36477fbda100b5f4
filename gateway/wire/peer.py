"""Who is at the other end of a client's connection, and what the feed is told of them."""

import asyncio
from typing import Final

from gateway.forward.forwarded import Networks, client_address, given_request_id, is_trusted, own_lines
from gateway.http1.head import Section

MAPPED_IPV4: Final = "::ffff:"
"""How a socket for both families shows an IPv4 client (RFC 4291 §2.5.5.2)."""


def address_of(transport: asyncio.BaseTransport) -> str:
    """The address at the other end of a transport."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]).removeprefix(MAPPED_IPV4) if isinstance(peer, tuple) else "unknown"


class Peer:
    """One connection's peer: its address, and whether it is a proxy whose word is believed."""

    __slots__ = ("_lines", "_lines_for", "_networks", "address", "counted_as", "scheme", "trusted")

    def __init__(self, transport: asyncio.BaseTransport, told: str | None, networks: Networks) -> None:
        """`told` is the address that a balancer gave, in place of its own."""
        self.address = told or address_of(transport)
        self.trusted = is_trusted(self.address, networks)
        self.scheme = b"http" if transport.get_extra_info("ssl_object") is None else b"https"
        self._networks = networks
        self.counted_as: str | None = None
        """The client that this connection counts for, if it is counted."""
        self._lines_for: object = self
        self._lines = b""

    def lines_for(self, section: Section) -> bytes:
        """The forwarding headers for a request with this header section; the last are remembered.

        Of one who is not trusted only the host is heeded.
        """
        heeded = section if self.trusted else section.host
        if heeded != self._lines_for:
            self._lines_for = heeded
            self._lines = own_lines(self.address, section, self.scheme, trusted=self.trusted)
        return self._lines

    def request_id(self, section: Section) -> bytes | None:
        """The request id that a trusted proxy gave."""
        return given_request_id(section.fields) if self.trusted else None

    def client_address(self, section: Section) -> str:
        """The client's address for the record: the peer's, or what a trusted proxy says."""
        return client_address(self.address, section.fields, self._networks) if self.trusted else self.address
