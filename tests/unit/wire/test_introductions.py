"""Header sections read as forms: nothing may differ from reading each by itself."""

import os
import tempfile
from collections.abc import Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import Final

import pytest
from gateways import write_configuration
from hypothesis import example, given
from hypothesis import strategies as some

from gateway.configuration import load_everything
from gateway.deadlines import Deadlines
from gateway.domain.exchange import Exchange
from gateway.domain.header_policy import Credentials
from gateway.domain.principal import Principal, PrincipalKind
from gateway.domain.rights import Rights
from gateway.domain.verdict import Refusal
from gateway.forward.forwarded import own_lines
from gateway.forward.header_rules import CredentialRule, HeaderRules
from gateway.forward.prepared import Lines
from gateway.http1.head import Section, parse_section
from gateway.pipeline import Introduction, Pipeline
from gateway.wire.introductions import MOST_BYTES_REMEMBERED, MOST_REMEMBERED, Introductions
from gateway.wiring.plane import plane_of

MOST_FIELDS: Final = 12
NAMES: Final = (
    *(b"Host", b"host", b"X-API-Key", b"x-api-key", b"Authorization", b"Origin", b"Connection"),
    *(b"Content-Length", b"content-length", b"Transfer-Encoding", b"Expect", b"Upgrade", b"TE", b"Trailer"),
    *(b"traceparent", b"Cookie", b"If-None-Match", b"Accept", b"User-Agent", b"X-Custom", b"X_Custom"),
    *(b"X-Request-Id", b"X-Forwarded-For", b"Forwarded", b"X-Gateway-Principal", b"X-Real-IP"),
    *(b"X-HTTP-Method-Override", b"X-Method-Override", b"X.HTTP.Method", b"Access-Control-Request-Method"),
    *(b"a" * 64, b"b" * 65, b"", b"Bad Name", b"Sp ", b" Folded"),
)
VALUES: Final = (
    *(
        b"",
        b" ",
        b"a",
        b"two words",
        b"\ttab\t",
        b"a.test",
        b"b.test:8080",
        b"0",
        b"5",
        b"05",
        b"+5",
        b"5, 5",
    ),
    *(b"1" * 19, b"987654321987654321", b"~0~varies~", b"~1~varies~", b"x ~0~varies~ y", b"\xff", b"\x01"),
    *(b"close", b"keep-alive, traceparent", b"traceparent", b"X-Custom", b"chunked", b"100-continue"),
    *(b"websocket", b"upgrade", b"Bearer abc", b"Basic abc", b"DELETE", b"https://page.test", b"10.0.0.1"),
    *(b"\r", b"\n", b"a\nb: c", b"a\r\nX-API-Key: other", b"a\r\n folded"),
)
ENDS: Final = (b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r")
CONFIGURATIONS: Final[Mapping[str, str]] = {
    "as shipped": "",
    "lenient": "limits: {underscore_headers: allow}\nmethod_override: honour",
    "strict": "limits: {underscore_headers: reject}\nmethod_override: strip",
}


class Nobody:
    """Watches nothing."""

    def exchange(self, record: Exchange) -> None:
        """See Observer."""

    def upstream_error(self, feed: str, kind: str) -> None:
        """See Observer."""


def pipeline(main: str, feed: str) -> Pipeline:
    with tempfile.TemporaryDirectory() as directory:
        file = write_configuration(Path(directory), [9], main=main, feed=feed)
        configuration = load_everything(file, os.environ)
    return plane_of(configuration.settings, configuration.routes, {}, Deadlines(), Nobody()).terms.pipeline


POLICY: Final = "cors: {origins: ['https://page.test']}"
PIPELINES: Final = [pipeline(main, feed) for main, feed in product(CONFIGURATIONS.values(), ("", POLICY))]
RULES: Final = [
    HeaderRules("X-API-Key", CredentialRule()),
    HeaderRules("X-API-Key", CredentialRule(Credentials.PASS)),
    HeaderRules("X-API-Key", CredentialRule(Credentials.SET, "X-Feed", "987654321987654321")),
]
MARKED: Final = Principal(PrincipalKind.USER, "user:~0~varies~", "ada", (), Rights((0, 0, 0, 0)))
"""Somebody who is called as a blank is written: told to the feed as what it is, whoever asks."""

lines = some.tuples(some.sampled_from(NAMES), some.sampled_from(VALUES) | some.binary(max_size=6))


def section_of(told: list[tuple[bytes, bytes]], end: bytes = b"\r\n") -> bytes:
    *rest, last = [b"%b: %b" % line for line in told] or [b""]
    return b"".join(b"%b\r\n" % line for line in rest) + last + end


def alone(section: bytes, by: Pipeline) -> Introduction | Refusal:
    read = parse_section(section, MOST_FIELDS)
    return read if isinstance(read, Refusal) else by.introduce(read)


def crossing(introduction: Introduction, *, watched: bool) -> list[bytes]:
    def lines(rules: HeaderRules, section: Section) -> Lines:
        added = rules.added(MARKED, with_credential=watched)
        return Lines(b"Host: ~0~varies~\r\n", rules.crossing(section, with_credential=watched), added)

    return [introduction.prepared.make((rules, watched), partial(lines, rules)) for rules in RULES]


def facts(told: Introduction | Refusal) -> object:
    if isinstance(told, Refusal):
        return told
    section, credential = told.section, told.credential
    if credential is not None and not isinstance(credential, Refusal):
        credential_facts: object = (credential.kind, credential.digest, credential.flawed, credential.secret)
    else:
        credential_facts = credential
    return (
        *(section.fields, section.host, section.length, section.chunked, section.options),
        *(
            section.expects_continue,
            section.upgrade,
            credential_facts,
            told.method,
            told.refusal,
            told.origin,
        ),
        *(crossing(told, watched=False), crossing(told, watched=True)),
        own_lines("10.0.0.9", section, trusted=True),
    )


@given(
    some.lists(lines, max_size=MOST_FIELDS + 1),
    some.lists(lines, max_size=4),
    some.sampled_from(PIPELINES),
    some.sampled_from(ENDS),
)
@example([(b"Host", b"a"), (b"traceparent", b"987654321987654321")], [], PIPELINES[0], b"\r\n")
@example([(b"Host", b"a"), (b"Content-Length", b"5"), (b"Content-Length", b"6")], [], PIPELINES[0], b"\r\n")
@example([(b"Host", b"a"), (b"X-Request-Id", b"1"), (b"Cookie", b"~0~varies~")], [], PIPELINES[0], b"\r\n")
@example([(b"Host", b"a"), (b"Connection", b"Cookie"), (b"Cookie", b"c")], [], PIPELINES[0], b"\r\n")
def test_a_section_says_the_same_as_a_form_as_by_itself(
    told: list[tuple[bytes, bytes]], before: list[tuple[bytes, bytes]], by: Pipeline, end: bytes
) -> None:
    section = section_of(told, end)
    same_form = section_of([(name, value if by.reads(name) else b"other") for name, value in told])
    introductions = Introductions(by, MOST_FIELDS)
    introductions.of(section_of(before))
    introductions.of(same_form)
    expected = facts(alone(section, by))
    for _ in range(3):  # as a form, the second time, and remembered whole
        assert facts(introductions.of(section)) == expected


@pytest.mark.parametrize("by", PIPELINES)
def test_no_value_is_left_blank_that_introducing_reads(by: Pipeline) -> None:
    """What `reads` leaves out changes nothing: not who calls, nor how, nor what is refused."""

    def read(name: bytes, value: bytes) -> object:
        told = alone(section_of([(b"Host", b"a.test"), (name, value)]), by)
        if isinstance(told, Refusal):
            return told
        who = getattr(told.credential, "digest", told.credential)
        section = told.section
        return who, told.method, told.refusal, told.origin, section.length, section.options, section.upgrade

    for name in NAMES:
        if name.strip() == name and b" " not in name and not by.reads(name):
            assert len({repr(read(name, value)) for value in VALUES if value.isalnum()}) == 1, name


def test_what_is_remembered_is_bounded() -> None:
    introductions = Introductions(PIPELINES[0], MOST_FIELDS)
    for number in range(3 * MOST_REMEMBERED):
        for section in (b"Host: h%d\r\nAccept: a\r\n" % number, b"X%d: 1\r\n" % number):
            introductions.of(section)
            introductions.of(section)
    for memory in (introductions._whole, introductions._forms):
        assert len(memory.known) <= MOST_REMEMBERED
        assert sum(map(len, memory.known)) <= MOST_BYTES_REMEMBERED
