"""The records of one module, kept in memory: found, paged, sorted, added, changed and removed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from gateway.demo.query import Query
from gateway.demo.shape import Kind, Record, Shape, Value, measured


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the records that a query finds, and how many there are in all."""

    records: list[Record]
    number: int
    size: int
    total: int

    @property
    def pages(self) -> int:
        """How many pages there are; one even when nothing is found."""
        return max(1, -(-self.total // self.size))


@dataclass(slots=True)
class Collection:
    """The records of one module by id, and a version of each that grows with every change."""

    shape: Shape
    records: dict[int, Record]
    versions: dict[int, int] = field(default_factory=dict)
    next_id: int = 1

    @classmethod
    def of(cls, shape: Shape, records: Iterable[Record]) -> Self:
        """The collection of those records."""
        by_id = {int(record["id"] or 0): record for record in records}
        return cls(shape, by_id, next_id=max(by_id, default=0) + 1)

    def tag(self, id_: int) -> str:
        """The entity tag of a record (RFC 9110 §8.8.3)."""
        return f'"{self.shape.module}-{id_}-{self.versions.get(id_, 1)}"'

    def found(self, query: Query) -> Page:
        """The page that a query asks for."""
        matching = [
            record
            for record in self.records.values()
            if all(criterion.holds(record) for criterion in query.criteria)
        ]
        kind = self.shape.fields[query.sort].kind
        matching.sort(key=lambda record: _place(kind, record[query.sort]), reverse=query.descending)
        first = (query.page - 1) * query.page_size
        return Page(matching[first : first + query.page_size], query.page, query.page_size, len(matching))

    def add(self, values: Mapping[str, Value], today: str) -> Record:
        """Keep a new record under the next id; fields that are not told are null."""
        told = {name: values.get(name) for name in self.shape.fields}
        record: Record = {**told, "id": self.next_id, "updated_on": today}
        self.records[self.next_id] = record
        self.next_id += 1
        return record

    def change(self, id_: int, values: Mapping[str, Value], today: str) -> Record:
        """Put values into a record."""
        record: Record = {**self.records[id_], **values, "id": id_, "updated_on": today}
        self.records[id_] = record
        self.versions[id_] = self.versions.get(id_, 1) + 1
        return record

    def remove(self, id_: int) -> None:
        """Forget a record; its id is not given again."""
        del self.records[id_]
        self.versions.pop(id_, None)


def _place(kind: Kind, value: Value) -> tuple[bool, int, str]:
    """Where a value sorts: numbers by size, texts by their letters, null after both."""
    measure = measured(kind, value)
    if isinstance(measure, str):
        return (False, 0, measure)
    return (measure is None, measure or 0, "")
