"""The platform's files: exports made of its records, handbooks, and a backup large enough to watch stream."""

import csv
import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Final

from gateway.demo.collection import Collection
from gateway.demo.platform import Platform

BACKUP_SIZE: Final = 8 * 1024 * 1024
CSV: Final = "text/csv; charset=utf-8"
MARKDOWN: Final = "text/markdown; charset=utf-8"
BINARY: Final = "application/octet-stream"


@dataclass(frozen=True)
class StoredFile:
    """A file whose bytes are made when they are first wanted, and kept."""

    content_type: str
    make: Callable[[], bytes]

    @cached_property
    def content(self) -> bytes:
        """All of it."""
        return self.make()

    @cached_property
    def tag(self) -> str:
        """The entity tag of the content (RFC 9110 §8.8.3)."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'


def stored_files(platform: Platform) -> Mapping[str, StoredFile]:
    """Every file by its path below `/v2/files/`. Exports show the records as they were when first read."""
    handbooks = {
        f"handbooks/{course['code']}.md".lower(): StoredFile(MARKDOWN, partial(_handbook, dict(course)))
        for course in platform.collections["courses"].records.values()
    }
    exports = {
        f"exports/{module}.csv": StoredFile(CSV, partial(_export, collection))
        for module, collection in platform.collections.items()
    }
    return {**exports, **handbooks, "backups/2026/01/nightly.bin": StoredFile(BINARY, _backup)}


def _export(collection: Collection) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(collection.shape.fields))
    writer.writeheader()
    writer.writerows(collection.records.values())
    return text.getvalue().encode()


def _handbook(course: Mapping[str, object]) -> bytes:
    return (
        f"# {course['title']} ({course['code']})\n\n"
        f"Category: {course['category']}. Length: {course['duration_days']} day(s). "
        f"Price: £{course['price']} a place.\n\n"
        "Please arrive fifteen minutes early and bring something to write with.\n"
    ).encode()


def _backup() -> bytes:
    """Bytes that do not compress, the same at each start."""
    return hashlib.shake_256(b"nightly").digest(BACKUP_SIZE)
