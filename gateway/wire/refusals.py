"""A refusal in bytes: problem+json (RFC 9457), challenges (RFC 6750 §3), Proxy-Status (RFC 9209).

The status, the title and the sentence of each reason stand in one table, `domain.verdict.ANSWER_TO`.
"""

from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import Final, NamedTuple

import orjson

from gateway.domain.verdict import Challenge, Refusal
from gateway.protected_resource import ProtectedResource

PHRASES: Final = {status.value: status.phrase for status in HTTPStatus} | {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE.value: "Content Too Large",
    HTTPStatus.REQUEST_URI_TOO_LONG.value: "URI Too Long",
}
"""Reason phrases as RFC 9110 §15 has them."""

UNQUOTABLE: Final = {ord('"'): "'", ord("\\"): "/"} | dict.fromkeys((*range(0x20), 0x7F), " ")
"""What stands in an error description for the characters it may not hold."""

MOST_KEPT: Final = 1024
"""How many refusals are kept rendered, of about 1 KiB each. What a client sends is in none of them."""


class Rendered(NamedTuple):
    """A refusal's answer but for what differs from one request to the next: date, id and further lines."""

    start: bytes
    """As far as the date."""
    head: bytes
    """From the date to the request id."""
    body: bytes
    """From the empty line to the request id."""
    end: bytes


class Refuser:
    """Writes refusals for one realm, and points clients to the metadata of the resource if there is any."""

    def __init__(self, realm: str, resource: ProtectedResource | None = None) -> None:
        quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
        self._bearer = f'WWW-Authenticate: Bearer realm="{quoted}"'
        self._api_key = f'WWW-Authenticate: ApiKey realm="{quoted}"\r\n'
        self._metadata = "" if resource is None else f', resource_metadata="{resource.url}"'
        documentation = None if resource is None else resource.documentation
        self._error_uri = "" if documentation is None else f', error_uri="{documentation}"'
        self._second = 0
        self._date = b""
        self._pieces = lru_cache(maxsize=MOST_KEPT)(self._rendered)

    def bytes_of(self, refusal: Refusal, request_id: bytes, lines: bytes, *, head_only: bool) -> bytes:
        """The whole answer. `lines` are further header lines, each with its CRLF, or empty.

        A request id is made of letters, digits, `.`, `_` and `-`, so that it stands in JSON as it is.
        """
        start, head, body, end = self._pieces(refusal, len(request_id))
        if head_only:
            return b"".join((start, self.date(), head, request_id, b"\r\n", lines, b"\r\n"))
        return b"".join((start, self.date(), head, request_id, b"\r\n", lines, body, request_id, end))

    def _rendered(self, refusal: Refusal, id_length: int) -> Rendered:
        answer = refusal.answer
        before = {
            "type": f"urn:scopegate:problem:{refusal.reason}",
            "title": answer.title,
            "status": answer.status,
            "detail": refusal.detail or answer.detail,
            "code": refusal.reason,
        }
        after = {"module": refusal.module, "action": refusal.action}
        told = {name: value for name, value in after.items() if value is not None}
        body = orjson.dumps(before)[:-1] + b',"request_id":"'
        end = b'",' + orjson.dumps(told)[1:] if told else b'"}'
        start = f"HTTP/1.1 {answer.status} {PHRASES[answer.status]}\r\nDate: "
        head = (
            "\r\nContent-Type: application/problem+json\r\n"
            f"Content-Length: {len(body) + id_length + len(end)}\r\n"
            "Cache-Control: no-store\r\n"
            f"{self._special_lines(refusal)}"
            f"Proxy-Status: scopegate; error={answer.proxy_error}\r\n"
            "X-Request-Id: "
        )
        return Rendered(start.encode("ascii"), head.encode("latin-1", "replace"), b"\r\n" + body, end)

    def _special_lines(self, refusal: Refusal) -> str:
        answer = refusal.answer
        lines = ""
        if answer.challenge is not None:
            lines = f"{self._bearer}{self._error(refusal)}{self._metadata}\r\n{self._api_key}"
        if refusal.allow:
            lines += f"Allow: {', '.join(refusal.allow)}\r\n"
        if answer.retry_after:
            lines += f"Retry-After: {answer.retry_after}\r\n"
        return lines

    def _error(self, refusal: Refusal) -> str:
        """The error attributes of the Bearer challenge (RFC 6750 §3): none where no credential was sent."""
        challenge = refusal.answer.challenge
        if challenge is None or challenge is Challenge.NONE:
            return ""
        wanted = ""
        if challenge is Challenge.INSUFFICIENT_SCOPE and refusal.module and refusal.action:
            wanted = f', scope="{refusal.module}:{refusal.action}"'
        said = _quotable(refusal.detail or refusal.answer.detail)
        return f', error="{challenge}"{wanted}, error_description="{said}"{self._error_uri}'

    def date(self) -> bytes:
        """The time, as an answer of ours tells it (RFC 9110 §6.6.1)."""
        second = int(time())
        if second != self._second:
            self._second = second
            self._date = formatdate(second, usegmt=True).encode("ascii")
        return self._date


def _quotable(text: str) -> str:
    """Text as an error description may hold it: ASCII without quotes and backslashes (RFC 6750 §3)."""
    return text.replace("§", "section ").encode("ascii", "replace").decode().translate(UNQUOTABLE)
