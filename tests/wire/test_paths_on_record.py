"""What the log keeps of a path: all of it, or as much as is fair, with a mark where it was cut."""

import pytest
from conversations import ask, conversation
from gateways import PlaneUnderTest
from scripts import records

MOST = 2048


@pytest.mark.parametrize("length", [MOST - 1, MOST, MOST + 1, 5000])
@pytest.mark.parametrize("well_formed", [True, False], ids=["judged", "malformed"])
async def test_a_path_is_logged_whole_or_cut_with_a_mark(
    plane: PlaneUnderTest, length: int, *, well_formed: bool
) -> None:
    path = "/v2/files/".ljust(length, "a")
    if well_formed:
        await ask(plane.port, "GET", f"{path}?query")
    else:
        async with conversation(plane.port) as client:
            await client.send(f"GET {path}?query HTTP/1.1\r\n\r\n".encode())
            assert (await client.answer()).code == "request_malformed"
    (record,) = await records(plane, 1)
    assert record["path"] == (path if length <= MOST else path[: MOST - 3] + "...")
