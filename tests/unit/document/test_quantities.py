"""Durations and sizes as operators write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings.quantities import duration, size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("2s", 2), ("5m", 300), ("1h", 3600), ("90d", 7_776_000), ("1.5s", 1.5), ("0s", 0)],
)
def test_a_duration_is_a_number_and_its_unit(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "s",
        "5 s",
        "-5s",
        "+5s",
        "5S",
        "5sec",
        "1h30m",
        "1e3s",
        "٣s",
        "5s\n",
        "inf",
        "nans",
        "0x5s",
        "1_0s",
    ],
)
def test_what_is_no_duration_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write a number and its unit"):
        duration(text)


@pytest.mark.parametrize("text", ["36501d", "999999999999h"])
def test_no_duration_is_longer_than_a_century(text: str) -> None:
    with pytest.raises(ValueError, match="too long"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("0", 0), ("512", 512), ("512B", 512), ("8KiB", 8192), ("16MiB", 16 << 20), ("1GiB", 1 << 30)],
)
def test_a_size_is_in_bytes_or_has_a_unit_of_1024(text: str, amount: int) -> None:
    assert size(text) == amount


@pytest.mark.parametrize(
    "text", ["", "KiB", "8KB", "8k", "8M", "8 KiB", "-8KiB", "1.5MiB", "8kib", "8KiB\n", "٣"]
)
def test_what_is_no_size_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size; write bytes"):
        size(text)


def test_no_size_is_larger_than_a_tebibyte() -> None:
    with pytest.raises(ValueError, match="too large"):
        size("1025GiB")


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_a_value_error(text: str) -> None:
    for parse in (duration, size):
        try:
            assert parse(text) >= 0
        except ValueError as error:
            assert str(error)  # noqa: PT017 - both ways out are good, and this is what one of them promises
