"""Scopegate: an API gateway that lets each integration do only what its API Scopes allow.

    wire ─▶ pipeline ─▶ identity, routing, decision, forward ─▶ http1 ─▶ domain

The data plane decides on and forwards every feed request; the control plane (`control`, `cli`) is where
people manage scopes and keys. They meet in `domain` and in `store`, and are joined in `wiring`.
"""

__version__ = "0.1.0"
