"""What pyproject.toml cannot say: the hot rooms as extensions, where SCOPEGATE_COMPILE=1 asks for them."""

import sys
from pathlib import Path

from setuptools import Extension, setup

sys.path.insert(0, str(Path(__file__).parent))  # PEP 517 does not promise it

from build_backend import wanted

HERMETIC = ("--config-file=", "--no-site-packages", "--ignore-missing-imports")
"""Types of our own sources alone: the result is the same whatever is installed beside the compiler."""


def extensions() -> list[Extension]:
    """The modules to compile, in one group, so that they call each other without a detour."""
    modules = wanted()["modules"]
    if not modules or "egg_info" in sys.argv or "dist_info" in sys.argv:
        return []
    from mypyc.build import mypycify  # noqa: PLC0415 - there only where it was asked for

    return mypycify([*HERMETIC, *modules], opt_level="2", debug_level="0", group_name="scopegate")


setup(ext_modules=extensions())
