"""One reading of a path, or a refusal that says why there are more."""

import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.domain.verdict import Reason, Refusal
from gateway.routing import canonical as rules
from gateway.routing.canonical import canonical_path

STRICT: frozenset[str] = frozenset()
SLASH = frozenset({rules.ENCODED_SLASH})
SEMICOLON = frozenset({rules.SEMICOLON})
EMPTY = frozenset({rules.EMPTY_SEGMENTS})


@pytest.mark.parametrize(
    "path",
    [
        b"/",
        b"/v2/courses",
        b"/v2/courses/",
        b"/a-b_c~d.e/!$&'()*+,=:@",
        b"/..a/.b/c../d./...",
        b"/%20/%7B%7D%22%3C%3E%5B%5D%5E%60%7C%3F",
        b"/%C3%BC",
        b"/100%25",
        b"/100%25/%25zz",
        b"/%28:%3A%29",
        b"/%40%26%2B",
        b"/%FF",
        b"/%2541",
    ],
)
def test_a_normal_form_is_left_alone(path: bytes) -> None:
    assert canonical_path(path, STRICT) == path


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        (b"/%41%7a%30%2d%5F%7E", b"/Az0-_~"),
        (b"/v2/%63ourses", b"/v2/courses"),
        (b"/a%2Eb", b"/a.b"),
        (b"/%c3%bc", b"/%C3%BC"),
        (b"/%7bid%7d", b"/%7Bid%7D"),
        (b"/%61/%3a", b"/a/%3A"),
    ],
)
def test_unreserved_characters_are_decoded_and_hex_is_upper_case(path: bytes, normal: bytes) -> None:
    assert canonical_path(path, STRICT) == normal


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        (b"", rules.NOT_ROOTED),
        (b"v2", rules.NOT_ROOTED),
        (b"*", rules.NOT_ROOTED),
        (b"/.", rules.DOT_SEGMENT),
        (b"/..", rules.DOT_SEGMENT),
        (b"/a/./b", rules.DOT_SEGMENT),
        (b"/a/../b", rules.DOT_SEGMENT),
        (b"/a/..", rules.DOT_SEGMENT),
        (b"/a/%2e/b", rules.DOT_SEGMENT),
        (b"/a/%2e%2E/b", rules.DOT_SEGMENT),
        (b"/a/.%2e/", rules.DOT_SEGMENT),
        (b"//", rules.EMPTY_SEGMENT),
        (b"//a", rules.EMPTY_SEGMENT),
        (b"/a//b", rules.EMPTY_SEGMENT),
        (b"/a//", rules.EMPTY_SEGMENT),
        (b"/a%2Fb", rules.SLASH_ESCAPED),
        (b"/a/..%2fb", rules.SLASH_ESCAPED),
        (b"/a\\b", rules.BACKSLASH),
        (b"/a%5Cb", rules.BACKSLASH),
        (b"/a%5cb", rules.BACKSLASH),
        (b"/a%00", rules.CONTROL),
        (b"/a%0d%0aX", rules.CONTROL),
        (b"/a%1F", rules.CONTROL),
        (b"/a%7f", rules.CONTROL),
        (b"/a\x00", rules.CONTROL),
        (b"/a\tb", rules.CONTROL),
        (b"/a\x7f", rules.CONTROL),
        (b"/a;b", rules.PARAMETER),
        (b"/..;/b", rules.PARAMETER),
        (b"/a%3Bb", rules.PARAMETER),
        (b"/a%3b", rules.PARAMETER),
        (b"/\xc3\xbc", rules.NOT_ASCII),
        (b"/\x80", rules.NOT_ASCII),
        (b"/%", rules.BAD_ESCAPE),
        (b"/%4", rules.BAD_ESCAPE),
        (b"/%zz", rules.BAD_ESCAPE),
        (b"/%%36%36", rules.BAD_ESCAPE),
        (b"/%u002e", rules.BAD_ESCAPE),
        (b"/a#b", rules.FRAGMENT),
        (b"/a%23b", rules.FRAGMENT),
        (b"/a b", rules.FOREIGN),
        (b'/"', rules.FOREIGN),
        (b"/<", rules.FOREIGN),
        (b"/a?b", rules.FOREIGN),
        (b"/[x]", rules.FOREIGN),
        (b"/{id}", rules.FOREIGN),
        (b"/a|b", rules.FOREIGN),
        (b"/a^b`", rules.FOREIGN),
        (b"/%252e%252e/a", rules.TWICE),
        (b"/%25%32%65/a", rules.TWICE),
        (b"/%252fa", rules.TWICE),
        (b"/%255ca", rules.TWICE),
        (b"/%253ba", rules.TWICE),
        (b"/%2500", rules.TWICE),
        (b"/%257f", rules.TWICE),
        (b"/%25c0%25af", rules.TWICE),
        (b"/%25252e", rules.TWICE),
        (b"/%25%2532%2565", rules.TWICE),
        (b"/" + b"%25" * 5 + b"25252541", rules.TWICE),
        (b"/%c0%af", rules.OVERLONG),
        (b"/%C0%AE%C0%AE", rules.OVERLONG),
        (b"/%E0%80%AF", rules.OVERLONG),
        (b"/%F0%80%80%AF", rules.OVERLONG),
        (b"/%F8%80%80%80%AF", rules.OVERLONG),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_with_its_rule(path: bytes, refusal: Refusal) -> None:
    assert canonical_path(path, STRICT) is refusal
    assert refusal.reason is Reason.PATH_AMBIGUOUS
    assert refusal.detail.endswith(".")


