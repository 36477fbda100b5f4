"""`gateway explain` of bearers against the gateway they come to: what it says is so, what it advises works.

That every remedy flips the verdict is held by tests/unit/decision; here commands are typed, answers heard.
"""

import hmac
import json
import shlex
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from commands import Commands
from gateways import GatewayUnderTest, write_configuration
from operations import IN_FORCE_WITHIN, ask, feed_beside, printed, serving, told, until

SECRET = "a shared secret of enough bytes, and some more of them"
HOSTS = {"members": "https://a.example", "token": "https://t.example", "both": "https://both.example"}
ISSUERS = [
    {"issuer": url, "audience": "feeds", "algorithms": ["HS256"], "secret": SECRET, "scopes_from": word}
    for word, url in HOSTS.items()
]


SCOPES = {
    "reads-courses": ("allow", {"read": "courses"}),
    "reads-users": ("allow", {"read": "users"}),
    "no-users": ("deny", {"read": "users"}),
    "no-writing": ("deny", {"create": "*", "update": "*", "delete": "*"}),
}
SHARED = {*SCOPES, "api-v2", "power-bi", "mailchimp"}
"""Scopes that every test finds as they were made."""


def encoded(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


@dataclass(frozen=True)
class Bearer:
    """Somebody with a token, as `explain` is asked about it and as the gateway meets it."""

    user: str = ""
    client: str = ""
    roles: tuple[str, ...] = ()
    names: str = ""
    rules: str = "members"

    @property
    def token(self) -> str:
        """A token that says so, signed with the issuer's secret."""
        claims: dict[str, object] = {"iss": HOSTS[self.rules], "aud": "feeds", "exp": int(time.time()) + 600}
        claims |= {"sub": self.user} if self.user else {"sub": self.client, "client_id": self.client}
        claims |= {"roles": list(self.roles), "scope": self.names}
        parts = [{"alg": "HS256", "typ": "at+jwt"}, claims]
        signed = ".".join(encoded(json.dumps(part).encode()) for part in parts)
        return f"{signed}.{encoded(hmac.digest(SECRET.encode(), signed.encode(), 'sha256'))}"

    @property
    def options(self) -> list[str]:
        """The options that describe the same."""
        who = ["--user", self.user] if self.user else ["--client", self.client]
        roles = [part for role in self.roles for part in ("--role", role)]
        names = ["--token-scope", self.names] if self.names else []
        return [*who, *roles, *names, "--issuer", HOSTS[self.rules]]


@dataclass
class Subject:
    """A running gateway and the commands to ask about it."""

    gateway: GatewayUnderTest
    commands: Commands

    def explained(self, bearer: Bearer, method: str, path: str) -> dict[str, Any]:
        """The trace, whose exit status says the answer too."""
        done = self.commands("explain", *bearer.options, method, path, "--json")
        trace: dict[str, Any] = printed(done, 0 if done.returncode == 0 else 1)
        assert trace["permitted"] is (done.returncode == 0)
        return trace

    def types(self, command: str) -> None:
        """Type a printed command as it stands."""
        words = shlex.split(command)
        assert words[0] == "gateway"
        done = self.commands(*words[1:])
        assert done.returncode == 0, f"{command}: {done.stderr}"

    def is_told(self, bearer: Bearer, method: str, path: str) -> tuple[int, str | None]:
        """What a client with the bearer's token is answered."""
        return told(ask(self.gateway, method, path, f"Authorization: Bearer {bearer.token}"))


@contextmanager
def running(directory: Path, commands: Commands, without_scope: str) -> Iterator[Subject]:
    """A gateway, and commands, with some scopes to give."""
    told_of = json.dumps({"bearer": {"without_scope": without_scope, "issuers": ISSUERS}})
    with feed_beside() as feed:
        file = write_configuration(directory, [feed.port], main=f"authentication: {told_of}")
        run = commands.on(file)
        with serving(file) as gateway:
            for name, (mode, sets) in SCOPES.items():
                run.scope(name, mode, **sets)
            yield Subject(gateway, run)


@pytest.fixture(scope="module")
def denying(tmp_path_factory: pytest.TempPathFactory, commands: Commands) -> Iterator[Subject]:
    with running(tmp_path_factory.mktemp("denying"), commands, "deny") as subject:
        yield subject


@pytest.fixture(scope="module")
def open_handed(tmp_path_factory: pytest.TempPathFactory, commands: Commands) -> Iterator[Subject]:
    with running(tmp_path_factory.mktemp("open-handed"), commands, "full-access") as subject:
        yield subject


def with_members(subject: Subject, bearer: Bearer, given: dict[str, list[str]]) -> Bearer:
    """The bearer under names that nobody else of the run has, members of scopes as given or of copies."""
    mark = str(len(subject.commands.gets("members", "list")) + len(subject.commands.gets("scopes", "list")))
    roles = tuple(f"{role} {mark}" for role in bearer.roles)
    marked = Bearer(
        f"{bearer.user}-{mark}" if bearer.user else "",
        f"{bearer.client}-{mark}" if bearer.client else "",
        roles,
        bearer.names,
        bearer.rules,
    )
    names = dict(zip(bearer.roles, [["--role", role] for role in roles], strict=True))
    names["self"] = ["--user", marked.user] if marked.user else ["--client", marked.client]
    made = {"api-v2", "power-bi", "mailchimp"}
    for who, scopes in given.items():
        for scope in scopes:
            copy = f"{scope}-{mark}" if scope in SCOPES else scope
            if copy not in made:
                subject.commands.gets("scopes", "clone", scope, copy)
                made.add(copy)
            subject.commands.gets("members", "add", copy, *names[who])
    return marked


ADA, SHOP = Bearer(user="ada"), Bearer(client="shop")
TRAINER = Bearer(user="ada", roles=("trainer", "staff member"))
CASES: list[tuple[Bearer, dict[str, list[str]], str, str]] = [
    (ADA, {"self": ["reads-courses"]}, "GET", "/v2/users"),
    (ADA, {"self": ["reads-courses"]}, "GET", "/v2/courses"),
    (ADA, {}, "GET", "/v2/courses"),
    (SHOP, {}, "GET", "/v2/courses"),
    (SHOP, {"self": ["mailchimp"]}, "POST", "/v2/users"),
    (TRAINER, {"trainer": ["reads-courses"]}, "GET", "/v2/users"),
    (TRAINER, {"trainer": ["reads-users"], "staff member": ["no-users"]}, "GET", "/v2/users"),
    (TRAINER, {"self": ["no-writing"], "trainer": ["reads-courses"]}, "GET", "/v2/courses"),
    (TRAINER, {"self": ["no-users"], "trainer": ["no-writing"]}, "POST", "/v2/courses"),
    (TRAINER, {"self": ["reads-users"], "trainer": ["reads-users"]}, "GET", "/v2/users"),
    (Bearer(user="ada", names="openid power-bi", rules="both"), {}, "GET", "/v2/courses"),
    (Bearer(user="ada", names="power-bi", rules="both"), {"self": ["reads-users"]}, "GET", "/v2/users"),
    (Bearer(user="ada", names="power-bi no-users", rules="both"), {"self": ["api-v2"]}, "GET", "/v2/users"),
    (Bearer(client="shop", names="reads-users", rules="token"), {}, "GET", "/v2/courses"),
    (Bearer(client="shop", names="no-users", rules="token"), {"self": ["reads-users"]}, "GET", "/v2/users"),
    (Bearer(user="ada", rules="token"), {"self": ["api-v2"]}, "GET", "/v2/users"),
]


@pytest.mark.parametrize(("bearer", "given", "method", "path"), CASES)
def test_commands_that_are_told_flip_the_answer(
    denying: Subject, bearer: Bearer, given: dict[str, list[str]], method: str, path: str
) -> None:
    flip(denying, bearer, given, method, path)


@pytest.mark.parametrize(
    ("bearer", "given", "method", "path"),
    [
        (ADA, {}, "GET", "/v2/users"),
        (ADA, {"self": ["reads-courses"]}, "GET", "/v2/courses"),
        (TRAINER, {"self": ["reads-users"], "trainer": ["power-bi"]}, "GET", "/v2/users"),
        (Bearer(user="ada", names="power-bi", rules="both"), {}, "GET", "/v2/users"),
    ],
)
def test_they_do_so_too_where_a_user_without_scope_may_do_everything(
    open_handed: Subject, bearer: Bearer, given: dict[str, list[str]], method: str, path: str
) -> None:
    flip(open_handed, bearer, given, method, path)


def flip(subject: Subject, bearer: Bearer, given: dict[str, list[str]], method: str, path: str) -> None:
    """Ask, compare with the gateway, type the last change that leaves other tests their scopes, ask again."""
    asking = with_members(subject, bearer, given)
    trace = subject.explained(asking, method, path)
    hears(subject, asking, method, path, trace)
    for change in reversed(trace["changes"]):
        updated = [words[3] for command in change["commands"] if (words := command.split())[2] == "update"]
        needs_a_token = any("token name" in step for step in change["steps"])
        if not needs_a_token and not set(updated) & SHARED:
            break
    else:
        assert "token" in str(trace["changes"])
        return
    for command in change["commands"]:
        subject.types(command)
    again = subject.explained(asking, method, path)
    assert again["permitted"] is not trace["permitted"], change
    hears(subject, asking, method, path, again)


def hears(subject: Subject, asking: Bearer, method: str, path: str, trace: dict[str, Any]) -> None:
    """The gateway answers as the trace says, within the second that changes may take."""
    said = (200, None) if trace["permitted"] else (trace["status"], trace["code"])
    until(lambda: subject.is_told(asking, method, path) == said, within=IN_FORCE_WITHIN)
