"""An exchange as one JSON line of the access log."""

import json
import time
from typing import Any, Final

import orjson

from gateway.domain.exchange import Exchange

FIELDS: Final = Exchange._fields
"""The fields of a line and their order (CONTRACT: Being watched)."""

MILLISECONDS: Final = tuple(f".{ms:03d}Z" for ms in range(1000))
_UNSEEN: Final = -1


class LineWriter:
    """Renders records; remembers the text of the current second, which thousands of records share."""

    def __init__(self) -> None:
        self._second = _UNSEEN
        self._text = ""

    def line(self, record: Exchange) -> bytes:
        """The record as JSON with a newline: `ts` in RFC 3339 UTC with ms, durations in ms to the µs.

        Text that is not Unicode is written with escapes rather than refused: a line is never lost to what
        a client sent.
        """
        fields: dict[str, Any] = dict(zip(FIELDS, record, strict=True))
        fields["ts"] = self._timestamp(record.ts)
        fields["ms"] = _to_microseconds(record.ms)
        if record.upstream_ms is not None:
            fields["upstream_ms"] = _to_microseconds(record.upstream_ms)
        try:
            return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)
        except orjson.JSONEncodeError:
            return json.dumps(fields, separators=(",", ":"), default=str).encode() + b"\n"

    def _timestamp(self, ts: float) -> str:
        second = int(ts)
        if second != self._second:
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second
        return self._text + MILLISECONDS[int((ts - second) * 1000)]


def _to_microseconds(ms: float) -> float:
    """Rounded without the cost of `round`, which thousands of lines a second would feel."""
    return int(ms * 1000 + 0.5) / 1000
