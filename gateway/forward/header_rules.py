"""Which of a client's header fields cross to a feed, and under whose name the gateway adds its own.

End-to-end fields cross unchanged, in order, repeats kept. What is for one hop stays here; what only the
gateway may say is removed first, unconditionally, and said anew.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from gateway.domain.header_policy import Credentials, Overrides, Underscores
from gateway.domain.principal import Principal
from gateway.domain.verdict import Reason, Refusal
from gateway.http1.head import Fields, Section

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"content-length",
        b"http2-settings",
    }
)
"""Fields for this hop alone (RFC 9110 §7.6.1), and those of the framing, which is made anew."""

ONLY_OURS: Final = (b"x-gateway-", b"x-forwarded-")
"""Name prefixes that a client cannot use: a feed trusts what they say."""

ONLY_OURS_WHOLE: Final = frozenset(
    {
        b"forwarded",
        b"x-request-id",
        b"x-real-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"true-client-ip",
        b"cf-connecting-ip",
        b"x-original-url",
        b"x-original-uri",
        b"x-rewrite-url",
        b"x-original-method",
        b"x-original-host",
        b"x-host",
        b"x-http-host-override",
    }
)
"""Names likewise: who calls, and what makes some servers act on another path, method or host than judged."""

METHOD_OVERRIDES: Final = frozenset({b"x-http-method-override", b"x-http-method", b"x-method-override"})


@dataclass(frozen=True, slots=True)
class CredentialRule:
    """The feed's credential rule; with SET, the header and the value that the feed gets instead."""

    kind: Credentials = Credentials.STRIP
    header: str = ""
    value: str = field(default="", repr=False)


_LENIENT: Final = bytes(
    byte if (char := chr(byte)).isascii() and char.isalnum() else ord("-")
    for byte in bytes(range(256)).lower()
)


def reading_of(name: bytes) -> bytes:
    """A field name as the most lenient server reads it: in lower case, all but letters and digits alike.

    Servers that hand fields on as environment variables, as CGI does, write each other character as `_`.
    """
    return name.translate(_LENIENT)


class HeaderRules:
    """The header rules of one feed, ready to be applied."""

    def __init__(
        self,
        key_header: str,
        rule: CredentialRule,
        underscores: Underscores = Underscores.DROP,
        overrides: Overrides = Overrides.REJECT,
    ) -> None:
        self._key_header = key_header.lower().encode("ascii")
        self._credentials = frozenset({reading_of(self._key_header), b"authorization"})
        self._rule = rule
        self._underscores = underscores
        self._dropped = HOP_BY_HOP | ONLY_OURS_WHOLE
        if overrides is Overrides.STRIP:
            self._dropped |= METHOD_OVERRIDES
        if rule.kind is Credentials.SET:
            self._credentials |= {reading_of(rule.header.encode("ascii"))}

    @property
    def passes_credentials(self) -> bool:
        """Whether the client's credential crosses as it came."""
        return self._rule.kind is Credentials.PASS

    def for_feed(self, section: Section, principal: Principal | None, *, with_credential: bool) -> bytes:
        """The lines that a header section and a principal amount to, framing and Host among them.

        `with_credential` keeps the client's own credential, whatever the rule: an observed request.
        """
        crossing = self.crossing(section, with_credential=with_credential)
        return crossing + self.added(principal, with_credential=with_credential)

    def crossing(self, section: Section, *, with_credential: bool) -> bytes:
        """The client's own lines that cross, and its framing."""
        dropped = self._dropped.union(map(reading_of, section.options))
        if not (with_credential or self.passes_credentials):
            dropped |= self._credentials
        lines = [b"%b: %b\r\n" % line for line in self._crossing(section.fields, dropped)]
        if section.chunked:
            lines.append(b"Transfer-Encoding: chunked\r\n")
        elif section.length is not None:
            lines.append(b"Content-Length: %d\r\n" % section.length)
        return b"".join(lines)

    def added(self, principal: Principal | None, *, with_credential: bool) -> bytes:
        """The feed's own credential, where one is set, and what it is told of the caller."""
        lines = b""
        if self._rule.kind is Credentials.SET and not with_credential:
            lines = f"{self._rule.header}: {self._rule.value}\r\n".encode("latin-1")
        return lines if principal is None else lines + identity_lines(principal)

    def _crossing(self, fields: Fields, dropped: frozenset[bytes]) -> Iterable[tuple[bytes, bytes]]:
        for name, value in fields:
            reading = reading_of(name)
            if reading in dropped or reading.startswith(ONLY_OURS):
                continue
            if b"_" in name and self._underscores is Underscores.DROP and name.lower() != self._key_header:
                continue
            yield name, value


def identity_lines(principal: Principal) -> bytes:
    """What a feed is told of the caller: `X-Gateway-Principal`, `-Key-Id`, `-Scopes`."""
    lines = [b"X-Gateway-Principal: %b\r\n" % principal.name.encode("ascii", "backslashreplace")]
    if principal.key_id is not None:
        lines.append(b"X-Gateway-Key-Id: %d\r\n" % principal.key_id)
    names = ",".join(scope.name for scope in principal.held)
    lines.append(b"X-Gateway-Scopes: %b\r\n" % names.encode("ascii"))
    return b"".join(lines)


def pair_lines(module: str | None, action: str | None) -> bytes:
    """What a feed is told of the request: `X-Gateway-Module`, `-Action`."""
    lines = "" if module is None else f"X-Gateway-Module: {module}\r\n"
    return (lines if action is None else f"{lines}X-Gateway-Action: {action}\r\n").encode("ascii")


def refused_fields(
    fields: Fields, key_header: str, underscores: Underscores, overrides: Overrides
) -> Refusal | None:
    """Why a request may not pass on account of its header names alone, or None."""
    for name, _ in fields:
        if overrides is Overrides.REJECT and reading_of(name) in METHOD_OVERRIDES:
            return Refusal(Reason.METHOD_OVERRIDE)
        if underscores is Underscores.REJECT and b"_" in name and name.lower() != key_header.lower().encode():
            return Refusal(Reason.REQUEST_MALFORMED, "Header names with '_' are not accepted here.")
    return None


def overriding_method(section: Section) -> bytes | Refusal | None:
    """The method that an override header asks for; None without one.

    Refused when there are two, and when the feed might not get to see the one: what is judged by it must be
    done by it.
    """
    overrides = [
        (name.lower(), value) for name, value in section.fields if reading_of(name) in METHOD_OVERRIDES
    ]
    if len(overrides) > 1:
        return Refusal(Reason.METHOD_OVERRIDE, "Send one method override header, not several.")
    if not overrides:
        return None
    name, method = overrides[0]
    if name not in METHOD_OVERRIDES or name in section.options:
        return Refusal(Reason.METHOD_OVERRIDE, "Spell the override header with '-', and not in Connection.")
    return method
