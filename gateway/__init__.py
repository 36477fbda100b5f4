"""Scopegate: an API gateway that lets each integration do only what its API Scopes allow.

    wire ─▶ pipeline ─▶ identity, routing, decision, forward ─▶ http1 ─▶ domain

The data plane decides on and forwards every feed request; the control plane (`control`, `cli`) is where
people manage scopes and keys. They meet in `domain` and in `store`, and are joined in `wiring`.
"""

from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

__version__ = "0.1.0"


def __getattr__(name: str) -> tuple[str, ...]:
    """`gateway.compiled`: the modules that run compiled here, if any (docs/decisions/0010)."""
    if name != "compiled":
        raise AttributeError(f"module 'gateway' has no attribute {name!r}")
    here, suffix = Path(__file__).parent, EXTENSION_SUFFIXES[0]
    found = (file.relative_to(here.parent) for file in here.rglob(f"*{suffix}"))
    return tuple(sorted(str(file).removesuffix(suffix).replace("/", ".") for file in found))
