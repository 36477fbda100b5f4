"""What was done, by whom, and when."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One deed on record. `at` is seconds since the epoch; `detail` never holds a secret."""

    at: float
    actor: str
    action: str
    subject: str
    detail: Mapping[str, object]
