"""Alembic's entry: runs the asked revisions on the connection that `upgrading` holds, in its transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
