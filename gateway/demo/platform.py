"""The training platform: every module's records, what may be put into them, and what may be taken away."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, Self

from gateway.demo.catalogue import make_catalogue
from gateway.demo.changes import Changes
from gateway.demo.collection import Collection
from gateway.demo.shape import SHAPES, BadRequestError, Complaints, Kind, Record, Shape, Value

MOST_NAMED: Final = 5
"""How many of the records that refer to one are named when it cannot be deleted."""


def _ends_after_it_starts(record: Mapping[str, Value]) -> Complaints:
    if str(record["ends_on"]) < str(record["starts_on"]):
        return {"ends_on": "must not be before starts_on"}
    return {}


def _due_after_it_is_issued(record: Mapping[str, Value]) -> Complaints:
    return (
        {"due_on": "must not be before issued_on"} if str(record["due_on"]) < str(record["issued_on"]) else {}
    )


def _has_places(record: Mapping[str, Value]) -> Complaints:
    return {} if record["places"] else {"places": "must be at least 1"}


RULES: Final[Mapping[str, Callable[[Mapping[str, Value]], Complaints]]] = MappingProxyType(
    {
        "course-dates": _ends_after_it_starts,
        "invoices": _due_after_it_is_issued,
        "bookings": _has_places,
    }
)
"""What must hold between the fields of a record, checked once each field fits by itself."""


@dataclass(frozen=True, slots=True)
class Platform:
    """All records; every change goes through here and is published."""

    collections: Mapping[str, Collection]
    changes: Changes = field(default_factory=Changes)

    @classmethod
    def from_seed(cls, seed: int) -> Self:
        """The platform with the records of a seed."""
        catalogue = make_catalogue(seed)
        return cls({module: Collection.of(shape, catalogue[module]) for module, shape in SHAPES.items()})

    def create(self, module: str, body: Mapping[str, object]) -> Record:
        """Add a record. Raises BadRequestError (422)."""
        collection = self.collections[module]
        values = self._checked(collection.shape, body, {})
        record = collection.add(values, _today())
        self._publish(module, "created", record["id"])
        return record

    def replace(self, module: str, id_: int, body: Mapping[str, object]) -> Record:
        """Put a record in another's place; what is not told becomes null. Raises BadRequestError (422)."""
        collection = self.collections[module]
        values = self._checked(collection.shape, body, _read_only(collection.shape, collection.records[id_]))
        nothing = dict.fromkeys(collection.shape.fields)
        record = collection.change(id_, {**nothing, **values}, _today())
        self._publish(module, "updated", id_)
        return record

    def amend(self, module: str, id_: int, body: Mapping[str, object]) -> Record:
        """Put the told fields into a record (RFC 7396). Raises BadRequestError (422)."""
        collection = self.collections[module]
        values = self._checked(collection.shape, body, collection.records[id_])
        record = collection.change(id_, values, _today())
        self._publish(module, "updated", id_)
        return record

    def remove(self, module: str, id_: int) -> None:
        """Forget a record to which no other refers. Raises BadRequestError (409)."""
        users = self._referring(module, id_)
        if users:
            message = f"{module} {id_} cannot be deleted while other records refer to it."
            raise BadRequestError(message, users, status=409)
        self.collections[module].remove(id_)
        self._publish(module, "deleted", id_)

    def _publish(self, module: str, what: str, id_: Value) -> None:
        self.changes.publish(f"{module}.{what}", {"module": module, "id": id_})

    def _checked(
        self, shape: Shape, body: Mapping[str, object], current: Mapping[str, Value]
    ) -> dict[str, Value]:
        """The body's values, once each fits and all fit together; `current` fills what the body leaves out.

        A read-only field may be told as long as it is what it was, so that what was read can be put back.
        """
        complaints: Complaints = {
            name: f"is not a field; known: {', '.join(shape.fields)}"
            for name in body.keys() - shape.fields.keys()
        }
        values: dict[str, Value] = {}
        for name, wanted in shape.fields.items():
            told = body.get(name, current.get(name))
            complaint = None
            if wanted.read_only:
                if name in body and body[name] != current.get(name):
                    complaint = "is read-only"
            elif name not in body and name not in current:
                complaint = "is required" if wanted.required else None
            else:
                complaint = wanted.complaint(told) or self._dangling(wanted.refers_to, told)
                values[name] = told if told is None or isinstance(told, (str, int)) else None
            if complaint:
                complaints[name] = complaint
        if not complaints and shape.module in RULES:
            complaints = RULES[shape.module](values)
        if complaints:
            raise BadRequestError(f"This is no record of {shape.module}.", complaints, status=422)
        return values

    def _dangling(self, module: str, id_: object) -> str | None:
        """A complaint when a reference leads nowhere."""
        if not module or id_ is None or id_ in self.collections[module].records:
            return None
        return f"refers to {module} {id_}, which does not exist"

    def _referring(self, module: str, id_: int) -> Complaints:
        """The modules with records that refer to one, each with the first few."""
        users: Complaints = {}
        for other, collection in self.collections.items():
            names = [
                name
                for name, wanted in collection.shape.fields.items()
                if wanted.kind is Kind.REFERENCE and wanted.refers_to == module
            ]
            ids = [
                key
                for key, record in collection.records.items()
                if any(record[name] == id_ for name in names)
            ]
            if ids:
                more = f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
                users[other] = f"refer to it: {', '.join(map(str, ids[:MOST_NAMED]))}{more}"
        return users


def _read_only(shape: Shape, record: Record) -> dict[str, Value]:
    return {name: record[name] for name, wanted in shape.fields.items() if wanted.read_only}


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
