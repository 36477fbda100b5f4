"""Keys that outlast whoever fetched them: other settings of their issuer, and other workers."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import time

import pytest
from authorities import Authority
from issuing import KEYS, Issuer, key_set
from signing_keys import SigningKey
from waiting import until

from gateway.domain.ports import KeysUnavailableError
from gateway.domain.token import TokenFacts
from gateway.identity.prover import Prover
from gateway.messages import KeyRecord
from gateway.settings.bearer import BearerSettings
from gateway.wiring.bearers import Issuers

KEY = SigningKey.made("EdDSA")


def settings(issuer: Issuer, /, key_sets: dict[str, object] | None = None, **own: object) -> BearerSettings:
    """What an operator writes; the issuer is tried once, and then not for a minute."""
    honest = {"issuer": issuer.url, "audience": "feeds", "algorithms": ["EdDSA"], "jwks": issuer.url + KEYS}
    calm = {"refresh": "60s", "refetch": "60s", **(key_sets or {})}
    return BearerSettings.model_validate({"issuers": [honest | own], "key_sets": calm})


def token(issuer: Issuer, **own: object) -> bytes:
    claims = {"iss": issuer.url, "aud": "feeds", "sub": "ada", "exp": int(time()) + 600}
    return KEY.token(claims | own).encode()


async def proves(prover: Prover, issuer: Issuer, **own: object) -> bool:
    """Whether a good token can be proven; it is never called bad."""
    try:
        found = await prover.examine(token(issuer, **own))
    except KeysUnavailableError:
        return False
    assert isinstance(found, TokenFacts)
    return found.name == "ada"


Keep = Callable[[KeyRecord], None]


@asynccontextmanager
async def issuers(*known: KeyRecord, keep: Keep = lambda _: None) -> AsyncIterator[Issuers]:
    opened = Issuers(known, keep)
    try:
        yield opened
    finally:
        await opened.close()


async def fetched(issuer: Issuer, under: BearerSettings) -> KeyRecord:
    """What a worker tells its parent of an issuer that is away afterwards."""
    told: list[KeyRecord] = []
    issuer.publish(KEY)
    async with issuers(keep=told.append) as worker:
        assert await proves(worker.prover(under), issuer)
    issuer.pages.clear()
    [keys] = told
    return keys


def authority_in(folder: Path) -> str:
    return str(Authority(folder).file)


CHANGED: dict[str, Callable[[Path], dict[str, object]]] = {
    "another place": lambda _: {"jwks": "http://127.0.0.1:9/keys"},
    "by discovery": lambda _: {"jwks": "discover"},
    "another authority": lambda folder: {"key_sets": {"ca": authority_in(folder)}},
}


@pytest.mark.parametrize("changed", CHANGED.values(), ids=CHANGED)
async def test_keys_of_a_source_that_is_not_configured_are_not_believed(
    issuer: Issuer, tmp_path: Path, changed: Callable[[Path], dict[str, object]]
) -> None:
    keys = await fetched(issuer, settings(issuer))
    async with issuers(keys) as worker:
        other = settings(issuer, **changed(tmp_path))
        assert not await proves(worker.prover(other), issuer)


async def test_keys_of_one_issuer_prove_nothing_for_another_at_the_same_place(issuer: Issuer) -> None:
    keys = await fetched(issuer, settings(issuer))
    async with issuers(keys) as worker:
        namesake = f"{issuer.url}/"
        prover = worker.prover(settings(issuer, issuer=namesake))
        assert not await proves(prover, issuer, iss=namesake)


@pytest.mark.parametrize("document", ["", "{", '{"keys": []}', key_set(SigningKey.made("EdDSA"))])
async def test_keys_that_cannot_be_used_make_no_worker_fail_and_no_token_bad(
    issuer: Issuer, document: str
) -> None:
    keys = await fetched(issuer, settings(issuer))
    async with issuers(keys | {"document": document}) as worker:
        assert not await proves(worker.prover(settings(issuer)), issuer)


async def test_keys_that_one_worker_fetched_serve_in_the_next(issuer: Issuer) -> None:
    keys = await fetched(issuer, settings(issuer))
    assert json.loads(keys["document"]) == json.loads(key_set(KEY))
    assert issuer.url not in keys["source"]
    async with issuers(keys) as worker:
        prover = worker.prover(settings(issuer))
        assert await proves(prover, issuer)
        await until(lambda: any("answered 404" in trouble for trouble in worker.troubles()))
        assert await proves(prover, issuer)


async def test_keys_outlast_a_reload_that_changes_how_they_are_kept(issuer: Issuer) -> None:
    """As when an operator lets them serve longer because the issuer is away."""
    issuer.publish(KEY)
    async with issuers() as worker:
        before = settings(issuer)
        assert await proves(worker.prover(before), issuer)
        issuer.pages.clear()
        after = settings(issuer, key_sets={"stale_for": "1d"})
        prover = worker.prover(after)
        await worker.let_go(after)
        assert await proves(prover, issuer)


async def test_an_issuer_that_is_believed_no_more_is_forgotten(issuer: Issuer) -> None:
    issuer.publish(KEY)
    async with issuers() as worker:
        assert await proves(worker.prover(settings(issuer)), issuer)
        issuer.pages.clear()
        nobody = BearerSettings()
        worker.prover(nobody)
        await worker.let_go(nobody)
        assert not await proves(worker.prover(settings(issuer)), issuer)
