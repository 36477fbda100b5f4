"""TLS as operators run it: the ready line, workers that take up new files by themselves, bad files told."""

import signal
import ssl
from pathlib import Path

import pytest
from authorities import Authority, Pair
from gateways import run_cli, running_gateway, write_configuration
from operations import readiness, said_by, until


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def pair(authority: Authority) -> Pair:
    return authority.pair("feeds.test")


def shown_at(port: int) -> str:
    """The certificate that a client is shown."""
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=5)


def in_use(pair: Pair) -> str:
    """The certificate in a file, without its chain."""
    return pair.certificate.read_text().partition("-----END")[0]


def test_new_files_are_taken_up_by_every_worker_and_bad_ones_by_none(
    tmp_path: Path, authority: Authority, pair: Pair
) -> None:
    with running_gateway(tmp_path, 9, main=f"tls: {{{pair.yaml}}}\nworkers: 2") as gateway:
        assert shown_at(gateway.port).startswith(in_use(pair))
        authority.pair("feeds.test", "renewed.test", file="feeds.test")
        renewed = in_use(pair)
        until(lambda: all(shown_at(gateway.port).startswith(renewed) for _ in range(8)), 15)
        pair.key.write_text("no key")
        until(lambda: "new certificates are not taken up" in str(readiness(gateway)), 15)
        assert f"{pair.key} holds no private key" in said_by(gateway)
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: "reload refused" in said_by(gateway))
        assert shown_at(gateway.port).startswith(renewed)
        assert gateway.stop() == 0


def test_check_tells_bad_files_with_their_lines_and_serve_does_not_start(tmp_path: Path, pair: Pair) -> None:
    pair.certificate.write_text("no certificate")
    file = write_configuration(
        tmp_path,
        ["https://feed.test"],
        feed="tls: {ca: nowhere.pem}",
        main=f"tls:\n  certificate: {pair.certificate}\n  key: {pair.key}",
    )
    for command in ("check", "serve"):
        done = run_cli(file, command)
        assert done.returncode == 1
        assert "tls.certificate: " in done.stderr
        assert "holds no certificate" in done.stderr
        assert "feeds.test.tls.ca: " in done.stderr
        assert "Traceback" not in done.stderr
    assert run_cli(file, "routes", "list").returncode == 0
