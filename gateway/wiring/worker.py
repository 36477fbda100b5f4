"""A data-plane process: the plane in force, what outlives a reload, and how it begins and ends."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gateway.configuration import Configuration, config_hash, load_everything
from gateway.deadlines import Deadlines
from gateway.document.files import Files
from gateway.document.problem import Problem, SettingsError
from gateway.domain.change import Changes
from gateway.domain.exchange import Exchange
from gateway.domain.feed import Enforcement
from gateway.domain.ports import TokenProver
from gateway.forward.names import LookUp, system_look_up
from gateway.forward.upstream import FeedUpstream
from gateway.identity.credential import CredentialKind
from gateway.identity.identity import Proofs
from gateway.identity.keys import KeyProofs
from gateway.identity.memory import Memory
from gateway.identity.tokens import TokenProofs
from gateway.link import WorkerLink
from gateway.messages import KeyRecord
from gateway.observe.health import WorkerHealth, worker_health
from gateway.observe.logs import LogPlaces, Logs, open_logs
from gateway.observe.metrics import Metrics, Sources
from gateway.observe.snapshot import Snapshot
from gateway.settings.bearer import BearerSettings
from gateway.settings.model import Settings
from gateway.store.follower import Follower, following
from gateway.store.last_use import LastUse
from gateway.store.opening import open_store
from gateway.store.store import Store
from gateway.tls.watch import CertificateWatch, keep_looking
from gateway.wire.listener import Listener
from gateway.wiring.plane import Plane, plane_of

if TYPE_CHECKING:
    from gateway.wiring.bearers import Issuers

PATIENCE: Final = 30.0
"""Seconds that a drain waits for what is in flight."""


class Observers:
    """Everyone who watches exchanges, as the one Observer that the data plane is given."""

    def __init__(self, metrics: Metrics, logs: Logs, last_use: LastUse) -> None:
        self._count = metrics.exchange
        self._log = logs.exchange
        self._note = last_use.exchange
        self.upstream_error = metrics.upstream_error

    def exchange(self, record: Exchange) -> None:
        """See Observer."""
        self._count(record)
        self._log(record)
        self._note(record)


class Hearers:
    """Everyone who must know what changed, as the one ChangeListener that the store is given."""

    def __init__(self, memory: Memory, listener: Listener) -> None:
        self._memory = memory
        self._listener = listener

    def heard(self, changes: Changes) -> None:
        """See ChangeListener: what changed is forgotten first, and then what lasts is judged again."""
        self._memory.heard(changes)
        if changes.rows or changes.gap:
            self._listener.judge_again()

    def missed(self) -> None:
        """See ChangeListener."""
        self._memory.missed()


def open_issuers(
    known: Iterable[KeyRecord] = (), keep: Callable[[KeyRecord], None] = lambda _: None
) -> "Issuers":
    """The authorization servers that tokens are proved by: see `Issuers`."""
    from gateway.wiring.bearers import Issuers  # noqa: PLC0415 - 20 MiB, of no use without tokens

    return Issuers(known, keep)


class Worker:
    """One data-plane process: the plane in force, and what outlives a reload."""

    follower: Follower

    def __init__(  # noqa: PLR0913 - what a worker is made of, each thing once
        self,
        config: Path,
        configuration: Configuration,
        store: Store,
        logs: Logs,
        look_up: LookUp = system_look_up,
        issuers: "Callable[[], Issuers]" = open_issuers,
    ) -> None:
        self._look_up = look_up
        self._open_issuers = issuers
        self.last_use = LastUse(store)
        settings = configuration.settings
        self._memory = Memory(settings.cache.principals, settings.store.stale_for)
        self._config = config
        self._store = store
        self._issuers: Issuers | None = None
        self._logs = logs
        self._deadlines = Deadlines()
        self._hash = config_hash(configuration)
        self._hits = 0
        self._misses = 0
        self._stale = 0
        self._metrics = Metrics(self._sources())
        self._observers = Observers(self._metrics, logs, self.last_use)
        self._plane = self._plane_of(configuration)
        self._listener = Listener(self._plane.terms, self._observers, self._deadlines)

    def _plane_of(self, configuration: Configuration) -> Plane:
        settings, routes = configuration
        proofs: dict[CredentialKind, Proofs] = {CredentialKind.API_KEY: KeyProofs(self._store)}
        bearer, cache = settings.authentication.bearer, settings.cache
        if bearer.served:
            proofs[CredentialKind.BEARER] = TokenProofs(
                self._prover(bearer),
                self._store,
                bearer.without_scope,
                principals=cache.principals,
                ttl=cache.ttl,
            )
        return plane_of(
            settings, routes, proofs, self._deadlines, self._observers, self._memory, self._look_up
        )

    def _prover(self, bearer: BearerSettings) -> TokenProver:
        if self._issuers is None:
            self._issuers = self._open_issuers()
        return self._issuers.prover(bearer)

    async def listen(self, bound: socket.socket) -> None:
        """Accept clients."""
        self._deadlines.start()
        self._plane.begin()
        await self._listener.listen(bound)

    @asynccontextmanager
    async def following(self, url: str, *, patient: bool = False) -> AsyncIterator[None]:
        """Follow the store's changes; who is not patient raises StoreUnavailableError in an outage."""
        lapse = self._memory.lapse if patient else None
        hearers = Hearers(self._memory, self._listener)
        async with following(url, hearers, in_an_outage=lapse) as self.follower:
            yield

    async def reload(self, files: Mapping[str, str] | None = None) -> None:
        """Swap the configuration whole, for these texts or those on the disk, or else raise SettingsError.

        It is read in a thread: no request waits for a large map.
        """
        read = Files(files or {})
        configuration = await asyncio.to_thread(load_everything, self._config, os.environ, files=read)
        _refuse_what_needs_a_restart(self._config, self._plane.settings, configuration.settings)
        before, self._plane = self._plane, self._plane_of(configuration)
        if before.settings.authentication.bearer != configuration.settings.authentication.bearer:
            self._memory.forget_tokens()
        self._hash = config_hash(configuration)
        self._plane.begin()
        self._listener.swap(self._plane.terms)
        self._hits += before.identity.hits
        self._misses += before.identity.misses
        self._stale += before.identity.stale
        self._memory.resize(configuration.settings.cache.principals, configuration.settings.store.stale_for)
        before.retire()
        if self._issuers is not None:
            await self._issuers.let_go(configuration.settings.authentication.bearer)

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._plane.settings

    @property
    def upstreams(self) -> Mapping[str, FeedUpstream]:
        """The feeds as requests are sent to them."""
        return self._plane.upstreams

    @property
    def certificates(self) -> CertificateWatch | None:
        """What clients are shown; None without TLS."""
        return self._plane.terms.tls

    @property
    def at_the_door(self) -> int:
        """How many connections have not shaken hands yet."""
        return self._listener.at_the_door

    async def keep_certificates_fresh(self) -> None:
        """Take up new certificates, for good."""
        await keep_looking(lambda: self.certificates)

    async def drain(self, patience: float = PATIENCE) -> None:
        """Let what is in flight end, for at most that many seconds, then let go of the feeds."""
        await self._listener.drain(patience)
        self._plane.retire()
        self._deadlines.stop()
        self._memory.close()
        await self._memory.settle()
        if self._issuers is not None:
            await self._issuers.close()

    def snapshot(self) -> Snapshot:
        """What was counted so far."""
        return self._metrics.snapshot()

    def health(self) -> WorkerHealth:
        """What this worker says of itself."""
        warnings = [f"a log cannot be written: {why}" for why in self._logs.failing]
        trouble = self.follower.trouble
        if trouble is not None and self._memory.believed:
            left = self._memory.believed_for
            warnings.append(
                f"{trouble} Callers who are known are served for {left:.0f} s more, and all others get 503."
            )
            trouble = None
        if self.certificates is not None and self.certificates.trouble is not None:
            warnings.append(f"new certificates are not taken up: {self.certificates.trouble}")
        for upstream in self._plane.upstreams.values():
            warnings.extend(upstream.troubles())
        warnings.extend(() if self._issuers is None else self._issuers.troubles())
        return worker_health({"store": trouble}, warnings)

    def _sources(self) -> Sources:
        return Sources(
            in_flight=lambda: self._listener.in_flight,
            connections=lambda: len(self._listener.connections),
            principal_cache=lambda: {
                "hit": self._hits + self._plane.identity.hits,
                "miss": self._misses + self._plane.identity.misses,
                "stale": self._stale + self._plane.identity.stale,
            },
            store_up=lambda: self.follower.trouble is None,
            store_unread=lambda: self._memory.unread_for,
            policy_revision=lambda: self.follower.seen,
            config_hash=lambda: self._hash,
            observing=lambda: {
                name: feed.enforcement is Enforcement.OBSERVE
                for name, feed in self._plane.settings.feeds.items()
            },
            upstream_healthy=lambda: {
                (name, address): well
                for name, upstream in self._plane.upstreams.items()
                for address, well in upstream.healthy().items()
            },
            log_dropped=lambda: self._logs.dropped,
        )


