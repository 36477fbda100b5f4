"""Every setting with its type, its rule and its default (CONTRACT: main configuration).

Times are seconds, sizes are bytes. Built from a file by `loading`, or in code with typed values.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gateway.document.fields import (
    Duration,
    DurationOrNone,
    HostNames,
    Listed,
    Prefix,
    Size,
    SizeOrNone,
)
from gateway.document.section import Section, unfit
from gateway.domain.feed import Enforcement
from gateway.domain.header_policy import Credentials, Overrides, Underscores
from gateway.settings.address import Address, ListenAddress, UpstreamAddress
from gateway.settings.authentication import Authentication
from gateway.settings.cors import CorsSettings
from gateway.settings.credentials import CredentialRule
from gateway.settings.health import HealthSettings
from gateway.settings.store_place import StoreSettings
from gateway.settings.tls import BASE, FeedTls, TlsSettings

FEED_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""What a feed may be called; the name is a label of metrics and a word in logs."""

Count = Annotated[int, Field(ge=1)]
CountOrNone = Annotated[int, Field(ge=0)]
Network = IPv4Network | IPv6Network


def _network(value: object) -> object:
    """The network a CIDR or a single address means."""
    if not isinstance(value, str):
        return value
    try:
        return ip_network(value)
    except ValueError as error:
        host_bits = "has bits set beyond its prefix" if "host bits" in str(error) else "is not a network"
        raise unfit(host_bits, "write an address or a CIDR, such as 10.0.0.0/8") from None


def _log(value: object) -> object:
    """A file, or None for `-`, which is standard output."""
    if value == "-":
        return None
    if value == "":
        raise unfit("is not a file", "write a path, or - for standard output")
    return value


LogPath = Annotated[Path | None, BeforeValidator(_log)]


def _feed_name(name: str) -> str:
    if FEED_NAME.fullmatch(name) is None:
        raise unfit("cannot name a feed", "use lower-case letters, digits and . _ -, 64 at most")
    return name


FeedName = Annotated[str, AfterValidator(_feed_name)]


class PathRelaxation(StrEnum):
    """The path rules an operator may relax."""

    ENCODED_SLASH = "encoded-slash"
    SEMICOLON = "semicolon"
    EMPTY_SEGMENTS = "empty-segments"


class AdminSettings(Section):
    """The control plane's own listener: metrics, health, later the admin API and pages."""

    listen: ListenAddress = Address("127.0.0.1", 8081)


class Timeouts(Section):
    """How long a feed may take: to accept a connection, to begin its answer, and between two pieces of it."""

    connect: Duration = 2.0
    response: Duration = 30.0
    idle: Duration = 60.0


class FeedSettings(Section):
    """One feed: where it is, whether it is open, and how it is told from the others."""

    upstream: Annotated[tuple[UpstreamAddress, ...], Listed, Field(min_length=1)]
    enabled: bool = True
    enforcement: Enforcement = Enforcement.ENFORCE
    credentials: CredentialRule = CredentialRule(kind=Credentials.STRIP)
    timeouts: Timeouts = Timeouts()
    max_in_flight: Count | None = None
    health: HealthSettings | None = None
    cors: CorsSettings | None = None
    tls: FeedTls = FeedTls()
    resolve_every: Duration = 10.0
    host: HostNames = ()
    prefix: Prefix = ""

    @field_validator("upstream", "host")
    @classmethod
    def _once(cls, listed: tuple[object, ...]) -> tuple[object, ...]:
        """An entry given twice is a slip of the hand."""
        if len(set(listed)) != len(listed):
            raise unfit("holds the same entry twice", "keep one")
        return listed

    @model_validator(mode="after")
    def _secured_throughout(self) -> Self:
        """One feed is reached in one way; rules for TLS are never silently without effect."""
        schemes = {address.scheme for address in self.upstream}
        if {"http", "https"} <= schemes:
            raise unfit("mixes http and https addresses", "a feed's requests cross all its networks alike")
        if "https" not in schemes and self.tls != FeedTls():
            raise unfit(
                "has rules for TLS and no https address", "write upstream: https://…, or leave out tls"
            )
        return self


class CacheSettings(Section):
    """How many principals each worker remembers, and for how long; the negative ones are unknown keys."""

    principals: Count = 100_000
    ttl: DurationOrNone = 60.0
    negative_ttl: DurationOrNone = 5.0


class Limits(Section):
    """How much one client may send, and how slowly."""

    request_line: Size = 8 << 10
    headers: Size = 32 << 10
    header_count: Count = 100
    body: SizeOrNone = 16 << 20
    header_timeout: Duration = 10.0
    body_idle_timeout: Duration = 30.0
    keepalive_timeout: Duration = 75.0
    connections: Count = 10_000
    connections_per_client: CountOrNone = 0
    look_ups: Count = 256
    underscore_headers: Underscores = Underscores.DROP


class PathSettings(Section):
    """Which of the path rules are relaxed."""

    allow: Annotated[frozenset[PathRelaxation], Listed] = frozenset()


class LogSettings(Section):
    """Where the logs go; None is standard output. Relative paths start at the working directory."""

    access: LogPath = Path("var/access.log")
    denied: LogPath = Path("var/denied.log")


class Settings(Section):
    """The whole configuration. Nobody is handed all of it: each room takes its leaf."""

    listen: ListenAddress = Address("127.0.0.1", 8080)
    tls: TlsSettings = TlsSettings()
    proxy_protocol: bool = False
    admin: AdminSettings = AdminSettings()
    store: StoreSettings = StoreSettings()
    workers: Count = 1
    routes: Annotated[tuple[Path, ...], Listed, Field(min_length=1)]
    feeds: Annotated[Mapping[FeedName, FeedSettings], Field(min_length=1)]
    authentication: Authentication = Authentication()
    cache: CacheSettings = CacheSettings()
    limits: Limits = Limits()
    paths: PathSettings = PathSettings()
    method_override: Overrides = Overrides.REJECT
    trusted_proxies: Annotated[tuple[Annotated[Network, BeforeValidator(_network)], ...], Listed] = ()
    logs: LogSettings = LogSettings()

    @field_validator("routes")
    @classmethod
    def _absolute(cls, routes: tuple[Path, ...], info: ValidationInfo) -> tuple[Path, ...]:
        """Route files, absolute; relative ones start at the configuration file's directory."""
        base = (info.context or {}).get(BASE, Path.cwd())
        files = tuple(base / file for file in routes)
        if len(set(files)) != len(files):
            raise unfit("holds the same file twice", "keep one")
        return files

    @model_validator(mode="after")
    def _told_by_somebody(self) -> Self:
        """Without anybody to believe, every connection would be cut."""
        if self.proxy_protocol and not self.trusted_proxies:
            raise unfit(
                "has proxy_protocol without trusted_proxies", "name the networks that may say who calls"
            )
        return self
