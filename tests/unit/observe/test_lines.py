"""A line of the access log, field by field."""

import json

from gateway.domain.exchange import Exchange, Outcome
from gateway.observe.lines import LineWriter

EACH_ITS_OWN = Exchange(
    ts=1_800_000_000.125,
    request_id="id",
    client="10.0.0.1",
    method="PATCH",
    path="/v2/courses/17",
    feed="training",
    route="/v2/courses/{id}",
    module="courses",
    action="update",
    principal="key:5",
    key_id=5,
    outcome=Outcome.REFUSE,
    code="scope_denied",
    scope="web",
    status=403,
    bytes_in=11,
    bytes_out=12,
    ms=1.2346,
    upstream_ms=0.1236,
    would_deny="scope_none",
)


def test_each_field_holds_what_is_called_so() -> None:
    told = json.loads(LineWriter().line(EACH_ITS_OWN))
    assert told == {
        **EACH_ITS_OWN._asdict(),
        "ts": "2027-01-15T08:00:00.125Z",
        "outcome": "refuse",
        "ms": 1.235,
        "upstream_ms": 0.124,
    }
    assert list(told) == list(Exchange._fields)


def test_what_is_not_known_is_null() -> None:
    told = json.loads(
        LineWriter().line(EACH_ITS_OWN._replace(key_id=None, upstream_ms=None, would_deny=None))
    )
    assert (told["key_id"], told["upstream_ms"], told["would_deny"]) == (None, None, None)
