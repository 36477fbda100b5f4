"""OAuth2 clients can have API Scopes too: `client` joins the kinds of members."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID: Final = sa.BigInteger().with_variant(sa.Integer, "sqlite")

KEPT_IDS: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'members'"
KEEP_IDS: Final = "UPDATE sqlite_sequence SET seq = :seq WHERE name = 'members'"
BEGIN_IDS: Final = "INSERT INTO sqlite_sequence (name, seq) SELECT 'members', :seq WHERE changes() = 0"


def upgrade() -> None:
    """Widen the kinds; whoever is a member stays one, and no id is ever used twice."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    used = op.get_bind().scalar(sa.text(KEPT_IDS)) if sqlite else None
    with op.batch_alter_table(
        "members", copy_from=_members(), table_kwargs={"sqlite_autoincrement": True}
    ) as members:
        members.drop_constraint("ck_members_kind", type_="check")
        members.alter_column("kind", existing_type=sa.String(4), type_=sa.String(6), existing_nullable=False)
        members.create_check_constraint("ck_members_kind", "kind IN ('user', 'role', 'client')")
    if used is not None:
        op.get_bind().execute(sa.text(KEEP_IDS), {"seq": used})
        op.get_bind().execute(sa.text(BEGIN_IDS), {"seq": used})


def _members() -> sa.Table:
    """The table as revision 0001 left it; SQLite cannot alter one, so it is made anew and filled."""
    return sa.Table(
        "members",
        sa.MetaData(),
        sa.Column("id", ID, nullable=False),
        sa.Column("scope_id", ID, nullable=False),
        sa.Column("kind", sa.String(4), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_members"),
        sa.ForeignKeyConstraint(["scope_id"], ["scopes.id"], name="fk_members_scope_id"),
        sa.UniqueConstraint("scope_id", "kind", "name", name="uq_members_scope_id"),
        sa.CheckConstraint("kind IN ('user', 'role')", name="ck_members_kind"),
        sa.Index("ix_members_kind", "kind", "name"),
        sqlite_autoincrement=True,
    )
