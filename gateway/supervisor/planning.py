"""From settings to what the parent process needs of them, and to what operators should be told."""

import resource
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from gateway.document.files import Files
from gateway.domain.feed import Enforcement
from gateway.domain.header_policy import Credentials
from gateway.settings.address import Address
from gateway.settings.model import FeedSettings, Settings
from gateway.supervisor.plan import Plan


def plan_of(config: Path, settings: Settings, files: Files | None = None) -> Plan:
    """The plan for a configuration file whose settings are good; `files` are those it was read from."""
    return Plan(
        config=config,
        listen=settings.listen,
        admin=settings.admin.listen,
        workers=settings.workers,
        store=settings.store.url,
        files=(config, *settings.routes),
        scheme="http" if settings.tls.certificate is None else "https",
        texts=files.texts() if files else {},
        warnings=tuple(warnings_of(settings)),
    )


def warnings_of(settings: Settings) -> Iterator[str]:
    """What is allowed but should be known, a sentence each: what it is, and what to do about it."""
    for name, feed in settings.feeds.items():
        yield from _of_feed(name, feed)
    if not is_loopback(settings.listen) and settings.tls.certificate is None:
        yield (
            f"listen: {settings.listen} is reached from other machines without TLS, so credentials cross the "
            "network in clear; set `tls`, put a TLS terminator in front, or listen on 127.0.0.1"
        )
    if not is_loopback(settings.admin.listen):
        yield (
            f"admin.listen: {settings.admin.listen} is reached from other machines; whoever does reads the "
            "metrics and the health report"
        )
    if query := settings.authentication.api_key.query:
        yield (
            f"authentication.api_key.query: keys in `?{query}=` end up in the logs and histories of whatever "
            "stands in front; prefer the header"
        )
    yield from _of_open_files(settings.limits.connections)


def is_loopback(address: Address) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ip_address(address.host.partition("%")[0]).is_loopback
    except ValueError:
        return address.host == "localhost"


def _of_feed(name: str, feed: FeedSettings) -> Iterator[str]:
    if feed.enforcement is Enforcement.OBSERVE:
        yield (
            f"feed {name} is only observed: nothing is refused for want of a credential, a route or a scope; "
            f"set feeds.{name}.enforcement: enforce once gateway_would_deny_total is still"
        )
    if not feed.enabled:
        yield f"feed {name} is switched off: only callers whose scope bypasses the flag are served"
    if not feed.tls.verify:
        yield (
            f"feed {name} is NOT VERIFIED: whoever stands in its place reads and answers every request; "
            f"take out feeds.{name}.tls.verify: false, and name its authority in feeds.{name}.tls.ca"
        )
    if feed.credentials.kind is Credentials.PASS:
        yield f"feed {name} is sent the clients' credentials (feeds.{name}.credentials: pass)"


def _of_open_files(connections: int) -> Iterator[str]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < connections * 2:
        yield (
            f"limits.connections: {connections} connections and their upstreams take {connections * 2} open "
            f"files, and the system allows {hard}; raise the limit (ulimit -n), or lower the setting"
        )
