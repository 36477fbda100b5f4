"""Opaque tokens, asked about at their authorization server (RFC 7662)."""

import asyncio
import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote_plus, urlencode

from gateway.domain.ports import KeysUnavailableError
from gateway.issuers.fetching import OK, Fetcher, FetchError
from gateway.issuers.url import shown
from gateway.jose.strict_json import Malformed, read_object

MOST_UNDER_WAY: Final = 32
"""Questions that are put at a time; others wait their turn."""

MOST_WAITING: Final = 1024

TOO_MANY: Final = "More tokens are to be introspected than the authorization server answers for."

UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IntrospectionTerms:
    """Where tokens are asked about, as whom, and for how many seconds an answer is waited for."""

    url: str
    client_id: str
    client_secret: str = field(repr=False)
    timeout: float = 5.0


class Introspection:
    """Asks about opaque tokens; remembers none of them."""

    def __init__(self, terms: IntrospectionTerms, fetcher: Fetcher) -> None:
        self._terms = terms
        self._fetcher = fetcher
        self._authorization = basic(terms.client_id, terms.client_secret)
        self._turns = asyncio.Semaphore(MOST_UNDER_WAY)
        self._waiting = 0
        self._fault: str | None = None

    @property
    def trouble(self) -> str | None:
        """What operators should know: that the last question had no answer; else None."""
        return None if self._fault is None else self._told(self._fault)

    async def of(self, token: bytes) -> Mapping[str, object] | None:
        """What an active token says; None for one that is not active. Raises KeysUnavailableError.

        Only the JSON literal true is active (RFC 7662 §2.2); an answer without the member says nothing.
        """
        form = urlencode({"token": token, "token_type_hint": "access_token"}).encode("ascii")
        try:
            async with self._turn():
                claims = await self._answer(form)
        except FetchError as fault:
            raise self._failed(self._sentence(fault)) from None
        if self._fault is not None:
            log.info("tokens are introspected again at %s", shown(self._terms.url))
            self._fault = None
        return claims if claims["active"] is True else None

    async def _answer(self, form: bytes) -> dict[str, object]:
        """The answer to one question. Raises FetchError, also for what is no answer."""
        url = self._terms.url
        fetched = await self._fetcher.answer_to(url, form, self._authorization, self._terms.timeout)
        claims = read_object(fetched.body)
        if isinstance(claims, Malformed):
            raise FetchError(f"what {shown(url)} answered {claims.why}", OK)
        if "active" not in claims:
            raise FetchError(f"what {shown(url)} answered does not say whether the token is active", OK)
        return claims

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait for a turn, as long as for an answer. Raises KeysUnavailableError when there are too many."""
        if self._waiting >= MOST_WAITING:
            raise KeysUnavailableError(TOO_MANY)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._terms.timeout):
                await self._turns.acquire()
        except TimeoutError:
            raise KeysUnavailableError(TOO_MANY) from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()

    def _sentence(self, fault: FetchError) -> str:
        if fault.status in {UNAUTHORIZED, FORBIDDEN}:
            return f"{fault}: it does not accept the client id and the secret that are configured"
        return str(fault)

    def _failed(self, why: str) -> KeysUnavailableError:
        if self._fault is None:
            log.warning("tokens cannot be introspected: %s", why)
        self._fault = why
        return KeysUnavailableError(self._told(why))

    @staticmethod
    def _told(why: str) -> str:
        return f"Tokens cannot be introspected: {why}."


def basic(client_id: str, client_secret: str) -> str:
    """The Authorization of a client with a secret: both are form-encoded before base64 (RFC 6749 §2.3.1)."""
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return "Basic " + b64encode(pair.encode("ascii")).decode("ascii")
