"""Which URLs may be asked for keys and tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.issuers.url import parts_of, quoted, refuse_url, shown

GOOD = [
    "https://id.example.com",
    "https://id.example.com/",
    "HTTPS://ID.Example.COM:8443/realms/a%20b/keys?p=policy&x=1",
    "https://id.example.com./keys",
    "https://192.0.2.7/keys",
    "https://[2001:db8::1]:443/keys",
    "http://127.0.0.1:9000/keys",
    "http://127.8.9.10/keys",
    "http://[::1]:9000/keys",
    "http://localhost:9000/keys",
    "http://LOCALHOST/keys",
    "https://" + "a" * 63 + ".example.com",
]

REFUSED = [
    ("http://id.example.com/keys", "is not https"),
    ("http://192.0.2.7/keys", "is not https"),
    ("http://127.0.0.1.example.com/keys", "is not https"),
    ("http://localhost.example.com/keys", "is not https"),
    ("http://0.0.0.0/keys", "is not https"),
    ("http://[2001:db8::1]/keys", "is not https"),
    ("ftp://id.example.com/keys", "is not https"),
    ("file:///etc/passwd", "has no good host"),
    ("javascript://id.example.com/", "is not https"),
    ("id.example.com", "is no URL"),
    ("https:id.example.com", "is no URL"),
    ("//id.example.com/keys", "is no URL"),
    ("", "is no URL"),
    ("https://ada:secret@id.example.com/keys", "holds a user or a password"),
    ("https://ada@id.example.com/keys", "holds a user or a password"),
    ("https://id.example.com@192.0.2.7/keys", "holds a user or a password"),
    ("https://id.example.com/keys#one", "has a fragment"),
    ("https://id.example.com/keys#", "has a fragment"),
    ("https://", "has no good host"),
    ("https:///keys", "has no good host"),
    ("https://-id.example.com/", "has no good host"),
    ("https://id..example.com/", "has no good host"),
    ("https://2130706433/", "has no good host"),
    ("https://0x7f.1/", "has no good host"),
    ("https://127.1/", "has no good host"),
    ("https://[127.0.0.1]/", "has no good host"),
    ("https://[::1/", "has no good host"),
    ("https://[::1%25lo]/", "has no good host"),
    ("https://id.example.com:/", "has no good host"),
    ("https://id.example.com:0/", "has no port"),
    ("https://id.example.com:65536/", "has no port"),
    ("https://id.example.com:80a/", "has no good host"),
    ("https://id.example.com/a b", "percent-encoded"),
    ("https://id.example.com/a\r\nX: y", "percent-encoded"),
    ("https://id.example.com/\x00", "percent-encoded"),
    ("https://id.example.com\\@evil.example/", "holds a user or a password"),
    ("https://id.example.com\\evil", "percent-encoded"),
    ("https://id.example.com/%", "percent-encoded"),
    ("https://id.example.com/%zz", "percent-encoded"),
    ("https://bücher.example/", "percent-encoded"),
    ("https://id.example.com/" + "a" * 2048, "longer than"),
]


@pytest.mark.parametrize("url", GOOD)
def test_https_and_what_stays_on_this_machine_may_be_asked(url: str) -> None:
    assert refuse_url(url) is None


@pytest.mark.parametrize(("url", "why"), REFUSED)
def test_every_other_url_is_refused_with_the_reason(url: str, why: str) -> None:
    assert why in (refuse_url(url) or "")


@given(some.text())
def test_any_text_is_judged_and_can_be_shown(text: str) -> None:
    assert refuse_url(text) is not None
    assert shown(text).isascii()


@given(user=some.text("abc:", min_size=1), query=some.text("xyz=&", min_size=1))
def test_a_url_is_shown_without_its_secrets(user: str, query: str) -> None:
    assert shown(f"https://{user}@id.test/keys?{query}#{query}") == "https://id.test/keys"


def test_what_is_shown_prints() -> None:
    assert shown("https://id.test/\x1b[31m\n") == "https://id.test/\\x1b[31m\\n"


def test_a_url_is_taken_apart_as_it_stands() -> None:
    assert parts_of("HTTPS://Id.test:8443/a%2Fb/?c=d") == ("https", "https://Id.test:8443", "/a%2Fb/", "?c=d")


def test_a_foreign_value_is_quoted_so_that_it_prints_and_is_not_long() -> None:
    assert quoted("\x1b[2J\n") == r"'\x1b[2J\n'"
    assert len(quoted("a" * 10_000)) < 250
