"""The first store: scopes, keys, members, the change feed and the audit, with the standard scopes in it."""

from typing import Any, Final

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID: Final = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make everything."""
    _scopes()
    _keys()
    _members()
    _history()
    _standard_scopes()


def _scopes() -> None:
    op.create_table(
        "scopes",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("mode", sa.String(5), nullable=False),
        sa.Column("create_modules", sa.Text, nullable=False, comment="names, separated by a space, or *"),
        sa.Column("read_modules", sa.Text, nullable=False),
        sa.Column("update_modules", sa.Text, nullable=False),
        sa.Column("delete_modules", sa.Text, nullable=False),
        sa.Column("bypass_enabled_flag", sa.Boolean, nullable=False),
        sa.Column("locked", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("id", name="pk_scopes"),
        sa.UniqueConstraint("name", name="uq_scopes_name"),
        sa.CheckConstraint("mode IN ('allow', 'deny')", name="ck_scopes_mode"),
        sqlite_autoincrement=True,
    )


def _keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", ID, nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column(
            "on_trial", sa.Boolean, nullable=False, comment="a trial set is watched, even an empty one"
        ),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double),
        sa.Column("last_used_at", sa.Double),
        sa.Column(
            "full_access_after", sa.String(64), comment="the deleted scope whose loss gave full access"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.CheckConstraint("state IN ('active', 'disabled', 'revoked')", name="ck_api_keys_state"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "key_secrets",
        sa.Column("id", ID, nullable=False),
        sa.Column("key_id", ID, nullable=False),
        sa.Column(
            "digest",
            sa.LargeBinary(32),
            nullable=False,
            comment="SHA-256 of the key; the key itself is nowhere",
        ),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_key_secrets"),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name="fk_key_secrets_key_id"),
        sa.UniqueConstraint("digest", name="uq_key_secrets_digest"),
        sa.CheckConstraint("length(digest) = 32", name="ck_key_secrets_digest"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_key_secrets_key_id", "key_secrets", ["key_id"])
    op.create_table(
        "key_scopes",
        sa.Column("key_id", ID, nullable=False),
        sa.Column("trial", sa.Boolean, nullable=False),
        sa.Column("scope_id", ID, nullable=False),
        sa.PrimaryKeyConstraint("key_id", "trial", "scope_id", name="pk_key_scopes"),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name="fk_key_scopes_key_id"),
        sa.ForeignKeyConstraint(["scope_id"], ["scopes.id"], name="fk_key_scopes_scope_id"),
    )
    op.create_index("ix_key_scopes_scope_id", "key_scopes", ["scope_id"])


def _members() -> None:
    op.create_table(
        "members",
        sa.Column("id", ID, nullable=False),
        sa.Column("scope_id", ID, nullable=False),
        sa.Column("kind", sa.String(4), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_members"),
        sa.ForeignKeyConstraint(["scope_id"], ["scopes.id"], name="fk_members_scope_id"),
        sa.UniqueConstraint("scope_id", "kind", "name", name="uq_members_scope_id"),
        sa.CheckConstraint("kind IN ('user', 'role')", name="ck_members_kind"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_members_kind", "members", ["kind", "name"])


def _history() -> None:
    op.create_table(
        "changes",
        sa.Column(
            "seq", sa.BigInteger, nullable=False, autoincrement=False, comment="numbered without holes"
        ),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(210), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_changes"),
    )
    op.create_table(
        "audit",
        sa.Column("id", ID, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(210), nullable=False),
        sa.Column("detail", sa.Text, nullable=False, comment="JSON; never a secret"),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_at", "audit", ["at"])


def _standard_scopes() -> None:
    """Locked scopes that every store has; ids below 11000 are kept for more of them."""
    contacts = "accounts bookings delegates users"
    rows = [
        _standard(10_000, "api-v2", "API v2", create="*", read="*", update="*", delete="*"),
        _standard(10_001, "power-bi", "Power BI", read="*"),
        _standard(10_002, "mailchimp", "Mailchimp", read=contacts),
    ]
    columns = ("id", "name", "label", "mode", "bypass_enabled_flag", "locked")
    sets = ("create_modules", "read_modules", "update_modules", "delete_modules")
    op.bulk_insert(sa.table("scopes", *(sa.column(name) for name in columns + sets)), rows)
    if op.get_bind().dialect.name == "sqlite":
        op.execute("UPDATE sqlite_sequence SET seq = 10999 WHERE name = 'scopes'")
    else:
        op.execute("ALTER SEQUENCE scopes_id_seq RESTART WITH 11000")


def _standard(scope_id: int, name: str, label: str, **modules: str) -> dict[str, Any]:
    sets = {f"{action}_modules": modules.get(action, "") for action in ("create", "read", "update", "delete")}
    return {
        "id": scope_id,
        "name": name,
        "label": label,
        "mode": "allow",
        "bypass_enabled_flag": False,
        "locked": True,
        **sets,
    }
