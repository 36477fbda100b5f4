"""What a record of each module looks like: the one table that checks, filters and the fields page read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

Value: TypeAlias = str | int | bool | None
Record: TypeAlias = dict[str, Value]
Complaints: TypeAlias = dict[str, str]
"""What is wrong with a request: field or parameter → the rest of a sentence."""

LONGEST_TEXT: Final = 500
LARGEST_INTEGER: Final = 2**53
"""Beyond this a JSON number is not exact everywhere (RFC 8259 §6)."""
MONEY: Final = re.compile(r"-?\d{1,9}\.\d\d")
EMAIL: Final = re.compile(r"[^\s@]{1,64}@[^\s@.]+(\.[^\s@.]+)+")


class BadRequestError(Exception):
    """The request asks for something that cannot be done; `complaints` tells what, per field."""

    def __init__(self, message: str, complaints: Complaints, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.complaints = complaints
        self.status = status


class Kind(StrEnum):
    """What a field holds, closed."""

    TEXT = "text"
    INTEGER = "integer"
    MONEY = "money"
    DAY = "date"
    FLAG = "boolean"
    EMAIL = "email"
    CHOICE = "choice"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a module. `refers_to` names the module whose `id` a reference holds."""

    name: str
    kind: Kind
    required: bool = True
    read_only: bool = False
    choices: tuple[str, ...] = ()
    refers_to: str = ""

    def complaint(self, value: object) -> str | None:
        """What is wrong with a value, as a sentence's end; None when it fits."""
        if value is None:
            return "must not be null" if self.required else None
        return COMPLAINTS[self.kind](self, value)

    def described(self) -> dict[str, object]:
        """The field as the fields page tells it."""
        told: dict[str, object] = {"name": self.name, "type": self.kind.value, "required": self.required}
        if self.read_only:
            told["read_only"] = True
        if self.choices:
            told["choices"] = list(self.choices)
        if self.refers_to:
            told["refers_to"] = self.refers_to
        return told


def _text(field: Field, value: object) -> str | None:
    del field
    if not isinstance(value, str):
        return "must be a string"
    if not value.strip() or len(value) > LONGEST_TEXT:
        return f"must have 1 to {LONGEST_TEXT} characters"
    return None if value.isprintable() else "must not hold control characters"


def _integer(field: Field, value: object) -> str | None:
    del field
    if isinstance(value, bool) or not isinstance(value, int):
        return "must be a whole number"
    return None if 0 <= value <= LARGEST_INTEGER else "is out of range"


def _money(field: Field, value: object) -> str | None:
    del field
    fits = isinstance(value, str) and MONEY.fullmatch(value)
    return None if fits else 'must be an amount in a string, such as "95.00"'


def _day(field: Field, value: object) -> str | None:
    del field
    wrong = "must be a date such as 2026-03-31"
    if not isinstance(value, str) or len(value) != len("2026-03-31"):
        return wrong
    try:
        date.fromisoformat(value)
    except ValueError:
        return wrong
    return None


def _flag(field: Field, value: object) -> str | None:
    del field
    return None if isinstance(value, bool) else "must be true or false"


def _email(field: Field, value: object) -> str | None:
    del field
    return None if isinstance(value, str) and EMAIL.fullmatch(value) else "must be an email address"


def _choice(field: Field, value: object) -> str | None:
    return None if value in field.choices else f"must be one of: {', '.join(field.choices)}"


def measured(kind: Kind, value: Value) -> int | str | None:
    """The value as it is compared and sorted: amounts by their size, dates and texts by their letters."""
    if kind is Kind.MONEY and isinstance(value, str):
        return int(value.replace(".", ""))
    return value


