"""How much is measured: the whole of it in about twelve minutes, or a quick look within one."""

from dataclasses import dataclass
from typing import Final

from peers.scopegate import Size
from rounds import Effort
from transfer import MIB


@dataclass(frozen=True, slots=True)
class Plan:
    """Rounds, lengths and sizes.

    `peers` empty means all, `many` None leaves the cases of size out, `transfers` maps a body's size to how
    often it is moved.
    """

    rounds: int
    peers: tuple[str, ...]
    main: Effort
    cases: Effort
    many: Size | None
    transfers: dict[int, int]
    transfer_rounds: int


WHOLE: Final = Plan(
    rounds=5,
    peers=(),
    main=Effort(warm_up=1, saturation=3, at_rate=3, tries=3),
    cases=Effort(warm_up=1, saturation=2, at_rate=0, tries=3),
    many=Size(routes=10_000, keys=100_000),
    transfers={MIB: 32, 100 * MIB: 1},
    transfer_rounds=3,
)

QUICK: Final = Plan(
    rounds=1,
    peers=("gateway", "floor", "nginx", "nginx-auth-request"),
    main=Effort(warm_up=0, saturation=1, at_rate=1),
    cases=Effort(warm_up=1, saturation=1, at_rate=0),
    many=None,
    transfers={MIB: 4, 16 * MIB: 1},
    transfer_rounds=1,
)