@pytest.mark.parametrize(
    ("path", "allowed", "expected"),
    [
        (b"/a%2fb", SLASH, b"/a%2Fb"),
        (b"/a%2F", SLASH, b"/a%2F"),
        (b"/a/..%2Fb", SLASH, rules.DOT_SEGMENT),
        (b"/a%2F..%2Fb", SLASH, rules.DOT_SEGMENT),
        (b"/a%2F%2Fb", SLASH, rules.EMPTY_SEGMENT),
        (b"/a/%2F", SLASH, rules.EMPTY_SEGMENT),
        (b"/a%252Fb", SLASH, rules.TWICE),
        (b"/a%5Cb", SLASH, rules.BACKSLASH),
        (b"/a;b", SLASH, rules.PARAMETER),
        (b"/a;b=1/c%3b", SEMICOLON, b"/a;b=1/c%3B"),
        (b"/..;x/b", SEMICOLON, rules.DOT_SEGMENT),
        (b"/..%3Bx/b", SEMICOLON, rules.DOT_SEGMENT),
        (b"/%2e;/b", SEMICOLON, rules.DOT_SEGMENT),
        (b"/;x/b", SEMICOLON, rules.EMPTY_SEGMENT),
        (b"/a/;x", SEMICOLON, rules.EMPTY_SEGMENT),
        (b"/a//b", SEMICOLON, rules.EMPTY_SEGMENT),
        (b"/a%2Fb", SEMICOLON, rules.SLASH_ESCAPED),
        (b"//a///b//", EMPTY, b"//a///b//"),
        (b"//", EMPTY, b"//"),
        (b"//..//", EMPTY, rules.DOT_SEGMENT),
        (b"/a;b", EMPTY, rules.PARAMETER),
        (b"/a/;x%2F", SLASH | SEMICOLON | EMPTY, b"/a/;x%2F"),
    ],
)
def test_a_relaxation_opens_its_own_rule_and_no_other(
    path: bytes, allowed: frozenset[str], expected: bytes | Refusal
) -> None:
    assert canonical_path(path, allowed) == expected


def test_a_path_of_percent_signs_is_refused_quickly() -> None:
    assert canonical_path(b"/" + b"%25" * 20_000 + b"2e", STRICT) is rules.TWICE


PIECES = [
    *(
        b"/",
        b"//",
        b".",
        b"..",
        b"a",
        b"Z9",
        b"%",
        b"%2",
        b"%2e",
        b"%2E",
        b"%2f",
        b"%2F",
        b"%5c",
        b"\\",
        b";",
    ),
    *(
        b"%3b",
        b"%25",
        b"25",
        b"2e",
        b"2f",
        b"5c",
        b"3b",
        b"%00",
        b"%0a",
        b"%7f",
        b"%41",
        b"%c3%bc",
        b"%c0%af",
    ),
    *(b"#", b"%23", b"?", b" ", b"\x00", b"\x80", b"{", b"%7b", b"~", b"@", b":", b"%e0%80%af", b"%%36"),
]
paths = st.lists(st.sampled_from(PIECES), max_size=10).map(
    lambda pieces: b"/" + b"".join(pieces)
) | st.binary(max_size=16).map(lambda raw: b"/" + raw)
relaxations = st.frozensets(st.sampled_from([rules.ENCODED_SLASH, rules.SEMICOLON, rules.EMPTY_SEGMENTS]))


@given(paths, relaxations)
def test_the_normal_form_of_a_normal_form_is_itself(path: bytes, allowed: frozenset[str]) -> None:
    normal = canonical_path(path, allowed)
    if not isinstance(normal, Refusal):
        assert canonical_path(normal, allowed) == normal


@given(paths, relaxations)
def test_a_normal_form_means_what_was_sent(path: bytes, allowed: frozenset[str]) -> None:
    normal = canonical_path(path, allowed)
    if not isinstance(normal, Refusal):
        assert unquote_to_bytes(normal) == unquote_to_bytes(path)


@given(paths, relaxations)
@example(b"/%25%2532%2565%25%2532%2565/", frozenset())
def test_what_is_accepted_hides_nothing_that_is_refused(path: bytes, allowed: frozenset[str]) -> None:
    """However often a feed decodes, and whatever it takes for a slash, no refused segment comes out."""
    normal = canonical_path(path, allowed)
    if isinstance(normal, Refusal):
        return
    decoded = normal
    for times in range(1, 5):
        decoded, before = unquote_to_bytes(decoded), decoded
        segments = decoded.split(b"/")
        names = [re.split(rb";", segment)[0] for segment in segments]
        assert b"." not in names
        assert b".." not in names
        assert not re.search(rb"[\x00-\x1f\x7f\\#]", decoded)
        if rules.SEMICOLON not in allowed:
            assert b";" not in decoded
        if rules.EMPTY_SEGMENTS not in allowed:
            assert b"//" not in decoded
        if rules.ENCODED_SLASH not in allowed or times > 1:
            assert decoded.count(b"/") == before.count(b"/")


@given(paths)
def test_strictly_accepted_paths_are_plain_characters_and_good_escapes(path: bytes) -> None:
    normal = canonical_path(path, STRICT)
    if not isinstance(normal, Refusal):
        assert re.fullmatch(rb"(?:/(?:[A-Za-z0-9\-._~!$&'()*+,=:@]|%[0-9A-F]{2})*)+", normal)
        assert not re.search(rb"%(?:2[DEF]|3[0-9B]|4[1-9A-F]|5[0-9AF]|5C|6[1-9A-F]|7[0-9AE])", normal)
