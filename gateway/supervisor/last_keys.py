"""The key sets that workers fetched last, for the workers that start next: an issuer may be away by then."""

from typing import Final

from gateway.messages import KeyRecord

LARGEST: Final = 256 * 1024
"""Octets that a document may have, which is what a worker takes from an issuer."""

MOST_SOURCES: Final = 256

LARGEST_TOGETHER: Final = 4 * 1024 * 1024
"""Octets that all documents may have, so that a worker is told them in one message."""


class LastKeys:
    """The last good key set of each source; when there are too many, those go that were told first."""

    def __init__(self) -> None:
        self._octets: dict[str, int] = {}
        self._records: dict[str, KeyRecord] = {}

    def keep(self, keys: KeyRecord) -> None:
        """Keep a set in place of the one before; one that is too large is not kept, and the one before is."""
        source, octets = keys["source"], len(keys["document"].encode())
        if octets > LARGEST:
            return
        self._forget(source)
        self._records[source], self._octets[source] = keys, octets
        while len(self._records) > MOST_SOURCES or sum(self._octets.values()) > LARGEST_TOGETHER:
            self._forget(next(iter(self._records)))

    def _forget(self, source: str) -> None:
        self._records.pop(source, None)
        self._octets.pop(source, None)

    @property
    def known(self) -> list[KeyRecord]:
        """What is kept."""
        return list(self._records.values())
