import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.key_format import digest, new_key, well_formed

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
GENERATED = st.integers(1, 10**12).map(new_key)


@given(GENERATED)
def test_a_generated_key_is_well_formed(key: str) -> None:
    assert well_formed(key.encode()) is True


@given(st.integers(1, 10**12))
def test_a_generated_key_names_its_record_and_has_a_fixed_tail(key_id: int) -> None:
    prefix, named, tail = new_key(key_id).split("_")
    assert (prefix, named, len(tail)) == ("sg", str(key_id), 49)


@given(GENERATED, st.data())
def test_any_single_changed_character_is_caught(key: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(key) - 1))
    other = data.draw(st.characters(min_codepoint=0x20, max_codepoint=0x7E).filter(lambda c: c != key[place]))
    damaged = f"{key[:place]}{other}{key[place + 1 :]}".encode()
    assert well_formed(damaged) is (None if place < 3 else False)


@given(GENERATED, st.data())
def test_any_two_swapped_characters_are_caught(key: str, data: st.DataObject) -> None:
    left = data.draw(st.integers(0, len(key) - 2))
    right = data.draw(st.integers(left + 1, len(key) - 1))
    letters = list(key)
    letters[left], letters[right] = letters[right], letters[left]
    if letters != list(key):
        assert well_formed("".join(letters).encode()) is not True


@given(GENERATED, st.integers(1, 20))
def test_a_key_cut_short_or_made_longer_is_caught(key: str, length: int) -> None:
    assert well_formed(key[:-length].encode()) is False
    assert well_formed((key + BASE62[:length]).encode()) is False


@pytest.mark.parametrize(
    ("key", "meaning"),
    [
        (b"", None),
        (b"0a1b2c3d-legacy-key", None),
        (b"SG_1_" + b"a" * 49, None),
        (b"sg_", False),
        (b"sg_0_" + b"a" * 49, False),
        (b"sg_01_" + b"a" * 49, False),
        (b"sg_1_" + b"a" * 49, False),
        (b"sg_1_" + b"a" * 49 + b"\n", False),
        (b"sg_" + b"9" * 5000, False),
        (b"sg_\xd9\xa1_" + b"a" * 49, False),
    ],
)
def test_other_shapes_are_none_and_damaged_ones_false(key: bytes, meaning: object) -> None:
    assert well_formed(key) is meaning


def test_two_keys_are_never_the_same() -> None:
    assert len({new_key(1) for _ in range(1000)}) == 1000


def test_the_digest_is_sha_256() -> None:
    assert digest(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
