"""Which stage of a request's path a sampled stack is busy with; pure, so that a test can hold it."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

READ: Final = "wire: reading and parsing the request"
PIPELINE: Final = "pipeline"
IDENTITY: Final = "identity"
ROUTING: Final = "routing"
DECISION: Final = "decision"
HEADERS: Final = "header rules"
SEND: Final = "upstream: choosing a connection, sending"
ANSWERED: Final = "upstream: reading the answer"
ANSWER: Final = "wire: answering"
OBSERVE: Final = "observe: metrics, log lines"
DEADLINES: Final = "deadlines"
TLS: Final = "TLS"
LOOP: Final = "event loop: uvloop, asyncio"
OTHER: Final = "gateway: the rest"

IN_GATEWAY: Final = re.compile(r" \((?:.*/)?gateway/([\w/]+)\.py")
WAITING: Final = ("Condition.wait", "_queue_SimpleQueue_get", "select_epoll_poll")
"""Frames of threads that only wait."""

SYSTEM_CALLS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("write", "writev", "sendmsg", "send", "__send"), "kernel: writing to sockets"),
        **dict.fromkeys(("read", "recvmsg", "recv", "__recv"), "kernel: reading from sockets"),
        **dict.fromkeys(("epoll_pwait", "epoll_wait", "epoll_ctl"), "kernel: waiting for events"),
    }
)
"""The innermost frame, a function of the C library → the stage."""

FOR_OTHERS: Final = ("http1", "domain")
"""Rooms that work for whoever calls them: their time is the caller's."""

FUNCTIONS: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        **{("wire/connection", name): ANSWER for name in ("write", "write_pieces", "turn_ended")},
        ("wire/turn", "__init__"): READ,
        ("wire/turn", "upload"): READ,
        **{("forward/connection", name): SEND for name in ("begin", "send", "end", "usable", "silent")},
    }
)
"""Functions whose stage is not that of their module."""

MODULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "wire/turn": ANSWER,
        "wire/refusals": ANSWER,
        "wire/ending": ANSWER,
        "wire/records": OBSERVE,
        "wire": READ,
        "pipeline": PIPELINE,
        "cors": PIPELINE,
        "protected_resource": PIPELINE,
        "identity": IDENTITY,
        "jose": IDENTITY,
        "issuers": IDENTITY,
        "routing": ROUTING,
        "decision": DECISION,
        "forward/header_rules": HEADERS,
        "forward/forwarded": HEADERS,
        "forward/prepared": HEADERS,
        "forward/connection": ANSWERED,
        "forward/answer_heads": ANSWERED,
        "forward": SEND,
        "observe": OBSERVE,
        "deadlines": DEADLINES,
        "tls": TLS,
        "worker": LOOP,
        "wiring": LOOP,
        "cli": LOOP,
        "supervisor": LOOP,
        "__main__": LOOP,
    }
)
"""A module below `gateway/`, or else its room → the stage."""


def stage(frames: list[str]) -> str | None:
    """What a stack is busy with, innermost last; None if it only waits, or is nobody's."""
    if any(frame.startswith(WAITING) for frame in frames):
        return None
    name, _, place = frames[-1].partition(" ")
    if place.startswith("(libc") and name in SYSTEM_CALLS:
        return SYSTEM_CALLS[name]
    for frame in reversed(frames):
        if found := IN_GATEWAY.search(frame):
            function, module = _last_word(frame), found.group(1)
            room = module.partition("/")[0]
            if room not in FOR_OTHERS:
                return FUNCTIONS.get((module, function)) or MODULES.get(module) or MODULES.get(room, OTHER)
    return None


def shares(stacks: Iterable[str]) -> Counter[str]:
    """Samples a stage, from lines of `frame;frame;frame count`."""
    counted: Counter[str] = Counter()
    for line in stacks:
        stack, _, count = line.strip().rpartition(" ")
        if busy := stage(stack.split(";")):
            counted[busy] += int(count)
    return counted


def table(counted: Counter[str], cpu_us: float) -> str:
    """The stages as Markdown, the dearest first."""
    total = counted.total()
    rows = [f"| stage | share | µs of {cpu_us:.1f} a request |", "| --- | ---: | ---: |"]
    for name, count in counted.most_common():
        rows.append(f"| {name} | {count / total:.1%} | {count / total * cpu_us:.2f} |")
    return "\n".join(rows)


def _last_word(frame: str) -> str:
    """The function of a frame, without the class it is in."""
    return frame.partition(" ")[0].rpartition(".")[2]
