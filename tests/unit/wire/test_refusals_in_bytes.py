"""Refusals byte for byte: as frozen in `refusals.http`, however often and in whatever order they go out."""

import json
import re
import tracemalloc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from hypothesis import given
from hypothesis import strategies as some

from gateway.domain.verdict import Reason, Refusal
from gateway.protected_resource import ProtectedResource
from gateway.wire.refusals import Refuser

FROZEN: Final = Path(__file__).parent / "refusals.http"
"""Each answer after its name in `[ ]`, with LF for CRLF and the date left out."""

ID: Final = b"0123456789abcdef0123456789abcdef"
DATE: Final = re.compile(
    rb"\r\nDate: (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r\n"
)

PLAIN: Final = Refuser("feeds")
DOCUMENTED: Final = Refuser(
    'tea "&" \\biscuits\\ äé',
    ProtectedResource.of("https://feeds.example.com", [], documentation="https://a.test"),
)

ASKED: Final = Refusal(
    Reason.SCOPE_DENIED, "None of your API Scopes ('web') allows read on courses.", "courses", "read"
)
SPECIAL: Final[Mapping[str, Refusal]] = {
    "scope_denied, told": ASKED,
    "scope_denied, denied by one": Refusal(Reason.SCOPE_DENIED, "Said.", "courses", "read", "web"),
    "scope_none, told": Refusal(Reason.SCOPE_NONE, module="courses", action="read"),
    "scope_denied, of a module alone": Refusal(Reason.SCOPE_DENIED, module="courses"),
    "scope_denied, of an action alone": Refusal(Reason.SCOPE_DENIED, action="read"),
    "method_unmapped, with Allow": Refusal(Reason.METHOD_UNMAPPED, allow=("GET", "HEAD")),
    "credential_invalid, in odd words": Refusal(
        Reason.CREDENTIAL_INVALID, 'RFC 7519 §4: "nbf" \\ ä 学 \r\n\x00\x7f'
    ),
    "upstream_invalid, in odd words": Refusal(Reason.UPSTREAM_INVALID, 'Said: "ä 学".'),
}

REFUSALS: Final = {reason.value: Refusal(reason) for reason in Reason} | SPECIAL


def frozen() -> dict[str, bytes]:
    """The answers by name, as they stand in the file."""
    text = FROZEN.read_bytes().decode("latin-1")
    parts = re.split(r"^\[(.+)\]\n", text, flags=re.MULTILINE)[1:]
    answers = (part.removesuffix("\n").replace("\n", "\r\n").encode("latin-1") for part in parts[1::2])
    return dict(zip(parts[::2], answers, strict=True))


def undated(answer: bytes) -> bytes:
    """An answer with an empty date; it has one, and one alone."""
    without, dates = DATE.subn(b"\r\nDate: \r\n", answer)
    assert dates == 1
    return without


def written() -> Iterator[tuple[str, Refuser, Refusal]]:
    """Every refusal, told by a gateway that says little of itself, and by one that says much."""
    for name, refusal in REFUSALS.items():
        yield name, PLAIN, refusal
        yield f"{name}; documented", DOCUMENTED, refusal


def test_every_refusal_is_what_it_always_was_also_when_it_was_rendered_before() -> None:
    expected = frozen()
    for _ in range(2):
        answers = {
            name: refuser.bytes_of(refusal, ID, b"A: b\r\n", head_only=False)
            for name, refuser, refusal in written()
        }
        assert list(answers) == list(expected)
        for name, answer in answers.items():
            assert undated(answer) == expected[name], name


def test_a_refusal_of_head_is_the_same_without_its_body() -> None:
    for _, refuser, refusal in written():
        whole = refuser.bytes_of(refusal, ID, b"A: b\r\n", head_only=False)
        head = refuser.bytes_of(refusal, ID, b"A: b\r\n", head_only=True)
        assert undated(head) == undated(whole[: whole.index(b"\r\n\r\n") + 4])


_NAMES: Final = some.none() | some.sampled_from(["courses", "users", "read"])
_REFUSALS: Final = some.builds(
    Refusal, some.sampled_from(Reason), some.text(max_size=30), _NAMES, _NAMES, _NAMES,
    some.sampled_from([(), ("GET",), ("GET", "HEAD")]),
)  # fmt: skip
_IDS: Final = some.from_regex(r"[A-Za-z0-9._\-]{1,128}", fullmatch=True).map(str.encode)
_LINES: Final = some.sampled_from([b"", b"Connection: close\r\n", b"A: b\r\nConnection: keep-alive\r\n"])


@given(some.lists(some.tuples(_REFUSALS, _IDS, _LINES, some.booleans()), max_size=6))
def test_no_refusal_takes_anything_from_another(
    asked: list[tuple[Refusal, bytes, bytes, bool]],
) -> None:
    """What was written before leaves no mark, and each has its own words, id, length and lines."""
    refuser = Refuser("feeds")
    for refusal, request_id, lines, head_only in asked * 2:
        answer = refuser.bytes_of(refusal, request_id, lines, head_only=head_only)
        alone = Refuser("feeds").bytes_of(refusal, request_id, lines, head_only=head_only)
        assert undated(answer) == undated(alone)
        head, empty_line, body = answer.partition(b"\r\n\r\n")
        told = head + b"\r\n"
        assert empty_line
        assert told.endswith(b"\r\nX-Request-Id: %b\r\n%b" % (request_id, lines))
        assert head_only or b"\r\nContent-Length: %d\r\n" % len(body) in told
        assert head_only or json.loads(body) == problem(refusal, request_id)


def problem(refusal: Refusal, request_id: bytes) -> dict[str, object]:
    """The problem document of a refusal."""
    row = refusal.answer
    told = {
        "type": f"urn:scopegate:problem:{refusal.reason}",
        "title": row.title,
        "status": row.status,
        "detail": refusal.detail or row.detail,
        "code": str(refusal.reason),
        "request_id": request_id.decode(),
        "module": refusal.module,
        "action": refusal.action,
    }
    return {name: value for name, value in told.items() if value is not None}


def test_refusals_without_end_take_no_memory_without_end() -> None:
    refuser = Refuser("feeds")

    def refuse(many: range) -> int:
        for number in many:
            refuser.bytes_of(Refusal(Reason.SCOPE_DENIED, f"{number:1000}"), ID, b"", head_only=False)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        filled = refuse(range(2000))
        assert refuse(range(2000, 6000)) < filled + 100_000
        assert filled < 8_000_000
    finally:
        tracemalloc.stop()
