"""A real authorization server of the tests' own: oidc-provider as a process, and the clients it gives tokens.

`make test` installs it where Node.js is. Without it the tests that need it are skipped, and fail where
nothing may be skipped.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from select import select
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from browser import Browser
from signing_keys import SigningKey, encoded

FOLDER: Final = Path(__file__).parents[1] / "oidc"
INSTALLED: Final = FOLDER / "node_modules" / ".package-lock.json"
NODE: Final = shutil.which("node")
WITHIN: Final = 20.0
"""Seconds that anything asked of the server may take."""

ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
AUDIENCE: Final = "feeds"
OTHER_AUDIENCE: Final = "https://payroll.test"
HMAC_SECRET: Final = "a secret of the issuer and the gateway, of 32 octets or more"
SCOPES: Final = "reads-courses reads-bookings writes-courses api-v2"
"""What tokens can be asked to name: API Scopes, were there such."""

SYNC: Final = "sync"
REPORTS: Final = "reports"
PORTAL: Final = "portal"
INTROSPECTOR: Final = "gateway:tests"
INTROSPECTION_SECRET: Final = "of+the gateway: 100%&/=?"
"""Full of what has to be encoded on the way (RFC 6749 §2.3.1)."""

_BACK: Final = "http://127.0.0.1/back"
_SECRETS: Final = {
    SYNC: "sync-s3cret",
    REPORTS: "reports-s3cret",
    INTROSPECTOR: INTROSPECTION_SECRET,
}


def _confidential(name: str, *grants: str) -> dict[str, object]:
    told: dict[str, object] = {"client_id": name, "client_secret": _SECRETS[name], "grant_types": grants}
    return told | {"response_types": [], "redirect_uris": []}


def _clients() -> list[dict[str, object]]:
    portal: dict[str, object] = {"client_id": PORTAL, "application_type": "native"}
    portal |= {"token_endpoint_auth_method": "none", "redirect_uris": [_BACK]}
    return [
        _confidential(SYNC, "client_credentials"),
        _confidential(REPORTS, "client_credentials"),
        _confidential(INTROSPECTOR),
        portal,
    ]


USERS: Final[Mapping[str, Mapping[str, object]]] = {
    "ada": {"roles": ["teacher", "author"]},
    "bob": {"roles": []},
    "sync": {},
    "eve": {"realm_access": {"roles": ["teacher"]}},
}
"""Who can log in, and what their access tokens say of them beside their name."""


def resource(kind: str) -> str:
    """The indicator of a resource whose tokens are of a kind.

    An algorithm: JWTs signed with it. `opaque`: nothing can be read from them. `brief`: JWTs that last two
    seconds. `elsewhere`: JWTs for another audience.
    """
    return f"https://{kind}.feeds.test".lower()


def _resources() -> dict[str, dict[str, object]]:
    told: dict[str, object] = {"audience": AUDIENCE, "format": "jwt", "ttl": 600, "scope": SCOPES}
    kinds: dict[str, dict[str, object]] = {name: {"algorithm": name} for name in ALGORITHMS}
    kinds["HS256"] = {"algorithm": "HS256", "secret": HMAC_SECRET}
    kinds["opaque"] = {"format": "opaque"}
    kinds["brief"] = {"algorithm": "ES256", "ttl": 2}
    kinds["elsewhere"] = {"algorithm": "RS256", "audience": OTHER_AUDIENCE}
    return {resource(kind): told | own for kind, own in kinds.items()}


def must_be_here() -> None:
    """Skip the test where the server is not installed; fail where nothing may be skipped."""
    missing = "Node.js" if NODE is None else None if INSTALLED.exists() else "oidc-provider"
    if missing is None:
        return
    sentence = f"{missing} is not installed; `make test` installs oidc-provider where Node.js 20 is"
    if "SCOPEGATE_SKIP_NOTHING" in os.environ:
        pytest.fail(sentence)
    pytest.skip(sentence)


@dataclass(frozen=True)
class Tokens:
    """What a token endpoint handed out."""

    access_token: str
    expires_in: int
    scope: str = ""
    id_token: str | None = None


class TokenRefusedError(Exception):
    """The server refused; says its error code."""


@dataclass
class AuthorizationServer:
    """An authorization server on loopback, with signing keys that the test knows."""

    path: str = ""
    keys: list[SigningKey] = field(default_factory=lambda: [SigningKey.made(name) for name in ALGORITHMS])
    port: int = 0
    issuer: str = ""
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run the server, on the port it had before if it had one, and wait until it answers."""
        assert NODE is not None
        with tempfile.TemporaryFile() as errors:
            self._process = subprocess.Popen(
                [NODE, FOLDER / "provider.mjs"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                bufsize=0,
                cwd=FOLDER,
            )
            try:
                self.issuer = self._told(self._terms())["issuer"]
            except BaseException as failed:
                self.kill()
                errors.seek(0)
                failed.add_note(errors.read().decode())
                raise
        self.port = urlsplit(self.issuer).port or 0

    def _terms(self) -> dict[str, object]:
        return {
            "port": self.port,
            "path": self.path,
            "keys": [key.private_jwk for key in self.keys],
            "clients": _clients(),
            "resources": _resources(),
            "users": USERS,
            "introspector": INTROSPECTOR,
        }

    def stop(self) -> None:
        """Let the server end by itself; killed if it does not."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            self.kill()
        else:
            self._gone()

    def kill(self) -> None:
        """End the server at once, whatever it does; its port refuses connections then."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(WITHIN)
            self._gone()

    def _gone(self) -> None:
        assert self._process is not None
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process = None

    def freeze(self) -> None:
        """Let the server take connections and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def rotate(self, *, keep: bool = True) -> list[SigningKey]:
        """Sign with new keys from now on; the old ones, which stay published only if they are kept."""
        old = list(self.keys)
        new = [SigningKey.made(name) for name in ALGORITHMS]
        self.keys = new + (old if keep else [])
        self._told({"keys": [key.private_jwk for key in self.keys]})
        return old

    def publish(self, *keys: SigningKey) -> None:
        """Publish these keys and no others; the first of an algorithm signs."""
        self.keys = list(keys)
        self._told({"keys": [key.private_jwk for key in keys]})

    def key(self, algorithm: str = "RS256") -> SigningKey:
        """The key that signs now with an algorithm."""
        return next(key for key in self.keys if key.algorithm == algorithm)

    def asked(self, path: str = "") -> int:
        """How many requests came since it started; for a path behind the issuer's, or for all."""
        told = self._told({"asked": True})
        wanted = f"{self.path}{path}"
        return sum(number for request, number in told.items() if not path or request.split(" ")[1] == wanted)

    def _told(self, line: Mapping[str, object]) -> dict[str, Any]:
        """Say a line to the process; its answer."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        deadline = time.monotonic() + WITHIN
        said = b""
        while not said.endswith(b"\n"):
            ready, _, _ = select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no answer: {said!r}"
            piece = self._process.stdout.read(1 << 16)
            assert piece, "the authorization server ended"
            said += piece
        answer: dict[str, Any] = json.loads(said)
        return answer

    def for_client(self, client: str = SYNC, kind: str = "RS256", scope: str = "") -> str:
        """An access token for a client itself, by its credentials (RFC 6749 §4.4)."""
        form = {"grant_type": "client_credentials", "resource": resource(kind), "scope": scope}
        return _tokens(self._post("/token", form, client)).access_token

    def for_user(self, user: str, kind: str = "RS256", scope: str = "") -> str:
        """An access token for a user who logs in at the portal and agrees."""
        return self.logged_in(user, kind, scope).access_token

    def logged_in(self, user: str, kind: str = "RS256", scope: str = "") -> Tokens:
        """What the portal gets for a user, by an authorization code with PKCE (RFC 6749 §4.1, RFC 7636)."""
        verifier, state = secrets.token_urlsafe(32), secrets.token_urlsafe(8)
        asked = {
            "client_id": PORTAL,
            "response_type": "code",
            "redirect_uri": _BACK,
            "scope": f"openid {scope}".strip(),
            "resource": resource(kind),
            "code_challenge": encoded(sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
            "state": state,
        }
        address = f"{self.issuer}/auth?{urlencode(asked)}"
        back = Browser().walk(address, f"{_BACK}?", {"login": user, "password": "any"})
        told = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
        if "error" in told:
            raise TokenRefusedError(told["error"])
        # RFC 9207: the answer says who gives it
        assert (told["state"], told["iss"]) == (state, self.issuer)
        form = {"grant_type": "authorization_code", "code": told["code"], "redirect_uri": _BACK}
        form |= {"code_verifier": verifier, "client_id": PORTAL, "resource": resource(kind)}
        return _tokens(self._post("/token", form))

    def revoke(self, token: str, client: str = SYNC) -> None:
        """Have the client that a token was given to take it back (RFC 7009)."""
        assert self._post("/token/revocation", {"token": token}, client) == {}

    def introspected(self, token: str, by: str = INTROSPECTOR) -> dict[str, Any]:
        """What the server tells the gateway, or another client, of a token (RFC 7662)."""
        return self._post("/token/introspection", {"token": token}, by)

    def claims(self, **own: object) -> dict[str, object]:
        """What an honest access token of this server says (RFC 9068 §2.2), with claims of the test's own."""
        now = int(time.time())
        told = {"iss": self.issuer, "aud": AUDIENCE, "sub": "ada", "client_id": PORTAL}
        return told | {"iat": now, "exp": now + 600, "jti": secrets.token_urlsafe(8)} | own

    def fetched(self, path: str, *, inserted: bool = False) -> Any:  # noqa: ANN401 - whatever JSON holds
        """A document of the server's; `path` goes behind the issuer's own, or is inserted (RFC 8414 §3.1)."""
        place = f"{path}{self.path}" if inserted else f"{self.path}{path}"
        return _opened(Request(f"http://127.0.0.1:{self.port}{place}"))

    def _post(self, path: str, form: Mapping[str, str], client: str | None = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if client is not None:
            pair = f"{quote_plus(client)}:{quote_plus(_SECRETS[client])}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        body = urlencode(form).encode()
        answer: dict[str, Any] = _opened(Request(f"{self.issuer}{path}", body, headers))  # noqa: S310 - likewise
        return answer


def _opened(request: Request) -> Any:  # noqa: ANN401 - whatever JSON holds
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=WITHIN) as answer:
            return json.loads(answer.read() or b"{}")
    except HTTPError as refused:
        with refused:
            raise TokenRefusedError(refused.read().decode()) from refused


def _tokens(told: Mapping[str, Any]) -> Tokens:
    assert told["token_type"] == "Bearer"
    return Tokens(told["access_token"], told["expires_in"], told.get("scope", ""), told.get("id_token"))


@contextmanager
def running_authorization_server(path: str = "") -> Iterator[AuthorizationServer]:
    """An authorization server as long as the block lasts; `path` is that of its issuer."""
    must_be_here()
    server = AuthorizationServer(path)
    server.start()
    try:
        yield server
    finally:
        server.stop()
