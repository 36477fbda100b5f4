"""The one table of refusals: whole, sane, and with a challenge exactly where the RFCs ask for one."""

from http import HTTPStatus

import pytest

from gateway.domain.verdict import ANSWER_TO, Challenge, Reason, Refusal

REASONS = pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.value)

STATUSES = {
    400: {"request_malformed", "path_ambiguous", "method_override", "credential_ambiguous"},
    401: {"credential_missing", "credential_invalid", "credential_expired", "credential_revoked"},
    403: {"scope_denied", "scope_none", "feed_disabled"},
    404: {"route_unmapped"},
    405: {"method_unmapped"},
    408: {"request_timeout"},
    413: {"body_too_large"},
    414: {"uri_too_long"},
    417: {"expectation_failed"},
    431: {"headers_too_large"},
    502: {"upstream_unreachable", "upstream_invalid"},
    503: {"overloaded", "store_unavailable", "keys_unavailable"},
    504: {"upstream_timeout"},
}
"""CONTRACT 6, the table of refusals."""

PROXY_ERRORS = {
    *("http_request_error", "http_request_denied", "destination_unavailable", "http_protocol_error"),
    *("http_response_timeout", "connection_limit_reached", "proxy_internal_error"),
}
"""Of the types that RFC 9209 §2.3 registers, those used here."""


def test_every_reason_has_exactly_one_row() -> None:
    assert set(ANSWER_TO) == set(Reason)
    assert len(ANSWER_TO) == len(Reason.__members__)  # no alias hides behind another's value


def test_the_statuses_are_those_of_the_contract() -> None:
    told: dict[int, set[str]] = {}
    for reason, answer in ANSWER_TO.items():
        told.setdefault(answer.status, set()).add(reason.value)
    assert told == STATUSES


def test_the_table_cannot_be_written_to() -> None:
    with pytest.raises(TypeError):
        ANSWER_TO[Reason.SCOPE_DENIED] = ANSWER_TO[Reason.SCOPE_NONE]  # type: ignore[index] # the test


@REASONS
def test_a_row_has_a_real_status_and_sentences_for_people(reason: Reason) -> None:
    answer = ANSWER_TO[reason]
    assert HTTPStatus(answer.status).phrase
    assert answer.title[0].isupper()
    assert not answer.title.endswith(".")
    assert answer.detail.endswith(".")
    assert (answer.title + answer.detail).isascii()
    assert answer.proxy_error in PROXY_ERRORS


@REASONS
def test_a_challenge_comes_with_401_and_403_and_with_nothing_else(reason: Reason) -> None:
    answer = ANSWER_TO[reason]
    assert (answer.challenge is not None) is (answer.status in (401, 403))


@REASONS
def test_the_error_of_a_challenge_fits_its_status(reason: Reason) -> None:
    """RFC 6750 §3.1: none without a credential, invalid_token with 401, insufficient_scope with 403."""
    answer = ANSWER_TO[reason]
    if reason is Reason.CREDENTIAL_MISSING:
        assert answer.challenge is Challenge.NONE
    elif answer.status == 401:
        assert answer.challenge is Challenge.INVALID_TOKEN
    elif answer.status == 403:
        assert answer.challenge is Challenge.INSUFFICIENT_SCOPE


@REASONS
def test_only_what_passes_by_itself_invites_to_come_back(reason: Reason) -> None:
    answer = ANSWER_TO[reason]
    assert (answer.retry_after > 0) is (answer.status == 503)


@REASONS
def test_only_broken_framing_and_limits_close_the_connection(reason: Reason) -> None:
    answer = ANSWER_TO[reason]
    expected = answer.status in (408, 413, 414, 431) or reason is Reason.REQUEST_MALFORMED
    assert answer.close is expected


@REASONS
def test_an_outage_is_never_the_callers_fault(reason: Reason) -> None:
    if reason.value.endswith("_unavailable") or reason is Reason.OVERLOADED:
        assert ANSWER_TO[reason].status == 503


def test_a_refusal_finds_its_row() -> None:
    assert Refusal(Reason.ROUTE_UNMAPPED).answer is ANSWER_TO[Reason.ROUTE_UNMAPPED]
