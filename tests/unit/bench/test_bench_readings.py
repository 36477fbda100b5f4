"""The arithmetic of the benchmark: medians, ratios and differences, and the spread of each."""

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.case import Case
from bench.cases import CASES
from bench.readings import MEASURES, Reading, Spread, Way, compared, paired, plain


def readings(**rows: list[float]) -> list[Reading]:
    """One measure of some rows, a value a round."""
    return [
        Reading(row, turn, {"cpu_us": value})
        for row, values in rows.items()
        for turn, value in enumerate(values)
    ]


THREE = readings(own=[40.0, 50.0, 60.0], other=[20.0, 100.0, 30.0])


def test_the_spread_of_nothing_is_nothing() -> None:
    assert Spread.of([]) is None
    assert plain(THREE, "nobody", "cpu_us") is None
    assert plain(THREE, "own", "p99") is None


def test_a_spread_is_the_median_with_the_least_and_the_most() -> None:
    assert plain(THREE, "own", "cpu_us") == Spread(50.0, 40.0, 60.0)


@given(st.lists(st.floats(0.001, 1e9), min_size=1, max_size=9))
def test_a_median_lies_within_its_spread(values: list[float]) -> None:
    spread = Spread.of(values)
    assert spread is not None
    assert spread.least <= spread.middle <= spread.most
    assert spread.middle == median(values)


@pytest.mark.parametrize(
    ("way", "spread"),
    [
        (Way.RATIO, Spread(2.0, 0.5, 2.0)),
        (Way.INVERSE, Spread(0.5, 0.5, 2.0)),
        (Way.ADDED, Spread(20.0, -50.0, 30.0)),
        (Way.PLAIN, Spread(50.0, 40.0, 60.0)),
    ],
)
def test_two_rows_are_compared_round_by_round(way: Way, spread: Spread) -> None:
    assert compared(THREE, "own", "other", "cpu_us", way) == spread


def test_a_ratio_is_not_that_of_the_medians() -> None:
    """The medians are 50 and 30; that the machine was slow in one round falls out of the ratio alone."""
    ratio = compared(THREE, "own", "other", "cpu_us", Way.RATIO)
    assert ratio is not None
    assert ratio.middle != pytest.approx(50 / 30)


def test_a_round_that_only_one_of_the_two_has_is_left_out() -> None:
    found = [*readings(own=[1.0, 2.0, 3.0]), *readings(other=[1.0])]
    assert paired(found, "own", "other", "cpu_us") == [(1.0, 1.0)]


def test_nothing_is_divided_by_nothing() -> None:
    found = readings(own=[1.0, 4.0], direct=[0.0, 2.0])
    assert compared(found, "own", "direct", "cpu_us", Way.RATIO) == Spread(2.0, 2.0, 2.0)
    assert compared(readings(own=[1.0], direct=[0.0]), "own", "direct", "cpu_us", Way.RATIO) is None


@given(
    st.lists(st.tuples(st.floats(0.1, 1e6), st.floats(0.1, 1e6)), min_size=1, max_size=7), st.floats(1.1, 9)
)
def test_what_slows_both_rows_of_a_round_alike_changes_no_ratio(
    pairs: list[tuple[float, float]], drift: float
) -> None:
    own, other = [a for a, _ in pairs], [b for _, b in pairs]
    slowed = readings(own=[a * drift for a in own], other=[b * drift for b in other])
    before = compared(readings(own=own, other=other), "own", "other", "cpu_us", Way.RATIO)
    after = compared(slowed, "own", "other", "cpu_us", Way.RATIO)
    assert before is not None
    assert after is not None
    assert after.middle == pytest.approx(before.middle)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_column_shows_a_measure_that_there_is(case: Case) -> None:
    assert {column.measure for column in case.columns} <= MEASURES.keys()
