"""The log of the processes themselves: one line a message to standard error, as text or as JSON."""

import json
import logging
import sys
import time
from enum import StrEnum
from typing import Final, TextIO


class LogFormat(StrEnum):
    """How a line is written: for people, or for programs."""

    TEXT = "text"
    JSON = "json"


UNBROKEN: Final = str.maketrans({"\n": "\\n", "\r": "\\r"})


class OneLine(logging.Formatter):
    """Formats a record as one line, whatever its message and its traceback hold."""

    def __init__(self, format_: LogFormat, process: str) -> None:
        super().__init__()
        self._format = format_
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its newline."""
        second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields = {
            "ts": f"{second}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "process": self._process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        if self._format is LogFormat.JSON:
            return json.dumps(fields)
        told = " ".join((fields["message"], fields.get("traceback", ""))).rstrip()
        return f"{fields['ts']} {fields['level']} {self._process}: {told.translate(UNBROKEN)}"


class Quiet(logging.StreamHandler[TextIO]):
    """Writes to a stream; one that cannot be written is no reason to fail, and there is nowhere to say so."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Let it be."""
        del record


def is_worth_telling(record: logging.LogRecord) -> bool:
    """Whether an operator needs the message: who speaks no HTTP to the admin port does not matter."""
    if record.name != "aiohttp.server" or record.exc_info is None:
        return True
    from aiohttp.http_exceptions import HttpProcessingError  # noqa: PLC0415 - costly, and workers have none

    return not isinstance(record.exc_info[1], HttpProcessingError)


def log_to_standard_error(
    process: str,
    format_: LogFormat = LogFormat.TEXT,
    level: int = logging.INFO,
) -> None:
    """Send this process's messages to standard error; `process` names it in each line."""
    handler = Quiet(sys.stderr)
    handler.setFormatter(OneLine(format_, process))
    handler.addFilter(is_worth_telling)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
