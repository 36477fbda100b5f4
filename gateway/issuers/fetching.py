"""The one way out to authorization servers: bounded in time and size, no redirects, cookies, proxies."""

import asyncio
import os
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, NamedTuple, Self

import aiohttp
from yarl import URL

from gateway.issuers.url import quoted, refuse_url, shown
from gateway.tls.contexts import ClientTerms, client_context

__all__ = ("FetchError", "Fetched", "Fetcher", "refuse_url")

LARGEST: Final = 256 * 1024
"""Bytes of an answer: thousands of keys."""

CONNECTIONS: Final = 128
OK: Final = 200
REDIRECTS: Final = range(300, 400)
ALSO_JSON: Final = frozenset({"", "text/plain", "application/octet-stream"})
"""Content types that servers give to JSON, besides those that say so."""

OWN_FIELDS: Final = MappingProxyType(
    {
        "Accept": "application/json, application/jwk-set+json, */*;q=0.1",
        "Accept-Encoding": "identity",
        "User-Agent": "scopegate",
    }
)
FORM: Final = "application/x-www-form-urlencoded"
_MAX_AGE: Final = re.compile(r'max-age="?([0-9]{1,9})"?')
_SECONDS: Final = re.compile(r"[0-9]{1,9}")


class FetchError(Exception):
    """A document cannot be had; the text says of which and why, for operators, and never holds a secret.

    `status` is that of the answer, None if there was none.
    """

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document; `max_age` is for how many seconds it may be kept, as far as its server said."""

    body: bytes = field(repr=False)
    max_age: float | None = None


class Question(NamedTuple):
    """One request, to be answered by a document."""

    url: str
    method: str = "GET"
    fields: Mapping[str, str] = MappingProxyType({})
    body: bytes | None = None


class Fetcher:
    """Fetches documents with one session, opened when it is first needed; `async with` it, or close it.

    `timeout` is in seconds, from the look-up of the name to the last byte. `ca` is a file of authorities
    (PEM) that are believed in place of the system's. Raises UnfitFileError for a `ca` that cannot be used.
    """

    def __init__(self, timeout: float = 5.0, ca: Path | None = None) -> None:
        self._timeout = timeout
        self._tls = client_context(ClientTerms(ca))
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End every connection; nothing can be fetched afterwards."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def document(self, url: str) -> Fetched:
        """The JSON document at a URL that may be used. Raises FetchError for anything but a 200."""
        return await self._answer(Question(url), self._timeout)

    async def answer_to(self, url: str, form: bytes, authorization: str, within: float) -> Fetched:
        """The JSON answer to a form that is POSTed; `authorization` is the field's value, a secret.

        The form must ask, and change nothing at the server: it is sent once more if the connection was cut
        before an answer, for it may have rested too long. `within` is in seconds. Raises FetchError.
        """
        fields = {"Authorization": authorization, "Content-Type": FORM}
        return await self._answer(Question(url, "POST", fields, form), within)

    async def _answer(self, question: Question, within: float) -> Fetched:
        url = question.url
        why = refuse_url(url)
        if why is not None:
            raise FetchError(f"{shown(url)} {why}")
        try:
            async with asyncio.timeout(within):
                return await self._persistently(question)
        except TimeoutError:
            raise FetchError(f"{shown(url)} has not answered whole within {within:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            raise FetchError(f"{shown(url)} {_why(fault)}") from None

    async def _persistently(self, question: Question) -> Fetched:
        """Ask, and ask once more on a connection that was cut; aiohttp itself does that for GET alone."""
        try:
            return await self._exchange(question)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if question.method == "GET":
                raise
            return await self._exchange(question)

    async def _exchange(self, question: Question) -> Fetched:
        url, method, fields, body = question
        request = self._open().request(
            method, URL(url, encoded=True), headers=fields, data=body, allow_redirects=False
        )
        async with request as answer:
            why = _refuse_head(answer)
            content = b"" if why else await _content(answer)
            if why is None and len(content) > LARGEST:
                why = f"is longer than {LARGEST // 1024} KiB"
            if why is not None:
                raise FetchError(f"{shown(url)} {why}", answer.status)
            said = ",".join(answer.headers.getall("Cache-Control", []))
            return Fetched(content, fresh_for(said, answer.headers.get("Age", "")))

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise FetchError("nothing is fetched any more: the gateway is ending")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=self._tls, limit=CONNECTIONS, resolver=aiohttp.ThreadedResolver()
                ),
                headers=OWN_FIELDS,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


def _refuse_head(answer: aiohttp.ClientResponse) -> str | None:
    """Why an answer is none that can be used, by its status and its fields."""
    if answer.status in REDIRECTS:
        return f"answered {answer.status}: it redirects, which is not followed; give the URL it leads to"
    if answer.status != OK:
        return f"answered {answer.status}"
    codings = ",".join(answer.headers.getall("Content-Encoding", [])).strip(" ,").lower()
    if codings not in {"", "identity"}:
        return "is compressed, though it was asked for as it is"
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return None if "json" in kind or kind in ALSO_JSON else f"is {quoted(kind)}, not JSON"


async def _content(answer: aiohttp.ClientResponse) -> bytes:
    """The answer's body, or so much of it that it is too long."""
    content = bytearray()
    async for piece in answer.content.iter_any():
        content += piece
        if len(content) > LARGEST:
            break
    return bytes(content)


