"""A refusal in bytes: problem+json (RFC 9457), challenges (RFC 6750 §3), Proxy-Status (RFC 9209).

The status, the title and the sentence of each reason stand in one table, `domain.verdict.ANSWER_TO`.
"""

from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import Final

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
        self._date = ""

    def bytes_of(self, refusal: Refusal, request_id: str, connection: str, *, head_only: bool) -> bytes:
        """The whole answer. `connection` is a header line with CRLF, or empty."""
        answer = refusal.answer
        problem: dict[str, object] = {
            "type": f"urn:scopegate:problem:{refusal.reason}",
            "title": answer.title,
            "status": answer.status,
            "detail": refusal.detail or answer.detail,
            "code": refusal.reason,
            "request_id": request_id,
        }
        if refusal.module is not None:
            problem["module"] = refusal.module
        if refusal.action is not None:
            problem["action"] = refusal.action
        body = orjson.dumps(problem)
        head = (
            f"HTTP/1.1 {answer.status} {PHRASES[answer.status]}\r\n"
            f"Date: {self.date()}\r\n"
            "Content-Type: application/problem+json\r\n"
            f"Content-Length: {len(body)}\r\n"
            "Cache-Control: no-store\r\n"
            f"{self._special_lines(refusal)}"
            f"Proxy-Status: scopegate; error={answer.proxy_error}\r\n"
            f"X-Request-Id: {request_id}\r\n"
            f"{connection}\r\n"
        ).encode("latin-1", "replace")
        return head if head_only else head + body

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
        if not challenge:
            return ""
        wanted = ""
        if challenge is Challenge.INSUFFICIENT_SCOPE and refusal.module and refusal.action:
            wanted = f', scope="{refusal.module}:{refusal.action}"'
        said = _quotable(refusal.detail or refusal.answer.detail)
        return f', error="{challenge}"{wanted}, error_description="{said}"{self._error_uri}'

    def date(self) -> str:
        """The time, as an answer of ours tells it (RFC 9110 §6.6.1)."""
        second = int(time())
        if second != self._second:
            self._second = second
            self._date = formatdate(second, usegmt=True)
        return self._date


@lru_cache(maxsize=1024)
def _quotable(text: str) -> str:
    """Text as an error description may hold it: ASCII without quotes and backslashes (RFC 6750 §3)."""
    return text.replace("§", "section ").encode("ascii", "replace").decode().translate(UNQUOTABLE)
