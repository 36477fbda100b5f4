"""Two hundred clients that are slow on purpose, made by slowhttptest: another client is served throughout."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from gateways import GatewayUnderTest, running_gateway
from operations import ask, counted, feed_beside, until
from stopwatch import Stopwatch

TOOL: Final = shutil.which("slowhttptest")
pytestmark = pytest.mark.skipif(
    TOOL is None and "SCOPEGATE_SKIP_NOTHING" not in os.environ,
    reason="slowhttptest is not installed; `make slow` installs it where it may",
)

CLIENTS: Final = 200
SECONDS: Final = 10
ROUTES: Final = """\
feed: test
modules: {courses: Courses}
routes:
  - {path: /**, public: true}
"""
LIMITS: Final = "limits: {header_timeout: 4s, body_idle_timeout: 4s, keepalive_timeout: 4s}"
LARGE: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 2_000_000

WAYS: Final = {
    "headers": ("-H", "-i", "1"),
    "bodies": ("-B", "-i", "6", "-s", "8192"),
    "readers": ("-X", "-w", "64", "-y", "128", "-n", "6", "-z", "8", "-k", "1"),
}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayUnderTest]:
    with (
        feed_beside() as feed,
        running_gateway(tmp_path, feed.port, routes=ROUTES, main=LIMITS) as gateway,
    ):
        small = feed.answer
        feed.answer = lambda request: LARGE if request.target == "/slow" else small(request)
        yield gateway


@pytest.mark.parametrize("way", WAYS)
def test_slow_clients_are_sent_away_and_another_is_served_throughout(
    gateway: GatewayUnderTest, way: str
) -> None:
    assert TOOL is not None, "slowhttptest must be here where nothing may be skipped"
    url = f"http://127.0.0.1:{gateway.port}/slow"
    numbers = ("-c", str(CLIENTS), "-r", str(CLIENTS), "-l", str(SECONDS), "-p", "3")
    served, slowest = 0, 0.0
    with subprocess.Popen(
        [TOOL, *WAYS[way], *numbers, "-u", url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as attack:
        until(lambda: counted(gateway, "gateway_connections") >= CLIENTS // 2)
        while attack.poll() is None:
            watch = Stopwatch()
            assert ask(gateway, "GET", "/quick").status == 200
            slowest = max(slowest, watch.seconds)
            served += 1
            if not served % 20:  # nobody is slow for longer than the limits allow
                until(lambda: counted(gateway, "gateway_connections") < CLIENTS // 2, within=SECONDS)
        assert attack.stdout is not None
        said = attack.stdout.read()
    assert served >= 20
    assert slowest < 3.0
    assert set(re.findall(r"service available:\S*\s+\S*(YES|NO)", said)) == {"YES"}, said[-2000:]
    until(lambda: counted(gateway, "gateway_connections") <= 1)
