"""TLS on both sides: what clients are shown and asked for, and how a feed proves itself."""

import re
import ssl
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, model_validator

from gateway.document.fields import HOST_NAME, host_name
from gateway.document.section import Section, unfit
from gateway.tls.contexts import WILDCARD, ClientTerms, KeyPair, ServerTerms

BASE: Final = "base"
"""The validation context's key for the directory that relative files start from."""

_NAME_HINT: Final = "write a host name, or *. and a domain, such as *.example.com"
_NUMERIC: Final = re.compile(r"[0-9.]+")


def _file(value: object, info: ValidationInfo) -> object:
    """A file; a relative one starts at the configuration file's directory."""
    if value == "":
        raise unfit("is not a file", "write the path of a PEM file")
    if not isinstance(value, str | Path):
        return value
    base = (info.context or {}).get(BASE, Path.cwd())
    return base / value


def _server_name(name: str) -> str:
    """A name that a client may ask for (RFC 6066 §3): no address, and at most one wildcard, in front."""
    bare = name.removeprefix(WILDCARD)
    if HOST_NAME.fullmatch(bare) is None or _NUMERIC.fullmatch(bare):
        raise unfit("is not a server name", _NAME_HINT)
    return name.lower()


def _host(name: str) -> str:
    try:
        return host_name(name)
    except ValueError:
        raise unfit("is not a host name", "write the name that stands in the feed's certificate") from None


PemFile = Annotated[Path, BeforeValidator(_file)]


class MinimumVersion(StrEnum):
    """The oldest version of TLS that clients may speak."""

    TLS_1_2 = "1.2"
    TLS_1_3 = "1.3"


class ClientCertificates(StrEnum):
    """Whether clients must show a certificate."""

    OPTIONAL = "optional"
    REQUIRED = "required"


VERSIONS: Final[Mapping[MinimumVersion, ssl.TLSVersion]] = MappingProxyType(
    {
        MinimumVersion.TLS_1_2: ssl.TLSVersion.TLSv1_2,
        MinimumVersion.TLS_1_3: ssl.TLSVersion.TLSv1_3,
    }
)


class TlsName(Section):
    """A certificate for clients that ask for a name."""

    name: Annotated[str, AfterValidator(_server_name)]
    certificate: PemFile
    key: PemFile


class TlsSettings(Section):
    """TLS for clients; off without a certificate."""

    certificate: PemFile | None = None
    key: PemFile | None = None
    minimum: MinimumVersion = MinimumVersion.TLS_1_2
    client_ca: PemFile | None = None
    client_certificates: ClientCertificates = ClientCertificates.REQUIRED
    names: tuple[TlsName, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """A setting about who may call is never silently without effect."""
        if (self.certificate is None) != (self.key is None):
            missing = "key" if self.key is None else "certificate"
            raise unfit(f"has no {missing}", "give both certificate and key")
        if self.certificate is None and self != TlsSettings.model_construct():
            raise unfit("has no certificate and key", "give the pair that clients are shown by default")
        asked = self.client_certificates is ClientCertificates.OPTIONAL
        if asked and self.client_ca is None:
            raise unfit("asks for client certificates without a client_ca", "name the authority's file")
        names = [name.name for name in self.names]
        if len(set(names)) != len(names):
            raise unfit("has the same name twice in names", "keep one")
        return self

    def terms(self) -> ServerTerms | None:
        """What clients are shown; None while TLS is off."""
        if self.certificate is None or self.key is None:
            return None
        return ServerTerms(
            KeyPair(self.certificate, self.key),
            VERSIONS[self.minimum],
            self.client_ca,
            self.client_certificates is ClientCertificates.REQUIRED,
            tuple((name.name, KeyPair(name.certificate, name.key)) for name in self.names),
        )


class FeedTls(Section):
    """How a feed proves itself, and how we prove ourselves to it."""

    ca: PemFile | None = None
    certificate: PemFile | None = None
    key: PemFile | None = None
    server_name: Annotated[str, AfterValidator(_host)] | None = None
    verify: bool = True

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Certificate and key belong together; who is not verified needs no authority."""
        if (self.certificate is None) != (self.key is None):
            missing = "key" if self.key is None else "certificate"
            raise unfit(f"has no {missing}", "give both certificate and key")
        if not self.verify and self.ca is not None:
            raise unfit("has a ca and does not verify", "take out one of ca and verify: false")
        return self

    def terms(self) -> ClientTerms:
        """What the feed is asked for."""
        pair = None
        if self.certificate is not None and self.key is not None:
            pair = KeyPair(self.certificate, self.key)
        return ClientTerms(self.ca, pair, self.server_name, self.verify)
