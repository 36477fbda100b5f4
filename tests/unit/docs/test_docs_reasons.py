"""docs/reasons.md lists what the code refuses with, no more and no less."""

import re
from pathlib import Path

import pytest

from gateway.domain.verdict import ANSWER_TO, Reason

PAGE = Path(__file__).parents[3] / "docs" / "reasons.md"
ROWS = {
    Reason(code): (int(status), rest)
    for code, status, rest in re.findall(r"^\| `(\w+)` \| (\d{3}) \| (.*)$", PAGE.read_text(), re.MULTILINE)
}


def test_the_page_lists_exactly_the_reasons_there_are_once_each() -> None:
    listed = re.findall(r"^\| `(\w+)` \| \d", PAGE.read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(ANSWER_TO)


@pytest.mark.parametrize("reason", ANSWER_TO)
def test_the_page_tells_what_comes_with_a_reason(reason: Reason) -> None:
    status, rest = ROWS[reason]
    answer = ANSWER_TO[reason]
    assert status == answer.status
    assert ("connection is closed" in rest) == answer.close
    told = re.search(r"`Retry-After: (\d+)`", rest)
    assert (int(told[1]) if told else 0) == answer.retry_after
