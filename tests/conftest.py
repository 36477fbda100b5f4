"""How the tests run, wherever they run."""

import os

from hypothesis import HealthCheck, settings

# Property tests judge what is computed: on a machine that is busy with others, slowness is no failure.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def pytest_xdist_auto_num_workers() -> int:
    """Two processes a core for `-n auto`: most of what the tests do is waiting for others."""
    return 2 * (os.cpu_count() or 1)
