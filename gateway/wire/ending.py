"""How a client's connection ends, and how a client that left is told from one that only said its last."""

import asyncio
import socket
import struct
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.wire.connection import ClientConnection

RESET: Final = struct.pack("ii", 1, 0)
"""The SO_LINGER that makes closing a reset."""

LINGER: Final = 2.0
"""Seconds in which a client may still read its last answer, while what it sends is thrown away."""

STILL_THERE: Final = b"HTTP/1.1 102 Processing\r\n\r\n"
"""What is said to a client that has stopped sending: one that waits passes over it (RFC 9110 §15.2), and the
system of one that has left answers it with a reset."""

ASK_AFTER: Final = 0.1
ASK_AGAIN_AFTER: Final = 1.0
"""Seconds until the reset is looked for, and between two looks."""


def end_with_reset(transport: asyncio.Transport) -> None:
    """Make the end a reset: an HTTP/1.0 client may read until the end, and take any other for a whole."""
    if not transport.is_closing():
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def ask_whether_there(connection: "ClientConnection") -> None:
    """Say something to a client that has stopped sending: what its system makes of it is soon to be seen."""
    connection.write(STILL_THERE)


def look_whether_there(connection: "ClientConnection") -> None:
    """Look soon, and again and again, whether a client that is not read from has left."""
    connection.deadline = monotonic() + ASK_AFTER
    connection.listener.deadlines.watch(connection)


def has_left(transport: asyncio.Transport) -> bool:
    """Whether the other side has reset the connection, which nobody tells once its last word was read."""
    sock = transport.get_extra_info("socket")
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
