"""A feed as the decision knows it; its addresses and timeouts are the business of forwarding."""

from dataclasses import dataclass
from enum import StrEnum


class Enforcement(StrEnum):
    """Whether refusals bite, or are only watched."""

    ENFORCE = "enforce"
    OBSERVE = "observe"


@dataclass(frozen=True, slots=True)
class Feed:
    """An existing HTTP API behind the gateway."""

    name: str
    enabled: bool = True
    enforcement: Enforcement = Enforcement.ENFORCE
