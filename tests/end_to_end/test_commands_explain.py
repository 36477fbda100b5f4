"""`gateway explain` against the gateway it speaks of: what it says is so, what it advises works."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from commands import Commands
from gateways import GatewayUnderTest, write_configuration
from operations import ask, feed_beside, printed, serving, told, until

FLIPPED_WITHIN = 3.0


@dataclass
class Subject:
    """A running gateway and the commands to ask about it."""

    gateway: GatewayUnderTest
    commands: Commands

    def explained(self, number: str, method: str, path: str) -> dict[str, Any]:
        """The trace, whose exit status says the answer too."""
        done = self.commands("explain", "--key-id", number, method, path, "--json")
        trace: dict[str, Any] = printed(done, 0 if done.returncode == 0 else 1)
        assert trace["permitted"] is (done.returncode == 0)
        return trace

    def types(self, command: str) -> None:
        """Type a printed command as it stands."""
        words = shlex.split(command)
        assert words[0] == "gateway"
        done = self.commands(*words[1:])
        assert done.returncode == 0, f"{command}: {done.stderr}"

    def is_told(self, method: str, path: str, key: str) -> tuple[int, str | None]:
        """What a client with the key is answered."""
        return told(ask(self.gateway, method, path, key=key))


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory, commands: Commands) -> Iterator[Subject]:
    with feed_beside() as feed:
        file = write_configuration(tmp_path_factory.mktemp("explain"), [feed.port])
        run = commands.on(file)
        with serving(file) as gateway:
            run.scope("reads-courses", read="courses")
            run.scope("reads-users", read="users")
            run.scope("no-users", "deny", read="users")
            run.scope("no-writing", "deny", create="*", update="*", delete="*")
            yield Subject(gateway, run)


FLIPS = [
    (("reads-courses",), "GET", "/v2/users"),
    (("reads-courses",), "PATCH", "/v2/courses/7?force=1"),
    (("reads-users", "no-users"), "GET", "/v2/users"),
    (("no-users",), "GET", "/v2/users"),
    (("no-writing",), "DELETE", "/v2/bookings/1"),
    (("power-bi",), "POST", "/v2/bookings"),
    (("mailchimp",), "GET", "/v2/courses"),
    (("api-v2", "no-users"), "GET", "/v2/users"),
    (("reads-courses", "no-users", "no-writing"), "POST", "/v2/courses"),
]


@pytest.mark.parametrize("first", [True, False], ids=["the smallest change", "the last one told"])
@pytest.mark.parametrize(("scopes", "method", "path"), FLIPS)
def test_the_printed_commands_flip_the_answer_on_the_socket(
    subject: Subject, scopes: tuple[str, ...], method: str, path: str, *, first: bool
) -> None:
    copies = []
    for name in scopes:
        copy = name
        if name not in {"api-v2", "power-bi", "mailchimp"}:
            copy = f"{name}-{len(subject.commands.gets('scopes', 'list'))}"
            subject.commands.gets("scopes", "clone", name, copy)
        copies.append(copy)
    number, key = subject.commands.key(*copies)
    trace = subject.explained(number, method, path)
    assert (trace["permitted"], trace["status"], trace["code"]) == (False, 403, "scope_denied")
    assert subject.is_told(method, path, key) == (403, "scope_denied")
    assert {vote["scope"] for vote in trace["votes"]} == set(copies)
    change = trace["changes"][0 if first else -1]
    assert change["commands"]
    for command in change["commands"]:
        subject.types(command)
    again = subject.explained(number, method, path)
    assert (again["permitted"], again["changes"] != trace["changes"]) == (True, True)
    until(lambda: subject.is_told(method, path, key) == (200, None), within=FLIPPED_WITHIN)


def test_the_trace_names_everything_from_path_to_vote(subject: Subject) -> None:
    number, key = subject.commands.key("reads-users", "no-users")
    trace = subject.explained(number, "GET", "/v2/%75sers?page=2")
    assert (trace["method"], trace["canonical_path"], trace["feed"]) == ("GET", "/v2/users", "test")
    assert (trace["route"], trace["module"], trace["action"]) == ("/v2/users", "users", "read")
    assert trace["where"].endswith("routes.yaml:9")
    assert {vote["scope"]: vote["vote"] for vote in trace["votes"]} == {
        "reads-users": "allow",
        "no-users": "deny",
    }
    assert trace["deciding_scope"] == "no-users"
    shown = subject.commands("explain", "--key-id", number, "GET", "/v2/users")
    assert shown.returncode == 1
    for word in ("/v2/users", "routes.yaml:9", "users", "read", "no-users", "reads-users", "REFUSED 403"):
        assert word in shown.stdout
    assert key not in shown.stdout


BEFORE_THE_SCOPES = [
    ("GET", "/v2/nowhere", (404, "route_unmapped"), "route file"),
    ("PURGE", "/v2/courses", (405, "method_unmapped"), "routes.yaml:4"),
    ("DELETE", "/v2/status", (405, "method_unmapped"), "use GET"),
    ("GET", "/v2/%2e%2e/users", (400, "path_ambiguous"), ". or .. segment"),
    ("GET", "/v2//users", (400, "path_ambiguous"), "empty segment"),
]


@pytest.mark.parametrize(("method", "path", "answer", "named"), BEFORE_THE_SCOPES)
def test_a_refusal_before_the_scopes_is_explained_as_it_is_answered(
    subject: Subject, method: str, path: str, answer: tuple[int, str], named: str
) -> None:
    number, key = subject.commands.key("api-v2")
    trace = subject.explained(number, method, path)
    assert (trace["status"], trace["code"]) == answer == subject.is_told(method, path, key)
    assert (trace["permitted"], trace["votes"]) == (False, [])
    assert named in str(trace)


@pytest.mark.parametrize(
    ("spoilt", "code"),
    [
        (("keys", "disable"), "credential_revoked"),
        (("keys", "revoke"), "credential_revoked"),
        (("keys", "update", "--expires", "500ms"), "credential_expired"),
    ],
)
def test_a_key_that_is_not_accepted_is_explained_and_mended_where_it_can_be(
    subject: Subject, spoilt: tuple[str, ...], code: str
) -> None:
    number, key = subject.commands.key("reads-courses")
    subject.commands.gets(*spoilt[:2], number, *spoilt[2:])
    until(lambda: subject.is_told("GET", "/v2/courses", key) == (401, code), within=FLIPPED_WITHIN)
    trace = subject.explained(number, "GET", "/v2/courses")
    assert (trace["status"], trace["code"], trace["key"]["accepted"]) == (401, code, False)
    assert [vote["vote"] for vote in trace["votes"]] == ["allow"]
    commands = trace["changes"][0]["commands"]
    if spoilt[1] == "revoke":
        assert commands == []
        return
    for command in commands:
        subject.types(command)
    until(lambda: subject.is_told("GET", "/v2/courses", key) == (200, None), within=FLIPPED_WITHIN)
    assert subject.explained(number, "GET", "/v2/courses")["permitted"]


def test_a_key_without_any_scope_is_explained_and_mended(subject: Subject) -> None:
    subject.commands.scope("passing", read="courses")
    number, key = subject.commands.key("passing")
    subject.commands.gets("scopes", "delete", "passing", "--fallback", "deny")
    until(lambda: subject.is_told("GET", "/v2/users", key) == (403, "scope_none"), within=FLIPPED_WITHIN)
    trace = subject.explained(number, "GET", "/v2/users")
    assert (trace["code"], trace["votes"]) == ("scope_none", [])
    for command in trace["changes"][0]["commands"]:
        subject.types(command)
    until(lambda: subject.is_told("GET", "/v2/users", key) == (200, None), within=FLIPPED_WITHIN)


def test_a_permit_is_explained_with_what_a_trial_would_refuse(subject: Subject) -> None:
    number, key = subject.commands.key("api-v2")
    subject.commands.gets("keys", "update", number, "--trial", "reads-courses")
    trace = subject.explained(number, "GET", "/v2/users")
    assert (trace["permitted"], trace["would_deny"]) == (True, "scope_denied")
    assert [vote["vote"] for vote in trace["trial_votes"]] == ["abstain"]
    assert subject.is_told("GET", "/v2/users", key) == (200, None)
    public = subject.explained(number, "GET", "/v2/status")
    assert (public["permitted"], public["public"]) == (True, True)


def test_who_else_has_a_scope_that_would_be_edited_is_named(subject: Subject) -> None:
    subject.commands.scope("shared", read="courses")
    number, _ = subject.commands.key("shared")
    subject.commands.key("shared", label="Somebody else")
    changes = subject.explained(number, "GET", "/v2/users")["changes"]
    editing = [change for change in changes if any("scopes update shared " in c for c in change["commands"])]
    assert editing
    assert "Somebody else" in str(editing[0]["shared"])
