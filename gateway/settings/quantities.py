"""Durations and sizes as operators write them; the one parser is in `document`, for route maps too."""

from gateway.document.quantities import DURATION_HINT, SIZE_HINT, duration, size

__all__ = ["DURATION_HINT", "SIZE_HINT", "duration", "size"]
