"""What the parent keeps of the key sets that workers fetched: the last of each source, and never too much."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.messages import LARGEST as LARGEST_FRAME
from gateway.messages import KeyRecord, KeysFetched, Start, encode
from gateway.supervisor.last_keys import LARGEST, LARGEST_TOGETHER, MOST_SOURCES, LastKeys


def keys(source: str, document: str = "{}", fetched_at: float = 0.0) -> KeyRecord:
    return {"source": source, "document": document, "fetched_at": fetched_at}


def keeping(*told: KeyRecord) -> LastKeys:
    last = LastKeys()
    for one in told:
        last.keep(one)
    return last


def sources(last: LastKeys) -> list[str]:
    return [one["source"] for one in last.known]


def test_a_document_larger_than_any_issuer_may_publish_is_not_kept_in_place_of_a_good_one() -> None:
    for document in ("x" * (LARGEST + 1), "ü" * (LARGEST // 2 + 1)):
        assert keeping(keys("one"), keys("one", document)).known == [keys("one")]
    largest = keys("one", "x" * LARGEST)
    assert keeping(keys("one"), largest).known == [largest]


def test_of_too_many_sources_those_told_first_are_let_go() -> None:
    told = [keys(str(number)) for number in range(MOST_SOURCES)]
    last = keeping(*told, keys("0"), keys("one more"))
    assert len(last.known) == MOST_SOURCES
    assert {"0", "one more"} <= set(sources(last))
    assert "1" not in sources(last)


def test_many_large_documents_are_kept_as_far_as_they_fit_together() -> None:
    fitting = LARGEST_TOGETHER // LARGEST
    told = [keys(str(number), "x" * LARGEST) for number in range(fitting + 3)]
    assert keeping(*told).known == told[3:]


def test_the_worst_that_can_be_kept_is_told_to_a_worker_in_one_message() -> None:
    """Each character of a document may take six in a message, and configurations need room, too."""
    worst = [keys(f"{number:064}", "\x01" * LARGEST) for number in range(2 * MOST_SOURCES)]
    assert len(encode(Start("gateway.yaml", 0, keys=keeping(*worst).known))) < LARGEST_FRAME * 0.8
    assert len(encode(KeysFetched(worst[0]))) < LARGEST_FRAME


def test_the_last_set_of_a_source_is_the_one_kept_whatever_clocks_said() -> None:
    last = keeping(keys("one", "old", 200.0), keys("another"), keys("one", "new", 100.0))
    assert last.known == [keys("another"), keys("one", "new", 100.0)]


def test_what_was_handed_out_does_not_change() -> None:
    last = keeping(keys("one"))
    before = last.known
    last.keep(keys("another"))
    assert before == [keys("one")]


TOLD = st.builds(keys, st.sampled_from("abcdef"), st.text(max_size=5), st.floats(0, 9))


@given(st.lists(TOLD, max_size=30))
def test_whatever_is_told_the_last_of_each_source_is_known(told: list[KeyRecord]) -> None:
    wanted = {one["source"]: one for one in told}
    assert {one["source"]: one for one in keeping(*told).known} == wanted
