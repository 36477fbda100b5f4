"""Workers that crash or get stuck at a bad moment are replaced, and serve as those before them did."""

import os
import signal
from pathlib import Path

import pytest
from commands import Commands
from feeds import Feed
from gateways import GatewayUnderTest, write_configuration
from operations import ask, counted, fetched, readiness, said_by, serving, status, told, until
from outages import removed, restored


def only_worker_of(gateway: GatewayUnderTest) -> int:
    children = Path(f"/proc/{gateway.process.pid}/task/{gateway.process.pid}/children").read_text()
    (worker,) = children.split()
    return int(worker)


def killed(gateway: GatewayUnderTest) -> None:
    """Kill the worker, and wait for the one that takes its place."""
    before = counted(gateway, "gateway_worker_restarts_total")
    os.kill(only_worker_of(gateway), signal.SIGKILL)
    until(lambda: counted(gateway, "gateway_worker_restarts_total") == before + 1)
    until(lambda: readiness(gateway)["checks"]["workers"] == "ok")


@pytest.mark.parametrize("how", ["garbage", "gone", "another that nobody asked for"])
def test_a_crashed_worker_is_replaced_by_one_with_the_configuration_in_force(
    tmp_path: Path, commands: Commands, feed: Feed, how: str
) -> None:
    run = commands.on(write_configuration(tmp_path, [feed.port]))
    _, key = run.key("api-v2")
    good, routes = run.file.read_text(), tmp_path / "routes.yaml"
    with serving(run.file) as gateway:
        assert status(gateway, "GET", "/v2/courses", key) == 200
        if how == "garbage":
            run.file.write_text("listen: [what")
            routes.write_text("routes: {}")
        elif how == "gone":
            run.file.unlink()
            routes.unlink()
        else:
            routes.write_text(routes.read_text().replace("/v2/courses", "/v3/courses"))
        killed(gateway)
        assert status(gateway, "GET", "/v2/courses", key) == 200
        run.file.write_text(good)
        routes.write_text(
            "feed: test\nmodules: {users: Users}\nroutes:\n  - {path: /v2/users, module: users}\n"
        )
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: "is in force" in said_by(gateway))
        assert told(ask(gateway, "GET", "/v2/courses", key=key)) == (404, "route_unmapped")
        killed(gateway)
        assert told(ask(gateway, "GET", "/v2/courses", key=key)) == (404, "route_unmapped")
        assert status(gateway, "GET", "/v2/users", key) == 200
        assert "Traceback" not in said_by(gateway)


def test_a_worker_that_crashes_while_the_store_is_away_is_replaced_and_waits_for_the_store(
    tmp_path: Path, commands: Commands, feed: Feed
) -> None:
    run = commands.on(write_configuration(tmp_path, [feed.port]))
    _, key = run.key("api-v2")
    with serving(run.file) as gateway:
        assert status(gateway, "GET", "/v2/courses", key) == 200
        away = removed(tmp_path / "scopegate.db")
        killed(gateway)
        assert told(ask(gateway, "GET", "/v2/courses", key=key)) == (503, "store_unavailable")
        assert told(ask(gateway, "GET", "/v2/status")) == (200, None)
        assert fetched(gateway, "/readyz")[0] == 503
        assert "is not there" in readiness(gateway)["checks"]["store"]
        restored(away, tmp_path / "scopegate.db")
        until(lambda: status(gateway, "GET", "/v2/courses", key) == 200, within=2)
        until(lambda: readiness(gateway)["status"] == "ready", within=2)
        assert "Traceback" not in said_by(gateway)


def test_a_worker_that_answers_nothing_for_ten_seconds_is_ended_and_replaced(
    tmp_path: Path, commands: Commands, feed: Feed
) -> None:
    run = commands.on(write_configuration(tmp_path, [feed.port]))
    _, key = run.key("api-v2")
    with serving(run.file) as gateway:
        assert status(gateway, "GET", "/v2/courses", key) == 200
        until(lambda: counted(gateway, "gateway_requests_total", status="200") == 1)
        os.kill(only_worker_of(gateway), signal.SIGSTOP)
        until(lambda: "no answer" in readiness(gateway)["checks"]["workers"], within=12)
        until(lambda: counted(gateway, "gateway_worker_restarts_total") == 1)
        until(lambda: readiness(gateway)["status"] == "ready")
        assert "it gave no answer 5 times in a row, and was ended" in said_by(gateway)
        assert status(gateway, "GET", "/v2/courses", key) == 200
        assert counted(gateway, "gateway_requests_total", status="200") == 2


def test_a_signal_to_replace_the_workers_reaches_the_whole_group_and_ends_nobody_early(
    tmp_path: Path, commands: Commands, feed: Feed
) -> None:
    run = commands.on(write_configuration(tmp_path, [feed.port]))
    _, key = run.key("api-v2")
    with serving(run.file) as gateway:
        before = only_worker_of(gateway)
        os.killpg(gateway.process.pid, signal.SIGUSR2)
        until(lambda: "every worker has been replaced" in said_by(gateway))
        until(lambda: not Path(f"/proc/{before}").exists())
        assert only_worker_of(gateway) != before
        assert status(gateway, "GET", "/v2/courses", key) == 200
        assert counted(gateway, "gateway_worker_restarts_total") == 0
        assert gateway.stop() == 0
