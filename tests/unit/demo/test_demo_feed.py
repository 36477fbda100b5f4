"""The sample feed as its callers see it, over real sockets."""

import asyncio
import hashlib
import io
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from gateway.demo.feed import make_feed
from gateway.demo.files import BACKUP_SIZE

Client = TestClient[web.Request, web.Application]

COURSE = {
    "code": "ZZ-1",
    "title": "Juggling",
    "category": "Personal skills",
    "duration_days": 1,
    "price": "10.00",
    "active": True,
}
BACKUP = "/v2/files/backups/2026/01/nightly.bin"


@pytest.fixture
async def feed(aiohttp_client: Callable[[web.Application], Awaitable[Client]]) -> Client:
    return await aiohttp_client(make_feed(seed=1))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/nothing", 404),
        ("GET", "/v2/courses/0", 404),
        ("GET", "/v2/courses/99999999999999999999", 404),
        ("GET", "/v2/courses/one", 404),
        ("GET", "/elsewhere", 404),
        ("GET", "/v2/files/../../feed.py", 404),
        ("GET", "/v2/files/%2e%2e%2ffeed.py", 404),
        ("GET", "/v2/courses?colour=red", 400),
        ("GET", "/v2/courses?%FF=%FE&%ED%A0%80=1", 400),
        ("GET", "/v2/%FF%ED%A0%80", 404),
        ("GET", "/v2/reports/slow?seconds=nan", 400),
        ("GET", "/v2/reports/slow?seconds=121", 400),
        ("GET", "/v2/events?every=0", 400),
        ("DELETE", "/v2/courses", 405),
        ("POST", "/v2/status", 404),
        ("DELETE", "/v2/accounts/2", 409),
    ],
)
async def test_every_error_is_told_in_json(feed: Client, method: str, path: str, status: int) -> None:
    answer = await feed.request(method, path)
    assert answer.status == status
    told = (await answer.json())["error"]
    assert told["status"] == status
    assert told["message"]


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "application/json", 422),
        (b'"' + b"x" * 1024 * 1024 + b'"', "application/json", 413),
    ],
    ids=["half", "list", "empty", "not-utf-8", "deep", "text", "no-fields", "large"],
)
async def test_a_body_that_is_no_record_is_refused(
    feed: Client, body: bytes, content_type: str, status: int
) -> None:
    answer = await feed.post("/v2/courses", data=io.BytesIO(body), headers={"Content-Type": content_type})
    assert (answer.status, (await answer.json())["error"]["status"]) == (status, status)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": None}, "title"),
        ({"title": "a\x00b"}, "title"),
        ({"title": "x" * 501}, "title"),
        ({"price": 10}, "price"),
        ({"price": "10"}, "price"),
        ({"duration_days": -1}, "duration_days"),
        ({"duration_days": 1.5}, "duration_days"),
        ({"active": "yes"}, "active"),
        ({"id": 7}, "id"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_field_that_does_not_fit_is_named(
    feed: Client, change: dict[str, object], field: str
) -> None:
    answer = await feed.post("/v2/courses", json={**COURSE, **change})
    assert answer.status == 422
    assert list((await answer.json())["error"]["fields"]) == [field]


@pytest.mark.parametrize(
    ("path", "change", "field"),
    [
        ("/v2/course-dates/1", {"course_id": 9999}, "course_id"),
        ("/v2/course-dates/1", {"starts_on": "2026-02-30"}, "starts_on"),
        ("/v2/course-dates/1", {"starts_on": "9999-01-01"}, "ends_on"),
        ("/v2/course-dates/1", {"status": "vague"}, "status"),
        ("/v2/invoices/1", {"due_on": "2000-01-01"}, "due_on"),
        ("/v2/bookings/1", {"places": 0}, "places"),
        ("/v2/users/1", {"email": "nobody"}, "email"),
    ],
)
async def test_a_change_that_breaks_a_record_is_refused(
    feed: Client, path: str, change: dict[str, object], field: str
) -> None:
    before = await (await feed.get(path)).json()
    answer = await feed.patch(path, json=change)
    assert (answer.status, list((await answer.json())["error"]["fields"])) == (422, [field])
    assert await (await feed.get(path)).json() == before


async def test_a_record_lives_from_post_to_delete(feed: Client) -> None:
    created = await feed.post("/v2/courses", json=COURSE)
    assert created.status == 201
    place = created.headers["Location"]
    assert await (await feed.get(place)).json() == await created.json()

    amended = await feed.patch(place, json={"price": "12.50"})
    assert (await amended.json())["price"] == "12.50"
    assert amended.headers["ETag"] != created.headers["ETag"]

    whole = await amended.json()
    replaced = await feed.put(place, json={**whole, "title": "Juggling for Two"})
    assert (replaced.status, (await replaced.json())["title"]) == (200, "Juggling for Two")

    deleted = await feed.delete(place)
    assert (deleted.status, await deleted.read()) == (204, b"")
    assert (await feed.get(place)).status == 404
    assert (await (await feed.post("/v2/courses", json=COURSE)).json())["id"] != whole["id"]


async def test_a_record_that_was_read_is_not_sent_again_nor_overwritten_unseen(feed: Client) -> None:
    first = (await feed.get("/v2/courses/1")).headers["ETag"]
    assert (await feed.get("/v2/courses/1", headers={"If-None-Match": f'"x", {first}'})).status == 304
    assert (
        await feed.patch("/v2/courses/1", json={"active": False}, headers={"If-Match": first})
    ).status == 200
    assert (
        await feed.patch("/v2/courses/1", json={"active": True}, headers={"If-Match": first})
    ).status == 412
    assert (await feed.get("/v2/courses/1", headers={"If-None-Match": first})).status == 200


async def test_pages_link_to_one_another_and_keep_the_filter(feed: Client) -> None:
    path: str | None = "/v2/courses?category=Management&page_size=2"
    titles = []
    while path:
        page = await (await feed.get(path)).json()
        titles += [record["title"] for record in page["data"]]
        path = page["links"].get("next")
    assert len(titles) == page["total"] == 5


async def test_every_module_tells_its_fields_and_can_be_searched(feed: Client) -> None:
    for module in (await (await feed.get("/v2/status")).json())["records"]:
        fields = (await (await feed.get(f"/v2/{module}/fields")).json())["fields"]
        found = await (await feed.post(f"/v2/{module}/search", json={"where": {"id": 1}})).json()
        assert [list(record) for record in found["data"]] == [[field["name"] for field in fields]]


@pytest.mark.parametrize(
    ("asked", "status", "start", "stop"),
    [
        (None, 200, 0, BACKUP_SIZE),
        ("bytes=0-99", 206, 0, 100),
        ("bytes=100-", 206, 100, BACKUP_SIZE),
        ("bytes=-7", 206, BACKUP_SIZE - 7, BACKUP_SIZE),
        ("bytes=8388600-99999999", 206, 8388600, BACKUP_SIZE),
        ("bytes=0-1,5-6", 200, 0, BACKUP_SIZE),
        ("lines=1-2", 200, 0, BACKUP_SIZE),
    ],
)
async def test_a_download_gives_the_range_that_is_asked_for(
    feed: Client, asked: str | None, status: int, start: int, stop: int
) -> None:
    whole = hashlib.shake_256(b"nightly").digest(BACKUP_SIZE)
    answer = await feed.get(BACKUP, headers={"Range": asked} if asked else {})
    assert (answer.status, await answer.read()) == (status, whole[start:stop])
    if status == 206:
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{BACKUP_SIZE}"


async def test_a_range_that_is_not_there_says_how_long_the_file_is(feed: Client) -> None:
    answer = await feed.get(BACKUP, headers={"Range": "bytes=8388608-"})
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */8388608")


async def test_a_range_of_an_older_file_gives_the_whole_new_one(feed: Client) -> None:
    answer = await feed.get(BACKUP, headers={"Range": "bytes=0-1", "If-Range": '"older"'})
    assert (answer.status, answer.content_length) == (200, BACKUP_SIZE)
    answer.close()


async def test_head_tells_the_length_and_sends_nothing(feed: Client) -> None:
    answer = await feed.head(BACKUP)
    assert (answer.status, answer.headers["Content-Length"], await answer.read()) == (
        200,
        str(BACKUP_SIZE),
        b"",
    )


async def test_the_event_stream_tells_changes_as_they_happen(feed: Client) -> None:
    answer = await feed.get("/v2/events?count=2")
    assert (await answer.content.readuntil(b"\n\n")).startswith(b"event: hello\n")
    await feed.patch("/v2/users/1", json={"active": False})
    assert await answer.content.readuntil(b"\n\n") == (
        b'event: users.updated\nid: 1\ndata: {"module":"users","id":1}\n\n'
    )
    assert await answer.content.read() == b""


async def test_the_event_stream_tells_what_a_reader_has_missed(feed: Client) -> None:
    for id_ in (1, 2, 3):
        await feed.patch(f"/v2/users/{id_}", json={"active": False})
    answer = await feed.get("/v2/events?count=3", headers={"Last-Event-ID": "1"})
    assert [line for line in (await answer.text()).splitlines() if line.startswith("id:")] == [
        "id: 3",
        "id: 2",
        "id: 3",
    ]


async def test_a_quiet_event_stream_is_kept_open_with_comments(feed: Client) -> None:
    answer = await feed.get("/v2/events?every=0.1")
    await answer.content.readuntil(b"\n\n")
    assert await answer.content.readuntil(b"\n\n") == b": still here\n\n"
    answer.close()


async def test_a_slow_report_ends_when_the_feed_stops(feed: Client) -> None:
    asked = asyncio.ensure_future(feed.get("/v2/reports/slow?seconds=60"))
    await feed.get("/v2/status")
    await feed.server.app.shutdown()  # type: ignore[union-attr] # it is the plain application
    assert (await asked).status == 503


async def test_the_feed_repeats_what_the_gateway_tells_it_but_never_a_credential(feed: Client) -> None:
    told = {"X-Gateway-Principal": "key:1", "X-Request-ID": "abc", "Via": "1.1 scopegate"}
    answer = await feed.get("/v2/whoami", headers={**told, "X-API-Key": "made-up", "Accept": "text/plain"})
    assert await answer.json() == {"headers": told, "credentials": ["X-API-Key"]}
