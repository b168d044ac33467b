"""Sources that bases are kept in step with: who registered them, their names' prefix, and their failures; deletions;
signatures.

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
);
CREATE INDEX ix_documents_base_near ON documents (base, near);
CREATE TABLE signatures (
    {self_numbered},
    base {ref} NOT NULL,
    document TEXT NOT NULL,
    data {blob} NOT NULL,
    CONSTRAINT uq_signatures_document UNIQUE (document),
    CONSTRAINT fk_signatures_base FOREIGN KEY(base) REFERENCES knowledge_bases (seq),
    CONSTRAINT fk_signatures_document FOREIGN KEY(document) REFERENCES documents (id)
);
CREATE INDEX ix_signatures_base ON signatures (base);
CREATE TABLE signature_bands (
    base {ref} NOT NULL,
    band BIGINT NOT NULL,
    signature BIGINT NOT NULL,
    CONSTRAINT pk_signature_bands PRIMARY KEY (base, band, signature),
    CONSTRAINT fk_signature_bands_base FOREIGN KEY(base) REFERENCES knowledge_bases (seq)
)
"""

_TYPES = {
    "sqlite": {
        "double": "DOUBLE",
        "ref": "INTEGER",
        "blob": "BLOB",
        "self_numbered": "seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT",
    },
    "postgresql": {
        "double": "DOUBLE PRECISION",
        "ref": "BIGINT",
        "blob": "BYTEA",
        "self_numbered": "seq BIGSERIAL NOT NULL, CONSTRAINT pk_signatures PRIMARY KEY (seq)",
    },
}


def upgrade() -> None:
    """Add the columns, the index and the tables."""
    for statement in _STATEMENTS.format(**_TYPES[op.get_bind().dialect.name]).split(";"):
        op.execute(statement)
