"""What operators do: use cases that take a store and typed arguments, and answer with values.

    scopes, keys, members, key_import ─▶ store.writing (checks, changes, audit in one transaction)
      └ widening: who could do more by what takes a scope away
    explain ─▶ the evaluator that the data plane runs
      ├ asker: an API key, or the bearer of a token
      └ way: what flips the answer, as sentences and commands

The commands call them, and so will the admin API. What may not be done is a `RefusedError` with sentences for
people; a store that does not answer is a `StoreUnavailableError`. Every write is audited in the actor's name.
"""
