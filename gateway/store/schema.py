"""The tables, as the newest migration leaves them (a test compares the two)."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

REVISION: Final = "0002"
"""The newest migration: what a store must have had to be read by this release."""

STANDARD_IDS: Final = range(10_000, 11_000)
"""Ids kept for the scopes that come with the product; those operators make are numbered from the end on."""

NAMES: Final = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=NAMES)

ID: Final = BigInteger().with_variant(Integer, "sqlite")
"""An id that is never used twice (AUTOINCREMENT on SQLite, which only INTEGER can be)."""

scopes = Table(
    "scopes",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("label", String(200), nullable=False),
    Column("mode", String(5), CheckConstraint("mode IN ('allow', 'deny')", "mode"), nullable=False),
    Column("create_modules", Text, nullable=False, comment="names, separated by a space, or *"),
    Column("read_modules", Text, nullable=False),
    Column("update_modules", Text, nullable=False),
    Column("delete_modules", Text, nullable=False),
    Column("bypass_enabled_flag", Boolean, nullable=False),
    Column("locked", Boolean, nullable=False, server_default=false()),
    sqlite_autoincrement=True,
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", ID, primary_key=True),
    Column("label", String(200), nullable=False),
    Column(
        "state",
        String(8),
        CheckConstraint("state IN ('active', 'disabled', 'revoked')", "state"),
        nullable=False,
    ),
    Column("on_trial", Boolean, nullable=False, comment="a trial set is watched, even an empty one"),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("last_used_at", Double),
    Column("full_access_after", String(64), comment="the deleted scope whose loss gave full access"),
    sqlite_autoincrement=True,
)

key_secrets = Table(
    "key_secrets",
    metadata,
    Column("id", ID, primary_key=True),
    Column("key_id", ForeignKey("api_keys.id"), nullable=False, index=True),
    Column(
        "digest",
        LargeBinary(32),
        CheckConstraint("length(digest) = 32", "digest"),
        nullable=False,
        unique=True,
        comment="SHA-256 of the key; the key itself is nowhere",
    ),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    sqlite_autoincrement=True,
)

key_scopes = Table(
    "key_scopes",
    metadata,
    Column("key_id", ForeignKey("api_keys.id"), primary_key=True),
    Column("trial", Boolean, primary_key=True),
    Column("scope_id", ForeignKey("scopes.id"), primary_key=True, index=True),
)

members = Table(
    "members",
    metadata,
    Column("id", ID, primary_key=True),
    Column("scope_id", ForeignKey("scopes.id"), nullable=False),
    Column("kind", String(6), CheckConstraint("kind IN ('user', 'role', 'client')", "kind"), nullable=False),
    Column("name", String(200), nullable=False),
    UniqueConstraint("scope_id", "kind", "name"),
    Index("ix_members_kind", "kind", "name"),
    sqlite_autoincrement=True,
)

changes = Table(
    "changes",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False, comment="numbered without holes"),
    Column("at", Double, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("subject", String(210), nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", ID, primary_key=True),
    Column("at", Double, nullable=False, index=True),
    Column("actor", String(200), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(210), nullable=False),
    Column("detail", Text, nullable=False, comment="JSON; never a secret"),
    sqlite_autoincrement=True,
)
