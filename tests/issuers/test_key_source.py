"""The keys of an issuer by discovery, from a URL and from a file; and what an issuer may not say of them."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from authorities import Authority
from issuing import KEYS, OAUTH, OPENID, Issuer, key_set, running_issuer
from signing_keys import SigningKey

from gateway.issuers.fetching import LARGEST, Fetcher, FetchError
from gateway.issuers.key_source import DISCOVER, KeySource, fetch_keys, metadata_places
from gateway.jose.key_set import KeySet

KEY = SigningKey.made("EdDSA")
GOOD = KeySet.parse(key_set(KEY).encode())


async def fault_of(source: KeySource, fetcher: Fetcher) -> str:
    with pytest.raises(FetchError) as caught:
        await fetch_keys(source, fetcher)
    return str(caught.value)


def discovered(issuer: Issuer, path: str = "") -> KeySource:
    return KeySource(issuer.url + path, DISCOVER)


# Metadata that must not be believed


LIES: list[tuple[Mapping[str, object], str]] = [
    ({"issuer": "https://id.example.com"}, "is the metadata of the issuer 'https://id.example.com', not"),
    ({"issuer": None}, "is the metadata of the issuer None"),
    ({"issuer": ["http://localhost"]}, "is the metadata of the issuer ["),
    ({"issuer": "a" * 100_000}, "is the metadata of the issuer 'aaa"),
    ({"jwks_uri": None}, "names no jwks_uri"),
    ({"jwks_uri": 1}, "names no jwks_uri"),
    ({"jwks_uri": ["http://localhost/keys"]}, "names no jwks_uri"),
    ({"jwks_uri": ""}, "names a jwks_uri that is no URL"),
    ({"jwks_uri": "/keys"}, "names a jwks_uri that is no URL"),
    ({"jwks_uri": "http://id.example.com/keys"}, "names a jwks_uri that is not https"),
    ({"jwks_uri": "http://169.254.169.254/latest"}, "names a jwks_uri that is not https"),
    ({"jwks_uri": "file:///etc/passwd"}, "names a jwks_uri that has no good host"),
    ({"jwks_uri": "https://ada:pa55@id.example.com/keys"}, "names a jwks_uri that holds a user"),
]


@pytest.mark.parametrize("path", [OAUTH, OPENID])
@pytest.mark.parametrize(("members", "why"), LIES)
async def test_metadata_that_lies_leads_to_no_keys(
    issuer: Issuer, fetcher: Fetcher, path: str, members: Mapping[str, object], why: str
) -> None:
    issuer.publish(KEY)
    issuer.describe(path, **members)
    fault = await fault_of(discovered(issuer), fetcher)
    assert why in fault
    assert "pa55" not in fault
    assert len(fault) < 1000
    assert issuer.asked(KEYS) == 0


@pytest.mark.parametrize(
    "written", ["{url}/", "{URL}", "{url}?", "{url}/a/..", " {url}", "http://127.0.0.1:{port}"]
)
async def test_the_issuer_is_compared_character_by_character(
    issuer: Issuer, fetcher: Fetcher, written: str
) -> None:
    issuer.publish(KEY)
    port = issuer.server.port
    named = written.format(url=issuer.url, URL=issuer.url.upper(), port=port)
    issuer.describe(OAUTH, issuer=named)
    assert "is the metadata of the issuer" in await fault_of(discovered(issuer), fetcher)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<html></html>", "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b"", "is not JSON"),
        (b'{"issuer": "%s", "jwks_uri": "%s", "issuer": "%s"}', "has a member twice"),
        (b'{"issuer": "%s", "jwks_uri": "http://[::1]:1/keys", "jwks_uri": "%s%s"}', "has a member twice"),
    ],
)
async def test_metadata_that_can_be_read_in_two_ways_is_not_read(
    issuer: Issuer, fetcher: Fetcher, body: bytes, why: str
) -> None:
    issuer.publish(KEY)
    issuer.page(OAUTH, body.replace(b"%s", issuer.url.encode()))
    assert why in await fault_of(discovered(issuer), fetcher)


async def test_an_issuer_over_tls_cannot_send_us_to_a_plain_port_of_this_machine(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = authority.server(authority.pair("localhost"))
    async with (
        running_issuer() as inside,
        running_issuer(tls) as issuer,
        Fetcher(ca=authority.file) as fetcher,
    ):
        inside.publish(KEY)
        issuer.describe(OAUTH, jwks_uri=inside.url + KEYS)
        why = await fault_of(discovered(issuer), fetcher)
        assert "names a jwks_uri that is not https, as the issuer is" in why
        assert inside.server.requests == []

        issuer.publish(KEY)
        issuer.describe(OAUTH)
        assert (await fetch_keys(discovered(issuer), fetcher)).keys == GOOD


# Discovery


async def test_keys_are_found_by_either_kind_of_metadata(issuer: Issuer, fetcher: Fetcher) -> None:
    issuer.publish(KEY)
    issuer.describe(OPENID)
    assert (await fetch_keys(discovered(issuer), fetcher)).keys == GOOD
    assert issuer.asked(OAUTH) == 1
    issuer.describe(OAUTH)
    assert (await fetch_keys(discovered(issuer), fetcher)).keys == GOOD
    assert issuer.asked(OPENID) == 1


@pytest.mark.parametrize("members", [{"issuer": "https://id.example.com"}, {"jwks_uri": None}])
async def test_metadata_of_no_use_does_not_hide_the_other_kind(
    issuer: Issuer, fetcher: Fetcher, members: dict[str, object]
) -> None:
    issuer.publish(KEY)
    issuer.describe(OAUTH, **members)
    issuer.describe(OPENID)
    assert (await fetch_keys(discovered(issuer), fetcher)).keys == GOOD


async def test_without_good_metadata_both_places_are_told_with_what_is_wrong(
    issuer: Issuer, fetcher: Fetcher
) -> None:
    issuer.page(OPENID, "<html></html>", kind="text/html")
    assert await fault_of(discovered(issuer), fetcher) == (
        f"{issuer.url}{OAUTH} answered 404; {issuer.url}{OPENID} is 'text/html', not JSON"
    )


async def test_a_server_that_is_away_is_asked_for_metadata_once(issuer: Issuer) -> None:
    issuer.hold()
    async with Fetcher(timeout=0.2) as hurried:
        assert "has not answered" in await fault_of(discovered(issuer), hurried)
    assert len(issuer.server.requests) == 1


PLACES = [
    (
        "https://id.test",
        "https://id.test/.well-known/oauth-authorization-server",
        "https://id.test/.well-known/openid-configuration",
    ),
    (
        "https://id.test/",
        "https://id.test/.well-known/oauth-authorization-server",
        "https://id.test/.well-known/openid-configuration",
    ),
    (
        "https://id.test/realms/one",
        "https://id.test/.well-known/oauth-authorization-server/realms/one",
        "https://id.test/realms/one/.well-known/openid-configuration",
    ),
    (
        "https://id.test:8443/realms/one/",
        "https://id.test:8443/.well-known/oauth-authorization-server/realms/one",
        "https://id.test:8443/realms/one/.well-known/openid-configuration",
    ),
]


@pytest.mark.parametrize(("issuer", "oauth", "openid"), PLACES)
def test_metadata_is_where_the_standards_say(issuer: str, oauth: str, openid: str) -> None:
    assert metadata_places(issuer) == (oauth, openid)


@pytest.mark.parametrize(
    ("issuer", "why"),
    [
        ("https://id.test/?tenant=one", "has a query"),
        ("http://id.test", "is not https"),
        ("https://ada:pa55@id.test", "holds a user or a password"),
        ("urn:example:issuer", "is no URL"),
        ("id.test", "is no URL"),
    ],
)
async def test_an_issuer_that_has_no_place_for_metadata_is_told(
    fetcher: Fetcher, issuer: str, why: str
) -> None:
    fault = await fault_of(KeySource(issuer, DISCOVER), fetcher)
    assert why in fault
    assert "pa55" not in fault


# Key sets


NO_KEYS = [
    ("<html></html>", "the key set is not JSON"),
    ("{}", "has no list `keys`"),
    ('{"keys": []}', "the key set is empty"),
    ('{"keys": {}}', "has no list `keys`"),
    ('{"keys": [], "keys": []}', "has a member twice"),
    (json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "a"}]}), "no key that verifies signatures"),
    (json.dumps({"keys": [KEY.public_jwk | {"use": "enc"}]}), "no key that verifies signatures"),
]


@pytest.mark.parametrize(("document", "why"), NO_KEYS)
async def test_a_document_without_usable_keys_is_a_failed_fetch(
    issuer: Issuer, fetcher: Fetcher, tmp_path: Path, document: str, why: str
) -> None:
    issuer.page(KEYS, document)
    (tmp_path / "keys.json").write_text(document)
    for place in (issuer.url + KEYS, tmp_path / "keys.json"):
        fault = await fault_of(KeySource(issuer.url, place), fetcher)
        assert fault.startswith(f"{place} cannot be used: ")
        assert why in fault


async def test_keys_from_a_url_come_as_published_and_with_the_time_they_may_be_kept(
    issuer: Issuer, fetcher: Fetcher
) -> None:
    issuer.publish(KEY, Cache_Control="max-age=120")
    source = KeySource("any issuer", issuer.url + KEYS)
    assert await fetch_keys(source, fetcher) == (GOOD, 120, key_set(KEY).encode())


async def test_keys_are_read_from_a_file_and_its_text_stays_there(fetcher: Fetcher, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(key_set(KEY))
    assert await fetch_keys(KeySource("any issuer", file), fetcher) == (GOOD, None, None)


async def test_a_file_that_is_none_is_told_in_a_sentence(fetcher: Fetcher, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "long").write_bytes(b" " * (LARGEST + 1))
    cases = {
        tmp_path / "absent": "cannot be read: no such file or directory",
        tmp_path: "is no file",
        tmp_path / "pipe": "is no file",
        Path("/dev/zero"): "is no file",
        tmp_path / "long": "is longer than 256 KiB",
    }
    for file, why in cases.items():
        assert await fault_of(KeySource("any issuer", file), fetcher) == f"{file} {why}"


@pytest.mark.parametrize(
    ("issuer", "shown"),
    [
        ("https://id.test/realms/one", "https://id.test/realms/one"),
        ("https://ada:pa55@id.test/?a=b", "https://id.test/"),
        ("accounts\n", r"'accounts\n'"),
    ],
)
def test_an_issuer_is_shown_without_secrets(issuer: str, shown: str) -> None:
    assert KeySource(issuer, DISCOVER).shown == shown
