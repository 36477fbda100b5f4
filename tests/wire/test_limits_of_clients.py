"""How many connections one client may have: by its own address, or by the one that a balancer tells."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from authorities import Authority, tls_conversation
from conversations import Conversation, conversation
from feeds import Feed
from gateways import PlaneUnderTest, running_plane
from hypothesis import given
from hypothesis import strategies as st
from waiting import until, until_so

from gateway.wire.crowd import Crowd, client_of

LIMITS = "limits: {connections_per_client: 3}"


@pytest.fixture
async def plane(tmp_path: Path, feed: Feed) -> AsyncIterator[PlaneUnderTest]:
    async with running_plane(tmp_path, feed.port, main=LIMITS) as plane:
        yield plane


async def sent_away(client: Conversation) -> None:
    answer = await client.answer()
    assert (answer.status, answer.code) == (503, "overloaded")
    assert (answer.value("Retry-After"), answer.value("Connection")) == ("1", "close")
    assert "your address" in answer.problem["detail"]
    assert await client.closed() == b""


async def served(client: Conversation) -> bool:
    return (await client.ask("GET", "/v2/status")).status == 200


async def test_one_connection_too_many_of_a_client_is_sent_away_and_the_others_stay(
    plane: PlaneUnderTest,
) -> None:
    async with AsyncExitStack() as crowd:
        guests = [await crowd.enter_async_context(conversation(plane.port)) for _ in range(3)]
        assert all([await served(guest) for guest in guests])
        for _ in range(5):  # who was sent away takes nobody's place, and frees none
            async with conversation(plane.port) as one_too_many:
                await sent_away(one_too_many)
        assert all([await served(guest) for guest in guests])
    await plane.until_logged(11)
    assert [r["code"] for r in await plane.logged() if r["status"] == 503] == ["overloaded"] * 5


@pytest.mark.parametrize("how", ["close", "reset", "half a request"])
async def test_a_place_is_free_again_when_a_connection_is_gone(plane: PlaneUnderTest, how: str) -> None:
    async def let_in() -> bool:
        async with conversation(plane.port) as client:
            return await served(client)

    for _ in range(3):
        async with AsyncExitStack() as crowd:
            for _ in range(3):
                guest = await crowd.enter_async_context(conversation(plane.port))
                assert await served(guest)
                if how == "half a request":
                    await guest.send(b"GET /v2/st")
                if how == "reset":
                    guest.reset()
        await until_so(let_in)
    listener = plane.worker._listener
    await until(lambda: not listener.connections)
    assert len(listener._crowd) == 0


async def test_a_trusted_proxy_speaks_for_many_and_is_not_counted(tmp_path: Path, feed: Feed) -> None:
    main = f"{LIMITS}\ntrusted_proxies: [127.0.0.1]"
    async with running_plane(tmp_path, feed.port, main=main) as plane, AsyncExitStack() as crowd:
        guests = [await crowd.enter_async_context(conversation(plane.port)) for _ in range(8)]
        assert all([await served(guest) for guest in guests])


async def test_behind_a_balancer_each_client_it_tells_of_is_counted(tmp_path: Path, feed: Feed) -> None:
    main = f"{LIMITS}\ntrusted_proxies: [127.0.0.1]\nproxy_protocol: true"

    async def arriving(crowd: AsyncExitStack, address: str) -> Conversation:
        client = await crowd.enter_async_context(conversation(plane.port))
        family, own = ("TCP6", "::1") if ":" in address else ("TCP4", "127.0.0.1")
        await client.send(f"PROXY {family} {address} {own} 50000 443\r\n".encode())
        return client

    async with running_plane(tmp_path, feed.port, main=main) as plane, AsyncExitStack() as crowd:
        for address in ("192.0.2.1", "192.0.2.2", "2001:db8::1"):
            for _ in range(3):
                assert await served(await arriving(crowd, address))
        for address in ("192.0.2.1", "192.0.2.2", "2001:db8::ffff"):
            await sent_away(await arriving(crowd, address))
        assert await served(await arriving(crowd, "2001:db8:0:1::1"))


async def test_a_reload_counts_who_comes_from_then_on_and_forgets_nobody_who_was_counted(
    plane: PlaneUnderTest, tmp_path: Path
) -> None:
    file = tmp_path / "gateway.yaml"
    limited = file.read_text()
    async with AsyncExitStack() as crowd:
        for _ in range(3):
            assert await served(await crowd.enter_async_context(conversation(plane.port)))
        file.write_text(limited.replace(LIMITS, ""))
        await plane.worker.reload()
        for _ in range(3):
            assert await served(await crowd.enter_async_context(conversation(plane.port)))
        file.write_text(limited)
        await plane.worker.reload()
        async with conversation(plane.port) as one_too_many:
            await sent_away(one_too_many)
    listener = plane.worker._listener
    await until(lambda: not listener.connections)
    assert len(listener._crowd) == 0


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("::1", "::"),
        ("unknown", "unknown"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_an_ipv6_client_is_its_network(address: str, client: str) -> None:
    assert client_of(address) == client


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"))), st.integers(1, 3))
def test_a_crowd_counts_as_many_as_are_there(moves: list[tuple[bool, str]], most: int) -> None:
    crowd, there = Crowd(), {"a": 0, "b": 0, "c": 0}
    for comes, client in moves:
        if comes:
            assert crowd.enter(client, most) == (there[client] < most)
            there[client] = min(there[client] + 1, most)
        elif there[client]:
            crowd.leave(client)
            there[client] -= 1
    assert len(crowd) == sum(map(bool, there.values()))


async def test_handshakes_that_do_not_end_are_counted_too(tmp_path: Path, feed: Feed) -> None:
    """At the door a client may be as often as inside: one too many there is cut, and the others are heard."""
    authority = Authority(tmp_path)
    main = f"{LIMITS}\ntls: {{{authority.pair('feeds.test').yaml}}}"
    async with running_plane(tmp_path, feed.port, main=main) as plane, AsyncExitStack() as crowd:
        entrance = plane.worker._listener._entrance
        for _ in range(3):
            await crowd.enter_async_context(conversation(plane.port))
        await until(lambda: len(entrance.waiting) == 3)
        async with conversation(plane.port) as one_too_many:
            assert await one_too_many.closed() == b""
        assert len(entrance.waiting) == 3
        await crowd.aclose()
        await until(lambda: not entrance.waiting)
        async with AsyncExitStack() as inside:
            for _ in range(3):
                guest = await inside.enter_async_context(tls_conversation(plane.port, authority.client()))
                assert await served(guest)
            async with tls_conversation(plane.port, authority.client()) as one_too_many:
                await sent_away(one_too_many)
        await until(lambda: not plane.worker._listener.connections)
        assert (len(entrance._crowd), len(plane.worker._listener._crowd)) == (0, 0)
