"""What operators do: use cases that take a store and typed arguments, and answer with values.

    scopes, keys, key_import ─▶ store.writing (checks, changes, audit in one transaction)
    explain                  ─▶ the evaluator that the data plane runs

The commands call them, and so will the admin API. What may not be done is a `RefusedError` with sentences for
people; a store that does not answer is a `StoreUnavailableError`. Every write is audited in the actor's name.
"""
