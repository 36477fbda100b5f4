"""What the parent process and a worker tell each other: a closed set of words, as framed JSON.

    parent ─▶ worker   Start, AskMetrics, AskHealth, Reload, ReopenLogs, Drain
    worker ─▶ parent   Ready, Failed, Metrics, Health, Reloaded, ReloadRefused, KeysFetched

A frame is a length (4 bytes, big-endian) and a JSON array `[word, {fields}]`.
"""

import struct
from dataclasses import dataclass, field, fields
from typing import Final, TypedDict

import orjson

from gateway.observe.health import WorkerHealth
from gateway.observe.snapshot import Snapshot

LENGTH: Final = struct.Struct(">I")
LARGEST: Final = 32 * 1024 * 1024
"""The longest frame, in bytes; a snapshot of thousands of modules is a tenth of it."""


class LinkError(Exception):
    """The other side broke the grammar of the link."""


class KeyRecord(TypedDict):
    """The public keys of an issuer: the document as it was published, and the fetch's time since the epoch.

    `source` tells of which issuer it is, by which way: it is compared, and holds nothing to be read.
    """

    source: str
    document: str
    fetched_at: float


@dataclass(frozen=True, slots=True)
class Start:
    """The first message: what to serve, and under which number (0, 1, …) the worker is known.

    `files` are the texts of the configuration by absolute path, as the parent checked them. `again` says that
    a place fell vacant, so the worker begins even if the store is away. `keys` are what other workers fetched
    last, for the case that the issuers are away.
    """

    config: str
    number: int
    log_format: str = "text"
    files: dict[str, str] = field(default_factory=dict, repr=False)
    again: bool = False
    keys: list[KeyRecord] = field(default_factory=list, repr=False)


@dataclass(frozen=True, slots=True)
class AskMetrics:
    """Answer with Metrics."""


@dataclass(frozen=True, slots=True)
class AskHealth:
    """Answer with Health."""


@dataclass(frozen=True, slots=True)
class Reload:
    """Swap the configuration whole for these texts; answer with Reloaded or ReloadRefused."""

    files: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class ReopenLogs:
    """Open the log files anew."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Stop accepting, finish what is in flight, end."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker accepts connections."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker cannot start, and ends."""

    why: str


@dataclass(frozen=True, slots=True)
class Metrics:
    """Everything the worker counted so far."""

    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Health:
    """What the worker says of itself."""

    report: WorkerHealth


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The new configuration is in force."""


@dataclass(frozen=True, slots=True)
class ReloadRefused:
    """The new configuration is not in force, and the one before still is."""

    why: str


@dataclass(frozen=True, slots=True)
class KeysFetched:
    """Keep these keys for the workers that start next; told unasked."""

    keys: KeyRecord = field(repr=False)


ToWorker = Start | AskMetrics | AskHealth | Reload | ReopenLogs | Drain
ToParent = Ready | Failed | Metrics | Health | Reloaded | ReloadRefused | KeysFetched
Message = ToWorker | ToParent

WORDS: Final[dict[str, type[Message]]] = {
    kind.__name__: kind
    for kind in (
        *(Start, AskMetrics, AskHealth, Reload, ReopenLogs, Drain),
        *(Ready, Failed, Metrics, Health, Reloaded, ReloadRefused, KeysFetched),
    )
}
"""Every word of the link; any other is refused."""

SHAPES: Final[dict[object, type]] = {
    str: str,
    int: int,
    bool: bool,
    dict[str, str]: dict,
    Snapshot: dict,
    WorkerHealth: dict,
    KeyRecord: dict,
    list[KeyRecord]: list,
}
"""What JSON makes of each type that a message may have."""


def encode(message: Message) -> bytes:
    """The message as a frame. Raises LinkError if it is too long."""
    told = {part.name: getattr(message, part.name) for part in fields(message)}
    body = orjson.dumps([type(message).__name__, told])
    if len(body) > LARGEST:
        raise LinkError(f"a {type(message).__name__} of {len(body)} bytes is longer than the link takes")
    return LENGTH.pack(len(body)) + body


def decode(body: bytes) -> Message:
    """The message in a frame's body. Raises LinkError for anything that is none."""
    try:
        word, told = orjson.loads(body)
        kind = WORDS[word]
        shape = {part.name: SHAPES[part.type] for part in fields(kind)}
    except (ValueError, TypeError, KeyError):
        raise LinkError(f"not a message of this link: {body[:40]!r}") from None
    if not isinstance(told, dict) or told.keys() != shape.keys():
        raise LinkError(f"a {word} with other fields than {sorted(shape)}")
    for name, of in shape.items():
        if type(told[name]) is not of:
            raise LinkError(f"the {name} of a {word} is no {of.__name__}")
    return kind(**told)
