"""The admin listener's probes and metrics, over a real socket."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from gateway.observe.admin import Findings, admin_app
from gateway.observe.health import Health, joined, worker_health

Client = TestClient[web.Request, web.Application]
MakeClient = Callable[[web.Application], Awaitable[Client]]


def app(health: Health) -> web.Application:
    async def metrics(accept: str) -> tuple[bytes, str]:
        return f"asked for {accept}\n".encode(), "text/plain; version=0.0.4; charset=utf-8"

    async def found() -> Health:
        return health

    return admin_app(Findings(metrics, found))


WELL = Health({"workers": None, "store": None}, ("feed training is only observed",))
ILL = Health({"workers": None, "store": "the file is locked"})


async def test_metrics_are_given_in_the_format_asked_for(aiohttp_client: MakeClient) -> None:
    client = await aiohttp_client(app(WELL))
    answer = await client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert await answer.text() == "asked for application/openmetrics-text\n"


@pytest.mark.parametrize(
    ("health", "status", "document"),
    [
        (
            WELL,
            200,
            {
                "status": "ready",
                "checks": {"workers": "ok", "store": "ok"},
                "warnings": ["feed training is only observed"],
            },
        ),
        (
            ILL,
            503,
            {
                "status": "not ready",
                "checks": {"workers": "ok", "store": "the file is locked"},
                "warnings": [],
            },
        ),
    ],
)
async def test_readiness_says_why_not(
    aiohttp_client: MakeClient, health: Health, status: int, document: dict[str, Any]
) -> None:
    client = await aiohttp_client(app(health))
    answer = await client.get("/readyz")
    assert answer.status == status
    assert answer.content_type == "application/json"
    assert await answer.json() == document


async def test_liveness_does_not_depend_on_readiness(aiohttp_client: MakeClient) -> None:
    client = await aiohttp_client(app(ILL))
    assert (await client.get("/livez")).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/metrics/", 404), ("GET", "/..%2f", 404), ("POST", "/livez", 405)],
)
async def test_what_is_not_here_is_told_as_a_problem_document(
    aiohttp_client: MakeClient, method: str, path: str, status: int
) -> None:
    client = await aiohttp_client(app(WELL))
    answer = await client.request(method, path)
    assert answer.status == status
    assert answer.content_type == "application/problem+json"
    assert (await answer.json())["status"] == status
    assert (answer.headers.get("Allow") is not None) == (status == 405)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/none"])
async def test_no_answer_tells_the_library_and_its_version(aiohttp_client: MakeClient, path: str) -> None:
    client = await aiohttp_client(app(WELL))
    for method in ("GET", "HEAD"):
        answer = await client.request(method, path)
        assert answer.headers["Server"] == "scopegate"
        if method == "HEAD":
            assert await answer.read() == b""


async def test_later_rooms_add_to_the_same_application(aiohttp_client: MakeClient) -> None:
    async def page(request: web.Request) -> web.Response:
        raise web.HTTPForbidden(text=request.path)

    application = app(WELL)
    application.add_routes([web.get("/scopes", page)])
    client = await aiohttp_client(application)
    answer = await client.get("/scopes")
    assert (answer.status, answer.content_type) == (403, "application/problem+json")


@pytest.mark.parametrize(
    ("reports", "why"),
    [
        ({}, "absent"),
        ({0: worker_health({"store": None})}, None),
        ({0: worker_health({"store": "locked"})}, "locked"),
        ({0: worker_health({"store": "locked"}), 1: worker_health({"store": "locked"})}, "locked"),
        (
            {0: worker_health({"store": None}), 1: worker_health({"store": "locked"})},
            "worker 1 of 2: locked",
        ),
        ({0: worker_health(), 1: worker_health({"store": "locked"})}, "worker 1 of 2: locked"),
    ],
)
def test_a_check_fails_if_it_fails_in_any_worker(reports: dict[int, Any], why: str | None) -> None:
    health = joined(reports, {"workers": None})
    assert health.checks.get("store", "absent") == why
    assert health.ready == (why in {None, "absent"})


def test_a_warning_that_workers_share_is_told_once() -> None:
    reports = {number: worker_health(warnings=["shared", f"of {number}"]) for number in range(2)}
    assert joined(reports, {}, ["first"]).warnings == ("first", "shared", "of 0", "of 1")
