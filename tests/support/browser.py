"""A browser as far as a login needs one: cookies, redirects, and forms that are filled in and sent."""

from collections.abc import Mapping
from email.message import Message
from html.parser import HTMLParser
from http.client import HTTPResponse
from http.cookiejar import CookieJar
from typing import IO
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, ProxyHandler, Request, build_opener

TURNS = 12
"""Pages and redirects on the way through a login, at most."""


class _Stay(HTTPRedirectHandler):
    """Where a redirect leads is for the browser to decide."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        """Nowhere."""


class _Form(HTMLParser):
    """The first form of a page: where it goes, and what it holds before anybody types."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.held: dict[str, str] = {}
        self.asked: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a form, or a field of it."""
        told = {name: value or "" for name, value in attrs}
        if tag == "form" and self.action is None:
            self.action = told["action"]
        elif tag == "input" and "name" in told:
            if told.get("type") == "hidden":
                self.held[told["name"]] = told.get("value", "")
            else:
                self.asked.add(told["name"])


class Browser:
    """One person's browser; `within` bounds each page, in seconds."""

    def __init__(self, within: float = 10.0) -> None:
        self._within = within
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()), _Stay())

    def walk(self, url: str, until: str, typed: Mapping[str, str]) -> str:
        """Follow redirects and send forms until led to an address that begins with `until`; that address.

        Every field that a form asks for must be among what is `typed`.
        """
        body: bytes | None = None
        for _ in range(TURNS):
            status, led, page = self._open(Request(url, body))  # noqa: S310 - an address of the test's own
            if led is not None:
                url, body = urljoin(url, led), None
                if url.startswith(until):
                    return url
                continue
            form = _Form(page)
            assert form.action is not None, f"{status}, and no form: {page}"
            assert form.asked <= typed.keys(), form.asked
            filled = form.held | {name: typed[name] for name in form.asked}
            url, body = urljoin(url, form.action), urlencode(filled).encode()
        raise AssertionError(f"led around in circles, last to {url}")

    def _open(self, request: Request) -> tuple[int, str | None, str]:
        """The status of an answer, where it leads, and its page."""
        answer: HTTPResponse | HTTPError
        try:
            answer = self._opener.open(request, timeout=self._within)
        except HTTPError as other:
            answer = other
        with answer:
            return answer.status or 0, answer.headers.get("Location"), answer.read().decode()
