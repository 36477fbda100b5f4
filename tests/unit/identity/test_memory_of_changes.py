"""Whoever is remembered is known exactly as long as nothing has changed that the proof rests on."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.change import EVERY_SUBJECT, Change, ChangeKind, Changes
from gateway.domain.key import KeyRecord, KeyState
from gateway.domain.rights import ModuleIndex
from gateway.domain.scope import Mode, Scope
from gateway.identity.memory import Known, Memory
from gateway.identity.proof import KeyProof

INDEX = ModuleIndex.of(["courses"])
KEYS = {"1": (1,), "2": (1, 2), "3": (2, 3)}
"""Keys by their ids, with the ids of their scopes."""

subjects = st.one_of(
    st.tuples(st.just(ChangeKind.KEY), st.sampled_from([*KEYS, EVERY_SUBJECT])),
    st.tuples(st.just(ChangeKind.SCOPE), st.sampled_from(["1", "2", "3", EVERY_SUBJECT])),
    st.tuples(st.just(ChangeKind.MEMBER), st.just("user:ada")),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from(list(KEYS))),
        st.tuples(st.just("find"), st.sampled_from(list(KEYS))),
        st.tuples(st.just("change"), st.lists(subjects, min_size=1, max_size=2)),
        st.tuples(st.just("reload"), st.none()),
    ),
    max_size=20,
)


def found(key: str, generation: int) -> Known:
    scopes = tuple(Scope(number, f"s{number}", "", Mode.DENY) for number in KEYS[key])
    proof = KeyProof(KeyRecord(int(key), "", KeyState.ACTIVE, scopes))
    return Known(proof, proof.principal(INDEX), INDEX, 0.0, inf, generation)


def touches(changed: list[tuple[ChangeKind, str]], key: str) -> bool:
    own = {(ChangeKind.KEY, key), *((ChangeKind.SCOPE, str(number)) for number in KEYS[key])}
    return any(subject == EVERY_SUBJECT or (kind, subject) in own for kind, subject in changed)


@given(steps)
def test_a_caller_is_known_unless_something_of_its_own_has_changed_since(
    taken: list[tuple[str, str | list[tuple[ChangeKind, str]] | None]],
) -> None:
    memory = Memory(principals=10)
    known: set[str] = set()
    for step, what in taken:
        if isinstance(what, list):
            rows = tuple(Change(n, 0.0, kind, subject) for n, (kind, subject) in enumerate(what, 1))
            memory.forget(Changes(rows, len(rows)))
            known = {key for key in known if not touches(what, key)}
        elif what is None:
            memory.forget_answers()
        elif step == "find":
            memory.keep(what.encode(), found(what, memory.generation))
            known.add(what)
        for key in KEYS if step == "ask" else ():
            assert (memory.known(key.encode()) is not None) is (key in known)
    assert {key for key in KEYS if memory.known(key.encode())} == known