def fresh_for(cache_control: str, age: str) -> float | None:
    """Seconds for which an answer is fresh (RFC 9111 §4.2); None if nothing is said, or nothing sensible."""
    directives = [directive.strip() for directive in cache_control.lower().split(",")]
    if "no-store" in directives or "no-cache" in directives:
        return 0.0
    ages = [int(match[1]) for match in map(_MAX_AGE.fullmatch, directives) if match]
    if not ages:
        return None
    spent = _SECONDS.fullmatch(age.strip())
    return float(max(0, min(ages) - (int(spent[0]) if spent else 0)))


def _system(fault: OSError) -> str:
    """What the system says went wrong, in its own words."""
    if fault.errno is not None and fault.errno > 0:
        return os.strerror(fault.errno).lower()
    return (fault.strerror or "unknown").lower()


def _of_certificate(fault: aiohttp.ClientConnectorCertificateError) -> str:
    reason = getattr(fault.certificate_error, "verify_message", "") or "it is for another host"
    return f"is not trusted: its certificate does not prove who it is ({reason.rstrip('.').lower()})"


def _of_tls(fault: aiohttp.ClientConnectorError) -> str:
    reason = getattr(fault.os_error, "reason", None) or "unknown"
    return f"cannot be reached: TLS fails ({str(reason).lower().replace('_', ' ')})"


WHY: Final[tuple[tuple[type[Exception], Callable[[Any], str]], ...]] = (
    (
        aiohttp.ClientConnectorDNSError,
        lambda fault: f"cannot be reached: the name {fault.host} cannot be looked up ({_name_fault(fault)})",
    ),
    (aiohttp.ClientConnectorCertificateError, _of_certificate),
    (aiohttp.ClientConnectorSSLError, _of_tls),
    (aiohttp.ClientConnectorError, lambda fault: f"cannot be reached: {_system(fault.os_error)}"),
    (aiohttp.ClientPayloadError, lambda _: "cut its answer short"),
    (aiohttp.ClientResponseError, lambda _: "answered what is not HTTP/1.1"),
    (ssl.SSLError, lambda _: "broke TLS in the middle"),
    (aiohttp.ClientConnectionError, lambda _: "closed the connection before it had answered"),
    (OSError, lambda fault: f"cannot be asked: {_system(fault)}"),
)
"""What went wrong, in our words; the first row that fits."""


def _name_fault(fault: aiohttp.ClientConnectorError) -> str:
    return (fault.os_error.strerror or "unknown").lower()


def _why(fault: Exception) -> str:
    return next((say(fault) for kind, say in WHY if isinstance(fault, kind)), "cannot be asked")
