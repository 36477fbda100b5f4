"""The collector waits while much is made that stays, and is as before afterwards."""

import gc

import pytest

from gateway.collector import collecting_later


@pytest.fixture(autouse=True)
def _as_before() -> None:
    assert gc.isenabled()


def test_the_collector_waits_inside_and_works_afterwards() -> None:
    with collecting_later():
        assert not gc.isenabled()
        with collecting_later():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_failure_leaves_it_working() -> None:
    with pytest.raises(ValueError, match="bad map"), collecting_later():
        raise ValueError("bad map")
    assert gc.isenabled()


def test_who_has_switched_it_off_finds_it_off() -> None:
    gc.disable()
    try:
        with collecting_later():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
