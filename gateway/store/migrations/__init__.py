"""How a store came to be what it is: one file a revision, run by Alembic."""
