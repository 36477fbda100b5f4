"""Every case there is, in the order of the report."""

from typing import Final

from bench.case import Case
from bench.cases.before import BESIDE_ITSELF
from bench.cases.bodies_and_tls import ANSWER, POST, TLS, VARIED
from bench.cases.core import CORE, LATENCY
from bench.cases.memory import MEMORY
from bench.cases.refusals import REFUSALS
from bench.cases.sizes import KEYS, ROUTES, SCOPES, START
from bench.cases.tokens import JWT, PROOFS, ROTATION
from bench.cases.transfers import TRANSFERS
from bench.cases.workers import WORKERS

CASES: Final[tuple[Case, ...]] = (
    CORE,
    LATENCY,
    POST,
    ANSWER,
    TLS,
    VARIED,
    JWT,
    PROOFS,
    ROTATION,
    REFUSALS,
    WORKERS,
    TRANSFERS,
    ROUTES,
    KEYS,
    SCOPES,
    START,
    MEMORY,
    BESIDE_ITSELF,
)

EVERY: Final = "all"


class UnknownCaseError(ValueError):
    """A case was asked for that there is not. Says which there are."""


def chosen(names: str) -> tuple[Case, ...]:
    """The cases of a list such as `core,tls`, in the order of the report; `all` is all but `before`.

    Raises UnknownCaseError.
    """
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    known = {case.name for case in CASES}
    if unknown := sorted(wanted - known - {EVERY}):
        listed = ", ".join((EVERY, *(case.name for case in CASES)))
        raise UnknownCaseError(f"unknown: {', '.join(unknown)}; known: {listed}")
    every = known - {BESIDE_ITSELF.name} if EVERY in wanted else set()
    return tuple(case for case in CASES if case.name in wanted | every)
