"""An issuer of the tests' own: a real HTTP server that publishes metadata and keys, as it is told to."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from feeds import Answer, Feed, Received, Script, running_feed
from signing_keys import SigningKey

KEYS = "/keys"
OAUTH = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"


def answered(body: bytes | str, status: int = 200, kind: str = "application/json", **fields: str) -> bytes:
    """The bytes of an answer; underscores in the names of fields are hyphens."""
    content = body.encode() if isinstance(body, str) else body
    told = {"Content_Type": kind, "Content_Length": str(len(content)), **fields}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in told.items())
    return f"HTTP/1.1 {status} Told\r\n{lines}\r\n".encode() + content


def key_set(*keys: SigningKey) -> str:
    """A key set (RFC 7517 §5) of public keys."""
    return json.dumps({"keys": [key.public_jwk for key in keys]})


@dataclass
class Issuer:
    """An issuer as its server sees it. `pages` answer by path, and a path without one is a 404.

    `held` keeps every answer back until it is set.
    """

    server: Feed
    secure: bool = False
    pages: dict[str, Answer] = field(default_factory=dict)
    held: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """The issuer's identifier, and the root of its paths."""
        return f"{'https' if self.secure else 'http'}://localhost:{self.server.port}"

    def page(self, path: str, body: bytes | str, status: int = 200, **fields: str) -> None:
        """Answer a path with this from now on."""
        self.pages[path] = lambda _: answered(body, status, **fields)

    def publish(self, *keys: SigningKey, **fields: str) -> None:
        """Have these keys, and no others."""
        self.page(KEYS, key_set(*keys), **fields)

    def describe(self, path: str = OAUTH, **members: object) -> None:
        """Have metadata at a path; members are put over the honest ones, those that are None left out."""
        told = {"issuer": self.url, "jwks_uri": self.url + KEYS, **members}
        self.page(path, json.dumps({name: value for name, value in told.items() if value is not None}))

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self.server._open)

    def asked(self, path: str = KEYS) -> int:
        """How many requests for a path came."""
        return sum(request.target.partition("?")[0] == path for request in self.server.requests)

    def speak(self, script: Script | None) -> None:
        """Speak bytes on every connection to come; None for what the pages say."""
        self.server.script = script

    def hold(self) -> None:
        """Keep answers back."""
        self.held.clear()

    def let_go(self) -> None:
        """Give the answers that were kept back."""
        self.held.set()

    def answer(self, request: Received) -> bytes:
        """What a request is answered."""
        page = self.pages.get(request.target.partition("?")[0])
        return (page and page(request)) or answered("", 404)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, each as soon as answers are not held."""
        while (request := await self.server.read_request(reader, writer)) is not None:
            await self.held.wait()
            writer.write(self.answer(request))
            await writer.drain()


@asynccontextmanager
async def running_issuer(tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[Issuer]:
    """An issuer on loopback, as long as the block lasts."""
    async with running_feed(tls, port=port) as server:
        issuer = Issuer(server, secure=tls is not None)
        issuer.let_go()
        issuer.speak(issuer.converse)
        yield issuer


def saying(*pieces: bytes, wait: Callable[[], float] = lambda: 0.0, close: bool = True) -> Script:
    """A script that reads a request's head and says these bytes, with pauses between them."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(wait())
        if not close:
            await reader.read()

    return speak


def fields_of(request: Received) -> Mapping[str, str]:
    """The fields of a request, by their lower-case names."""
    return {name.lower(): value for name, value in request.headers}
