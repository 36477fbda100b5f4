"""The files of a configuration that TLS is made of, loaded: or everything that is wrong with them."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from gateway.document.problem import Location, Problem, SettingsError
from gateway.document.yamlfile import Document
from gateway.settings.model import FeedSettings, Settings
from gateway.tls.contexts import UnfitFileError, client_context
from gateway.tls.watch import CertificateWatch


def certificates_of(settings: Settings) -> CertificateWatch | None:
    """What clients are shown; None without TLS. Raises SettingsError."""
    with _told_to_operators():
        return _certificates_of(settings)


def context_for(feed: FeedSettings) -> ssl.SSLContext | None:
    """How a feed is reached; None in clear. Raises SettingsError."""
    with _told_to_operators():
        return _context_for(feed)


def check_certificates(document: Document, settings: Settings) -> None:
    """Record in the document what is wrong with the files that its settings name."""
    _check(document, ("tls",), lambda: _certificates_of(settings), dict(_files_of(settings)))
    for name, feed in settings.feeds.items():
        tls = feed.tls
        places = {tls.ca: "ca", tls.certificate: "certificate", tls.key: "key"}
        at: Location = ("feeds", name, "tls")
        known = {file: (*at, key) for file, key in places.items() if file is not None}
        _check(document, at, partial(_context_for, feed), known)


@contextmanager
def _told_to_operators() -> Iterator[None]:
    """A file that went bad after the configuration was checked is told like any other problem."""
    try:
        yield
    except UnfitFileError as unfit:
        raise SettingsError([Problem(str(unfit.file), None, "", unfit.why)]) from None


def _certificates_of(settings: Settings) -> CertificateWatch | None:
    terms = settings.tls.terms()
    return None if terms is None else CertificateWatch(terms)


def _context_for(feed: FeedSettings) -> ssl.SSLContext | None:
    secured = any(address.scheme == "https" for address in feed.upstream)
    return client_context(feed.tls.terms()) if secured else None


def _check(
    document: Document, at: Location, load: Callable[[], object], places: dict[Path, Location]
) -> None:
    try:
        load()
    except UnfitFileError as unfit:
        document.complain(places.get(unfit.file, at), f"{unfit.file} {unfit.why}")


def _files_of(settings: Settings) -> Iterator[tuple[Path, Location]]:
    """Where each file of the clients' side is named."""
    tls = settings.tls
    for key, file in (("client_ca", tls.client_ca), ("key", tls.key), ("certificate", tls.certificate)):
        if file is not None:
            yield file, ("tls", key)
    for place, name in enumerate(tls.names):
        yield name.key, ("tls", "names", place, "key")
        yield name.certificate, ("tls", "names", place, "certificate")
