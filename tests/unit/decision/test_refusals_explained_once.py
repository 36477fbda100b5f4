"""The words of a refusal are kept per caller and pair: nobody is told what was found of somebody else."""

import pytest

from gateway.decision.decide import decide
from gateway.domain.action import Action
from gateway.domain.feed import Feed
from gateway.domain.principal import Principal, PrincipalKind
from gateway.domain.rights import ModuleIndex, Rights
from gateway.domain.scope import Mode, Scope
from gateway.domain.target import Route, Target
from gateway.domain.verdict import Reason, Refusal

INDEX = ModuleIndex.of(("courses", "users"))
ROUTE = Route("/x", "routes.yaml:3")


def caller(scope: str, *, named: tuple[Scope, ...] | None = None) -> Principal:
    """A caller with one scope, which allows nothing; they are all alike but for its name."""
    scopes = (Scope(1, scope, scope, Mode.ALLOW),)
    return Principal(PrincipalKind.KEY, "key:1", "", scopes, Rights.of(scopes, INDEX), token_scopes=named)


def refusal(principal: Principal, module: str = "courses", action: Action = Action.READ) -> Refusal:
    verdict = decide(principal, Target(Feed("demo"), ROUTE, module, INDEX.bits[module], action))
    assert isinstance(verdict, Refusal)
    return verdict


def test_a_refusal_is_said_in_the_same_words_again() -> None:
    principal = caller("web")
    assert refusal(principal) is refusal(principal)


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("module", ["courses", "users"])
def test_each_pair_has_its_own_words(module: str, action: Action) -> None:
    principal = caller("web")
    refusal(principal)
    said = refusal(principal, module, action)
    assert said.detail == f"None of your API Scopes ('web') allows {action.word} on {module}."
    assert (said.module, said.action) == (module, action.word)


def test_callers_who_are_alike_are_told_of_their_own_scopes_however_many_they_are() -> None:
    callers = [caller(f"scope-{number}") for number in range(1500)]
    for principal in (*callers, *callers):
        name = principal.scopes[0].name
        assert refusal(principal).detail == f"None of your API Scopes ('{name}') allows read on courses."


def test_a_caller_who_got_other_scopes_is_told_of_those() -> None:
    assert "'before'" in refusal(caller("before")).detail
    assert "'after'" in refusal(caller("after")).detail
    assert refusal(caller("after", named=())).reason is Reason.SCOPE_DENIED
