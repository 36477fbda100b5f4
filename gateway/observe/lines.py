"""An exchange as one JSON line of the access log."""

import json
import time
from typing import Final

import orjson

from gateway.domain.exchange import Exchange

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
        ts, request_id, client, method, path, feed, route, module, action, principal = record[:10]
        key_id, outcome, code, scope, status, bytes_in, bytes_out, ms, upstream_ms, would_deny = record[10:]
        fields = {
            "ts": self._timestamp(ts),
            "request_id": request_id,
            "client": client,
            "method": method,
            "path": path,
            "feed": feed,
            "route": route,
            "module": module,
            "action": action,
            "principal": principal,
            "key_id": key_id,
            "outcome": outcome,
            "code": code,
            "scope": scope,
            "status": status,
            "bytes_in": bytes_in,
            "bytes_out": bytes_out,
            "ms": _to_microseconds(ms),
            "upstream_ms": None if upstream_ms is None else _to_microseconds(upstream_ms),
            "would_deny": would_deny,
        }
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
