import asyncio
from contextlib import suppress

from conversations import CutShortError, conversation
from gateways import PlaneUnderTest
from stopwatch import Stopwatch
from waiting import until_so

from gateway.control.keys import revoke_key

CROWD = 100


async def test_a_crowd_of_unknown_keys_keeps_no_revocation_waiting(plane: PlaneUnderTest, key: str) -> None:
    async def guess(number: int) -> None:
        with suppress(CutShortError, ConnectionError, TimeoutError):
            async with conversation(plane.port) as client:
                for turn in range(10_000):
                    await client.ask("GET", "/v2/courses", f"X-API-Key: guess-{number}-{turn}")

    async with conversation(plane.port) as client:
        assert (await client.ask("GET", "/v2/courses", f"X-API-Key: {key}")).status == 200
        crowd = [asyncio.create_task(guess(number)) for number in range(CROWD)]
        await asyncio.sleep(0)
        await revoke_key(plane.store, "tests", 1)
        revoked = Stopwatch()

        async def refused() -> bool:
            return (await client.ask("GET", "/v2/courses", f"X-API-Key: {key}")).status != 200

        await until_so(refused, 10)
        took = revoked.seconds
        for one in crowd:
            one.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
    assert took < 1
