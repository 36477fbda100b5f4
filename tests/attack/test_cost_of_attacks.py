"""What an attack costs the gateway, as a multiple of what it costs the attacker; `make attack` prints them.

`make attack` looks longer at each kind, and at every published row. Gateway and attackers are processes of
their own, and what they used is read from /proc.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attackers import KINDS
from costs import Cost, cpu, forget_highest_memory, highest_memory, memory, workers_of
from gateways import GatewayUnderTest, running_gateway
from operations import ask, feed_beside
from rows import CORPORA, EVERYTHING, PRESENT

SECONDS = float(os.environ.get("SCOPEGATE_ATTACK_SECONDS", "0.3"))
EVERY_ROW = os.environ.get("SCOPEGATE_ATTACK_EVERY_ROW", "23")
MOST = 100
"""How many times of the attacker's effort the gateway may spend (and bytes of memory to each byte sent)."""

LIMITS = 64 << 20
"""What the configured limits may hold beside: sections remembered, callers unknown, buffers; in bytes."""

ATTACKERS = Path(__file__).parents[1] / "support" / "attackers.py"
ROUTES = """\
feed: test
modules: {courses: Courses}
routes:
  - {path: /v2/courses, module: courses}
  - {path: /v2/open, public: true}
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayUnderTest]:
    directory = tmp_path_factory.mktemp("attacked")
    with feed_beside() as feed, running_gateway(directory, feed.port, routes=ROUTES) as gateway:
        assert ask(gateway, "GET", "/v2/open").status == 200
        yield gateway


@pytest.fixture
def open_gateway(tmp_path: Path) -> Iterator[GatewayUnderTest]:
    """One that forwards whatever is a request, so that a row costs as much as it can."""
    with feed_beside() as feed, running_gateway(tmp_path, feed.port, routes=EVERYTHING) as gateway:
        assert ask(gateway, "GET", "/").status == 200
        yield gateway


def attacked(gateway: GatewayUnderTest, *arguments: str) -> list[dict[str, Any]]:
    """What a process of attackers says of itself, line by line."""
    command = [sys.executable, str(ATTACKERS), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1000, check=False)
    assert done.returncode == 0, done.stderr
    assert gateway.process.poll() is None
    return [json.loads(line) for line in done.stdout.splitlines()]


def cost_of(gateway: GatewayUnderTest, kind: str) -> Cost:
    """Attack the gateway, and read what that took."""
    workers = workers_of(gateway.process.pid)
    forget_highest_memory(workers)
    before, held = cpu(workers), memory(workers)
    (said,) = attacked(gateway, kind, str(gateway.port), str(SECONDS))
    used, grown = cpu(workers) - before, highest_memory(workers) - held
    return Cost(said["sent"], said["times"], said["cpu"], used, max(grown, 0))


def told(called: str, cost: Cost) -> None:
    """A line of the table."""
    sent, grown = f"{cost.sent / 1024:.0f} KiB", f"{cost.grown / 1024:.0f} KiB"
    print(f"| {called} | {cost.times} | {sent} | {cost.ratio:.1f} | {grown} |")  # noqa: T201 - the table


def is_bounded(cost: Cost) -> bool:
    """Whether an attack cost no more than may be."""
    return cost.ratio < MOST and cost.grown < MOST * cost.sent + LIMITS


@pytest.mark.parametrize("kind", KINDS)
def test_an_attack_costs_the_gateway_less_than_a_hundred_times_what_it_costs_the_attacker(
    gateway: GatewayUnderTest, kind: str
) -> None:
    for _ in range(3):  # one that others on the machine disturbed is made again
        cost = cost_of(gateway, kind)
        if is_bounded(cost):
            break
    told(kind, cost)
    assert is_bounded(cost)
    assert ask(gateway, "GET", "/v2/open").status == 200


@pytest.mark.skipif(not PRESENT, reason="the published rows do not lie beside this checkout")
def test_no_published_row_costs_more_than_a_hundred_times_its_own_cost(
    open_gateway: GatewayUnderTest,
) -> None:
    gateway = open_gateway
    workers = workers_of(gateway.process.pid)
    held = memory(workers)
    rows = str(CORPORA / "smuggling.jsonl")
    said = attacked(gateway, "rows", str(gateway.port), rows, EVERY_ROW, *map(str, workers))
    costs = {
        one["row"]: Cost(one["sent"], one["times"], one["cpu"], one["gateway"], one["grown"]) for one in said
    }
    assert len(costs) == len(said) > 0
    dearest = sorted(costs, key=lambda row: costs[row].ratio, reverse=True)
    for row in dearest[:10]:
        told(row, costs[row])
    told(f"the median of {len(costs)} rows", costs[dearest[len(costs) // 2]])
    largest = max(costs, key=lambda row: costs[row].grown)
    told(f"most memory: {largest}", costs[largest])
    assert [row for row in costs if not is_bounded(costs[row])] == []
    assert memory(workers) - held < LIMITS
    assert ask(gateway, "GET", "/v2/open").status == 200
