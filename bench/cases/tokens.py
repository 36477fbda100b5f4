"""Bearer tokens: remembered beside API keys, proved anew beside the bare call, and while keys change."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from bench.case import BESIDE, COST, RATE, Case, Row
from bench.machine import Cores
from bench.peer import Bed, Checks, Stand
from bench.peers import envoy, nginx
from bench.peers.scopegate import FEW, SCOPE, furnish, told
from bench.process import ROOT, PeerFailedError, pinned
from bench.readings import Column, Figures
from bench.rotation import Issuer, rotated
from bench.saturation import measured
from bench.signing import AUDIENCE, ISSUER, USER, SigningKey, bearer, key_set
from bench.site import Site

PATIENCE_SECONDS: Final = 30
AUTHORIZATION: Final = "Authorization"


def believing(jwks: str, algorithm: str) -> dict[str, Any]:
    """The settings of a gateway that believes the benchmark's issuer; `jwks` is a file or an address."""
    issuer = {"issuer": ISSUER, "audience": AUDIENCE, "algorithms": [algorithm], "jwks": jwks}
    return {"authentication": {"bearer": {"issuers": [issuer]}}}


def gateway_believing(bed: Bed, jwks: str, algorithm: str) -> Stand:
    """A gateway with the benchmark's user in its scope; the stand's load still has the API key."""
    stand = furnish(bed, FEW, believing(jwks, algorithm))
    told(bed, "members", "add", SCOPE, "--user", USER)
    return stand


def with_token(stand: Stand, key: SigningKey) -> Stand:
    """The same stand, asked with a token; the wrong one is signed by a key that is not the issuer's."""
    wrong = SigningKey.made(key.algorithm, key.kid).sign().token
    return stand.under(header=AUTHORIZATION, credentials=(bearer(key.sign().token),), wrong=bearer(wrong))


def _cached(site: Site) -> Iterator[Row]:
    key, bed = SigningKey.made("ES256"), site.bed("jwt-gateway")
    file = bed.write("jwks.json", key_set(key))
    made: list[Stand] = []

    def gateway() -> Stand:
        made.append(gateway_believing(bed, str(file), key.algorithm))
        return made[0]

    measure = partial(measured, effort=site.plan.case, cores=site.cores)
    for stand in site.stand("key", Checks.SCOPES, gateway):
        yield Row("key", "API key", partial(measure, stand), checks=Checks.SCOPES)
    for stand in site.stand("jwt", Checks.SCOPES, lambda: with_token(made[0], key)) if made else ():
        yield Row("jwt", "JWT, remembered", partial(measure, stand), "key", checks=Checks.SCOPES)
    yield from _peers(site, key, measure)


def _peers(site: Site, key: SigningKey, measure: Callable[[Stand], Figures]) -> Iterator[Row]:
    """Those that take tokens: Envoy, which checks them, and nginx, which asks."""
    checking = partial(envoy.believing, keys=key_set(key), issuer=ISSUER, audience=AUDIENCE, user=USER)
    for peer, lay_out, title, checks in (
        (envoy.API_KEY_AUTH, checking, "Envoy `jwt_authn` + `rbac`", Checks.TOKEN_AND_RULE),
        (nginx.AUTH_REQUEST, nginx.AUTH_REQUEST.lay_out, nginx.AUTH_REQUEST.title, Checks.DECISION),
    ):
        name = f"{peer.name}-jwt"
        if site.has(peer):
            bed = site.bed(name)
            for stand in site.stand(name, checks, partial(_asked_with_token, lay_out, bed, key)):
                version = peer.version(site.tools)
                yield Row(name, title, partial(measure, stand), "key", checks=checks, version=version)


def _asked_with_token(lay_out: Callable[[Bed], Stand], bed: Bed, key: SigningKey) -> Stand:
    return with_token(lay_out(bed), key)


def proved(algorithm: str, seconds: int, cores: Cores) -> Figures:
    """Proofs a second of a process of its own, on the peer's core. Raises PeerFailedError."""
    ended = subprocess.run(
        [*pinned(cores.peer), sys.executable, "-m", "bench.proving", algorithm, str(seconds)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds + PATIENCE_SECONDS,
        check=False,
    )
    if ended.returncode:
        raise PeerFailedError(f"proving {algorithm}: {ended.stderr.strip()[-300:]}")
    figures: dict[str, float] = json.loads(ended.stdout)
    return figures


def _proofs(site: Site) -> Iterator[Row]:
    for algorithm in ("RS256", "ES256"):
        yield Row(algorithm, algorithm, partial(proved, algorithm, site.plan.case.saturation, site.cores))


def _rotation(site: Site) -> Iterator[Row]:
    issuer = site.servers.enter_context(Issuer.running())
    bed = site.bed("rotation")
    lay_out = partial(gateway_believing, bed, issuer.address, "ES256")
    for stand in site.stand("rotation", Checks.SCOPES, lay_out):
        figures = partial(rotated, with_token(stand, issuer.key), issuer, 2 * site.plan.case.saturation)
        yield Row("rotation", "**Scopegate**", figures, checks=Checks.SCOPES)


JWT: Final = Case(
    "jwt",
    "Remembered tokens beside API keys",
    (COST, BESIDE, RATE),
    _cached,
    "One ES256 token over and over; the gateway proves it once, and again when `cache.ttl` has passed. Envoy"
    " has its cache of tokens on.",
)
PROOFS: Final = Case(
    "proofs",
    "Tokens proved anew",
    (
        Column("proofs/s", "proofs"),
        Column("bare calls/s", "bare"),
        Column("proof ÷ bare call", "times_bare", 2),
    ),
    _proofs,
    "A proof reads the token, checks the signature, then the claims; the bare call is `verify` of"
    " `cryptography`. 64 tokens in turn, nothing remembered, one core.",
)
ROTATION: Final = Case(
    "rotation",
    "The issuer changes its key under load",
    (
        Column("changes", "rotations"),
        Column("requests", "requests"),
        Column("refused", "refused"),
        Column("without an answer", "failed"),
        Column("requests/s", "per_second"),
    ),
    _rotation,
    "Every request has a new token, signed by the newest key from the moment that it is published; the key"
    " before it stays in the set for one change.",
)
