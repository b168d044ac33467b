"""Foundation: principals, keys, files, knowledge, jobs, traces, feedback, audit.

Frozen: it says what the schema was, not what `tables` says today.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE principals (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at {double} NOT NULL,
    CONSTRAINT pk_principals PRIMARY KEY (id),
    CONSTRAINT uq_principals_name UNIQUE (name)
);
CREATE TABLE keys (
    id TEXT NOT NULL,
    principal TEXT NOT NULL,
    name TEXT NOT NULL,
    hint TEXT NOT NULL,
    hash TEXT NOT NULL,
    created_at {double} NOT NULL,
    expires_at {double},
    revoked_at {double},
    CONSTRAINT pk_keys PRIMARY KEY (id),
    CONSTRAINT fk_keys_principal FOREIGN KEY (principal) REFERENCES principals (id) ON DELETE CASCADE,
    CONSTRAINT uq_keys_hash UNIQUE (hash)
);
CREATE INDEX ix_keys_principal ON keys (principal);
CREATE TABLE links (
    hash TEXT NOT NULL,
    principal TEXT NOT NULL,
    created_at {double} NOT NULL,
    expires_at {double} NOT NULL,
    used_at {double},
    CONSTRAINT pk_links PRIMARY KEY (hash),
    CONSTRAINT fk_links_principal FOREIGN KEY (principal) REFERENCES principals (id) ON DELETE CASCADE
);
CREATE INDEX ix_links_principal ON links (principal);
CREATE TABLE sessions (
    hash TEXT NOT NULL,
    principal TEXT NOT NULL,
    created_at {double} NOT NULL,
    expires_at {double} NOT NULL,
    revoked_at {double},
    CONSTRAINT pk_sessions PRIMARY KEY (hash),
    CONSTRAINT fk_sessions_principal FOREIGN KEY (principal) REFERENCES principals (id) ON DELETE CASCADE
);
CREATE INDEX ix_sessions_principal ON sessions (principal);
CREATE TABLE files (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    size BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    purpose TEXT NOT NULL,
    principal TEXT NOT NULL,
    created_at {double} NOT NULL,
    CONSTRAINT pk_files PRIMARY KEY (id)
);
CREATE INDEX ix_files_sha256 ON files (sha256);
CREATE TABLE knowledge_bases (
    seq {seq} NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    embedder TEXT NOT NULL,
    dimension INTEGER NOT NULL,
    created_at {double} NOT NULL,
    revision BIGINT DEFAULT '0' NOT NULL,
    documents BIGINT DEFAULT '0' NOT NULL,
    chunks BIGINT DEFAULT '0' NOT NULL,
    words BIGINT DEFAULT '0' NOT NULL,
    CONSTRAINT pk_knowledge_bases PRIMARY KEY (seq),
    CONSTRAINT uq_knowledge_bases_id UNIQUE (id),
    CONSTRAINT uq_knowledge_bases_name UNIQUE (name)
);
CREATE TABLE documents (
    id TEXT NOT NULL,
    base {int} NOT NULL,
    source TEXT NOT NULL,
    version INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    text_sha256 TEXT,
    title TEXT NOT NULL,
    mime TEXT NOT NULL,
    size BIGINT NOT NULL,
    pages {json} NOT NULL,
    status TEXT NOT NULL,
    error TEXT,
    chunks INTEGER NOT NULL,
    created_at {double} NOT NULL,
    updated_at {double} NOT NULL,
    file TEXT,
    origin TEXT NOT NULL,
    CONSTRAINT pk_documents PRIMARY KEY (id),
    CONSTRAINT uq_documents_base_source UNIQUE (base, source),
    CONSTRAINT fk_documents_base FOREIGN KEY (base) REFERENCES knowledge_bases (seq)
);
CREATE INDEX ix_documents_text_sha256 ON documents (text_sha256);
CREATE TABLE document_versions (
    document TEXT NOT NULL,
    version INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    text_sha256 TEXT NOT NULL,
    title TEXT NOT NULL,
    pages {json} NOT NULL,
    created_at {double} NOT NULL,
    CONSTRAINT pk_document_versions PRIMARY KEY (document, version),
    CONSTRAINT fk_document_versions_document FOREIGN KEY (document) REFERENCES documents (id) ON DELETE CASCADE
);
CREATE INDEX ix_document_versions_text_sha256 ON document_versions (text_sha256);
CREATE TABLE chunks (
    seq {seq} NOT NULL,
    base {int} NOT NULL,
    id TEXT NOT NULL,
    document TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    start BIGINT NOT NULL,
    "end" BIGINT NOT NULL,
    page INTEGER,
    heading TEXT NOT NULL,
    text TEXT NOT NULL,
    revision BIGINT NOT NULL,
    CONSTRAINT pk_chunks PRIMARY KEY (seq),
    CONSTRAINT uq_chunks_base_id UNIQUE (base, id),
    CONSTRAINT uq_chunks_document_ordinal UNIQUE (document, ordinal),
    CONSTRAINT fk_chunks_base FOREIGN KEY (base) REFERENCES knowledge_bases (seq),
    CONSTRAINT fk_chunks_document FOREIGN KEY (document) REFERENCES documents (id)
);
CREATE INDEX ix_chunks_base_revision ON chunks (base, revision);
CREATE TABLE vectors (
    chunk {int} NOT NULL,
    data {blob} NOT NULL,
    CONSTRAINT pk_vectors PRIMARY KEY (chunk),
    CONSTRAINT fk_vectors_chunk FOREIGN KEY (chunk) REFERENCES chunks (seq) ON DELETE CASCADE
);
CREATE TABLE jobs (
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    arguments {json} NOT NULL,
    state TEXT NOT NULL,
    created_at {double} NOT NULL,
    updated_at {double} NOT NULL,
    total BIGINT DEFAULT '0' NOT NULL,
    done BIGINT DEFAULT '0' NOT NULL,
    failed BIGINT DEFAULT '0' NOT NULL,
    attempts INTEGER DEFAULT '0' NOT NULL,
    max_attempts INTEGER NOT NULL,
    lease_owner TEXT,
    lease_until {double},
    message TEXT NOT NULL,
    result {json} NOT NULL,
    CONSTRAINT pk_jobs PRIMARY KEY (id)
);
CREATE INDEX ix_jobs_state_created_at ON jobs (state, created_at);
CREATE TABLE job_items (
    job TEXT NOT NULL,
    "key" TEXT NOT NULL,
    state TEXT NOT NULL,
    message TEXT NOT NULL,
    updated_at {double} NOT NULL,
    CONSTRAINT pk_job_items PRIMARY KEY (job, "key"),
    CONSTRAINT fk_job_items_job FOREIGN KEY (job) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE TABLE requests (
    trace TEXT NOT NULL,
    at {double} NOT NULL,
    door TEXT NOT NULL,
    principal TEXT NOT NULL,
    model TEXT NOT NULL,
    status TEXT NOT NULL,
    prompt_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    seconds {double} NOT NULL,
    first_token {double},
    cost {double} NOT NULL,
    CONSTRAINT pk_requests PRIMARY KEY (trace)
);
CREATE INDEX ix_requests_at ON requests (at);
CREATE INDEX ix_requests_principal_at ON requests (principal, at);
CREATE TABLE spans (
    id TEXT NOT NULL,
    trace TEXT NOT NULL,
    parent TEXT,
    name TEXT NOT NULL,
    started_at {double} NOT NULL,
    duration {double} NOT NULL,
    status TEXT NOT NULL,
    attributes {json} NOT NULL,
    CONSTRAINT pk_spans PRIMARY KEY (id)
);
CREATE INDEX ix_spans_roots ON spans (started_at) WHERE parent IS NULL;
CREATE INDEX ix_spans_trace ON spans (trace);
CREATE TABLE feedback (
    id TEXT NOT NULL,
    trace TEXT NOT NULL,
    principal TEXT NOT NULL,
    rating INTEGER NOT NULL,
    comment TEXT NOT NULL,
    created_at {double} NOT NULL,
    CONSTRAINT pk_feedback PRIMARY KEY (id),
    CONSTRAINT uq_feedback_trace_principal UNIQUE (trace, principal),
    CONSTRAINT ck_feedback_rating CHECK (rating IN (-1, 1))
);
CREATE INDEX ix_feedback_created_at ON feedback (created_at);
CREATE TABLE audit (
    sequence {int} NOT NULL,
    at {double} NOT NULL,
    principal TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    details TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL,
    CONSTRAINT pk_audit PRIMARY KEY (sequence),
    CONSTRAINT uq_audit_hash UNIQUE (hash)
);
CREATE INDEX ix_audit_action ON audit (action);
"""

