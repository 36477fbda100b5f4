"""Exchanges that are meant to last, from their beginning."""

from enum import Enum


class Lasting(Enum):
    """What makes an exchange last."""

    TUNNEL = "tunnel"
    """The protocol was switched: bytes pass both ways until a side ends."""
    STREAM = "stream"
    """The answer is a `text/event-stream`."""
