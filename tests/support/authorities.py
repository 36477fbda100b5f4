"""Authorities and certificates of the tests' own, made as they are needed, and clients that speak TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme
from conversations import Conversation


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files, and as YAML."""

    certificate: Path
    key: Path

    @property
    def yaml(self) -> str:
        """The two keys of a mapping."""
        return f"certificate: {self.certificate}, key: {self.key}"


class Authority:
    """An authority and the certificates it signed, in a directory."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._ca = trustme.CA(organization_name=name)
        self._directory = directory
        self.file = directory / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def pair(self, *names: str, file: str = "", common_name: str | None = None) -> Pair:
        """A certificate for names, and its key; written over what was under that file name."""
        issued = self._ca.issue_cert(*names, common_name=common_name)
        stem = self._directory / (file or names[0].replace("*", "any"))
        pair = Pair(Path(f"{stem}.crt"), Path(f"{stem}.key"))
        pair.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        pair.key.write_bytes(issued.private_key_pem.bytes())
        return pair

    def client(
        self, pair: Pair | None = None, maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    ) -> ssl.SSLContext:
        """What a client uses that trusts this authority, perhaps with a certificate of its own."""
        context = ssl.create_default_context(cafile=str(self.file))
        context.maximum_version = maximum
        context.set_alpn_protocols(["h2", "http/1.1"])
        if pair is not None:
            context.load_cert_chain(pair.certificate, pair.key)
        return context

    def server(self, pair: Pair, clients: "Authority | None" = None) -> ssl.SSLContext:
        """What a feed uses, perhaps asking for certificates of an authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        if clients is not None:
            context.load_verify_locations(clients.file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@asynccontextmanager
async def tls_conversation(
    port: int, context: ssl.SSLContext, name: str = "feeds.test"
) -> AsyncIterator[Conversation]:
    """A client connection to a port on loopback over TLS, closed at the end of the block."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, limit=1 << 20, ssl=context, server_hostname=name
    )
    try:
        yield Conversation(reader, writer)
    finally:
        writer.transport.abort()