_TYPES = {
    "sqlite": {"seq": "INTEGER", "int": "INTEGER", "double": "DOUBLE", "json": "JSON", "blob": "BLOB"},
    "postgresql": {
        "seq": "BIGSERIAL",
        "int": "BIGINT",
        "double": "DOUBLE PRECISION",
        "json": "JSONB",
        "blob": "BYTEA",
    },
}

# The audit chain is append-only in the database too.
_SQLITE_ONLY = [
    f"""
    CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
    """
    for verb in ("UPDATE", "DELETE")
]

_POSTGRESQL_ONLY = [
    """
    CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$
    """,
    """
    CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()
    """,
    # Every word is stemmed and none is dropped, as FTS5's `porter` does.
    "CREATE TEXT SEARCH DICTIONARY athanor_porter (TEMPLATE = snowball, LANGUAGE = porter)",
    "CREATE TEXT SEARCH CONFIGURATION athanor (PARSER = default)",
    """
    ALTER TEXT SEARCH CONFIGURATION athanor ADD MAPPING FOR
    asciiword, word, numword, asciihword, hword, numhword, hword_asciipart, hword_part, hword_numpart,
    email, protocol, url, host, url_path, file, sfloat, float, int, uint, version
    WITH athanor_porter
    """,
    """
    CREATE TABLE chunk_words (
        chunk BIGINT NOT NULL,
        base BIGINT NOT NULL,
        length BIGINT NOT NULL,
        words TSVECTOR NOT NULL,
        CONSTRAINT pk_chunk_words PRIMARY KEY (chunk),
        CONSTRAINT fk_chunk_words_chunk FOREIGN KEY (chunk) REFERENCES chunks (seq)
    )
    """,
    "CREATE INDEX ix_chunk_words_base ON chunk_words (base)",
    # Without the list of pending entries, which every search would read and which keeps the planner off the index.
    "CREATE INDEX ix_chunk_words_words ON chunk_words USING gin (words) WITH (fastupdate = off)",
]


def upgrade() -> None:
    """Create everything."""
    dialect = op.get_bind().dialect.name
    statements = [s for s in _TABLES.format(**_TYPES[dialect]).split(";") if s.strip()]
    for statement in statements + (_SQLITE_ONLY if dialect == "sqlite" else _POSTGRESQL_ONLY):
        op.execute(statement)
