"""A database's errors in our words: what is wrong, where, and what to do. Passwords never get here."""

import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from gateway.domain.ports import StoreUnavailableError
from gateway.store.address import StoreAddress

SQLITE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "SQLITE_BUSY": "is locked by another process that has been writing for too long; try again",
        "SQLITE_LOCKED": "is locked by another process that has been writing for too long; try again",
        "SQLITE_READONLY": "cannot be written; give this user write permission for the file and its folder",
        "SQLITE_CANTOPEN": "cannot be opened; check that the file is there and that this user may read it, "
        "or make it with `gateway db upgrade`",
        "SQLITE_NOTADB": "is not a database; check the path, or restore the file from a backup",
        "SQLITE_CORRUPT": "is damaged; restore the file from a backup",
        "SQLITE_FULL": "cannot grow, for the disk is full; free some space",
        "SQLITE_IOERR": "cannot be read or written, for the disk reports an error; check the disk",
        "SQLITE_PERM": "may not be opened by this user; check the file's permissions",
        "SQLITE_AUTH": "may not be opened by this user; check the file's permissions",
    }
)
"""What the SQLite result codes come to, by their primary name."""

POSTGRESQL: Final[Mapping[str, str]] = MappingProxyType(
    {
        "28P01": "refused the user or the password; check both in the store's URL",
        "28000": "refused the user; check the user in the store's URL and the server's pg_hba.conf",
        "3D000": "has no such database; create it, then run `gateway db upgrade`",
        "42P01": "has not been prepared; run `gateway db upgrade`",
        "42501": "does not let this user do that; grant it the rights on the database's tables",
        "25006": "is read-only at the moment; point the store's URL at the primary server",
        "53100": "has no disk space left; free some",
        "53300": "has no connection left; raise its max_connections or run fewer workers",
        "57P01": "is shutting down; try again when it is back",
        "57P03": "is starting up; try again shortly",
        "57014": "did not answer in time; try again, and look for what holds its locks",
        "55P03": "is locked by another writer; try again",
    }
)
"""What the PostgreSQL error codes come to (PostgreSQL documentation, appendix A)."""


@contextmanager
def told_as(address: StoreAddress) -> Iterator[None]:
    """Run database calls; what fails is a StoreUnavailableError that names the place and the remedy."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError, TimeoutError) as error:
        raise StoreUnavailableError(_sentence(address, error)) from error
    except Exception as error:
        if getattr(error, "sqlstate", None) is None and not type(error).__module__.startswith("asyncpg"):
            raise
        raise StoreUnavailableError(_sentence(address, error)) from error


def _sentence(address: StoreAddress, error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return f"The store {address.shown} {_trouble(cause)}."


def _trouble(cause: BaseException) -> str:
    """The predicate of the sentence, from the most exact that is known to the least."""
    code = getattr(cause, "sqlstate", None)
    if code:
        return POSTGRESQL.get(code, f"reports the error {code}; see the server's log")
    name = getattr(cause, "sqlite_errorname", None)
    if name:
        primary = "_".join(name.split("_")[:2])
        return SQLITE.get(primary, f"reports the error {name}: {cause}")
    match cause:
        case socket.gaierror():
            return "cannot be reached, for its host name is not known; check the store's URL"
        case PoolTimeoutError() | TimeoutError():
            return "did not answer in time; check that it is up and not overloaded"
        case ConnectionRefusedError():
            return "refuses connections; check that the server runs and that host and port are right"
        case FileNotFoundError():
            return "is not there; check the path in the store's URL"
        case PermissionError():
            return "may not be opened by this user; check the permissions of the file and its folder"
        case OSError() if cause.strerror:
            return f"cannot be reached: {cause.strerror}"
        case _:
            return f"cannot be used: {type(cause).__name__}"
