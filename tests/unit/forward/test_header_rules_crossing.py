"""Which fields cross to a feed: everything end-to-end, in order; nothing that only the gateway may say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.header_policy import Credentials, Overrides, Underscores
from gateway.domain.principal import Principal, PrincipalKind
from gateway.domain.rights import Rights
from gateway.domain.scope import Mode, Scope
from gateway.domain.verdict import Reason, Refusal
from gateway.forward.header_rules import CredentialRule, HeaderRules, overriding_method, refused_fields
from gateway.http1.head import Section, parse_section

SCOPES = (Scope(1, "website", "", Mode.ALLOW), Scope(2, "no-users", "", Mode.DENY))
KEY_17 = Principal(PrincipalKind.KEY, "key:17", "", SCOPES, Rights((0, 0, 0, 0)), key_id=17)
IDENTITY = ["X-Gateway-Principal: key:17", "X-Gateway-Key-Id: 17", "X-Gateway-Scopes: website,no-users"]
STRIP, PASS = CredentialRule(), CredentialRule(Credentials.PASS)
SET = CredentialRule(Credentials.SET, "X-Feed-Key", "s3cret")


def section(*lines: str) -> Section:
    read = parse_section("".join(f"{line}\r\n" for line in lines).encode("latin-1"), 100)
    assert isinstance(read, Section), read
    return read


def crossing(
    *lines: str,
    rule: CredentialRule = STRIP,
    underscores: Underscores = Underscores.DROP,
    overrides: Overrides = Overrides.REJECT,
    key_header: str = "X-API-Key",
    principal: Principal | None = None,
    with_credential: bool = False,
) -> list[str]:
    """The lines that a feed gets."""
    rules = HeaderRules(key_header, rule, underscores, overrides)
    told = rules.for_feed(section(*lines), principal, with_credential=with_credential)
    assert told.endswith(b"\r\n") or not told
    return told.decode("latin-1").split("\r\n")[:-1]


def test_end_to_end_fields_cross_unchanged_in_order_with_their_repeats() -> None:
    lines = [
        *("Host: a.example:81", "Accept: */*", "X-B: 2", "x-b: 1", "Cookie: a=b; c=d", "Accept: text/html"),
        *("User-Agent: é", "traceparent: 00-1-2-01", "Expect: 100-continue", "X-Empty:", "Range: bytes=0-1"),
        *("Content-Encoding: gzip", "Cookie: e=f", "Via: 1.0 fred", "Max-Forwards: 3"),
    ]
    assert crossing(*lines) == [line if line != "X-Empty:" else "X-Empty: " for line in lines]


@pytest.mark.parametrize(
    "line",
    [
        *("Connection: keep-alive", "Keep-Alive: timeout=5", "Proxy-Connection: close", "TE: trailers"),
        *("Proxy-Authorization: Basic YTpi", "Proxy-Authenticate: Basic", "Trailer: X", "Upgrade: h2c"),
        *("HTTP2-Settings: AAM", "upgrade: websocket", "tE: gzip"),
    ],
)
def test_what_is_for_one_hop_stays_here(line: str) -> None:
    assert crossing("Host: x", line, "A: b") == ["Host: x", "A: b"]


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("x-hop", "X-Hop: 1"),
        ("X-HOP", "x-hop: 1"),
        ("close, x-hop", "X-Hop: 1"),
        ("cookie", "Cookie: a"),
        ("x_hop", "X_Hop: 1"),
        ("x.hop", "X.Hop: 1"),
    ],
)
def test_what_connection_names_stays_here(option: str, line: str) -> None:
    lines = ("Host: x", f"Connection: {option}", line, "A: b")
    assert crossing(*lines, underscores=Underscores.ALLOW) == ["Host: x", "A: b"]


def test_framing_is_made_anew_and_said_once() -> None:
    assert crossing("Content-Length:  5") == ["Content-Length: 5"]
    assert crossing("content-length: 0", "A: b") == ["A: b", "Content-Length: 0"]
    assert crossing("transfer-encoding: CHUNKED", "A: b") == ["A: b", "Transfer-Encoding: chunked"]
    assert crossing("A: b") == ["A: b"]


# What only the gateway may say


SPOOFS = [
    *("X-Gateway-Principal: key:1", "x-gateway-scopes: api-v2", "X-GATEWAY-KEY-ID: 1", "X-Gateway-Module: m"),
    *("X-Gateway-Action: read", "X-Gateway-: a", "X-Gateway-Anything-Else: a", "x_gateway_principal: key:1"),
    *(
        "X-Gateway_Principal: key:1",
        "X_GATEWAY-Scopes: a",
        "X.Gateway.Principal: key:1",
        "X!Gateway!Scopes: a",
    ),
    *("X-Forwarded-For: 1.2.3.4", "x-forwarded-proto: https", "X_Forwarded_For: 1.2.3.4", "X-Forwarded-X: a"),
    *("Forwarded: for=1.2.3.4", "X-Real-IP: 1.2.3.4", "X_Real_IP: 1.2.3.4", "X-Request-Id: mine"),
    *("X-Original-URL: /admin", "X-Rewrite-URL: /admin", "X_Original_Url: /admin", "X-Original-URI: /a"),
]


@pytest.mark.parametrize("spoof", SPOOFS)
@pytest.mark.parametrize("underscores", [Underscores.DROP, Underscores.ALLOW])
@pytest.mark.parametrize("principal", [None, KEY_17], ids=["public", "proven"])
def test_what_only_the_gateway_may_say_is_removed_whoever_says_it(
    spoof: str, underscores: Underscores, principal: Principal | None
) -> None:
    told = crossing("A: b", spoof, "C: d", underscores=underscores, principal=principal)
    assert told == ["A: b", "C: d", *(IDENTITY if principal else [])]


def test_a_client_that_names_the_gateways_fields_as_hop_by_hop_cannot_remove_them() -> None:
    names = "X-Gateway-Principal, X-Gateway-Scopes, X-Gateway-Key-Id, X-Gateway-Module"
    assert crossing("A: b", f"Connection: {names}", principal=KEY_17) == ["A: b", *IDENTITY]


def test_the_gateways_fields_come_last_and_once() -> None:
    told = crossing("X-Gateway-Principal: key:1", "A: b", "X-Gateway-Principal: key:2", principal=KEY_17)
    assert told == ["A: b", *IDENTITY]


# Underscores


@pytest.mark.parametrize(
    ("underscores", "told"),
    [(Underscores.DROP, ["A: b"]), (Underscores.ALLOW, ["X_Other: 1", "A: b", "_: 2"])],
)
def test_fields_with_an_underscore_are_dropped_unless_they_are_allowed(
    underscores: Underscores, told: list[str]
) -> None:
    assert crossing("X_Other: 1", "A: b", "_: 2", underscores=underscores) == told


def test_a_request_with_an_underscore_is_refused_where_that_is_configured() -> None:
    for lines, refused in ((("X_Other: 1",), True), (("X_Api_Key: 1",), False), (("X-Other: 1",), False)):
        refusal = refused_fields(section(*lines).fields, "x_api_key", Underscores.REJECT, Overrides.REJECT)
        assert (refusal is not None) is refused
        assert refusal is None or refusal.reason is Reason.REQUEST_MALFORMED


# Credentials


@pytest.mark.parametrize("line", ["X-API-Key: k", "x-api-key: k", "Authorization: Bearer t", "X_API_Key: k"])
def test_a_credential_does_not_cross_unless_it_is_passed(line: str) -> None:
    for underscores in (Underscores.DROP, Underscores.ALLOW):
        assert crossing(line, "A: b", underscores=underscores) == ["A: b"]
    assert crossing(line, "A: b", rule=PASS, underscores=Underscores.ALLOW) == [line, "A: b"]


def test_a_credential_header_with_an_underscore_can_be_passed() -> None:
    assert crossing("api_key: k", "A: b", rule=PASS, key_header="api_key") == ["api_key: k", "A: b"]
    assert crossing("api_key: k", "A: b", key_header="api_key") == ["A: b"]


def test_the_feeds_own_credential_is_set_and_nobody_elses_crosses() -> None:
    told = crossing("X-Feed-Key: mine", "x_feed_key: mine", "X-API-Key: k", "A: b", rule=SET)
    assert told == ["A: b", "X-Feed-Key: s3cret"]


@pytest.mark.parametrize("rule", [STRIP, PASS, SET], ids=["strip", "pass", "set"])
@pytest.mark.parametrize("line", ["X-API-Key: k", "Authorization: Bearer t"])
def test_an_observed_request_crosses_with_the_clients_own_credential(rule: CredentialRule, line: str) -> None:
    assert crossing(line, "A: b", rule=rule, with_credential=True) == [line, "A: b"]


def test_an_observed_request_keeps_its_credential_even_under_the_name_that_the_gateway_sets() -> None:
    rule = CredentialRule(Credentials.SET, "X-API-Key", "s3cret")
    assert crossing("X-API-Key: k", "A: b", rule=rule, with_credential=True) == ["X-API-Key: k", "A: b"]
    assert crossing("X-API-Key: k", "A: b", rule=rule) == ["A: b", "X-API-Key: s3cret"]


def test_the_feeds_credential_is_not_in_the_rules_repr() -> None:
    assert "s3cret" not in repr(SET)


# Method overrides


OVERRIDES = ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "x-http-method"]


@pytest.mark.parametrize("name", [*OVERRIDES, "X_HTTP_Method_Override", "X-Http_Method", "X.Method.Override"])
def test_a_method_override_is_refused_stripped_or_passed_on_as_configured(name: str) -> None:
    line = f"{name}: DELETE"
    fields = section(line).fields
    refusal = refused_fields(fields, "X-API-Key", Underscores.ALLOW, Overrides.REJECT)
    assert refusal is not None
    assert refusal.reason is Reason.METHOD_OVERRIDE
    for overrides in (Overrides.STRIP, Overrides.HONOUR):
        assert refused_fields(fields, "X-API-Key", Underscores.ALLOW, overrides) is None
    assert crossing(line, "A: b", overrides=Overrides.STRIP, underscores=Underscores.ALLOW) == ["A: b"]


@pytest.mark.parametrize("name", OVERRIDES)
def test_an_honoured_override_names_the_method_and_crosses(name: str) -> None:
    line = f"{name}: DELETE"
    assert overriding_method(section(line)) == b"DELETE"
    assert crossing(line, overrides=Overrides.HONOUR) == [line]


@pytest.mark.parametrize(
    "lines",
    [
        ("X-HTTP-Method: GET", "X-HTTP-Method: GET"),
        ("X-HTTP-Method: GET", "X-Method-Override: POST"),
        ("X_HTTP_Method: GET",),
        ("X-HTTP_Method-Override: GET",),
        ("X.HTTP.Method.Override: GET",),
        ("X-HTTP-Method: GET", "Connection: X-HTTP-Method"),
        ("Connection: x-http-method-override, close", "X-HTTP-Method-Override: GET"),
    ],
)
def test_an_override_that_the_feed_might_not_see_as_it_was_judged_is_refused(lines: tuple[str, ...]) -> None:
    read = overriding_method(section(*lines))
    assert isinstance(read, Refusal)
    assert read.reason is Reason.METHOD_OVERRIDE


NAMES = st.text("XGatewyFor-_.d", min_size=1, max_size=14)


@given(st.lists(st.tuples(NAMES, st.text("ab1 ", max_size=4)), max_size=8), st.sampled_from(Underscores))
def test_no_client_ever_says_what_a_lenient_server_takes_for_ours(
    fields: list[tuple[str, str]], underscores: Underscores
) -> None:
    told = crossing(
        *(f"{name}: {value}" for name, value in fields), underscores=underscores, principal=KEY_17
    )
    names = [line.split(":")[0].lower() for line in told[:-3]]
    assert told[-3:] == IDENTITY
    readings = ["".join(c if c.isalnum() else "-" for c in name) for name in names]
    assert not any(name.startswith(("x-gateway-", "x-forwarded-")) for name in readings)
