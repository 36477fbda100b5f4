"""Which scope settles a pair is looked for once, and is what asking every scope says."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.decision.decide import deciding_scope
from gateway.decision.settled import MOST_SETTLED, settled_by
from gateway.domain.action import Action
from gateway.domain.feed import Feed
from gateway.domain.principal import Principal, PrincipalKind
from gateway.domain.rights import ModuleIndex
from gateway.domain.scope import Mode, ModuleSet, Scope
from gateway.domain.target import Route, Target

MODULES = tuple(f"m{number:03}" for number in range(100))
FEW = MODULES[:4]
INDEX = ModuleIndex.of(MODULES)
ROUTE = Route("/x", "routes.yaml:3")

module_sets = st.one_of(st.just(ModuleSet(every=True)), st.frozensets(st.sampled_from(FEW)).map(ModuleSet))
scope_sets = st.lists(
    st.builds(
        Scope,
        id=st.integers(1, 3),
        name=st.sampled_from("abc"),
        label=st.just(""),
        mode=st.sampled_from(Mode),
        create=module_sets,
        read=module_sets,
    ),
    max_size=4,
).map(tuple)


def caller(key_id: int, scopes: tuple[Scope, ...], index: ModuleIndex = INDEX) -> Principal:
    return Principal(PrincipalKind.KEY, f"key:{key_id}", "", scopes, index.rights_of(scopes), key_id=key_id)


def asks(action: Action, module: str) -> Target:
    return Target(Feed("demo"), ROUTE, module, INDEX.bits[module], action)


EVERY_PAIR = [asks(action, module) for action in Action for module in FEW]


@given(st.lists(scope_sets, max_size=4))
def test_it_is_what_every_scope_would_say_whoever_asked_before(held: list[tuple[Scope, ...]]) -> None:
    index = ModuleIndex.of(MODULES)
    callers = [caller(number, scopes, index) for number, scopes in enumerate(held)]
    for _ in range(2):
        for principal in callers:
            for target in EVERY_PAIR:
                assert settled_by(principal, target) == deciding_scope(principal.scopes, target)


def test_a_scope_that_was_renamed_settles_under_its_new_name_for_those_who_have_that() -> None:
    before = Scope(1, "old", "", Mode.ALLOW, read=ModuleSet.of(FEW))
    after = Scope(1, "new", "", Mode.ALLOW, read=ModuleSet.of(FEW))
    target = asks(Action.READ, FEW[0])
    assert settled_by(caller(1, (before,)), target) == "old"
    assert settled_by(caller(1, (after,)), target) == "new"
    assert settled_by(caller(1, (before,)), target) == "old"


def test_what_is_kept_is_bounded_however_many_pairs_are_asked_for() -> None:
    principal = caller(1, (Scope(1, "all", "", Mode.DENY), Scope(2, "more", "", Mode.DENY)))
    for action in Action:
        for module in MODULES:
            assert settled_by(principal, asks(action, module)) == "all"
            assert len(principal.rights.settled) <= MOST_SETTLED


def test_nothing_settles_a_route_without_an_action() -> None:
    principal = caller(1, (Scope(1, "all", "", Mode.DENY),))
    assert settled_by(principal, Target(Feed("demo"), ROUTE, None, -1, None)) is None
