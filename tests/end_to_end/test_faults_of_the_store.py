"""What befalls the store of a gateway that runs: nobody is let in for it, and nobody's key is called bad."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from commands import Commands
from feeds import Feed
from gateways import GatewayUnderTest, write_configuration
from operations import ask, fetched, readiness, said_by, serving, told, until
from outages import (
    backed_up,
    cut_short,
    damaged,
    disk_of_its_own,
    filled,
    immutable,
    locked,
    no_folder,
    read_only,
    replaced,
)

STALE_FOR: Final = 3.0
SERVED: Final = (200, None)
AWAY: Final = (503, "store_unavailable")
UNKNOWN: Final = (401, "credential_invalid")
REVOKED: Final = (401, "credential_revoked")
NO_KEY: Final = "imported-from-elsewhere"
SOON: Final = 4.0
"""Seconds within which a busy machine has the end of an outage, and what was changed meanwhile, in force."""


@dataclass(frozen=True)
class Served:
    """A gateway that runs on a store in a folder of its own, and two keys: one it knows, one it never saw."""

    gateway: GatewayUnderTest
    run: Commands
    store: Path
    known: str
    known_id: str
    stranger: str

    def tells(self, key: str) -> tuple[int, str | None]:
        """What a key is answered."""
        return told(ask(self.gateway, "GET", "/v2/courses", key=key))

    def tells_all(self) -> tuple[tuple[int, str | None], ...]:
        """What who is known, a stranger and who is nobody are answered."""
        return self.tells(self.known), self.tells(self.stranger), self.tells(NO_KEY)

    def on(self, store: Path) -> Commands:
        """Commands for another store."""
        file = store.with_suffix(".yaml")
        file.write_text(self.run.file.read_text().replace(str(self.store), str(store)))
        (file.parent / "routes.yaml").write_text((self.run.file.parent / "routes.yaml").read_text())
        return self.run.on(file)


@contextmanager
def served(directory: Path, commands: Commands, feed: Feed) -> Iterator[Served]:
    place = directory / "store"
    place.mkdir(exist_ok=True)
    file = write_configuration(directory, [feed.port], main="cache: {ttl: 0s, negative_ttl: 0s}")
    store = place / "scopegate.db"
    url = f"store: {{url: 'sqlite:///{store}', stale_for: {STALE_FOR}s}}"
    file.write_text(file.read_text().replace(f"store: sqlite:///{directory}/scopegate.db", url))
    run = commands.on(file)
    (known_id, known), (_, stranger) = run.key("api-v2"), run.key("api-v2")
    with serving(file) as gateway:
        one = Served(gateway, run, store, known, known_id, stranger)
        assert one.tells(known) == SERVED
        yield one
        assert gateway.stop() == 0
        assert "Traceback" not in said_by(gateway)


def is_well(gateway: GatewayUnderTest) -> bool:
    """Whether it is ready, and has nothing to warn of."""
    document = readiness(gateway)
    return document["status"] == "ready" and not document["warnings"]


def restored_with_a_revocation(one: Served, backup: Path) -> None:
    """Put a backup in place in which the known key has been revoked, and see that it counts."""
    assert one.on(backup)("keys", "revoke", one.known_id).returncode == 0
    one.store.parent.mkdir(exist_ok=True)
    replaced(one.store, backup)
    until(lambda: one.tells_all() == (REVOKED, SERVED, UNKNOWN), within=SOON)
    until(lambda: is_well(one.gateway), within=SOON)


@pytest.mark.parametrize("lose", [cut_short, no_folder], ids=lambda lose: lose.__name__)
def test_a_store_lost_under_a_gateway_is_an_outage_until_it_is_restored(
    tmp_path: Path, commands: Commands, feed: Feed, lose: Callable[[Path], None]
) -> None:
    with served(tmp_path, commands, feed) as one:
        backup = tmp_path / "backup.db"
        backed_up(one.store, backup)
        lose(one.store)
        until(lambda: one.tells_all() == (SERVED, AWAY, AWAY), within=SOON)
        until(lambda: readiness(one.gateway)["warnings"], within=SOON)
        assert fetched(one.gateway, "/readyz")[0] == 200
        seen = set()
        until(lambda: seen.add(one.tells_all()) or one.tells(one.known) == AWAY, within=2 * STALE_FOR)
        assert seen <= {(SERVED, AWAY, AWAY), (AWAY, AWAY, AWAY)}
        assert fetched(one.gateway, "/readyz")[0] == 503
        restored_with_a_revocation(one, backup)


def test_a_store_damaged_under_a_gateway_calls_no_good_key_bad_and_lets_nobody_in(
    tmp_path: Path, commands: Commands, feed: Feed
) -> None:
    """What SQLite has in memory may go on to be answered, for that is true until somebody writes."""
    with served(tmp_path, commands, feed) as one:
        backup = tmp_path / "backup.db"
        backed_up(one.store, backup)
        damaged(one.store)
        until(lambda: "is damaged" in " ".join(readiness(one.gateway)["warnings"]))
        for _ in range(20):
            known, stranger, nobody = one.tells_all()
            assert {known, stranger} <= {SERVED, AWAY}
            assert nobody in {UNKNOWN, AWAY}
        restored_with_a_revocation(one, backup)


def test_a_store_locked_under_a_gateway_is_an_outage_and_ends_with_the_lock(
    tmp_path: Path, commands: Commands, feed: Feed
) -> None:
    with served(tmp_path, commands, feed) as one:
        with locked(one.store):
            assert one.tells_all() == (SERVED, AWAY, AWAY)
            until(lambda: one.tells(one.known) == AWAY, within=3 * STALE_FOR)
            assert one.tells_all() == (AWAY, AWAY, AWAY)
        until(lambda: one.tells_all() == (SERVED, SERVED, UNKNOWN), within=SOON)
        assert one.run("keys", "revoke", one.known_id).returncode == 0
        until(lambda: one.tells(one.known) == REVOKED, within=SOON)


UNWRITABLE: Final[dict[str, tuple[Callable[[Path], AbstractContextManager[None]], str]]] = {
    "a folder that may only be read": (read_only, "cannot be written"),
    "files that nobody may change": (immutable, "cannot be written"),
    "a full disk": (filled, "the disk is full"),
}


@pytest.mark.parametrize("how", UNWRITABLE)
def test_a_store_that_cannot_be_written_any_more_costs_no_request_and_no_last_use(
    tmp_path: Path, commands: Commands, feed: Feed, how: str
) -> None:
    unwritable, said = UNWRITABLE[how]
    with disk_for(how, tmp_path), served(tmp_path, commands, feed) as one:
        with unwritable(one.store):
            for _ in range(3):
                assert one.tells_all() == (SERVED, SERVED, UNKNOWN)
            refused = one.run("keys", "revoke", one.known_id)
            assert refused.returncode == 1
            assert said in refused.stderr
            assert "Traceback" not in refused.stderr
            if how != "a folder that may only be read":  # who had the files open may write on
                until(lambda: "last used could not be written, and is kept" in said_by(one.gateway))
            assert one.tells_all() == (SERVED, SERVED, UNKNOWN)
        until(lambda: one.run.gets("keys", "show", one.known_id)["last_used_at"])
        assert one.run("keys", "revoke", one.known_id).returncode == 0
        until(lambda: one.tells(one.known) == REVOKED, within=SOON)


@contextmanager
def disk_for(how: str, directory: Path) -> Iterator[None]:
    """A disk that can be filled, where that is what happens."""
    place = directory / "store"
    place.mkdir()
    if how != "a full disk":
        yield
        return
    with disk_of_its_own(place):
        yield
