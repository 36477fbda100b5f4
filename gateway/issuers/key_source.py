"""Where the keys of an issuer are, and how they are got there: by discovery, from a URL, or from a file."""

import asyncio
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from gateway.issuers.fetching import LARGEST, OK, Fetcher, FetchError
from gateway.issuers.url import parts_of, quoted, refuse_url, shown
from gateway.jose.key_set import KeySet, KeySetError
from gateway.jose.strict_json import Malformed, read_object

DISCOVER: Final = "discover"


@dataclass(frozen=True, slots=True)
class KeySource:
    """The keys of an issuer; `place` is `discover`, a URL, or a file."""

    issuer: str
    place: str | Path

    @property
    def shown(self) -> str:
        """The issuer, as messages may show it."""
        return shown(self.issuer) if parts_of(self.issuer) else quoted(self.issuer)


class FetchedKeys(NamedTuple):
    """A key set, for how many seconds its server says it may be kept, and the document that was published.

    There is no document of a file, which is read where it is needed, and may hold what is not for everybody.
    """

    keys: KeySet
    max_age: float | None
    document: bytes | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """A key set as an issuer published it, and when it was fetched, in seconds since the epoch."""

    document: bytes = field(repr=False)
    fetched_at: float


async def fetch_keys(source: KeySource, fetcher: Fetcher) -> FetchedKeys:
    """The keys of an issuer as they are now. Raises FetchError, also for what is no key set."""
    place = source.place
    if isinstance(place, Path):
        return FetchedKeys(await asyncio.to_thread(keys_in_file, place), None)
    url = await _discovered(source.issuer, fetcher) if place == DISCOVER else place
    fetched = await fetcher.document(url)
    return FetchedKeys(_keys_in(fetched.body, shown(url)), fetched.max_age, fetched.body)


def keys_in_file(file: Path) -> KeySet:
    """The keys that a file holds, read while the caller waits. Raises FetchError."""
    return _keys_in(_contents(file), str(file))


def _keys_in(document: bytes, place: str) -> KeySet:
    try:
        return KeySet.parse(document)
    except KeySetError as why:
        sentence = str(why).rstrip(".")
        raise FetchError(f"{place} cannot be used: {sentence[:1].lower()}{sentence[1:]}") from None


def _contents(file: Path) -> bytes:
    """What a file holds, no more of it than an answer may have. Raises FetchError."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise FetchError(f"{file} is no file")
        with file.open("rb") as opened:
            contents = opened.read(LARGEST + 1)
    except OSError as fault:
        raise FetchError(f"{file} cannot be read: {(fault.strerror or str(fault)).lower()}") from None
    if len(contents) > LARGEST:
        raise FetchError(f"{file} is longer than {LARGEST // 1024} KiB")
    return contents


def metadata_places(issuer: str) -> tuple[str, str]:
    """Where an issuer publishes its metadata: by RFC 8414 §3.1, and by OpenID Connect Discovery 1.0 §4.

    The first inserts the well-known path before the issuer's, the second appends it. Raises FetchError for
    an issuer that has no such place.
    """
    parts = parts_of(issuer)
    why = refuse_url(issuer)
    if parts is None or why is not None:
        raise FetchError(f"the issuer {shown(issuer)} {why}")
    if parts.query:
        raise FetchError(f"the issuer {shown(issuer)} has a query, which an issuer may not (RFC 8414 §2)")
    path = parts.path.removesuffix("/")
    return (
        f"{parts.root}/.well-known/oauth-authorization-server{path}",
        f"{parts.root}{path}/.well-known/openid-configuration",
    )


async def _discovered(issuer: str, fetcher: Fetcher) -> str:
    """The URL of an issuer's keys, from the first of its metadata that is good. Raises FetchError."""
    faults = []
    for place in metadata_places(issuer):
        try:
            return _jwks_uri((await fetcher.document(place)).body, issuer, place)
        except FetchError as fault:
            if fault.status is None:
                raise
            faults.append(str(fault))
    raise FetchError("; ".join(faults), OK)


def _jwks_uri(body: bytes, issuer: str, place: str) -> str:
    """What metadata says of the keys' place, once it is known to be the issuer's (RFC 8414 §3.3)."""
    metadata = read_object(body)
    if isinstance(metadata, Malformed):
        raise FetchError(f"{place} {metadata.why}", OK)
    if metadata.get("issuer") != issuer:
        named = quoted(metadata.get("issuer"))
        raise FetchError(f"{place} is the metadata of the issuer {named}, not {quoted(issuer)}", OK)
    url = metadata.get("jwks_uri")
    if not isinstance(url, str):
        raise FetchError(f"{place} names no jwks_uri", OK)
    why = refuse_url(url) or _refuse_downgrade(issuer, url)
    if why is not None:
        raise FetchError(f"{place} names a jwks_uri that {why}", OK)
    return url


def _refuse_downgrade(issuer: str, url: str) -> str | None:
    """An issuer elsewhere cannot send us to a plain port of our own machine (RFC 8414 §2: https)."""
    secure = _scheme(issuer) == "https"
    return "is not https, as the issuer is" if secure and _scheme(url) != "https" else None


def _scheme(url: str) -> str | None:
    parts = parts_of(url)
    return None if parts is None else parts.scheme
