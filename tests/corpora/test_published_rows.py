"""Published rows of twelve other projects, where they lie beside the checkout: nothing slips past.

`play.py` there judges a gateway of real processes by what its feed received; the rows are played once more
in pieces, and with a request behind them. The tables say where we differ from a row's source, and why.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from rows import CHECKOUT, CORPORA, FOLLOWER, PRESENT, Played, smuggling_rows, staged
from writings import WAYS

pytestmark = pytest.mark.skipif(not PRESENT, reason="the published rows do not lie beside this checkout")

NOT_AS_STRICT = {
    "gunicorn-0025-d5c19f": "headers with an underscore are dropped, not refused (CONTRACT 7)",
    "gunicorn-0057-7c7c0a": "trailers are dropped, whatever they are called (RFC 9110 §6.5.1)",
    "gunicorn-0058-3be6b0": "trailers are dropped, whatever they are called (RFC 9110 §6.5.1)",
    "aiohttp-0360-b8f794": "a header of a WebSocket draft that never became one; passed on like any other",
}
"""Rows that their source alone refuses, and that we forward."""

REFUSED = {
    "RFC 9112 §3.2.4": ["gunicorn-0128-7413bb", "aiohttp-0358-7eacb7", "haproxy-0622-df6bc6"],
    "RFC 9110 §4.2.2": [
        *("gunicorn-0125-82bc7f", "haproxy-0637-e517dc", "haproxy-0661-9b53ca", "haproxy-0663-092aa5"),
        *("haproxy-0665-82ad21", "haproxy-0668-a3d807", "haproxy-0669-d686c0", "haproxy-0671-227a90"),
        *("haproxy-0673-6b69a7", "haproxy-0677-0c10e9", "haproxy-0678-abf340", "haproxy-0679-fdd387"),
        "haproxy-0681-8d3754",
    ],
    "RFC 9110 §4.2.4": ["gunicorn-0127-eef8e7", "haproxy-0635-2683ab"],
    "RFC 9110 §4.2.1": ["haproxy-0670-3468b8", "haproxy-0672-583ee7"],
    "RFC 3986 §3.2.2": ["gunicorn-0078-3e379b", "gunicorn-0079-8d8623", "nginx-tests-0786-0b06a8"],
    "RFC 9112 §3.2.2": [
        *("nginx-tests-0735-5cf319", "nginx-tests-0741-1d614e", "nginx-tests-0749-a45296"),
        *("nginx-tests-0752-97b8dc", "nginx-tests-0759-6450d7", "nginx-tests-0764-3b9d74"),
        *("nginx-tests-0765-8a7023", "nginx-tests-0768-171213", "nginx-tests-0769-b1fd07"),
        *("llhttp-2716-cbcf1a", "llhttp-2717-fd9dad", "llhttp-2719-db32ef"),
    ],
    "RFC 9112 §6.1": ["gunicorn-0122-466303"],
    "RFC 3986 §3.3": ["gunicorn-2669-14e5cd", "llhttp-2714-db9613"],
    "RFC 3986 §3.5": ["aiohttp-0531-2eecfe"],
}
"""Rows that their source accepts and we answer 400, by the section that docs/operating.md gives for it."""

CANONICAL = "Percent-encoded unreserved characters are decoded (CONTRACT 3)"
NOT_AS_WRITTEN = {"wpt-url-0238-c728ab": CANONICAL, "wpt-url-0248-b413ca": CANONICAL}
"""Rows whose source forwards the path as it came, and CONTRACT 3 has it rewritten."""

SHORTFALL = re.compile(r"^  - (\S+) ", re.MULTILINE)
HELD = re.compile(r"^(\d+) hold, (\d+) fall short$", re.MULTILINE)
OPERATING = CHECKOUT / "docs" / "operating.md"


def played(corpus: str) -> tuple[int, set[str]]:
    """How many rows of a corpus hold against `gateway serve`, and the names of those that do not."""
    done = subprocess.run(
        [sys.executable, str(CORPORA / "play.py"), corpus, "--show", "1000"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    held = HELD.search(done.stdout)
    assert held, done.stdout + done.stderr
    short = SHORTFALL.findall(done.stdout)
    assert len(short) == int(held[2]), done.stdout
    return int(held[1]), set(short)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("corpus", "differing"),
    [("smuggling", set(NOT_AS_STRICT)), ("paths", set(NOT_AS_WRITTEN)), ("headers", set[str]())],
)
def test_all_published_rows_hold_but_those_that_are_explained(corpus: str, differing: set[str]) -> None:
    held, short = played(corpus)
    assert held > len(differing)
    assert short == differing


@pytest.mark.timeout(300)
async def test_no_verdict_depends_on_how_a_row_arrives_or_on_what_follows_it(tmp_path: Path) -> None:
    refused = set()
    async with staged(tmp_path) as stage:
        for row in smuggling_rows():
            whole = await stage.play(row.data, WAYS["at once"])
            assert whole.broken == (), row.name
            if row.name in NOT_AS_STRICT:
                assert row.level == "source"
            else:
                assert len(whole.arrived) <= row.most, row.name
                assert row.expect != "reject" or whole.size == 0, row.name
            if row.expect == "accept" and whole.statuses[:1] == (b"400",) and not whole.unfinished:
                refused.add(row.name)
            for way in ("byte by byte", "line by line"):
                pieces = await stage.play(row.data, WAYS[way])
                assert told(pieces) == told(whole), f"{row.name} {way}"
            judge_the_follower(row.name, whole, await stage.play(row.data + FOLLOWER, WAYS["at once"]))
    assert refused == {name for names in REFUSED.values() for name in names}


def told(one: Played) -> tuple[object, ...]:
    """What must not depend on how the bytes arrive. What is broken late in a body was begun before."""
    return one.arrived, one.statuses, one.asked, one.broken


def judge_the_follower(name: str, alone: Played, followed: Played) -> None:
    """A request behind a row gets its own answer or none; it never becomes part of another's."""
    assert followed.broken == (), name
    assert followed.asked == tuple(target for _, target, _ in followed.arrived), name
    if not alone.unfinished:  # else its bytes are what was missing
        assert followed.arrived in (alone.arrived, (*alone.arrived, (b"GET", b"/follower", 0))), name
    else:
        assert len(followed.arrived) <= len(alone.arrived) + 1, name


def test_the_papers_give_the_section_for_every_well_meant_request_that_is_refused() -> None:
    section = OPERATING.read_text().split("## Requests that others accept\n")[1].split("\n## ")[0]
    cited = re.findall(r"\| (RFC \d+ §[\d.]+)", section)
    assert sorted(cited) == sorted(REFUSED)
