"""What guards find, the keys of what is encrypted, and people who sign in.

Frozen: it says what the schema was, not what `tables` says today.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_STATEMENTS = """
CREATE TABLE guard_events (
    id TEXT NOT NULL,
    at {double} NOT NULL,
    trace TEXT NOT NULL,
    principal TEXT NOT NULL,
    key TEXT,
    door TEXT NOT NULL,
    origin TEXT NOT NULL,
    place TEXT NOT NULL,
    model TEXT NOT NULL,
    base TEXT,
    guard TEXT NOT NULL,
    category TEXT NOT NULL,
    score {double} NOT NULL,
    decision TEXT NOT NULL,
    action TEXT NOT NULL,
    start BIGINT NOT NULL,
    "end" BIGINT NOT NULL,
    digest TEXT NOT NULL,
    policy TEXT NOT NULL,
    reason TEXT NOT NULL,
    CONSTRAINT pk_guard_events PRIMARY KEY (id)
);
CREATE INDEX ix_guard_events_at ON guard_events (at, id);
CREATE INDEX ix_guard_events_trace ON guard_events (trace);
CREATE TABLE pseudonyms (
    vault TEXT NOT NULL,
    pseudonym TEXT NOT NULL,
    principal TEXT NOT NULL,
    value TEXT NOT NULL,
    at {double} NOT NULL,
    used_at {double} NOT NULL,
    CONSTRAINT pk_pseudonyms PRIMARY KEY (vault, pseudonym)
);
CREATE INDEX ix_pseudonyms_principal ON pseudonyms (principal);
CREATE INDEX ix_pseudonyms_used_at ON pseudonyms (used_at);
CREATE TABLE data_keys (
    id TEXT NOT NULL,
    purpose TEXT NOT NULL,
    master TEXT NOT NULL,
    wrapped TEXT NOT NULL,
    whole BOOLEAN NOT NULL,
    created_at {double} NOT NULL,
    retired_at {double},
    CONSTRAINT pk_data_keys PRIMARY KEY (id)
);
ALTER TABLE sessions ADD COLUMN seen_at {double};
ALTER TABLE sessions ADD COLUMN way TEXT DEFAULT 'link' NOT NULL;
ALTER TABLE sessions ADD COLUMN agent TEXT DEFAULT '' NOT NULL;
ALTER TABLE sessions ADD COLUMN address TEXT DEFAULT '' NOT NULL;
CREATE TABLE users (
    principal TEXT NOT NULL,
    password TEXT,
    issuer TEXT,
    subject TEXT,
    created_at {double} NOT NULL,
    changed_at {double},
    disabled_at {double},
    CONSTRAINT pk_users PRIMARY KEY (principal),
    CONSTRAINT uq_users_issuer_subject UNIQUE (issuer, subject),
    CONSTRAINT fk_users_principal FOREIGN KEY(principal) REFERENCES principals (id) ON DELETE CASCADE
);
CREATE TABLE attempts (
    subject TEXT NOT NULL,
    failures BIGINT NOT NULL,
    at {double} NOT NULL,
    CONSTRAINT pk_attempts PRIMARY KEY (subject)
);
CREATE INDEX ix_attempts_at ON attempts (at)
"""

_TYPES = {
    "sqlite": {"double": "DOUBLE", "ref": "INTEGER", "blob": "BLOB"},
    "postgresql": {"double": "DOUBLE PRECISION", "ref": "BIGINT", "blob": "BYTEA"},
}


def upgrade() -> None:
    """Add the tables."""
    for statement in _STATEMENTS.format(**_TYPES[op.get_bind().dialect.name]).split(";"):
        op.execute(statement)
