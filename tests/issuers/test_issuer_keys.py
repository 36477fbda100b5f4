"""The keys of an issuer, kept fresh: under forged tokens, through outages, and over rotations."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import time

import pytest
from issuing import KEYS, OAUTH, OPENID, Issuer, key_set, running_issuer
from signing_keys import SigningKey
from waiting import until

from gateway.domain.ports import KeysUnavailableError
from gateway.issuers.fetching import Fetcher
from gateway.issuers.issuer_keys import SPREAD, Freshness, IssuerKeys
from gateway.issuers.key_source import DISCOVER, FetchedKeys, KeySource, Published
from gateway.jose.key_set import KeySet

OLD, NEW, NEWEST = (SigningKey.made("EdDSA") for _ in range(3))
CALM = Freshness(refresh=60, stale_for=60, refetch=60)
"""Nothing happens in a test but what a caller causes."""

LIVELY = Freshness(refresh=0.05, stale_for=60, refetch=0.05)
"""Everything happens by itself, soon."""


def of(*keys: SigningKey) -> KeySet:
    return KeySet.parse(key_set(*keys).encode())


def at(issuer: Issuer) -> KeySource:
    return KeySource(issuer.url, issuer.url + KEYS)


@asynccontextmanager
async def kept(
    source: KeySource,
    freshness: Freshness,
    within: float = 5.0,
    known: Published | None = None,
    tell: Callable[[Published], None] = lambda _: None,
) -> AsyncIterator[IssuerKeys]:
    """Keys that are kept fresh as long as the block lasts; no task outlives it."""
    async with Fetcher(within) as fetcher:
        keys = IssuerKeys(source, fetcher, freshness, known, tell)
        keys.start()
        try:
            yield keys
        finally:
            await keys.close()
    mine = {task.get_name() for task in asyncio.all_tasks() if "IssuerKeys" in repr(task.get_coro())}
    assert not mine


async def unavailable(asked: Callable[[], object]) -> str:
    with pytest.raises(KeysUnavailableError) as caught:
        await asked()  # type: ignore[misc]  # a coroutine function
    return str(caught.value)


# Forged tokens


async def test_a_thousand_forged_keys_at_once_cause_one_fetch(issuer: Issuer) -> None:
    issuer.publish(OLD)
    async with kept(at(issuer), CALM) as keys:
        await keys.current()
        found = await asyncio.gather(*(keys.knowing(f"forged {number}") for number in range(1000)))
        assert set(found) == {of(OLD)}
        assert issuer.asked() == 2


async def test_forged_keys_one_after_the_other_cause_one_fetch_in_a_while(issuer: Issuer) -> None:
    issuer.publish(OLD)
    async with kept(at(issuer), CALM) as keys:
        for number in range(1000):
            assert await keys.knowing(f"forged {number}") == of(OLD)
        assert issuer.asked() == 2


async def test_after_a_while_a_forged_key_may_cause_another_fetch(issuer: Issuer) -> None:
    issuer.publish(OLD)
    loop = asyncio.get_running_loop()
    async with kept(at(issuer), Freshness(60, 60, refetch=0.3)) as keys:
        began = loop.time()
        while loop.time() - began < 1:
            await keys.knowing("forged")
            await asyncio.sleep(0.001)
        assert 3 <= issuer.asked() <= 2 + (loop.time() - began) / 0.3


async def test_a_genuine_rotation_uses_up_no_allowance(issuer: Issuer) -> None:
    issuer.publish(OLD)
    async with kept(at(issuer), CALM) as keys:
        await keys.current()
        issuer.publish(OLD, NEW)
        assert (await keys.knowing(NEW.kid)).knows(NEW.kid)
        issuer.publish(NEW, NEWEST)
        assert (await keys.knowing(NEWEST.kid)).knows(NEWEST.kid)
        assert issuer.asked() == 3


async def test_forged_keys_do_not_profit_from_a_rotation(issuer: Issuer) -> None:
    issuer.publish(OLD)
    async with kept(at(issuer), CALM) as keys:
        await keys.current()
        issuer.publish(OLD, NEW)
        for number in range(100):
            await keys.knowing(f"forged {number}")
        assert issuer.asked() == 3


async def test_an_issuer_whose_servers_disagree_brings_no_news_each_time(issuer: Issuer) -> None:
    sets = [key_set(OLD), key_set(NEW, OLD), key_set(NEW)]

    def turn_by_turn(_: object) -> bytes:
        issuer.page("/turn", sets[issuer.asked() % len(sets)])
        return issuer.pages["/turn"](issuer.server.requests[-1])

    issuer.pages[KEYS] = turn_by_turn
    async with kept(at(issuer), CALM) as keys:
        for number in range(100):
            await keys.knowing(f"forged {number}")
        assert issuer.asked() <= 5


@pytest.mark.parametrize("kid", [OLD.kid, None])
async def test_a_token_that_can_be_tried_with_what_is_there_causes_no_fetch(
    issuer: Issuer, kid: str | None
) -> None:
    issuer.publish(OLD)
    async with kept(at(issuer), CALM) as keys:
        for _ in range(100):
            assert await keys.knowing(kid) == of(OLD)
        assert issuer.asked() == 1


# Rotation


async def test_who_comes_while_a_fetch_is_under_way_shares_it(issuer: Issuer) -> None:
    issuer.publish(OLD)
    async with kept(at(issuer), CALM) as keys:
        await keys.current()
        issuer.publish(NEW)
        issuer.hold()
        first = asyncio.create_task(keys.knowing(NEW.kid))
        await until(lambda: issuer.asked() == 2)
        others = [asyncio.create_task(keys.knowing(NEW.kid)) for _ in range(100)]
        await asyncio.sleep(0)
        first.cancel()
        issuer.let_go()
        assert set(await asyncio.gather(*others)) == {of(NEW)}
        assert issuer.asked() == 2


async def test_a_refresh_that_began_before_a_key_was_published_decides_on_nobody_with_it(
    issuer: Issuer,
) -> None:
    issuer.publish(OLD)
    before = issuer.pages[KEYS]
    async with kept(at(issuer), Freshness(0.05, 60, 60)) as keys:
        await keys.current()
        issuer.hold()
        await until(lambda: issuer.asked() >= 2)
        late = [asyncio.create_task(keys.knowing(NEW.kid)) for _ in range(3)]
        await asyncio.sleep(0)
        issuer.pages[KEYS] = lambda request: (issuer.publish(NEW), before(request))[1]
        issuer.let_go()
        assert await asyncio.gather(*late) == [of(NEW)] * 3


async def test_keys_rotate_under_load_and_no_caller_is_left_without_its_key(issuer: Issuer) -> None:
    rotation = [SigningKey.made("EdDSA") for _ in range(8)]
    in_use = [rotation[0]]
    issuer.publish(*in_use)
    served = [0]

    async def call(keys: IssuerKeys) -> None:
        while in_use[-1] is not rotation[-1]:
            kid = in_use[-1].kid
            assert (await keys.knowing(kid)).knows(kid)
            served[0] += 1
            await asyncio.sleep(0)

    async with kept(at(issuer), Freshness(0.03, 60, 60)) as keys, asyncio.TaskGroup() as callers:
        for _ in range(20):
            callers.create_task(call(keys))
        for key in rotation[1:]:
            before = served[0]
            await until(lambda before=before: served[0] > before + 100)
            issuer.publish(*in_use[-1:], key)
            in_use.append(key)
    assert served[0] > 700


async def test_new_keys_are_taken_up_before_anybody_comes_with_one(issuer: Issuer) -> None:
    issuer.publish(OLD)
    async with kept(at(issuer), LIVELY) as keys:
        await until(lambda: keys.now_known == of(OLD))
        issuer.publish(NEW)
        await until(lambda: keys.now_known == of(NEW))
        assert not (await keys.current()).knows(OLD.kid)


async def test_a_file_is_read_again_for_an_unknown_key(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(key_set(OLD))
    async with kept(KeySource("https://id.test", file), CALM) as keys:
        assert await keys.current() == of(OLD)
        file.write_text(key_set(NEW))
        assert await keys.knowing(NEW.kid) == of(NEW)
        file.unlink()
        assert await keys.knowing(NEW.kid) == of(NEW)
        assert "cannot be read" in await unavailable(lambda: keys.knowing("another"))
        assert await keys.current() == of(NEW)


# What a hostile or broken issuer says


BROKEN: list[tuple[Callable[[Issuer], object], str]] = [
    (lambda issuer: issuer.page(KEYS, "", 500), "answered 500"),
    (lambda issuer: issuer.page(KEYS, "", 404), "answered 404"),
    (lambda issuer: issuer.page(KEYS, "", 302, Location=OAUTH), "answered 302: it redirects"),
    (lambda issuer: issuer.page(KEYS, "<html></html>", kind="text/html"), "is 'text/html', not JSON"),
    (lambda issuer: issuer.page(KEYS, "<html></html>"), "the key set is not JSON"),
    (lambda issuer: issuer.page(KEYS, '{"keys": []}'), "the key set is empty"),
    (lambda issuer: issuer.page(KEYS, '{"keys": [], "keys": []}'), "has a member twice"),
    (lambda issuer: issuer.page(KEYS, b" " * 300_000), "is longer than 256 KiB"),
    (
        lambda issuer: issuer.page(KEYS, gzip.compress(b" " * 9_000_000), Content_Encoding="gzip"),
        "is compressed",
    ),
    (
        lambda issuer: issuer.page(KEYS, key_set(NEW).replace('"kid"', '"kid": "a", "kid"')),
        "has a member twice",
    ),
    (
        lambda issuer: issuer.pages.update({KEYS: lambda _: b"HTTP/1.1 200 OK\r\n\x00\r\n\r\n"}),
        "not HTTP/1.1",
    ),
    (lambda issuer: issuer.describe(issuer="https://id.example.com"), "is the metadata of the issuer"),
    (lambda issuer: issuer.describe(jwks_uri="http://192.0.2.7/keys"), "jwks_uri that is not https"),
    (lambda issuer: issuer.page(OAUTH, "<html></html>"), "is not JSON"),
    (lambda issuer: issuer.pages.pop(OAUTH), "answered 404"),
]


@pytest.mark.parametrize(("broken", "why"), BROKEN)
async def test_whatever_an_issuer_says_the_last_good_keys_serve_until_it_is_well(
    issuer: Issuer, caplog: pytest.LogCaptureFixture, broken: Callable[[Issuer], object], why: str
) -> None:
    issuer.publish(OLD)
    issuer.describe()
    async with kept(KeySource(issuer.url, DISCOVER), LIVELY) as keys:
        assert await keys.current() == of(OLD)
        assert keys.trouble is None
        broken(issuer)
        await until(lambda: keys.trouble is not None)
        assert why in (keys.trouble or "")
        assert "the last good ones serve for" in (keys.trouble or "")
        assert await keys.current() == of(OLD)
        assert why in await unavailable(lambda: keys.knowing("unknown"))
        issuer.publish(NEW)
        issuer.describe()
        await until(lambda: keys.now_known == of(NEW))
        assert keys.trouble is None
    told = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) == 1, "an outage is told once, not at each try"


async def test_a_slow_issuer_holds_nobody_who_has_keys(issuer: Issuer) -> None:
    issuer.publish(OLD)
    async with kept(at(issuer), LIVELY, within=0.5) as keys:
        await keys.current()
        issuer.hold()
        await until(lambda: keys.trouble is not None)
        assert "has not answered whole within 0.5 s" in (keys.trouble or "")
        assert await asyncio.wait_for(keys.current(), 0.05) == of(OLD)
        issuer.let_go()
        await until(lambda: keys.trouble is None)


async def test_keys_that_somebody_has_to_mend_are_told(issuer: Issuer) -> None:
    weak = [NEW.public_jwk | {"kid": f"weak {number}", "x": "AA"} for number in range(5)]
    issuer.page(KEYS, json.dumps({"keys": [OLD.public_jwk, *weak]}))
    async with kept(at(issuer), CALM) as keys:
        assert await keys.current() == of(OLD)
        assert keys.trouble is not None
        assert keys.trouble.startswith(f"Some keys of {issuer.url} are not used: key 2 ('weak 0')")
        assert keys.trouble.endswith("and 2 more.")


# Outages


async def test_the_first_callers_wait_for_the_first_fetch_and_share_it(issuer: Issuer) -> None:
    issuer.publish(OLD)
    issuer.hold()
    async with kept(at(issuer), CALM) as keys:
        waiting = [asyncio.create_task(keys.current()) for _ in range(100)]
        await until(lambda: issuer.asked() == 1)
        assert keys.now_known is None
        issuer.let_go()
        assert set(await asyncio.gather(*waiting)) == {of(OLD)}
        assert issuer.asked() == 1


async def test_without_keys_a_crowd_is_told_and_causes_no_more_fetches(issuer: Issuer) -> None:
    async with kept(at(issuer), CALM) as keys:
        for _ in range(3):
            told = await asyncio.gather(*(unavailable(keys.current) for _ in range(100)))
            why = f"The keys of {issuer.url} cannot be fetched: {issuer.url}{KEYS} answered 404"
            assert set(told) == {f"{why}; no token of this issuer can be proven until they are."}
            await asyncio.gather(*(unavailable(lambda: keys.knowing("any")) for _ in range(100)))
        assert issuer.asked() == 1


async def test_no_caller_waits_longer_than_its_patience(issuer: Issuer) -> None:
    issuer.publish(OLD)
    issuer.hold()
    async with kept(at(issuer), Freshness(60, 60, 60, patience=0.1)) as keys:
        assert await unavailable(keys.current) == f"The keys of {issuer.url} have not come within 0.1 s."
        issuer.let_go()
        await until(lambda: keys.now_known is not None)
        assert await keys.current() == of(OLD)
        assert issuer.asked() == 1


async def test_an_unknown_key_during_an_outage_is_nobodys_fault_and_drives_no_traffic(issuer: Issuer) -> None:
    issuer.publish(OLD)
    async with kept(at(issuer), CALM) as keys:
        await keys.current()
        issuer.page(KEYS, "", 503)
        for number in range(100):
            assert "answered 503" in await unavailable(lambda: keys.knowing(f"unknown {number}"))  # noqa: B023 - called at once
        assert await keys.knowing(OLD.kid) == of(OLD)
        assert issuer.asked() == 2


async def test_the_last_good_keys_serve_for_the_stated_time_and_no_longer(issuer: Issuer) -> None:
    issuer.publish(OLD)
    async with kept(at(issuer), Freshness(refresh=0.05, stale_for=1, refetch=0.05)) as keys:
        await keys.current()
        issuer.page(KEYS, "", 500)
        await until(lambda: keys.trouble is not None)
        assert await keys.current() == of(OLD)
        await until(lambda: "no token of this issuer can be proven" in (keys.trouble or ""))
        assert "answered 500" in await unavailable(keys.current)
        assert "answered 500" in await unavailable(lambda: keys.knowing(OLD.kid))
        assert keys.now_known == of(OLD)
        issuer.publish(OLD)
        await until(lambda: keys.trouble is None)
        assert await keys.knowing(OLD.kid) == of(OLD)


async def test_while_all_is_well_keys_serve_though_they_may_not_grow_stale(issuer: Issuer) -> None:
    issuer.publish(OLD)
    async with kept(at(issuer), Freshness(refresh=60, stale_for=0, refetch=60)) as keys:
        await keys.current()
        await asyncio.sleep(0.01)
        assert await keys.current() == of(OLD)
        assert issuer.asked() == 1


async def test_an_issuer_that_ends_and_comes_back_is_noticed_without_a_caller() -> None:
    async with running_issuer() as issuer:
        issuer.publish(OLD)
        port = issuer.server.port
        fetcher = Fetcher()
        keys = IssuerKeys(at(issuer), fetcher, LIVELY)
        keys.start()
        await keys.current()
    await until(lambda: "connection refused" in (keys.trouble or ""))
    assert await keys.current() == of(OLD)
    async with running_issuer(port=port) as issuer:
        issuer.publish(NEW)
        await until(lambda: keys.trouble is None)
        assert await keys.current() == of(NEW)
        await keys.close()
        await fetcher.close()


# Keys that another worker fetched


def published(*keys: SigningKey, ago: float = 0.0) -> Published:
    return Published(key_set(*keys).encode(), time() - ago)


@pytest.mark.parametrize("ago", [60, 61, 1e9])
async def test_keys_that_were_known_before_and_are_too_old_prove_nothing(issuer: Issuer, ago: float) -> None:
    """Their age counts on, also until the first fetch has failed."""
    issuer.hold()
    terms = Freshness(refresh=60, stale_for=60, refetch=60, patience=0.1)
    async with kept(at(issuer), terms, known=published(OLD, ago=ago)) as keys:
        assert "have not come within" in await unavailable(keys.current)
        assert "have not come within" in await unavailable(lambda: keys.knowing(OLD.kid))
        issuer.let_go()
        await until(lambda: keys.trouble is not None)
        assert "no token of this issuer can be proven" in await unavailable(keys.current)


@pytest.mark.parametrize("document", [b"", b"\xff", b"{}", b'{"keys": []}', b'{"keys": [{"kty": "oct"}]}'])
async def test_what_was_known_before_and_is_no_key_set_is_ignored(issuer: Issuer, document: bytes) -> None:
    async with kept(at(issuer), CALM, known=Published(document, time())) as keys:
        assert keys.now_known is None
        assert "answered 404" in await unavailable(keys.current)
    issuer.publish(NEW)
    async with kept(at(issuer), CALM, known=Published(document, time())) as keys:
        assert await keys.current() == of(NEW)


@pytest.mark.parametrize("ago", [0, 59, -3600], ids=["just now", "a while ago", "by a clock that went back"])
async def test_keys_that_were_known_before_serve_while_the_issuer_is_away(issuer: Issuer, ago: float) -> None:
    async with kept(at(issuer), Freshness(60, 90, 60), known=published(OLD, ago=ago)) as keys:
        assert await asyncio.wait_for(keys.current(), 1) == of(OLD)
        assert "answered 404" in await unavailable(lambda: keys.knowing(NEW.kid))
        assert await keys.knowing(OLD.kid) == of(OLD)
        assert "the last good ones serve for" in (keys.trouble or "")


async def test_keys_that_were_known_before_serve_until_they_are_stale_and_no_longer(issuer: Issuer) -> None:
    issuer.hold()
    terms = Freshness(refresh=60, stale_for=60, refetch=60, patience=0.1)
    async with kept(at(issuer), terms, known=published(OLD, ago=58)) as keys:
        assert await keys.current() == of(OLD)
        await asyncio.sleep(2.05)
        assert "have not come within" in await unavailable(keys.current)


async def test_keys_are_fetched_at_once_though_some_were_known_before(issuer: Issuer) -> None:
    issuer.publish(NEW)
    issuer.hold()
    async with kept(at(issuer), CALM, known=published(OLD)) as keys:
        await until(lambda: issuer.asked() == 1)
        assert await asyncio.wait_for(keys.current(), 1) == of(OLD)
        late = asyncio.create_task(keys.knowing(NEW.kid))
        await asyncio.sleep(0)
        issuer.let_go()
        assert await late == of(NEW)
        assert await keys.current() == of(NEW)
        assert issuer.asked() == 1


async def test_what_is_fetched_is_told_as_it_was_published_and_when_and_what_cannot_be_used_is_not(
    issuer: Issuer,
) -> None:
    told: list[Published] = []
    began = time()
    async with kept(at(issuer), LIVELY, known=published(OLD), tell=told.append) as keys:
        await until(lambda: keys.trouble is not None)
        issuer.page(KEYS, '{"keys": []}')
        await until(lambda: "is empty" in (keys.trouble or ""))
        assert told == []
        issuer.publish(NEW)
        await until(lambda: len(told) > 1)
    assert {one.document for one in told} == {key_set(NEW).encode()}
    assert began <= told[0].fetched_at <= told[1].fetched_at <= time()
    assert NEW.public_jwk["x"] not in repr(told)


async def test_what_a_file_holds_is_told_to_nobody(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(key_set(OLD))
    told: list[Published] = []
    async with kept(KeySource("https://id.test", file), LIVELY, tell=told.append) as keys:
        file.write_text(key_set(NEW))
        await until(lambda: keys.now_known == of(NEW))
    assert told == []


# Pauses


@pytest.mark.parametrize(
    ("max_age", "pause"), [(None, 300), (0, 30), (29, 30), (31, 31), (299, 299), (86_400, 300)]
)
async def test_keys_are_fetched_again_before_they_expire_and_not_too_often(
    fetcher: Fetcher, max_age: float | None, pause: float
) -> None:
    keys = IssuerKeys(KeySource("https://id.test", DISCOVER), fetcher, Freshness())
    assert keys._take(FetchedKeys(of(OLD), max_age)) == pause


async def test_pauses_grow_while_an_issuer_is_away_and_begin_anew_once_it_was_back(fetcher: Fetcher) -> None:
    keys = IssuerKeys(KeySource("https://id.test", DISCOVER), fetcher, Freshness())
    assert [keys._fail("away", 0) for _ in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert [keys._fail("away", 0) for _ in range(1000)][-1] == 60
    keys._take(FetchedKeys(of(OLD), None))
    assert keys._fail("away", 0) == 1


async def test_while_all_is_well_an_issuer_is_asked_once_in_each_period(issuer: Issuer) -> None:
    issuer.publish(OLD)
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with kept(at(issuer), Freshness(0.2, 60, 60)):
        await until(lambda: issuer.asked() >= 4)
        assert loop.time() - began >= 3 * 0.2 * (1 - SPREAD) - 0.02


async def test_what_callers_cause_does_not_add_to_what_happens_by_itself(issuer: Issuer) -> None:
    issuer.publish(OLD)
    loop = asyncio.get_running_loop()
    async with kept(at(issuer), Freshness(0.3, 60, 60)) as keys:
        for _ in range(20):
            key = SigningKey.made("EdDSA")
            issuer.publish(key)
            await keys.knowing(key.kid)
        before, began = issuer.asked(), loop.time()
        await until(lambda: issuer.asked() >= before + 2)
        assert issuer.asked() - before <= 2 + (loop.time() - began) / 0.27


# The end


async def test_closing_tells_who_waits_and_asks_nothing_more(issuer: Issuer) -> None:
    issuer.hold()
    async with Fetcher() as fetcher:
        keys = IssuerKeys(at(issuer), fetcher, LIVELY)
        keys.start()
        waiting = asyncio.create_task(keys.current())
        await until(lambda: issuer.asked() == 1)
        await keys.close()
        with pytest.raises(KeysUnavailableError, match="fetched any more"):
            await waiting
        assert "fetched any more" in await unavailable(keys.current)
        issuer.let_go()
        await until(lambda: not issuer.open)
        assert issuer.asked() == 1


async def test_keys_that_are_started_twice_are_kept_once(issuer: Issuer) -> None:
    issuer.publish(OLD)
    issuer.hold()
    async with kept(at(issuer), CALM) as keys:
        keys.start()
        issuer.let_go()
        await keys.current()
        assert issuer.asked() == 1


async def test_what_was_never_started_can_be_asked_and_closed(issuer: Issuer, fetcher: Fetcher) -> None:
    issuer.publish(OLD)
    keys = IssuerKeys(at(issuer), fetcher, LIVELY)
    assert await keys.current() == of(OLD)
    await keys.close()
    await IssuerKeys(at(issuer), fetcher, LIVELY).close()


async def test_both_kinds_of_metadata_are_looked_for_at_each_refresh(issuer: Issuer) -> None:
    issuer.publish(OLD)
    issuer.describe(OPENID)
    async with kept(KeySource(issuer.url, DISCOVER), LIVELY) as keys:
        await keys.current()
        issuer.page("/moved", key_set(NEW))
        issuer.describe(OPENID, jwks_uri=f"{issuer.url}/moved")
        await until(lambda: keys.now_known == of(NEW))
