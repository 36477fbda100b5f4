"""Two gateways on one PostgreSQL: prepared by a command, changed from anywhere, and away for a while."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from commands import Commands
from feeds import Feed
from gateways import write_configuration
from operations import (
    IN_FORCE_WITHIN,
    ask,
    fetched,
    readiness,
    said_by,
    serving,
    status,
    told,
    until,
)
from postgresql import PASSWORD, Server, running_postgresql


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_postgresql() as server:
        yield server


def configuration(directory: Path, feed: Feed, url: str) -> Path:
    directory.mkdir(exist_ok=True)
    file = write_configuration(directory, [feed.port], main="cache: {ttl: 1h, negative_ttl: 1h}")
    file.write_text(file.read_text().replace(f"sqlite:///{directory}/scopegate.db", url))
    return file


def is_told(done: subprocess.CompletedProcess[str], said: str) -> None:
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert PASSWORD not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_is_prepared_by_a_command_and_then_shared_by_gateways(
    tmp_path: Path, server: Server, commands: Commands, feed: Feed
) -> None:
    server.run("CREATE DATABASE shared")
    run = commands.on(configuration(tmp_path / "first", feed, server.url("shared")))
    is_told(run("serve"), "run `gateway db upgrade`")
    is_told(run("keys", "list"), "run `gateway db upgrade`")
    assert run.gets("db", "upgrade")["changed"] is True
    assert run.gets("db", "upgrade")["changed"] is False
    assert {scope["name"] for scope in run.gets("scopes", "list")} == {"api-v2", "power-bi", "mailchimp"}
    run.scope("website", read="courses")
    number, key = run.key("website")
    with ExitStack() as stack:
        gateways = [
            stack.enter_context(serving(run.file)),
            stack.enter_context(serving(configuration(tmp_path / "second", feed, server.url("shared")))),
        ]

        def all_say(answer: tuple[int, str | None], path: str = "/v2/courses") -> bool:
            return {told(ask(gateway, "GET", path, key=key)) for gateway in gateways} == {answer}

        assert all_say((200, None))
        assert all_say((403, "scope_denied"), "/v2/users")
        run.gets("scopes", "update", "website", "--read", "courses,users")
        until(lambda: all_say((200, None), "/v2/users"), within=IN_FORCE_WITHIN)
        run.gets("keys", "disable", number)
        until(lambda: all_say((401, "credential_revoked")), within=IN_FORCE_WITHIN)
        run.gets("keys", "enable", number)
        until(lambda: all_say((200, None)), within=IN_FORCE_WITHIN)
        done = run("explain", "--key-id", number, "GET", "/v2/users")
        assert (done.returncode, "PERMITTED" in done.stdout) == (0, True)
        until(lambda: run.gets("keys", "show", number)["last_used_at"])
        imported = "label,key,scopes\nOld,legacy-key-in-the-clear,website\n"
        assert status(gateways[0], "GET", "/v2/courses", "legacy-key-in-the-clear") == 401
        run.gets("keys", "import", "-", stdin=imported)
        until(
            lambda: status(gateways[0], "GET", "/v2/courses", "legacy-key-in-the-clear") == 200,
            within=IN_FORCE_WITHIN,
        )
        run.gets("keys", "revoke", number)
        until(lambda: all_say((401, "credential_revoked")), within=IN_FORCE_WITHIN)
        for gateway in gateways:
            assert gateway.stop() == 0
            assert PASSWORD not in said_by(gateway)
            assert "Traceback" not in said_by(gateway)


def test_while_the_server_is_away_the_known_are_served_and_changes_are_not_missed(
    tmp_path: Path, server: Server, commands: Commands, feed: Feed
) -> None:
    server.run("CREATE DATABASE going_away TEMPLATE prepared")
    run = commands.on(configuration(tmp_path, feed, server.url("going_away")))
    number, known = run.key("api-v2")
    _, stranger = run.key("api-v2")
    with serving(run.file) as gateway:
        assert status(gateway, "GET", "/v2/courses", known) == 200
        server.run("ALTER DATABASE going_away ALLOW_CONNECTIONS false")
        server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'going_away'")
        until(lambda: any("going_away" in warning for warning in readiness(gateway)["warnings"]))
        assert told(ask(gateway, "GET", "/v2/courses", key=known)) == (200, None)
        assert told(ask(gateway, "GET", "/v2/courses", key=stranger)) == (503, "store_unavailable")
        is_told(run("keys", "list"), "going_away")
        server.run("ALTER DATABASE going_away ALLOW_CONNECTIONS true")
        run.gets("keys", "revoke", number)
        until(lambda: status(gateway, "GET", "/v2/courses", known) == 401)
        until(lambda: readiness(gateway)["warnings"] == [])
        assert told(ask(gateway, "GET", "/v2/courses", key=stranger)) == (200, None)
        assert PASSWORD not in said_by(gateway) + fetched(gateway, "/readyz")[1]
        assert "Traceback" not in said_by(gateway)


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_a_server_that_stops_and_starts_costs_who_is_known_nothing_and_hides_no_change(
    tmp_path: Path, server: Server, commands: Commands, feed: Feed, how: str
) -> None:
    server.run(f"CREATE DATABASE {how} TEMPLATE prepared")
    run = commands.on(configuration(tmp_path, feed, server.url(how)))
    number, revoked = run.key("api-v2")
    _, known = run.key("api-v2")
    _, stranger = run.key("api-v2")
    with serving(run.file) as gateway:
        for key in (revoked, known):
            assert status(gateway, "GET", "/v2/courses", key) == 200
        with away(server, how):
            until(lambda: readiness(gateway)["warnings"])
            for key in (revoked, known):
                assert told(ask(gateway, "GET", "/v2/courses", key=key, within=1)) == (200, None)
            refused = ask(gateway, "GET", "/v2/courses", key=stranger, within=3)
            assert told(refused) == (503, "store_unavailable")
        until(lambda: readiness(gateway)["warnings"] == [], within=IN_FORCE_WITHIN)
        run.gets("keys", "revoke", number)
        until(lambda: status(gateway, "GET", "/v2/courses", revoked) == 401, within=IN_FORCE_WITHIN)
        for key in (known, stranger):
            assert status(gateway, "GET", "/v2/courses", key) == 200
        assert "Traceback" not in said_by(gateway)


@contextmanager
def away(server: Server, how: str) -> Iterator[None]:
    """Without a server, or with one whose sessions are open and answer nothing."""
    if how == "stopped":
        server.stop()
        yield
        server.start()
        return
    assert server.process is not None
    sessions = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    processes = [server.process.pid, *map(int, sessions)]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (lambda server: server.url("no_such_database"), "no_such_database"),
        (lambda server: server.url("postgres", password="wrong"), "password"),
        (lambda server: server.url("postgres").replace("//postgres:", "//nobody:"), "nobody"),
    ],
    ids=["no such database", "a wrong password", "no such user"],
)
def test_a_server_that_turns_us_away_is_told(
    tmp_path: Path, server: Server, commands: Commands, feed: Feed, spoilt: object, said: str
) -> None:
    assert callable(spoilt)
    run = commands.on(configuration(tmp_path, feed, spoilt(server)))
    is_told(run("keys", "list"), said)
    is_told(run("serve"), said)
