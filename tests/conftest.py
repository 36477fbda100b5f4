"""How the tests run, wherever they run."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Commands, ready_commands
from hypothesis import HealthCheck, settings

# Property tests judge what is computed: on a machine that is busy with others, slowness is no failure.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def pytest_xdist_auto_num_workers() -> int:
    """Two processes a core for `-n auto`: most of what the tests do is waiting for others."""
    return 2 * (os.cpu_count() or 1)


@pytest.fixture(scope="session")
def program() -> Iterator[Commands]:
    """The program, read once for the commands of all tests: `program.on(file)`."""
    with ready_commands(Path("nowhere.yaml")) as commands:
        yield commands
