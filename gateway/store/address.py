"""Where a store is: the URL of the configuration, read once, with its password kept out of sight."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from gateway.domain.ports import StoreUnavailableError

WAIT_S: Final = 5.0
"""How long to wait for a lock, a connection or an answer before the store counts as unavailable."""

_POSTGRES_PARAMETERS: Final[Mapping[str, str]] = MappingProxyType(
    {"host": "host", "port": "port", "sslmode": "ssl", "connect_timeout": "timeout"}
)
"""The libpq parameters that a URL may carry, and what the driver calls them."""


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """A place to keep things. `path` is the file of an embedded store, None for a server.

    `shown` is for messages: it has no password.
    """

    url: URL = field(repr=False)
    shown: str
    path: Path | None

    @property
    def connect_args(self) -> dict[str, Any]:
        """What the driver is told besides the URL."""
        if self.path is not None:
            return {"timeout": WAIT_S, "isolation_level": None}
        return {"timeout": WAIT_S, "command_timeout": WAIT_S * 2}

    @classmethod
    def parse(cls, text: str) -> "StoreAddress":
        """The place a configured URL means. Raises StoreUnavailableError where it means none."""
        try:
            url = make_url(text)
        except (ArgumentError, ValueError):
            raise StoreUnavailableError(
                "The store's URL cannot be read; write sqlite:///path/to/file.db or "
                "postgresql://user:password@host/database."
            ) from None
        if url.drivername == "sqlite":
            return _sqlite(url)
        if url.drivername in {"postgresql", "postgres"}:
            return _postgresql(url)
        raise StoreUnavailableError(
            f"The store's URL begins with {url.drivername}://, which is not known here; "
            "use sqlite:///… or postgresql://…."
        )


def _sqlite(url: URL) -> StoreAddress:
    name = url.database
    if url.host or not name or name == ":memory:" or name.startswith("file:"):
        raise StoreUnavailableError(
            "The store's URL names no file; write sqlite:///relative/path.db or sqlite:////absolute/path.db."
        )
    if url.query:
        raise StoreUnavailableError(
            "The store's URL has parameters, which a sqlite:/// URL may not have here."
        )
    return StoreAddress(url.set(drivername="sqlite+aiosqlite"), str(url), Path(name))


def _postgresql(url: URL) -> StoreAddress:
    unknown = sorted(set(url.query) - set(_POSTGRES_PARAMETERS))
    if unknown:
        raise StoreUnavailableError(
            f"The store's URL has the parameter {unknown[0]!r}, which is not known here; "
            f"known are {', '.join(_POSTGRES_PARAMETERS)}."
        )
    query = {_POSTGRES_PARAMETERS[name]: value for name, value in url.query.items()}
    shown = url.set(password=None, query={}).render_as_string(hide_password=True)
    return StoreAddress(url.set(drivername="postgresql+asyncpg", query=query), shown, None)
