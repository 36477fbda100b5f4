"""The gateway under other loads than the one its peers share: refusals, bodies, many routes, many keys."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from peer import READ_PATH, Bed, Load, Stand
from peers.scopegate import DENIED_PATH, Furnished, Size, furnish

FEW: Final = 10
KIB: Final = 1024


def lay_out_cases(bed: Callable[[str], Bed], many: Size) -> Mapping[str, Stand]:
    """The gateway laid out for every case; few and many are asked in the same way, so they compare."""
    few = furnish(bed("gateway-few"), Size(FEW, FEW))
    routes = furnish(bed("gateway-routes"), Size(many.routes, FEW))
    keys = furnish(bed("gateway-keys"), Size(FEW, many.keys))
    known = few.stand.load
    return {
        "permitted": few.stand,
        "refused (scope)": few.stand.under(replace(known, paths=(DENIED_PATH,), refused=True)),
        "POST of 1 KiB": few.stand.under(
            replace(known, method="POST", paths=("/v2/courses",), body_bytes=KIB)
        ),
        f"{FEW} routes": _over_paths(few),
        f"{many.routes:,} routes": _over_paths(routes),
        f"{FEW} keys": _over_keys(few),
        f"{many.keys:,} keys": _over_keys(keys),
    }


def _over_paths(gateway: Furnished) -> Stand:
    """A thousand paths in turn, spread over all routes."""
    return gateway.stand.under(replace(gateway.stand.load, paths=gateway.paths))


def _over_keys(gateway: Furnished) -> Stand:
    """As many keys in turn as there are, up to a thousand."""
    return gateway.stand.under(Load(paths=(READ_PATH,), keys=gateway.keys))
