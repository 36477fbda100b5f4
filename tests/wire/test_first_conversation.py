from conversations import conversation
from feeds import Feed
from gateways import PlaneUnderTest


async def test_a_permitted_request_reaches_the_feed_and_its_answer_the_client(
    plane: PlaneUnderTest, feed: Feed, key: str
) -> None:
    async with conversation(plane.port) as client:
        answer = await client.ask("GET", "/v2/courses/17?page=2", f"X-API-Key: {key}")
    assert (answer.status, answer.body) == (200, b"hello")
    assert [(r.method, r.target) for r in feed.requests] == [("GET", "/v2/courses/17?page=2")]
    assert feed.requests[0].value("X-Gateway-Scopes") == "website"


async def test_a_refused_request_does_not_reach_the_feed(plane: PlaneUnderTest, feed: Feed, key: str) -> None:
    async with conversation(plane.port) as client:
        answer = await client.ask("GET", "/v2/users", f"X-API-Key: {key}")
        assert (answer.status, answer.code) == (403, "scope_denied")
        again = await client.ask("GET", "/v2/courses", f"X-API-Key: {key}")
    assert again.status == 200
    assert [r.target for r in feed.requests] == ["/v2/courses"]
