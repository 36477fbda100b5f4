"""Settings of health checks, limits and policies for origins: what is read, and what is refused."""

from pathlib import Path

import pytest

from gateway.document.problem import SettingsError
from gateway.settings.loading import load_settings
from gateway.settings.model import FeedSettings

FEED = "routes: [routes.yaml]\nfeeds:\n  test:\n    upstream: http://127.0.0.1:9000\n    {said}\n"


def feed_of(directory: Path, said: str) -> FeedSettings:
    file = directory / "gateway.yaml"
    file.write_text(FEED.replace("{said}", said))
    return load_settings(file, {}).feeds["test"]


def test_what_is_not_said_is_off(tmp_path: Path) -> None:
    feed = feed_of(tmp_path, "enabled: true")
    assert (feed.max_in_flight, feed.health, feed.cors) == (None, None, None)


def test_a_whole_policy_can_be_said(tmp_path: Path) -> None:
    cors = feed_of(
        tmp_path,
        "cors: {origins: [https://app.example.com, 'http://[::1]:3000', 'capacitor://localhost'],"
        " methods: GET, headers: [], expose: X-Total, credentials: true, max_age: 0s}",
    ).cors
    assert cors is not None
    policy = cors.policy("X-API-Key")
    assert policy.origins == {"https://app.example.com", "http://[::1]:3000", "capacitor://localhost"}
    assert (policy.methods, policy.headers, policy.expose) == (("GET",), (), ("X-Total",))
    assert (policy.credentials, policy.max_age) == (True, 0)


@pytest.mark.parametrize("header", ["X-API-Key", "Authorization"])
def test_the_header_of_api_keys_may_be_sent_unless_said_otherwise(tmp_path: Path, header: str) -> None:
    cors = feed_of(tmp_path, "cors: {origins: '*'}").cors
    assert cors is not None
    assert cors.policy(header).headers == tuple(dict.fromkeys(("Authorization", "Content-Type", header)))
    assert cors.policy(header).origins == frozenset()


REFUSED = {
    "cors: {origins: []}": "must not be empty",
    "cors: {methods: [GET]}": "is required",
    "cors: {origins: 'null'}": "is not an origin",
    "cors: {origins: app.example.com}": "is not an origin",
    "cors: {origins: https://app.example.com/}": "is not an origin",
    "cors: {origins: 'https://*.example.com'}": "is not an origin",
    'cors: {origins: "https://a.example\\r\\nX: y"}': "is not an origin",
    "cors: {origins: https://user@app.example.com}": "is not an origin",
    "cors: {origins: https://App.example.com}": "lower case",
    "cors: {origins: https://app.example.com:443}": "default port",
    "cors: {origins: ['*', https://app.example.com]}": "beside *",
    "cors: {origins: '*', credentials: true}": "lets every origin send credentials",
    "cors: {origins: https://a.example, credentials: true, headers: '*'}": "names nothing",
    "cors: {origins: https://a.example, credentials: true, expose: '*'}": "names nothing",
    "cors: {origins: '*', methods: get}": "in capitals",
    "cors: {origins: '*', methods: '*'}": "is not a method",
    "cors: {origins: '*', methods: 'GET POST'}": "is not a method",
    'cors: {origins: "*", headers: "X-A\\r\\nB"}': "is not a header name",
    "cors: {origins: '*', max_age: 2d}": "at most",
    "cors: {origins: '*', origin: '*'}": "unknown key",
    "health: {interval: 1s}": "is required",
    "health: {path: health}": "is not a path",
    "health: {path: //elsewhere/health}": "is not a path",
    "health: {path: '/a b'}": "is not a path",
    "health: {path: '/a#b'}": "is not a path",
    'health: {path: "/a\\r\\nX: y"}': "is not a path",
    "health: {path: /h, timeout: 6s}": "longer than its interval",
    "health: {path: /h, unhealthy_after: 0}": "at least 1",
    "health: {path: /h, interval: 0s}": "more than",
    "max_in_flight: 0": "at least 1",
    "max_in_flight: many": "whole number",
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_cannot_be_meant_is_refused_with_its_place(tmp_path: Path, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        feed_of(tmp_path, said)
    told = str(refused.value)
    assert REFUSED[said] in told
    assert "gateway.yaml:5" in told
