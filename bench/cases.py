"""The gateway under other loads than the one its peers share: refusals, bodies, many routes, many keys."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from peer import Bed, Stand
from peers.scopegate import DENIED_PATH, FEW, Size, furnish, keys_over, paths_over

KIB: Final = 1024
ASKED: Final = 1000
"""How many different paths or keys are asked in turn."""


def plain_cases(gateway: Stand) -> Iterator[tuple[str, Stand]]:
    """Cases for the gateway that stands beside its peers."""
    known = gateway.load
    yield "permitted", gateway
    yield "refused (scope)", gateway.under(replace(known, paths=(DENIED_PATH,), refused=True))
    yield (
        "POST of 1 KiB",
        gateway.under(replace(known, method="POST", paths=("/v2/courses",), body_bytes=KIB)),
    )


def size_cases(gateway: Stand, bed: Callable[[str], Bed], many: Size) -> Iterator[tuple[str, Stand]]:
    """Few, then many; both are asked in the same way, so they compare. Raises PeerFailedError.

    Few keys cannot be asked by a thousand, so a store of just that thousand stands between: what is more
    than it is the store's doing, what it is more than few is that of different callers.
    """
    routes = Size(many.routes, FEW.keys)
    yield f"{FEW.routes} routes", _over_paths(gateway, FEW)
    yield f"{many.routes:,} routes", _over_paths(furnish(bed("gateway-routes"), routes), routes)
    yield f"{FEW.keys} keys", _over_keys(gateway, FEW)
    for keys in (Size(FEW.routes, ASKED), Size(FEW.routes, many.keys)):
        yield f"{keys.keys:,} keys", _over_keys(furnish(bed(f"gateway-{keys.keys}-keys"), keys), keys)


def _over_paths(gateway: Stand, size: Size) -> Stand:
    return gateway.under(replace(gateway.load, paths=paths_over(size, ASKED)))


def _over_keys(gateway: Stand, size: Size) -> Stand:
    return gateway.under(replace(gateway.load, keys=keys_over(size, ASKED)))
