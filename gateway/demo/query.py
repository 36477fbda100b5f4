"""Which records of a module are asked for, read from a URL or from a search's body."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

from gateway.demo.shape import BadRequestError, Complaints, Field, Kind, Record, Shape, Value, measured

LARGEST_PAGE: Final = 100
USUAL_PAGE: Final = 20
LONGEST_LIST: Final = 100
"""The most values that one `in` may list."""
MOST_DIGITS: Final = 15
"""A longer number in a URL is no id and no page."""

Measure: TypeAlias = int | str | None


def _before(left: Measure, right: Measure) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left < right
    return isinstance(left, int) and isinstance(right, int) and left < right


def _contains(left: Measure, right: Measure) -> bool:
    return isinstance(left, str) and isinstance(right, str) and right.lower() in left.lower()


COMPARISONS: Final[Mapping[str, Callable[[Measure, Measure], bool]]] = MappingProxyType(
    {
        "eq": lambda value, wanted: value == wanted,
        "ne": lambda value, wanted: value != wanted,
        "lt": _before,
        "lte": lambda value, wanted: value == wanted or _before(value, wanted),
        "gt": lambda value, wanted: _before(wanted, value),
        "gte": lambda value, wanted: value == wanted or _before(wanted, value),
        "contains": _contains,
    }
)
"""What a search may ask of a field, beside `in`."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One condition: the field compares like that with at least one of the values."""

    field: Field
    comparison: str
    wanted: tuple[Value, ...]

    def holds(self, record: Record) -> bool:
        """Whether a record meets it."""
        compares, value = COMPARISONS[self.comparison], record[self.field.name]
        if self.comparison == "contains":
            return any(compares(value, wanted) for wanted in self.wanted)
        kind = self.field.kind
        return any(compares(measured(kind, value), measured(kind, wanted)) for wanted in self.wanted)


@dataclass(frozen=True, slots=True)
class Query:
    """Which records, in which order, and which page of them. `descending` turns the order round."""

    criteria: tuple[Criterion, ...] = ()
    sort: str = "id"
    descending: bool = False
    page: int = 1
    page_size: int = USUAL_PAGE


def query_in_url(shape: Shape, parameters: Iterable[tuple[str, str]]) -> Query:
    """The query of `page`, `page_size`, `sort`, and `field=value` for any field of the module.

    A field that is told twice must hold both. Raises BadRequestError.
    """
    complaints: Complaints = {}
    criteria: list[Criterion] = []
    rest: dict[str, object] = {}
    for name, told in parameters:
        if name in PAGING:
            rest[name] = told if name == "sort" else _number(told)
        elif name in shape.fields:
            criteria += _criteria(
                shape.fields[name], "eq", _value(shape.fields[name], told), name, complaints
            )
        else:
            complaints[name] = f"is not known; known: {', '.join((*PAGING, *shape.fields))}"
    return _paged(shape, criteria, rest, complaints)


def query_in_body(shape: Shape, body: Mapping[str, object]) -> Query:
    """The query of `{"where": {field: value or {comparison: value}}, "sort", "page", "page_size"}`.

    Raises BadRequestError.
    """
    complaints: Complaints = {}
    criteria: list[Criterion] = []
    where = body.get("where", {})
    if not isinstance(where, dict):
        complaints["where"] = "must be an object: field → value, or field → {comparison: value}"
        where = {}
    for name, told in where.items():
        place = f"where.{name}"
        if name not in shape.fields:
            complaints[place] = f"is not a field; known: {', '.join(shape.fields)}"
            continue
        for comparison, wanted in (told if isinstance(told, dict) else {"eq": told}).items():
            criteria += _criteria(shape.fields[name], comparison, wanted, place, complaints)
    for name in body.keys() - {"where", *PAGING}:
        complaints[name] = f"is not known; known: {', '.join(('where', *PAGING))}"
    rest = {name: body[name] for name in PAGING if name in body}
    return _paged(shape, criteria, rest, complaints)


PAGING: Final = ("page", "page_size", "sort")


def _paged(
    shape: Shape, criteria: list[Criterion], rest: Mapping[str, object], complaints: Complaints
) -> Query:
    sort, page, page_size = rest.get("sort", "id"), rest.get("page", 1), rest.get("page_size", USUAL_PAGE)
    if not isinstance(sort, str) or sort.removeprefix("-") not in shape.fields:
        complaints["sort"] = f"must be a field, with - before it to turn it round: {', '.join(shape.fields)}"
        sort = "id"
    if not isinstance(page, int) or isinstance(page, bool) or page < 1:
        complaints["page"] = "must be a whole number from 1 on"
        page = 1
    if not isinstance(page_size, int) or isinstance(page_size, bool) or not 1 <= page_size <= LARGEST_PAGE:
        complaints["page_size"] = f"must be a whole number from 1 to {LARGEST_PAGE}"
        page_size = USUAL_PAGE
    if complaints:
        raise BadRequestError(f"This query of {shape.module} cannot be answered.", complaints)
    return Query(tuple(criteria), sort.removeprefix("-"), sort.startswith("-"), page, page_size)


def _number(told: str) -> int | str:
    """A number in a URL; what is none stays text and is complained of."""
    return int(told) if told.isascii() and told.isdigit() and len(told) <= MOST_DIGITS else told


def _value(field: Field, told: str) -> object:
    """A value in a URL as a record holds it; what cannot be one stays text and is complained of."""
    if field.kind in {Kind.INTEGER, Kind.REFERENCE}:
        return _number(told)
    if field.kind is Kind.FLAG:
        return {"true": True, "false": False}.get(told, told)
    return told


def _criteria(
    field: Field, comparison: str, wanted: object, place: str, complaints: Complaints
) -> list[Criterion]:
    """The criterion that is asked for, as a list of one; of none when there is a complaint."""
    if comparison == "in":
        return _one_of(field, wanted, place, complaints)
    if comparison not in COMPARISONS:
        complaints[place] = f"has no comparison {comparison!r}; known: {', '.join((*COMPARISONS, 'in'))}"
        return []
    if comparison == "contains":
        complaint = None if isinstance(wanted, str) else "can contain a string only"
    else:
        complaint = None if wanted is None else field.complaint(wanted)
    if complaint:
        complaints[place] = complaint
        return []
    return [Criterion(field, comparison, (wanted,))]  # type: ignore[arg-type] # complaint() has seen it


def _one_of(field: Field, wanted: object, place: str, complaints: Complaints) -> list[Criterion]:
    if not isinstance(wanted, list) or len(wanted) > LONGEST_LIST:
        complaints[place] = f"must be in a list of at most {LONGEST_LIST} values"
        return []
    for value in wanted:
        complaint = field.complaint(value)
        if complaint:
            complaints[place] = complaint
            return []
    return [Criterion(field, "eq", tuple(wanted))]
