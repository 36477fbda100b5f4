"""Contexts made of an operator's files: what clients are shown and asked, and how a feed proves itself."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HTTP: Final = "http/1.1"
"""The one protocol that is offered and accepted (RFC 7301 §6)."""

WILDCARD: Final = "*."


class UnfitFileError(Exception):
    """A file cannot be used. `file` names it; the text says why, after its name, and never what it holds."""

    def __init__(self, file: Path, why: str) -> None:
        self.file = file
        self.why = why
        super().__init__(f"{file} {why}")


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate with its chain, and the private key for it, both PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class ServerTerms:
    """What clients are shown, and what they must show. `names` are host names, or `*.` and a domain."""

    default: KeyPair
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    client_ca: Path | None = None
    client_required: bool = False
    names: tuple[tuple[str, KeyPair], ...] = ()

    def files(self) -> Iterator[Path]:
        """Everything that the context is made of."""
        for pair in (self.default, *(pair for _, pair in self.names)):
            yield pair.certificate
            yield pair.key
        if self.client_ca is not None:
            yield self.client_ca


@dataclass(frozen=True, slots=True)
class ClientTerms:
    """How a feed must prove itself, and how we prove ourselves to it.

    `ca` is believed in place of the system's authorities. `server_name` stands in the certificate instead of
    the address's host. Without `verify` anybody may be the feed.
    """

    ca: Path | None = None
    pair: KeyPair | None = None
    server_name: str | None = None
    verify: bool = True


def server_context(terms: ServerTerms) -> ssl.SSLContext:
    """The context for clients, which chooses the certificate by name. Raises UnfitFileError."""
    contexts = {name: _server_context(terms, pair) for name, pair in terms.names}
    default = _server_context(terms, terms.default)

    def choose(session: ssl.SSLObject, name: str | None, _default: ssl.SSLContext) -> None:
        chosen = _chosen(contexts, name)
        if chosen is not None:
            session.context = chosen

    if contexts:
        default.sni_callback = choose
    return default


def _chosen(contexts: dict[str, ssl.SSLContext], name: str | None) -> ssl.SSLContext | None:
    """The context for a name: its own before the wildcard's, which stands for exactly one label."""
    if name is None:
        return None
    host = name.lower().removesuffix(".")
    return contexts.get(host) or contexts.get(WILDCARD + host.partition(".")[2])


def _server_context(terms: ServerTerms, pair: KeyPair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = terms.minimum
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols([HTTP])
    _load_pair(context, pair)
    if terms.client_ca is not None:
        _load_authorities(context, terms.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED if terms.client_required else ssl.CERT_OPTIONAL
    return context


def client_context(terms: ClientTerms) -> ssl.SSLContext:
    """The context for a feed. Raises UnfitFileError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols([HTTP])
    if not terms.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif terms.ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _load_authorities(context, terms.ca)
    if terms.pair is not None:
        _load_pair(context, terms.pair)
    return context


def _load_pair(context: ssl.SSLContext, pair: KeyPair) -> None:
    for file in (pair.certificate, pair.key):
        _read(file)
    try:
        context.load_cert_chain(pair.certificate, pair.key, password="")
    except ssl.SSLError as broken:
        if broken.reason == "KEY_VALUES_MISMATCH":
            raise UnfitFileError(pair.key, f"is not the key for the certificate {pair.certificate}") from None
        raise UnfitFileError(*_culprit(pair)) from None
    except ValueError:  # an encrypted key that an empty password does not open
        raise UnfitFileError(pair.key, "has a password; give a key without one") from None


def _culprit(pair: KeyPair) -> tuple[Path, str]:
    """Which of two files is bad, by trying the certificate alone: OpenSSL does not tell."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(pair.certificate)
    except ssl.SSLError:
        return pair.certificate, "holds no certificate that can be used (PEM, the chain after it)"
    if "ENCRYPTED" in _read(pair.key):
        return pair.key, "has a password; give a key without one"
    return pair.key, f"holds no private key that can be used with {pair.certificate} (PEM)"


def _load_authorities(context: ssl.SSLContext, file: Path) -> None:
    _read(file)
    try:
        context.load_verify_locations(file)
    except ssl.SSLError:
        raise UnfitFileError(file, "holds no certificates of authorities (PEM)") from None


def _read(file: Path) -> str:
    try:
        return file.read_text("latin-1")
    except OSError as fault:
        raise UnfitFileError(file, f"cannot be read: {(fault.strerror or str(fault)).lower()}") from None
