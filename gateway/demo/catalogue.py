"""A training provider's records, the same for the same seed, and consistent with one another.

Companies send their people on course dates: a booking has as many delegates and placeholders as places, an
invoice its booking's total, an award a delegate who attended. "Today" is a fixed day, so that what is past
and what is to come never changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Final

from gateway.demo.shape import SHAPES, Record, Value
from gateway.demo.words import (
    COMPANIES,
    COURSE_IDEAS,
    FIRST_NAMES,
    LAST_NAMES,
    TOWNS,
    VENUES,
    CourseIdea,
)

TODAY: Final = date(2026, 1, 12)
PROVIDER: Final = 1
"""The account of the training provider itself; trainers belong to it."""
TRAINERS: Final = 8
PEOPLE_OF_A_COMPANY: Final = (2, 5)
DATES_OF_A_COURSE: Final = 4
BOOKINGS: Final = 110
BUSINESS_DAYS: Final = 5
VAT_PERCENT: Final = 20
AWARD_YEARS: Final = 3


def pounds(pence: int) -> str:
    """An amount as the records write it: `95.00`."""
    return f"{pence // 100}.{pence % 100:02}"


@dataclass(slots=True)
class Catalogue:
    """Records being made: the lists fill in the order in which records refer to one another."""

    random: Random
    records: dict[str, list[Record]] = field(default_factory=lambda: {module: [] for module in SHAPES})

    def add(self, module: str, updated_on: date, /, **values: Value) -> Record:
        """Add a record with the next id."""
        kept = self.records[module]
        record: Record = {"id": len(kept) + 1, **values, "updated_on": updated_on.isoformat()}
        kept.append(record)
        return record

    def some_day(self, first: int, last: int) -> date:
        """A day that many days from today, both ends included."""
        return TODAY + timedelta(days=self.random.randint(first, last))


def make_catalogue(seed: int) -> Mapping[str, list[Record]]:
    """All records of all modules, by module."""
    catalogue = Catalogue(Random(seed))  # noqa: S311 - invented records, not secrets
    _accounts_and_users(catalogue)
    _courses(catalogue)
    for _ in range(BOOKINGS):
        _booking(catalogue)
    return catalogue.records


def _accounts_and_users(catalogue: Catalogue) -> None:
    names = [
        f"{first} {last}"
        for last in LAST_NAMES
        for first in catalogue.random.sample(FIRST_NAMES, len(FIRST_NAMES))
    ]
    catalogue.random.shuffle(names)
    catalogue.add(
        "accounts",
        catalogue.some_day(-900, -600),
        name="Brightwell Training",
        type="provider",
        town="Lancaster",
        active=True,
    )
    for _ in range(TRAINERS):
        _user(catalogue, names.pop(), PROVIDER, "brightwell-training", "trainer")
    for company in COMPANIES:
        account = catalogue.add(
            "accounts",
            catalogue.some_day(-600, -90),
            name=company,
            type="company",
            town=catalogue.random.choice(TOWNS),
            active=catalogue.random.random() > 0.05,  # noqa: PLR2004 - one company in twenty has left
        )
        for place in range(catalogue.random.randint(*PEOPLE_OF_A_COMPANY)):
            role = "learner" if place else "manager"
            _user(catalogue, names.pop(), account["id"], company.lower().replace(" ", "-"), role)


def _user(catalogue: Catalogue, name: str, account: Value, domain: str, role: str) -> None:
    first, last = name.split(" ")
    catalogue.add(
        "users",
        catalogue.some_day(-500, -30),
        first_name=first,
        last_name=last,
        email=f"{first}.{last}@{domain}.example".lower(),
        account_id=account,
        role=role,
        active=True,
    )


def _courses(catalogue: Catalogue) -> None:
    for idea in COURSE_IDEAS:
        course = catalogue.add(
            "courses",
            catalogue.some_day(-400, -200),
            code=idea.code,
            title=idea.title,
            category=idea.category,
            duration_days=idea.days,
            price=pounds(idea.price * 100),
            active=True,
        )
        for _ in range(DATES_OF_A_COURSE):
            _course_date(catalogue, course, idea)


def _course_date(catalogue: Catalogue, course: Record, idea: CourseIdea) -> None:
    starts = catalogue.some_day(-120, 150)
    starts -= timedelta(days=starts.weekday())
    ends = starts + timedelta(days=idea.days - 1)
    catalogue.add(
        "course-dates",
        min(starts, TODAY) - timedelta(days=90),
        course_id=course["id"],
        starts_on=starts.isoformat(),
        ends_on=ends.isoformat(),
        venue=catalogue.random.choice(VENUES),
        trainer_id=catalogue.random.randint(1, TRAINERS),
        capacity=catalogue.random.choice((8, 10, 12, 16)),
        status="completed" if ends < TODAY else "open",
    )


def _booking(catalogue: Catalogue) -> None:
    """One company's booking on a course date with places left, with what follows from it."""
    chance = catalogue.random
    course_date = chance.choice(
        [row for row in catalogue.records["course-dates"] if _places_left(catalogue, row) > 0]
    )
    account = chance.choice(_companies_without(catalogue, course_date))
    people = [user for user in catalogue.records["users"] if user["account_id"] == account["id"]]
    named = chance.sample(people, chance.randint(1, min(len(people), _places_left(catalogue, course_date))))
    past = course_date["status"] == "completed"
    unnamed = 0 if past else min(chance.randint(0, 1), _places_left(catalogue, course_date) - len(named))
    starts = date.fromisoformat(str(course_date["starts_on"]))
    booked = min(starts, TODAY) - timedelta(days=chance.randint(10, 80))
    total = (len(named) + unnamed) * _price_in_pence(catalogue, course_date)
    booking = catalogue.add(
        "bookings",
        booked,
        course_date_id=course_date["id"],
        account_id=account["id"],
        booked_by_id=people[0]["id"],
        places=len(named) + unnamed,
        total=pounds(total),
        booked_on=booked.isoformat(),
        status="completed" if past else chance.choice(("confirmed", "confirmed", "provisional")),
    )
    _places(catalogue, booking, course_date, named, unnamed)
    if booking["status"] != "provisional":
        _invoice(catalogue, booking, total, booked)


