"""What a query finds is what a plain reading of it says, and an unclear one is refused whole."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.platform import Platform
from gateway.demo.query import query_in_body, query_in_url
from gateway.demo.shape import SHAPES, BadRequestError, Record

COURSES = Platform.from_seed(1).collections["courses"]
SHAPE = SHAPES["courses"]


def found(where: dict[str, object]) -> list[Record]:
    return COURSES.found(query_in_body(SHAPE, {"where": where, "page_size": 100})).records


@pytest.mark.parametrize(
    ("where", "titles"),
    [
        ({"code": "DP-1"}, ["Data Protection Essentials"]),
        ({"title": {"contains": "FIRST AID r"}}, ["First Aid Refresher"]),
        ({"price": {"lt": "75.00"}}, ["Allergen Awareness"]),
        ({"price": {"gt": "840.00"}}, ["Project Management Practitioner"]),
        ({"price": {"gte": "840.00", "lte": "840.00"}}, ["Python for Analysts"]),
        ({"duration_days": 5}, ["Project Management Practitioner"]),
        ({"code": {"in": ["SG-1", "FS-1"]}}, ["Fire Marshal", "Safeguarding Level 1"]),
        ({"code": {"in": []}}, []),
        ({"category": "Food", "duration_days": {"ne": 1}}, ["Food Hygiene Level 3"]),
        ({"active": False}, []),
    ],
)
def test_a_search_finds_the_records_that_meet_every_criterion(
    where: dict[str, object], titles: list[str]
) -> None:
    assert [record["title"] for record in found(where)] == titles


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"where": []}, "where"),
        ({"where": {"colour": "red"}}, "where.colour"),
        ({"where": {"price": {"lt": "cheap"}}}, "where.price"),
        ({"where": {"price": {"lt": 75}}}, "where.price"),
        ({"where": {"duration_days": {"gt": True}}}, "where.duration_days"),
        ({"where": {"duration_days": 10**30}}, "where.duration_days"),
        ({"where": {"title": {"like": "%"}}}, "where.title"),
        ({"where": {"title": ["a"]}}, "where.title"),
        ({"where": {"title": {"contains": 1}}}, "where.title"),
        ({"where": {"code": {"in": "SG-1"}}}, "where.code"),
        ({"where": {"code": {"in": ["x"] * 101}}}, "where.code"),
        ({"where": {"code": {"in": [{}]}}}, "where.code"),
        ({"sort": "colour"}, "sort"),
        ({"sort": ["id"]}, "sort"),
        ({"page": 0}, "page"),
        ({"page": True}, "page"),
        ({"page": "1"}, "page"),
        ({"page_size": 101}, "page_size"),
        ({"limit": 5}, "limit"),
    ],
)
def test_an_unclear_search_is_refused_and_the_field_is_named(body: dict[str, object], field: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        query_in_body(SHAPE, body)
    assert list(refused.value.complaints) == [field]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("colour", "red"),
        ("page", "-1"),
        ("page", "1" * 5000),
        ("page", "²"),
        ("page_size", "all"),
        ("sort", "--id"),
        ("active", "maybe"),
        ("id", "first"),
        ("price", "95"),
    ],
)
def test_an_unclear_parameter_is_refused_and_named(name: str, told: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        query_in_url(SHAPE, [(name, told)])
    assert list(refused.value.complaints) == [name]


def test_all_complaints_come_at_once() -> None:
    with pytest.raises(BadRequestError) as refused:
        query_in_url(SHAPE, [("colour", "red"), ("page", "x"), ("sort", "size")])
    assert refused.value.complaints.keys() == {"colour", "page", "sort"}


@given(page_size=st.integers(1, 100), sort=st.sampled_from(list(SHAPE.fields)), down=st.booleans())
def test_the_pages_together_are_all_records_in_order(page_size: int, sort: str, *, down: bool) -> None:
    told = {"sort": f"-{sort}" if down else sort, "page_size": page_size}
    first = COURSES.found(query_in_body(SHAPE, told))
    pages = [
        COURSES.found(query_in_body(SHAPE, {**told, "page": number})).records
        for number in range(1, first.pages + 1)
    ]
    records = [record for page in pages for record in page]
    assert sorted(int(str(record["id"])) for record in records) == sorted(COURSES.records)
    assert all(len(page) == page_size for page in pages[:-1])
    if sort == "price":
        prices = [float(str(record["price"])) for record in records]
        assert all((a >= b) if down else (a <= b) for a, b in pairwise(prices))


def test_a_page_beyond_the_last_is_empty_and_says_how_many_there_are() -> None:
    page = COURSES.found(query_in_body(SHAPE, {"page": 900}))
    assert (page.records, page.total, page.pages) == ([], 24, 2)