RESTART_KEYS: Final = ("store.url", "logs", "listen", "admin", "workers")
"""Settings that are taken up when the gateway starts, and then stay."""


def _refuse_what_needs_a_restart(config: Path, before: Settings, after: Settings) -> None:
    changed = [key for key in RESTART_KEYS if attrgetter(key)(before) != attrgetter(key)(after)]
    if changed:
        raise SettingsError(
            Problem(str(config), None, key, "cannot change while the gateway runs", "restart it")
            for key in changed
        )


@asynccontextmanager
async def _running(*duties: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let duties run beside the block, and end with it."""
    tasks = [asyncio.create_task(duty) for duty in duties]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def run_worker(
    config: Path, bound: socket.socket, link: WorkerLink, configuration: Configuration | None = None
) -> int:
    """Serve on a listening socket until the link asks for the drain; the exit status.

    `configuration` is what the link's files say, where it is at hand. Raises SettingsError and
    StoreUnavailableError when there is nothing to begin with.
    """
    if configuration is None:
        configuration = load_everything(config, os.environ, files=Files(link.files))
    settings = configuration.settings
    places = LogPlaces(settings.logs.access, settings.logs.denied)
    url, look = settings.store.url, not link.again
    async with (
        open_store(url, create=False, look=look) as store,
        open_logs(places) as logs,
    ):
        issuers = partial(open_issuers, link.keys, link.keys_fetched)
        worker = Worker(config, configuration, store, logs, issuers=issuers)
        async with (
            worker.following(url, patient=link.again),
            _running(worker.last_use.keep_writing(), worker.keep_certificates_fresh()),
        ):
            link.on_metrics(worker.snapshot)
            link.on_health(worker.health)
            link.on_reload(lambda: worker.reload(link.files))
            link.on_reopen_logs(logs.reopen)
            await worker.listen(bound)
            await link.ready()
            await link.drain_requested.wait()
            await worker.drain()
        await worker.last_use.write(everything=True)
    return 0
