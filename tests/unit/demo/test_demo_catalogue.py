"""The sample feed's records are believable: the same for the same seed, and consistent with one another."""

from collections import Counter
from collections.abc import Mapping
from datetime import date

import pytest

from gateway.demo.catalogue import TODAY, make_catalogue
from gateway.demo.platform import RULES
from gateway.demo.shape import SHAPES, Kind, Record

Catalogue = Mapping[str, list[Record]]


@pytest.fixture(params=[1, 2, 99], scope="module")
def catalogue(request: pytest.FixtureRequest) -> Catalogue:
    return make_catalogue(request.param)


def by_id(catalogue: Catalogue, module: str) -> dict[object, Record]:
    return {record["id"]: record for record in catalogue[module]}


def test_the_same_seed_makes_the_same_records() -> None:
    assert make_catalogue(5) == make_catalogue(5)
    assert make_catalogue(5) != make_catalogue(6)


def test_there_are_some_hundreds_of_records_and_some_of_every_module(catalogue: Catalogue) -> None:
    assert all(len(records) >= 10 for records in catalogue.values())
    assert 500 < sum(len(records) for records in catalogue.values()) < 1500


def test_every_record_would_be_accepted_by_the_feed_itself(catalogue: Catalogue) -> None:
    for module, records in catalogue.items():
        for record in records:
            assert list(record) == list(SHAPES[module].fields)
            assert not [f.name for f in SHAPES[module].fields.values() if f.complaint(record[f.name])]
            assert not RULES.get(module, lambda _: {})(record)


def test_every_reference_leads_to_a_record(catalogue: Catalogue) -> None:
    for module, records in catalogue.items():
        for field in SHAPES[module].fields.values():
            if field.kind is Kind.REFERENCE:
                known = by_id(catalogue, field.refers_to).keys()
                assert {record[field.name] for record in records} - {None} <= known


def test_a_booking_has_as_many_delegates_and_placeholders_as_places(catalogue: Catalogue) -> None:
    filled = Counter(row["booking_id"] for row in [*catalogue["delegates"], *catalogue["placeholders"]])
    assert filled == {row["id"]: row["places"] for row in catalogue["bookings"]}


def test_no_course_date_is_overbooked(catalogue: Catalogue) -> None:
    taken: Counter[object] = Counter()
    for booking in catalogue["bookings"]:
        taken[booking["course_date_id"]] += int(booking["places"] or 0)
    dates = by_id(catalogue, "course-dates")
    assert all(places <= int(dates[id_]["capacity"] or 0) for id_, places in taken.items())


def test_delegates_belong_to_the_account_that_booked_and_sit_on_a_date_once(catalogue: Catalogue) -> None:
    users, bookings = by_id(catalogue, "users"), by_id(catalogue, "bookings")
    seats = [
        (bookings[row["booking_id"]]["course_date_id"], row["user_id"]) for row in catalogue["delegates"]
    ]
    assert len(seats) == len(set(seats))
    for row in catalogue["delegates"]:
        assert users[row["user_id"]]["account_id"] == bookings[row["booking_id"]]["account_id"]


def test_an_invoice_is_its_bookings_total_and_the_tax_on_it(catalogue: Catalogue) -> None:
    bookings = by_id(catalogue, "bookings")
    for invoice in catalogue["invoices"]:
        assert invoice["net"] == bookings[invoice["booking_id"]]["total"]
        assert float(str(invoice["gross"])) == pytest.approx(float(str(invoice["net"])) * 1.2, abs=0.01)


def test_awards_are_won_by_those_who_attended(catalogue: Catalogue) -> None:
    attended = [row for row in catalogue["delegates"] if row["attendance"] == "attended"]
    assert len(catalogue["user-awards"]) == len(attended)


def test_nothing_was_booked_after_today(catalogue: Catalogue) -> None:
    assert all(date.fromisoformat(str(row["booked_on"])) <= TODAY for row in catalogue["bookings"])


def test_names_and_addresses_are_of_nobody(catalogue: Catalogue) -> None:
    addresses = [str(user["email"]) for user in catalogue["users"]]
    assert len(set(addresses)) == len(addresses)
    assert all(address.endswith(".example") for address in addresses)
