"""Every module in the path of a request belongs to a stage, and a stack is counted for its innermost one."""

from pathlib import Path

import pytest

import gateway
from bench import stages
from bench.stages import shares, stage, table

ROOT = Path(gateway.__file__).parent
LOOP = "run (asyncio/runners.py:118)", "main (gateway/worker.py:48)", "uv__io_poll (linux.c:1546)"


@pytest.mark.parametrize(
    ("frames", "found"),
    [
        (["ClientConnection.data_received (gateway/wire/connection.py:1)"], stages.READ),
        (
            [
                "ClientConnection._head_received (gateway/wire/connection.py:1)",
                "read (gateway/http1/head.py:2)",
            ],
            stages.READ,
        ),
        (
            [
                "UpstreamConnection._head_received (gateway/forward/connection.py:1)",
                "read (gateway/http1/head.py:2)",
            ],
            stages.ANSWERED,
        ),
        (
            ["UpstreamConnection.begin (gateway/forward/connection.py:1)", "write (loop.c:110189)"],
            stages.SEND,
        ),
        (["FeedUpstream.send (gateway/forward/upstream.py:1)"], stages.SEND),
        (["HeaderRules.for_feed (gateway/forward/header_rules.py:1)"], stages.HEADERS),
        (["Pipeline.handle (gateway/pipeline.py:1)"], stages.PIPELINE),
        (["Identity.known (gateway/identity/identity.py:1)"], stages.IDENTITY),
        (["verify (gateway/jose/verify.py:1)"], stages.IDENTITY),
        (["RouteTable.place (gateway/routing/table.py:1)"], stages.ROUTING),
        (
            ["decide (gateway/decision/decide.py:1)", "Scope.covers (gateway/domain/scope.py:1)"],
            stages.DECISION,
        ),
        (["Turn.answer (gateway/wire/turn.py:1)"], stages.ANSWER),
        (["Turn.__init__ (gateway/wire/turn.py:1)"], stages.READ),
        (["ClientConnection.write (gateway/wire/connection.py:1)"], stages.ANSWER),
        (["record_of (gateway/wire/records.py:1)"], stages.OBSERVE),
        (["Logs._render (gateway/observe/logs.py:1)", "0x7f (orjson/orjson.so)"], stages.OBSERVE),
        (["Worker.run (gateway/wiring/worker.py:1)", "run_until_complete (loop.c:1)"], stages.LOOP),
        (["Turn.answer (gateway/wire/turn.py:1)", "write (libc.so.6)"], "kernel: writing to sockets"),
        (["uv__read (stream.c:1154)", "read (libc.so.6)"], "kernel: reading from sockets"),
        (["/srv/x/gateway/pipeline.py", "handle (/srv/x/gateway/pipeline.py:1)"], stages.PIPELINE),
        ([], stages.LOOP),
    ],
)
def test_a_stack_is_counted_for_its_innermost_stage(frames: list[str], found: str) -> None:
    assert stage([*LOOP, *frames]) == found


def test_a_thread_that_waits_is_counted_for_none() -> None:
    assert stage([*LOOP, "Condition.wait (threading.py:320)"]) is None
    assert stage(["clone (libc.so.6)", "something (python3.11)"]) is None


def test_every_module_of_the_gateway_in_the_path_has_a_stage_by_name() -> None:
    rooms = ("wire", "forward", "identity", "jose", "routing", "decision", "observe", "tls", "wiring")
    files = [file for room in rooms for file in (ROOT / room).rglob("*.py")]
    files += [ROOT / name for name in ("pipeline.py", "cors.py", "deadlines.py", "worker.py")]
    unknown = [
        file for file in files if stage([f"f (gateway/{file.relative_to(ROOT)}:1)"]) in {None, stages.OTHER}
    ]
    assert not unknown


@pytest.mark.parametrize("module", sorted({*stages.MODULES, *(module for module, _ in stages.FUNCTIONS)}))
def test_a_stage_names_no_module_that_there_is_not(module: str) -> None:
    assert (ROOT / module).is_dir() or (ROOT / f"{module}.py").is_file()


@pytest.mark.parametrize(("module", "function"), sorted(stages.FUNCTIONS))
def test_a_stage_names_no_function_that_there_is_not(module: str, function: str) -> None:
    assert f"def {function}(" in (ROOT / f"{module}.py").read_text()


def test_the_shares_of_all_stages_are_the_whole() -> None:
    counted = shares(
        [
            "main (gateway/worker.py:48);handle (gateway/pipeline.py:1) 30",
            "main (gateway/worker.py:48);decide (gateway/decision/decide.py:1) 10",
            "clone (libc.so.6);Condition.wait (threading.py:320) 900",
            "",
        ]
    )
    assert counted == {stages.PIPELINE: 30, stages.DECISION: 10}
    assert table(counted, 40.0).splitlines()[2:] == [
        "| pipeline | 75.0% | 30.00 |",
        "| decision | 25.0% | 10.00 |",
    ]
