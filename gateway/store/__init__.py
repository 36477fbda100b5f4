"""Where scopes, keys, members and their history are kept: a SQLite file, or a PostgreSQL server.

    opening ─▶ Store (questions) ─▶ Writing (one transaction: checks, changes, audit)
       │          └ queries: rows ⇄ nouns
       ├ address: the URL          ├ schema: the tables
       ├ faults: a database's words in ours
       └ upgrading: migrations

The only room that knows SQL. No exception of a database library leaves it: what the store cannot do is a
`StoreUnavailableError` with a sentence for operators. Callers begin at `gateway.store.opening`; importing
this package imports nothing, so that commands which need no store stay quick.
"""
