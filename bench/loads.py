"""What is asked of the gateway where one gateway alone is looked at: its profile, and its instructions."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from bench.peer import CREATE_PATH, LARGE_BODY, LARGE_PATH, Stand
from bench.peers.scopegate import DENIED_PATH

LOADS: Final[Mapping[str, Callable[[Stand], Stand]]] = MappingProxyType(
    {
        "permitted": lambda stand: stand,
        "refused": lambda stand: stand.under(paths=(DENIED_PATH,), status=403),
        "post": lambda stand: stand.under(method="POST", paths=(CREATE_PATH,), body_bytes=1024),
        "answer": lambda stand: stand.under(paths=(LARGE_PATH,), answer=LARGE_BODY),
    }
)
"""Load → the stand under it."""
