"""Whoever proves bearer tokens, as the settings say; fetched keys outlast a reload, and a worker."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import orjson

from gateway.identity.claims import ClaimNames
from gateway.identity.prover import FixedKeys, KeySupply, Prover, TrustedIntrospection, TrustedIssuer
from gateway.issuers.fetching import Fetcher
from gateway.issuers.introspection import Introspection, IntrospectionTerms
from gateway.issuers.issuer_keys import Freshness, IssuerKeys
from gateway.issuers.key_source import KeySource, Published
from gateway.jose.key_set import KeySet
from gateway.jose.verify import TokenTerms
from gateway.messages import KeyRecord
from gateway.settings.bearer import BearerNames, BearerSettings, IssuerSettings, KeySetSettings


@dataclass(frozen=True, slots=True)
class Way:
    """How an authorization server is reached."""

    timeout: float
    ca: Path | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """The keys of an issuer under one configuration; the same again are the ones that were fetched."""

    source: KeySource
    freshness: Freshness
    way: Way

    @property
    def origin(self) -> str:
        """Whose keys these are and by which authorities: a digest, for a URL may hold a secret."""
        told = [self.source.issuer, str(self.source.place), str(self.way.ca)]
        return sha256(orjson.dumps(told)).hexdigest()


class Issuers:
    """The authorization servers that a worker talks to, for as long as they are configured alike.

    `known` are the keys that other workers fetched: those of issuers that are configured are believed, for
    `stale_for` and until they are fetched anew. `keep` is given what is fetched here.
    """

    def __init__(
        self, known: Iterable[KeyRecord] = (), keep: Callable[[KeyRecord], None] = lambda _: None
    ) -> None:
        self._published = {
            keys["source"]: Published(keys["document"].encode(), keys["fetched_at"]) for keys in known
        }
        self._keep = keep
        self._fetchers: dict[Way, Fetcher] = {}
        self._keys: dict[Wanted, IssuerKeys] = {}
        self._introspections: list[Introspection] = []
        self._in_use: set[Wanted | Way] = set()

    def prover(self, settings: BearerSettings) -> Prover:
        """Who proves tokens under these settings; the keys of its issuers are fetched from now on."""
        self._in_use = set()
        self._introspections = []
        issuers = {one.issuer: self._trusted(one, settings.key_sets) for one in settings.issuers}
        return Prover(issuers, self._introspection(settings))

    def _trusted(self, one: IssuerSettings, key_sets: KeySetSettings) -> TrustedIssuer:
        algorithms = frozenset(algorithm.value for algorithm in one.algorithms)
        terms = TokenTerms(one.issuer, frozenset(one.audience), algorithms, one.token_type.value, one.leeway)
        return TrustedIssuer(terms, _names(one, one.issuer), self._supply(one, key_sets))

    def _supply(self, one: IssuerSettings, key_sets: KeySetSettings) -> KeySupply:
        if one.secret is not None:
            return FixedKeys(KeySet.of_secret(one.secret.get_secret_value().encode(), one.algorithms))
        freshness = Freshness(key_sets.refresh, key_sets.stale_for, key_sets.refetch)
        wanted = Wanted(KeySource(one.issuer, one.place), freshness, Way(key_sets.timeout, key_sets.ca))
        self._in_use |= {wanted, wanted.way}
        keys = self._keys.get(wanted)
        if keys is None:
            origin = wanted.origin
            keys = self._keys[wanted] = IssuerKeys(
                wanted.source,
                self._fetcher(wanted.way),
                freshness,
                self._published.get(origin),
                partial(self._fetched, origin),
            )
            keys.start()
        return keys

    def _fetched(self, origin: str, published: Published) -> None:
        """Remember the document for other settings of its issuer, and for other workers."""
        self._published[origin] = published
        document = published.document.decode()
        self._keep({"source": origin, "document": document, "fetched_at": published.fetched_at})

    def _introspection(self, settings: BearerSettings) -> TrustedIntrospection | None:
        asked = settings.introspection
        if asked is None:
            return None
        way = Way(asked.timeout, settings.key_sets.ca)
        self._in_use.add(way)
        terms = IntrospectionTerms(
            asked.url, asked.client_id, asked.client_secret.get_secret_value(), asked.timeout
        )
        introspection = Introspection(terms, self._fetcher(way))
        self._introspections.append(introspection)
        return TrustedIntrospection(
            introspection, _names(asked, asked.url), frozenset(asked.audience), asked.leeway
        )

    def _fetcher(self, way: Way) -> Fetcher:
        if way not in self._fetchers:
            self._fetchers[way] = Fetcher(way.timeout, way.ca)
        return self._fetchers[way]

    def troubles(self) -> Iterator[str]:
        """What is wrong with them, for operators."""
        troubles = [keys.trouble for keys in self._keys.values()]
        troubles += [introspection.trouble for introspection in self._introspections]
        yield from (trouble for trouble in troubles if trouble is not None)

    async def let_go(self, in_force: BearerSettings) -> None:
        """End what the settings in force, those that `prover` was last asked under, have no use for."""
        if not in_force.served:
            self._in_use = set()
            self._introspections = []
        for wanted in [wanted for wanted in self._keys if wanted not in self._in_use]:
            await self._keys.pop(wanted).close()
        origins = {wanted.origin for wanted in self._keys}
        self._published = {origin: self._published[origin] for origin in origins & self._published.keys()}
        for way in [way for way in self._fetchers if way not in self._in_use]:
            await self._fetchers.pop(way).close()

    async def close(self) -> None:
        """End everything."""
        await self.let_go(BearerSettings())


def _names(settings: BearerNames, issuer: str) -> ClaimNames:
    return ClaimNames(
        issuer,
        settings.user,
        settings.roles,
        settings.client,
        settings.scope,
        settings.prefix,
        settings.scopes_from,
    )
