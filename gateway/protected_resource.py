"""What clients may read of this gateway before they have a token: its resource metadata (RFC 9728)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

import orjson

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"


@dataclass(frozen=True, slots=True)
class ProtectedResource:
    """The metadata, and where it is: `url` as a client is told it, `path` as it is asked for."""

    url: str
    path: bytes
    document: bytes
    documentation: str | None = None

    @classmethod
    def of(
        cls,
        identifier: str,
        issuers: Sequence[str],
        *,
        scopes: Sequence[str] = (),
        name: str | None = None,
        documentation: str | None = None,
    ) -> Self:
        """The resource of that identifier; the well-known path stands before the identifier's own (§3)."""
        parts = urlsplit(identifier)
        path = WELL_KNOWN + parts.path.removesuffix("/")
        members: dict[str, object] = {
            "resource": identifier,
            "authorization_servers": list(issuers),
            "scopes_supported": list(scopes),
            "bearer_methods_supported": ["header"],
            "resource_name": name,
            "resource_documentation": documentation,
        }
        told = {member: value for member, value in members.items() if value}
        url = f"{parts.scheme}://{parts.netloc}{path}"
        return cls(url, path.encode("ascii"), orjson.dumps(told), documentation)