def _companies_without(catalogue: Catalogue, course_date: Record) -> list[Record]:
    """The companies that have not booked the course date, so that nobody is on it twice."""
    booked = {
        row["account_id"]
        for row in catalogue.records["bookings"]
        if row["course_date_id"] == course_date["id"]
    }
    return [row for row in catalogue.records["accounts"][PROVIDER:] if row["id"] not in booked]


def _places_left(catalogue: Catalogue, course_date: Record) -> int:
    taken = sum(
        int(row["places"] or 0)
        for row in catalogue.records["bookings"]
        if row["course_date_id"] == course_date["id"]
    )
    return int(course_date["capacity"] or 0) - taken


def _price_in_pence(catalogue: Catalogue, course_date: Record) -> int:
    course = catalogue.records["courses"][int(course_date["course_id"] or 0) - 1]
    return int(str(course["price"]).replace(".", ""))


def _places(
    catalogue: Catalogue, booking: Record, course_date: Record, named: list[Record], unnamed: int
) -> None:
    """The booking's places: delegates, awards for those who attended, and placeholders for the rest."""
    past = booking["status"] == "completed"
    booked = date.fromisoformat(str(booking["booked_on"]))
    ended = date.fromisoformat(str(course_date["ends_on"]))
    for user in named:
        attendance = catalogue.random.choice(("attended",) * 9 + ("absent",)) if past else "expected"
        note = catalogue.random.choice(("vegetarian", "vegan", "no nuts", None, None, None, None, None))
        catalogue.add(
            "delegates",
            ended if past else booked,
            booking_id=booking["id"],
            user_id=user["id"],
            attendance=attendance,
            dietary_note=note,
        )
        if attendance == "attended":
            catalogue.add(
                "user-awards",
                ended,
                user_id=user["id"],
                course_id=course_date["course_id"],
                awarded_on=ended.isoformat(),
                expires_on=(ended + timedelta(days=365 * AWARD_YEARS)).isoformat(),
            )
    for place in range(1, unnamed + 1):
        catalogue.add(
            "placeholders",
            booked,
            booking_id=booking["id"],
            label=f"Place {place} to be named",
            name_needed_by=(ended - timedelta(days=14)).isoformat(),
        )


def _invoice(catalogue: Catalogue, booking: Record, net: int, booked: date) -> None:
    issued = booked + timedelta(days=catalogue.random.randint(0, BUSINESS_DAYS))
    due = issued + timedelta(days=30)
    vat = net * VAT_PERCENT // 100
    if due < TODAY:
        status = catalogue.random.choice(("paid",) * 7 + ("overdue",))
    else:
        status = catalogue.random.choice(("sent", "sent", "paid"))
    catalogue.add(
        "invoices",
        issued,
        number=f"INV-{len(catalogue.records['invoices']) + 1001}",
        booking_id=booking["id"],
        account_id=booking["account_id"],
        net=pounds(net),
        vat=pounds(vat),
        gross=pounds(net + vat),
        issued_on=issued.isoformat(),
        due_on=due.isoformat(),
        status=status,
    )
