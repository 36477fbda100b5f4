"""How many tokens a second are proved, nothing remembered, beside the bare call that checks a signature.

Run as a program: `python -m bench.proving ALGORITHM SECONDS`; prints one JSON object. Both take turns of a
few milliseconds in one process, over the same tokens, so that whatever slows one slows the other.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Final

from bench.signing import AUDIENCE, ISSUER, Signed, SigningKey, key_set
from gateway.domain.verdict import Refusal
from gateway.identity.claims import ClaimNames
from gateway.identity.prover import FixedKeys, Prover, TrustedIssuer
from gateway.jose.key_set import KeySet
from gateway.jose.verify import TokenTerms

TOKENS: Final = 64
TURN: Final = 100
"""Calls of one turn."""


class NotProvedError(Exception):
    """A good token was refused, or a damaged one was not."""


def prover_for(key: SigningKey) -> Prover:
    """The gateway's own prover, believing this key."""
    terms = TokenTerms(ISSUER, frozenset({AUDIENCE}), frozenset({key.algorithm}))
    keys = FixedKeys(KeySet.parse(key_set(key).encode()))
    return Prover({ISSUER: TrustedIssuer(terms, ClaimNames(ISSUER), keys)}, None)


async def demand(prover: Prover, good: Sequence[bytes]) -> None:
    """Raise NotProvedError unless the good are proved, and refused once a signature has been changed."""
    for token in good:
        head, _, signature = token.rpartition(b".")
        changed = b"A" if signature[:1] != b"A" else b"B"
        if isinstance(await prover.prove(token), Refusal):
            raise NotProvedError("a good token was refused")
        if not isinstance(await prover.prove(head + b"." + changed + signature[1:]), Refusal):
            raise NotProvedError("a token with a changed signature was proved")


async def _proofs(prover: Prover, tokens: Sequence[bytes]) -> float:
    """CPU seconds of one turn of proofs, a call."""
    began = time.process_time()
    for n in range(TURN):
        await prover.prove(tokens[n % TOKENS])
    return (time.process_time() - began) / TURN


def _bare(verify: Callable[[Signed], None], signed: Sequence[Signed]) -> float:
    """CPU seconds of one turn of bare calls, a call."""
    began = time.process_time()
    for n in range(TURN):
        verify(signed[n % TOKENS])
    return (time.process_time() - began) / TURN


async def rates(algorithm: str, seconds: float) -> dict[str, float]:
    """Proofs and bare calls a second, and how many times the bare call a proof costs."""
    key = SigningKey.made(algorithm)
    signed = [key.sign(jti=str(n)) for n in range(TOKENS)]
    tokens = [one.token.encode() for one in signed]
    prover, verify = prover_for(key), key.bare_call()
    await demand(prover, tokens)
    proofs: list[float] = []
    bare: list[float] = []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends or not bare:
        proofs.append(await _proofs(prover, tokens))
        bare.append(_bare(verify, signed))
    return {
        "proofs": 1 / median(proofs),
        "bare": 1 / median(bare),
        "times_bare": median(proof / call for proof, call in zip(proofs, bare, strict=True)),
    }


if __name__ == "__main__":
    try:
        print(json.dumps(asyncio.run(rates(sys.argv[1], float(sys.argv[2])))))
    except NotProvedError as error:
        sys.exit(f"proving: {error}")
