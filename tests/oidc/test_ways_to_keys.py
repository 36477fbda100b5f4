"""Where an issuer's keys come from, and that they outlast what an operator does to the gateway."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from authorization_server import HMAC_SECRET, AuthorizationServer, running_authorization_server
from bearers import HASTY, INVALID, NO_KEYS, PERMITTED, bearing, believing, fresh, terms_for
from gateways import GatewayUnderTest
from operations import ask, readiness, said_by, told, until
from signing_keys import SigningKey, encoded

Believer = Callable[..., Any]

DISCOVERY: Final = "/.well-known/openid-configuration"
IN_FORCE: Final = "the configuration was read again and is in force"
INSERTED: Final = "/.well-known/oauth-authorization-server"


def take_up(gateway: GatewayUnderTest, text: str) -> None:
    """Have the gateway read another configuration, and wait until it is in force."""
    before = said_by(gateway).count(IN_FORCE)
    gateway.file.write_text(text)
    gateway.process.send_signal(signal.SIGHUP)
    until(lambda: said_by(gateway).count(IN_FORCE) > before)


def test_metadata_that_name_another_issuer_are_not_believed(
    issuer: AuthorizationServer, believer: Believer
) -> None:
    """RFC 8414 §3.3: compared exactly; a slash more is another."""
    terms = terms_for(issuer, issuer=f"{issuer.issuer}/")
    with believer(believing(terms, key_sets=HASTY)) as (gateway, _):
        assert told(bearing(gateway, fresh(issuer, iss=f"{issuer.issuer}/"))) == NO_KEYS
        assert told(bearing(gateway, fresh(issuer))) == INVALID
        assert f"{issuer.issuer}/" in str(readiness(gateway))


def test_a_key_of_another_issuer_is_none_of_this_ones(
    issuer: AuthorizationServer, breakable: AuthorizationServer, believer: Believer
) -> None:
    """RFC 8725 §3.8: even under the same id, even if both are believed."""
    namesake = SigningKey("ES256", breakable.key("ES256").private, issuer.key("ES256").kid)
    breakable.publish(namesake, *breakable.keys)
    with believer(believing(terms_for(issuer), terms_for(breakable))) as (gateway, _):
        assert told(bearing(gateway, namesake.token(breakable.claims()))) == PERMITTED
        assert told(bearing(gateway, namesake.token(issuer.claims()))) == INVALID
        assert told(bearing(gateway, issuer.key("ES256").token(breakable.claims()))) == INVALID


def test_an_issuer_with_a_path_is_discovered(believer: Believer) -> None:
    with (
        running_authorization_server("/tenants/7") as server,
        believer(believing(terms_for(server))) as (gateway, _),
    ):
        assert told(bearing(gateway, server.for_user("ada"))) == PERMITTED
        assert told(bearing(gateway, fresh(server, iss=server.issuer.removesuffix("/7")))) == INVALID


def test_a_key_set_that_is_named_is_fetched_there_and_nothing_else_is(
    breakable: AuthorizationServer, believer: Believer
) -> None:
    terms = terms_for(breakable, jwks=f"{breakable.issuer}/jwks")
    with believer(believing(terms)) as (gateway, _):
        assert told(bearing(gateway, fresh(breakable))) == PERMITTED
        assert breakable.asked("/jwks") == 1
        assert (breakable.asked(DISCOVERY), breakable.asked(INSERTED)) == (0, 0)


def test_a_key_set_in_a_file_needs_no_server_and_is_read_again(
    breakable: AuthorizationServer, believer: Believer, tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(breakable.fetched("/jwks")))
    breakable.kill()
    with believer(believing(terms_for(breakable, jwks=str(file)), key_sets=HASTY)) as (gateway, _):
        assert told(bearing(gateway, fresh(breakable))) == PERMITTED
        new = SigningKey.made("ES256")
        replacement = tmp_path / "new.json"
        replacement.write_text(json.dumps({"keys": [new.public_jwk]}))
        replacement.rename(file)
        until(lambda: told(bearing(gateway, fresh(breakable, new))) == PERMITTED)
        assert told(bearing(gateway, fresh(breakable))) == INVALID
        file.write_text("{")
        until(lambda: str(file) in str(readiness(gateway)))
        assert told(bearing(gateway, fresh(breakable, new))) == PERMITTED


def test_a_shared_secret_is_for_its_issuer_alone_and_no_public_key_is_one(
    issuer: AuthorizationServer, believer: Believer
) -> None:
    terms = terms_for(issuer, algorithms=["HS256"], secret=HMAC_SECRET)
    with believer(believing(terms)) as (gateway, _):
        assert told(bearing(gateway, issuer.for_client(kind="HS256"))) == PERMITTED
        assert told(bearing(gateway, issuer.for_client(kind="RS256"))) == INVALID
        header, claims, _ = issuer.for_client(kind="HS256").split(".")
        assert told(bearing(gateway, f"{header}.{claims}.{encoded(b'x' * 32)}")) == INVALID


def test_fetched_keys_outlast_a_reload_while_the_server_is_away(
    breakable: AuthorizationServer, believer: Believer
) -> None:
    with believer("workers: 2", believing(terms_for(breakable))) as (gateway, _):
        assert {told(bearing(gateway, fresh(breakable))) for _ in range(20)} == {PERMITTED}
        breakable.kill()
        take_up(gateway, f"{gateway.file.read_text()}\nlimits: {{header_count: 99}}\n")
        assert {told(bearing(gateway, fresh(breakable))) for _ in range(8)} == {PERMITTED}


def test_an_issuer_comes_and_goes_with_a_reload(
    issuer: AuthorizationServer, breakable: AuthorizationServer, believer: Believer
) -> None:
    only, both = (
        believing(*terms) for terms in ([terms_for(issuer)], [terms_for(issuer), terms_for(breakable)])
    )
    with believer(only) as (gateway, commands):
        _, key = commands.key("reads-courses")
        known = fresh(breakable)
        text = gateway.file.read_text()
        assert told(bearing(gateway, known)) == INVALID
        take_up(gateway, text.replace(only, both))
        until(lambda: told(bearing(gateway, fresh(breakable))) == PERMITTED)
        until(lambda: told(bearing(gateway, known)) == PERMITTED)
        take_up(gateway, text)
        until(lambda: told(bearing(gateway, known)) == INVALID)
        assert told(bearing(gateway, fresh(issuer))) == PERMITTED
        assert told(ask(gateway, "GET", "/v2/courses", key=key)) == PERMITTED