COMPLAINTS: Final[Mapping[Kind, Callable[[Field, object], str | None]]] = MappingProxyType(
    {
        Kind.TEXT: _text,
        Kind.INTEGER: _integer,
        Kind.MONEY: _money,
        Kind.DAY: _day,
        Kind.FLAG: _flag,
        Kind.EMAIL: _email,
        Kind.CHOICE: _choice,
        Kind.REFERENCE: _integer,
    }
)


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of one module, `id` and `updated_on` among them."""

    module: str
    label: str
    fields: Mapping[str, Field]

    @classmethod
    def of(cls, module: str, label: str, *fields: Field) -> "Shape":
        """A shape with the fields every record has."""
        every = (
            Field("id", Kind.INTEGER, read_only=True),
            *fields,
            Field("updated_on", Kind.DAY, read_only=True),
        )
        return cls(module, label, MappingProxyType({field.name: field for field in every}))


def text(name: str, *, required: bool = True) -> Field:
    """A field of text."""
    return Field(name, Kind.TEXT, required=required)


def reference(name: str, module: str, *, required: bool = True) -> Field:
    """A field that holds the id of a record of another module."""
    return Field(name, Kind.REFERENCE, required=required, refers_to=module)


def choice(name: str, *choices: str) -> Field:
    """A field with a closed list of words."""
    return Field(name, Kind.CHOICE, choices=choices)


SHAPES: Final[Mapping[str, Shape]] = MappingProxyType(
    {
        shape.module: shape
        for shape in (
            Shape.of(
                "accounts",
                "Accounts",
                text("name"),
                choice("type", "provider", "company", "individual"),
                text("town", required=False),
                Field("active", Kind.FLAG),
            ),
            Shape.of(
                "users",
                "Users",
                text("first_name"),
                text("last_name"),
                Field("email", Kind.EMAIL),
                reference("account_id", "accounts"),
                choice("role", "learner", "manager", "trainer", "administrator"),
                Field("active", Kind.FLAG),
            ),
            Shape.of(
                "courses",
                "Courses",
                text("code"),
                text("title"),
                text("category"),
                Field("duration_days", Kind.INTEGER),
                Field("price", Kind.MONEY),
                Field("active", Kind.FLAG),
            ),
            Shape.of(
                "course-dates",
                "Course Dates",
                reference("course_id", "courses"),
                Field("starts_on", Kind.DAY),
                Field("ends_on", Kind.DAY),
                text("venue", required=False),
                reference("trainer_id", "users", required=False),
                Field("capacity", Kind.INTEGER),
                choice("status", "planned", "open", "full", "completed", "cancelled"),
            ),
            Shape.of(
                "bookings",
                "Bookings",
                reference("course_date_id", "course-dates"),
                reference("account_id", "accounts"),
                reference("booked_by_id", "users"),
                Field("places", Kind.INTEGER),
                Field("total", Kind.MONEY),
                Field("booked_on", Kind.DAY),
                choice("status", "provisional", "confirmed", "completed", "cancelled"),
            ),
            Shape.of(
                "delegates",
                "Delegates",
                reference("booking_id", "bookings"),
                reference("user_id", "users"),
                choice("attendance", "expected", "attended", "absent"),
                text("dietary_note", required=False),
            ),
            Shape.of(
                "placeholders",
                "Placeholders",
                reference("booking_id", "bookings"),
                text("label"),
                Field("name_needed_by", Kind.DAY),
            ),
            Shape.of(
                "invoices",
                "Invoices",
                text("number"),
                reference("booking_id", "bookings"),
                reference("account_id", "accounts"),
                Field("net", Kind.MONEY),
                Field("vat", Kind.MONEY),
                Field("gross", Kind.MONEY),
                Field("issued_on", Kind.DAY),
                Field("due_on", Kind.DAY),
                choice("status", "draft", "sent", "paid", "overdue"),
            ),
            Shape.of(
                "user-awards",
                "User Awards",
                reference("user_id", "users"),
                reference("course_id", "courses"),
                Field("awarded_on", Kind.DAY),
                Field("expires_on", Kind.DAY, required=False),
            ),
        )
    }
)
"""The shape of every module that holds records."""
