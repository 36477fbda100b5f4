"""The log of the processes: one line a message, whatever it holds."""

import json
import logging
import subprocess
import sys

import pytest
from aiohttp.http_exceptions import BadHttpMessage

from gateway.observe.process_log import LogFormat, OneLine, is_worth_telling


def record(message: str, *, fault: BaseException | None = None, name: str = "gateway") -> logging.LogRecord:
    told = (type(fault), fault, None) if fault else None
    made = logging.LogRecord(name, logging.WARNING, "", 1, message, (), told)
    made.created, made.msecs = 1_700_000_000.25, 250.0
    return made


def test_text_is_for_people() -> None:
    line = OneLine(LogFormat.TEXT, "worker 1").format(record("a store is away"))
    assert line == "2023-11-14T22:13:20.250Z warning worker 1: a store is away"


def test_json_is_for_programs() -> None:
    line = OneLine(LogFormat.JSON, "worker 1").format(record("a store is away"))
    assert json.loads(line) == {
        "ts": "2023-11-14T22:13:20.250Z",
        "level": "warning",
        "process": "worker 1",
        "message": "a store is away",
    }


@pytest.mark.parametrize("format_", LogFormat)
@pytest.mark.parametrize("message", ["one\ntwo", "one\r\ntwo", "\n\n"])
def test_a_message_of_several_lines_stays_one(format_: LogFormat, message: str) -> None:
    line = OneLine(format_, "gateway").format(record(message, fault=ValueError("and\nso on")))
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize(
    ("made", "worth"),
    [
        (record("bad request", fault=BadHttpMessage("no"), name="aiohttp.server"), False),
        (record("broken", fault=ValueError("ours"), name="aiohttp.server"), True),
        (record("quiet", name="aiohttp.server"), True),
        (record("refused", fault=BadHttpMessage("no")), True),
    ],
)
def test_clients_that_speak_no_http_are_not_told_of(made: logging.LogRecord, *, worth: bool) -> None:
    assert is_worth_telling(made) is worth


def test_a_standard_error_that_is_full_ends_nothing() -> None:
    script = (
        "import logging\n"
        "from gateway.observe.process_log import log_to_standard_error\n"
        "log_to_standard_error('gateway')\n"
        "logging.warning('lost')\n"
        "print('went on', flush=True)\n"
        "import os; os._exit(0)\n"
    )
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        ended = subprocess.run(
            [sys.executable, "-c", script], check=True, stdout=subprocess.PIPE, stderr=full
        )
    assert ended.stdout == b"went on\n"
