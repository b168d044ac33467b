"""Knowledge: permissions, attributes, versions, questions, evaluations, places, pictures.

Frozen: it says what the schema was, not what `tables` says today.
"""

from __future__ import annotations

from collections import Counter

from alembic import op
from sqlalchemy import Connection, text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_STATEMENTS = """
CREATE TABLE groups (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    labels {json} NOT NULL,
    created_at {double} NOT NULL,
    CONSTRAINT pk_groups PRIMARY KEY (id),
    CONSTRAINT uq_groups_name UNIQUE (name)
);
CREATE TABLE memberships (
    "group" TEXT NOT NULL,
    principal TEXT NOT NULL,
    CONSTRAINT pk_memberships PRIMARY KEY ("group", principal),
    CONSTRAINT fk_memberships_group FOREIGN KEY("group") REFERENCES groups (id) ON DELETE CASCADE,
    CONSTRAINT fk_memberships_principal FOREIGN KEY(principal) REFERENCES principals (id) ON DELETE CASCADE
);
CREATE INDEX ix_memberships_principal ON memberships (principal);
ALTER TABLE files ADD COLUMN expires_at {double};
ALTER TABLE knowledge_bases ADD COLUMN description TEXT DEFAULT '' NOT NULL;
ALTER TABLE knowledge_bases ADD COLUMN metadata {json} DEFAULT '{{}}' NOT NULL;
ALTER TABLE knowledge_bases ADD COLUMN expires_after INTEGER;
ALTER TABLE knowledge_bases ADD COLUMN last_active_at {double};
ALTER TABLE knowledge_bases ADD COLUMN version INTEGER DEFAULT '0' NOT NULL;
ALTER TABLE knowledge_bases ADD COLUMN rules {json} DEFAULT '[]' NOT NULL;
CREATE TABLE access_classes (
    {self_numbered},
    base {ref} NOT NULL,
    access TEXT NOT NULL,
    CONSTRAINT uq_access_classes_base_access UNIQUE (base, access),
    CONSTRAINT fk_access_classes_base FOREIGN KEY(base) REFERENCES knowledge_bases (seq)
);
ALTER TABLE documents ADD COLUMN access BIGINT DEFAULT '0' NOT NULL;
ALTER TABLE documents ADD COLUMN attributes {json} DEFAULT '{{}}' NOT NULL;
ALTER TABLE documents ADD COLUMN container TEXT;
ALTER TABLE documents ADD COLUMN stamp TEXT DEFAULT '' NOT NULL;
ALTER TABLE documents ADD COLUMN near TEXT;
ALTER TABLE documents ADD COLUMN words BIGINT DEFAULT '0' NOT NULL;
CREATE INDEX ix_documents_base_access ON documents (base, access);
CREATE INDEX ix_documents_base_container ON documents (base, container);
CREATE TABLE pictures (
    document TEXT NOT NULL,
    version INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    mime TEXT NOT NULL,
    start BIGINT NOT NULL,
    alt TEXT NOT NULL,
    CONSTRAINT pk_pictures PRIMARY KEY (document, version, ordinal),
    CONSTRAINT fk_pictures_document FOREIGN KEY(document) REFERENCES documents (id) ON DELETE CASCADE
);
CREATE INDEX ix_pictures_sha256 ON pictures (sha256);
ALTER TABLE chunks ADD COLUMN access BIGINT DEFAULT '0' NOT NULL;
ALTER TABLE chunks ADD COLUMN place TEXT DEFAULT '' NOT NULL;
ALTER TABLE chunks ADD COLUMN line INTEGER;
ALTER TABLE chunks ADD COLUMN context TEXT DEFAULT '' NOT NULL;
CREATE INDEX ix_chunks_base_access ON chunks (base, access);
CREATE TABLE knowledge_versions (
    base {ref} NOT NULL,
    version INTEGER NOT NULL,
    settings {json} NOT NULL,
    figures {json} NOT NULL,
    note TEXT NOT NULL,
    created_at {double} NOT NULL,
    CONSTRAINT pk_knowledge_versions PRIMARY KEY (base, version),
    CONSTRAINT fk_knowledge_versions_base FOREIGN KEY(base) REFERENCES knowledge_bases (seq)
);
CREATE TABLE questions (
    id TEXT NOT NULL,
    base {ref} NOT NULL,
    text TEXT NOT NULL,
    relevant {json} NOT NULL,
    answer TEXT NOT NULL,
    origin TEXT NOT NULL,
    CONSTRAINT pk_questions PRIMARY KEY (id),
    CONSTRAINT fk_questions_base FOREIGN KEY(base) REFERENCES knowledge_bases (seq)
);
CREATE INDEX ix_questions_base ON questions (base);
CREATE TABLE evaluations (
    id TEXT NOT NULL,
    base {ref} NOT NULL,
    version INTEGER NOT NULL,
    revision BIGINT NOT NULL,
    questions TEXT NOT NULL,
    created_at {double} NOT NULL,
    figures {json} NOT NULL,
    details {json} NOT NULL,
    CONSTRAINT pk_evaluations PRIMARY KEY (id),
    CONSTRAINT fk_evaluations_base FOREIGN KEY(base) REFERENCES knowledge_bases (seq)
);
CREATE INDEX ix_evaluations_base ON evaluations (base);
CREATE TABLE sync_sources (
    base {ref} NOT NULL,
    origin TEXT NOT NULL,
    created_at {double} NOT NULL,
    every {double},
    synced_at {double},
    state TEXT NOT NULL,
    job TEXT,
    CONSTRAINT pk_sync_sources PRIMARY KEY (base, origin),
    CONSTRAINT fk_sync_sources_base FOREIGN KEY(base) REFERENCES knowledge_bases (seq)
)
"""

