"""The resource's metadata and where it is (RFC 9728), and challenges attribute by attribute (RFC 6750)."""

import json
import re
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.domain.verdict import ANSWER_TO, Challenge, Reason, Refusal
from gateway.protected_resource import ProtectedResource
from gateway.wire.refusals import Refuser

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
HOME: Final = "https://feeds.example.com"
ISSUER: Final = "https://id.example.com"


def document(identifier: str = HOME, *issuers: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - as `of` takes them
    told: dict[str, Any] = json.loads(ProtectedResource.of(identifier, issuers, **more).document)
    return told


@pytest.mark.parametrize(
    ("identifier", "url", "path"),
    [
        (HOME, HOME + WELL_KNOWN, WELL_KNOWN),
        (f"{HOME}/", HOME + WELL_KNOWN, WELL_KNOWN),
        (f"{HOME}/v2", f"{HOME}{WELL_KNOWN}/v2", f"{WELL_KNOWN}/v2"),
        (f"{HOME}/v2/training", f"{HOME}{WELL_KNOWN}/v2/training", f"{WELL_KNOWN}/v2/training"),
        (f"{HOME}:8443/v2", f"{HOME}:8443{WELL_KNOWN}/v2", f"{WELL_KNOWN}/v2"),
        ("http://[::1]:8080/v2", f"http://[::1]:8080{WELL_KNOWN}/v2", f"{WELL_KNOWN}/v2"),
        (f"{HOME}{WELL_KNOWN}", HOME + WELL_KNOWN * 2, WELL_KNOWN * 2),
    ],
)
def test_the_well_known_path_stands_between_the_host_and_the_resources_own(
    identifier: str, url: str, path: str
) -> None:
    """RFC 9728 §3.1."""
    resource = ProtectedResource.of(identifier, [ISSUER])
    assert (resource.url, resource.path) == (url, path.encode())
    assert document(identifier)["resource"] == identifier


def test_what_there_is_nothing_to_say_of_is_left_out() -> None:
    """RFC 9728 §3.2: parameters with zero values must be omitted."""
    assert document() == {"resource": HOME, "bearer_methods_supported": ["header"]}


def test_all_that_is_known_is_told() -> None:
    told = document(
        HOME, ISSUER, "https://other.example.com", scopes=["a", "b"], name="Fäden", documentation=HOME
    )
    assert told == {
        "resource": HOME,
        "authorization_servers": [ISSUER, "https://other.example.com"],
        "scopes_supported": ["a", "b"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Fäden",
        "resource_documentation": HOME,
    }


# Challenges


_ATTRIBUTE: Final = re.compile(r'([a-z_]+)="([ !#-\[\]-~]*)"')
"""RFC 6750 §3: error and error_description without quotes and backslashes; so are all of ours."""

REASONS: Final = [reason for reason, answer in ANSWER_TO.items() if answer.challenge is not None]


def challenges(
    refusal: Refusal, realm: str = "feeds", resource: ProtectedResource | None = None
) -> dict[str, str]:
    """The challenges of an answer by scheme; each line is one, on a line of its own."""
    answer = Refuser(realm, resource).bytes_of(refusal, b"f" * 32, b"", head_only=True)
    assert answer.endswith(b"\r\n\r\n")
    lines = answer.decode("ascii").split("\r\n")
    assert not [line for line in lines if "\r" in line or "\n" in line]
    told = [line.partition(": ")[2] for line in lines if line.startswith("WWW-Authenticate: ")]
    return dict(challenge.split(" ", 1) for challenge in told)


def bearer(refusal: Refusal, **more: Any) -> dict[str, str]:  # noqa: ANN401 - as `challenges` takes them
    """The attributes of the Bearer challenge, each once."""
    told = challenges(refusal, **more)["Bearer"]
    found = _ATTRIBUTE.findall(told)
    assert ", ".join(f'{name}="{value}"' for name, value in found) == told
    assert len(dict(found)) == len(found)
    return dict(found)


@pytest.mark.parametrize("reason", Reason)
def test_whoever_could_do_better_with_another_credential_is_challenged_and_nobody_else(
    reason: Reason,
) -> None:
    status = ANSWER_TO[reason].status
    assert set(challenges(Refusal(reason))) == ({"Bearer", "ApiKey"} if status in {401, 403} else set())


@pytest.mark.parametrize("reason", REASONS)
def test_a_challenge_names_the_error_that_rfc_6750_has_for_it(reason: Reason) -> None:
    told = bearer(Refusal(reason))
    wanted = {
        401: "invalid_token",
        403: "insufficient_scope",
    }[ANSWER_TO[reason].status]
    if reason is Reason.CREDENTIAL_MISSING:
        assert told == {"realm": "feeds"}  # RFC 6750 §3.1: no error code where no credential was sent
    else:
        assert list(told) == ["realm", "error", "error_description"]
        assert (told["realm"], told["error"]) == ("feeds", wanted)
        assert told["error_description"] == ANSWER_TO[reason].detail
    assert challenges(Refusal(reason))["ApiKey"] == 'realm="feeds"'


@pytest.mark.parametrize("reason", [Reason.SCOPE_DENIED, Reason.SCOPE_NONE])
def test_what_would_have_to_be_allowed_is_named_as_a_scope(reason: Reason) -> None:
    told = bearer(Refusal(reason, module="course-dates", action="read"))
    assert told["scope"] == "course-dates:read"
    assert "scope" not in bearer(Refusal(reason, module="courses"))
    assert "scope" not in bearer(Refusal(reason, action="read"))
    assert "scope" not in bearer(Refusal(Reason.CREDENTIAL_INVALID, module="courses", action="read"))


@pytest.mark.parametrize("reason", REASONS)
def test_a_challenge_leads_to_the_metadata_and_errors_to_the_documentation(reason: Reason) -> None:
    """RFC 9728 §5.1; RFC 6750 §3."""
    plain = ProtectedResource.of(f"{HOME}/v2", [ISSUER])
    told = bearer(Refusal(reason), resource=plain)
    assert told["resource_metadata"] == f"{HOME}{WELL_KNOWN}/v2"
    assert "error_uri" not in told
    documented = ProtectedResource.of(HOME, [ISSUER], documentation=f"{HOME}/docs?a=b")
    told = bearer(Refusal(reason), resource=documented)
    missing = reason is Reason.CREDENTIAL_MISSING
    assert told.get("error_uri") == (None if missing else f"{HOME}/docs?a=b")


HOSTILE: Final = 'a "quoted\\" \r\nSet-Cookie: x=y\r\n\r\n<script> \x00\x7f §3 ä 学 \u2028, error="none'


def test_a_hostile_detail_stays_inside_its_attribute() -> None:
    told = bearer(Refusal(Reason.CREDENTIAL_INVALID, HOSTILE))
    assert list(told) == ["realm", "error", "error_description"]
    assert told["error"] == "invalid_token"
    assert "section 3" in told["error_description"]


@given(some.text(max_size=60))
def test_no_detail_breaks_out_of_its_attribute(detail: str) -> None:
    told = bearer(Refusal(Reason.SCOPE_DENIED, detail, "courses", "read"))
    assert list(told) == ["realm", "error", "scope", "error_description"]


@pytest.mark.parametrize("realm", ['a"b', "a\\b", 'a\\"', '", error="none', "\\"])
def test_a_hostile_realm_is_quoted_as_a_string(realm: str) -> None:
    """RFC 9110 §5.6.4; settings let no such realm in."""
    told = challenges(Refusal(Reason.CREDENTIAL_MISSING), realm)
    for challenge in told.values():
        quoted = re.fullmatch(r'realm="((?:[^"\\]|\\.)*)"', challenge)
        assert quoted is not None
        assert re.sub(r"\\(.)", r"\1", quoted[1]) == realm


def test_only_who_may_not_is_told_of_a_challenge_with_scope() -> None:
    assert {ANSWER_TO[reason].status for reason in REASONS} == {401, 403}
    none = [reason for reason in REASONS if ANSWER_TO[reason].challenge is Challenge.NONE]
    assert none == [Reason.CREDENTIAL_MISSING]
