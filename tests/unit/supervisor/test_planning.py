"""What the parent process makes of the settings, and what it sees of files."""

import os
from pathlib import Path

import pytest

from gateway.settings.address import Address
from gateway.settings.loading import load_settings
from gateway.supervisor.plan import Plan
from gateway.supervisor.planning import is_loopback, plan_of
from gateway.supervisor.watch import changes, sight

LEAST = "routes: [routes.yaml]\nfeeds: {training: {upstream: http://127.0.0.1:9000}}\n"


def planned(folder: Path, text: str) -> Plan:
    config = folder / "gateway.yaml"
    config.write_text(text)
    return plan_of(config, load_settings(config, {"DB": "secret"}))


def test_the_plain_configuration_warns_of_nothing(tmp_path: Path) -> None:
    plan = planned(tmp_path, LEAST + "limits: {connections: 10}\n")
    assert plan.warnings == ()
    assert plan.listen == Address("127.0.0.1", 8080)
    assert plan.files == (tmp_path / "gateway.yaml", tmp_path / "routes.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LEAST.replace("}}", ", enforcement: observe}}"), "feed training is only observed"),
        (LEAST.replace("}}", ", enabled: false}}"), "feed training is switched off"),
        (LEAST.replace("}}", ", credentials: pass}}"), "feed training is sent the clients' credentials"),
        (LEAST + "listen: 0.0.0.0:8080\n", "listen: 0.0.0.0:8080 is reached from other machines without TLS"),
        (LEAST + "admin: {listen: '[::]:8081'}\n", "admin.listen: [::]:8081 is reached from other machines"),
        (LEAST + "authentication: {api_key: {query: api_key}}\n", "keys in `?api_key=`"),
        (LEAST + "limits: {connections: 100000000}\n", "take 200000000 open files"),
    ],
)
def test_what_is_allowed_but_should_be_known_is_told(tmp_path: Path, text: str, words: str) -> None:
    assert any(words in warning for warning in planned(tmp_path, text).warnings)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - that is the question
        ("::", False),
        ("192.0.2.1", False),
        ("gateway.example.com", False),
        ("fe80::1%eth0", False),
    ],
)
def test_only_loopback_addresses_are_loopback(host: str, *, loopback: bool) -> None:
    assert is_loopback(Address(host, 80)) is loopback


def test_a_plan_never_shows_where_the_store_is(tmp_path: Path) -> None:
    plan = planned(tmp_path, LEAST + "store: postgresql://gate:${DB}@db/gate\n")
    assert "secret" not in repr(plan)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("", ()),
        ("cache: {ttl: 1s}\n", ()),
        ("workers: 3\n", ("workers",)),
        ("listen: 127.0.0.1:1\nstore: sqlite:///x.db\n", ("listen", "store")),
        ("admin: {listen: 127.0.0.1:1}\n", ("admin.listen",)),
    ],
)
def test_settings_that_take_a_restart_are_named(tmp_path: Path, line: str, names: tuple[str, ...]) -> None:
    assert planned(tmp_path, LEAST).needs_restart(planned(tmp_path, LEAST + line)) == names


async def test_a_change_is_told_once_and_only_when_files_are_still(tmp_path: Path) -> None:
    watched, other = tmp_path / "a.yaml", tmp_path / "b.yaml"
    watched.write_text("one")
    since = sight([watched, other])
    told = changes(lambda: [watched, other], since, every=0.001)
    other.write_text("appeared")
    await anext(told)
    replacement = tmp_path / "c"
    replacement.write_text("one")
    replacement.rename(watched)
    await anext(told)
    watched.unlink()
    await anext(told)
    before = sight([watched, other])
    os.utime(other)
    await anext(told)
    assert sight([watched, other]) != before
    await told.aclose()
