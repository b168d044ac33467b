"""Sources that bases are kept in step with: who registered them, their names' prefix, and their failures; deletions.

Frozen: it says what the schema was, not what `tables` says today.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_STATEMENTS = """
ALTER TABLE sync_sources ADD COLUMN principal TEXT;
ALTER TABLE sync_sources ADD COLUMN prefix TEXT DEFAULT '' NOT NULL;
ALTER TABLE sync_sources ADD COLUMN failures INTEGER DEFAULT '0' NOT NULL;
ALTER TABLE sync_sources ADD COLUMN error TEXT DEFAULT '' NOT NULL;
CREATE TABLE deletions (
    base {ref} NOT NULL,
    source_sha256 TEXT NOT NULL,
    revision BIGINT NOT NULL,
    at {double} NOT NULL,
    CONSTRAINT pk_deletions PRIMARY KEY (base, source_sha256),
    CONSTRAINT fk_deletions_base FOREIGN KEY(base) REFERENCES knowledge_bases (seq)
)
"""

_TYPES = {
    "sqlite": {"double": "DOUBLE", "ref": "INTEGER"},
    "postgresql": {"double": "DOUBLE PRECISION", "ref": "BIGINT"},
}


def upgrade() -> None:
    """Add the columns and the table."""
    for statement in _STATEMENTS.format(**_TYPES[op.get_bind().dialect.name]).split(";"):
        op.execute(statement)