_TYPES = {
    "sqlite": {
        "double": "DOUBLE",
        "json": "JSON",
        "ref": "INTEGER",
        "self_numbered": "seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT",
    },
    "postgresql": {
        "double": "DOUBLE PRECISION",
        "json": "JSONB",
        "ref": "BIGINT",
        "self_numbered": "seq BIGSERIAL NOT NULL, CONSTRAINT pk_access_classes PRIMARY KEY (seq)",
    },
}
_COUNT_WORDS = """
    UPDATE documents SET words = (
        SELECT coalesce(sum(w.length), 0) FROM chunk_words w JOIN chunks c ON c.seq = w.chunk
        WHERE c.document = documents.id
    )
"""


def upgrade() -> None:
    """Add what knowledge needs."""
    conn = op.get_bind()
    for statement in _STATEMENTS.format(**_TYPES[conn.dialect.name]).split(";"):
        op.execute(statement)
    if conn.dialect.name == "postgresql":
        op.execute(_COUNT_WORDS)
        return
    for base in conn.execute(text("SELECT seq FROM knowledge_bases")).scalars().all():
        _renew_index(conn, base)


def _renew_index(conn: Connection, base: int) -> None:
    """Let the text index see contexts, list its words, and count those of each document.

    Contexts are still empty, so every row keeps its words and the index need not be built again.
    """
    op.execute(f"DROP VIEW fts_{base}_rows")
    op.execute(
        f"CREATE VIEW fts_{base}_rows AS SELECT seq, text, heading || ' ' || context AS heading "  # noqa: S608
        f"FROM chunks WHERE base = {base}"
    )
    op.execute(f"CREATE VIRTUAL TABLE fts_{base}_terms USING fts5vocab(fts_{base}, instance)")
    words: Counter[str] = Counter()
    sizes = f"SELECT c.document, s.sz FROM fts_{base}_docsize s JOIN chunks c ON c.seq = s.id"  # noqa: S608
    for document, sizes_of_columns in conn.execute(text(sizes)):
        words[document] += _sum(sizes_of_columns)
    for document, count in words.items():
        conn.execute(text("UPDATE documents SET words = :words WHERE id = :id"), {"words": count, "id": document})


def _sum(sizes: bytes) -> int:
    """The sum of SQLite's varints (of less than nine bytes) in `sizes`."""
    total = value = 0
    for byte in sizes:
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            total += value
            value = 0
    return total
