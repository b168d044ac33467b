CREATE TABLE access_classes (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    base INTEGER NOT NULL,
    access TEXT NOT NULL,
    CONSTRAINT uq_access_classes_base_access UNIQUE (base, access),
    CONSTRAINT fk_access_classes_base FOREIGN KEY(base) REFERENCES knowledge_bases (seq)
);

CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

CREATE TABLE attempts (
    subject TEXT NOT NULL,
    failures BIGINT NOT NULL,
    at DOUBLE NOT NULL,
    CONSTRAINT pk_attempts PRIMARY KEY (subject)
);

CREATE TABLE audit (
    sequence INTEGER NOT NULL,
    at DOUBLE NOT NULL,
    principal TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    details TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL,
    CONSTRAINT pk_audit PRIMARY KEY (sequence),
    CONSTRAINT uq_audit_hash UNIQUE (hash)
);

CREATE TABLE cache_shadows (
    id TEXT NOT NULL,
    route TEXT NOT NULL,
    embedder TEXT NOT NULL,
    similarity DOUBLE NOT NULL,
    same INTEGER NOT NULL,
    at DOUBLE NOT NULL,
    CONSTRAINT pk_cache_shadows PRIMARY KEY (id)
);

CREATE TABLE chunks (
    seq INTEGER NOT NULL,
    base INTEGER NOT NULL,
    id TEXT NOT NULL,
    document TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    start BIGINT NOT NULL,
    "end" BIGINT NOT NULL,
    page INTEGER,
    heading TEXT NOT NULL,
    text TEXT NOT NULL,
    revision BIGINT NOT NULL, access BIGINT DEFAULT '0' NOT NULL, place TEXT DEFAULT '' NOT NULL, line INTEGER, context TEXT DEFAULT '' NOT NULL,
    CONSTRAINT pk_chunks PRIMARY KEY (seq),
    CONSTRAINT uq_chunks_base_id UNIQUE (base, id),
    CONSTRAINT uq_chunks_document_ordinal UNIQUE (document, ordinal),
    CONSTRAINT fk_chunks_base FOREIGN KEY (base) REFERENCES knowledge_bases (seq),
    CONSTRAINT fk_chunks_document FOREIGN KEY (document) REFERENCES documents (id)
);

CREATE TABLE contents (
    trace TEXT NOT NULL,
    at DOUBLE NOT NULL,
    request TEXT NOT NULL,
    answer TEXT NOT NULL,
    CONSTRAINT pk_contents PRIMARY KEY (trace)
);

CREATE TABLE data_keys (
    id TEXT NOT NULL,
    purpose TEXT NOT NULL,
    master TEXT NOT NULL,
    wrapped TEXT NOT NULL,
    whole BOOLEAN NOT NULL,
    created_at DOUBLE NOT NULL,
    retired_at DOUBLE,
    CONSTRAINT pk_data_keys PRIMARY KEY (id)
);

CREATE TABLE deletions (
    base INTEGER NOT NULL,
    source_sha256 TEXT NOT NULL,
    revision BIGINT NOT NULL,
    at DOUBLE NOT NULL,
    CONSTRAINT pk_deletions PRIMARY KEY (base, source_sha256),
    CONSTRAINT fk_deletions_base FOREIGN KEY(base) REFERENCES knowledge_bases (seq)
);

CREATE TABLE document_versions (
    document TEXT NOT NULL,
    version INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    text_sha256 TEXT NOT NULL,
    title TEXT NOT NULL,
    pages JSON NOT NULL,
    created_at DOUBLE NOT NULL,
    CONSTRAINT pk_document_versions PRIMARY KEY (document, version),
    CONSTRAINT fk_document_versions_document FOREIGN KEY (document) REFERENCES documents (id) ON DELETE CASCADE
);

CREATE TABLE documents (
    id TEXT NOT NULL,
    base INTEGER NOT NULL,
    source TEXT NOT NULL,
    version INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    text_sha256 TEXT,
    title TEXT NOT NULL,
    mime TEXT NOT NULL,
    size BIGINT NOT NULL,
    pages JSON NOT NULL,
    status TEXT NOT NULL,
    error TEXT,
    chunks INTEGER NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    file TEXT,
    origin TEXT NOT NULL, access BIGINT DEFAULT '0' NOT NULL, attributes JSON DEFAULT '{}' NOT NULL, container TEXT, stamp TEXT DEFAULT '' NOT NULL, near TEXT, words BIGINT DEFAULT '0' NOT NULL,
    CONSTRAINT pk_documents PRIMARY KEY (id),
    CONSTRAINT uq_documents_base_source UNIQUE (base, source),
    CONSTRAINT fk_documents_base FOREIGN KEY (base) REFERENCES knowledge_bases (seq)
);

CREATE TABLE evaluations (
    id TEXT NOT NULL,
    base INTEGER NOT NULL,
    version INTEGER NOT NULL,
    revision BIGINT NOT NULL,
    questions TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    figures JSON NOT NULL,
    details JSON NOT NULL,
    CONSTRAINT pk_evaluations PRIMARY KEY (id),
    CONSTRAINT fk_evaluations_base FOREIGN KEY(base) REFERENCES knowledge_bases (seq)
);

CREATE TABLE feedback (
    id TEXT NOT NULL,
    trace TEXT NOT NULL,
    principal TEXT NOT NULL,
    rating INTEGER NOT NULL,
    comment TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    CONSTRAINT pk_feedback PRIMARY KEY (id),
    CONSTRAINT uq_feedback_trace_principal UNIQUE (trace, principal),
    CONSTRAINT ck_feedback_rating CHECK (rating IN (-1, 1))
);

CREATE TABLE files (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    size BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    purpose TEXT NOT NULL,
    principal TEXT NOT NULL,
    created_at DOUBLE NOT NULL, expires_at DOUBLE,
    CONSTRAINT pk_files PRIMARY KEY (id)
);

CREATE TABLE groups (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    labels JSON NOT NULL,
    created_at DOUBLE NOT NULL,
    CONSTRAINT pk_groups PRIMARY KEY (id),
    CONSTRAINT uq_groups_name UNIQUE (name)
);

CREATE TABLE guard_events (
    id TEXT NOT NULL,
    at DOUBLE NOT NULL,
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
    score DOUBLE NOT NULL,
    decision TEXT NOT NULL,
    action TEXT NOT NULL,
    start BIGINT NOT NULL,
    "end" BIGINT NOT NULL,
    digest TEXT NOT NULL,
    policy TEXT NOT NULL,
    reason TEXT NOT NULL,
    CONSTRAINT pk_guard_events PRIMARY KEY (id)
);

CREATE TABLE job_items (
    job TEXT NOT NULL,
    "key" TEXT NOT NULL,
    state TEXT NOT NULL,
    message TEXT NOT NULL,
    updated_at DOUBLE NOT NULL,
    CONSTRAINT pk_job_items PRIMARY KEY (job, "key"),
    CONSTRAINT fk_job_items_job FOREIGN KEY (job) REFERENCES jobs (id) ON DELETE CASCADE
);

CREATE TABLE jobs (
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    arguments JSON NOT NULL,
    state TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    total BIGINT DEFAULT '0' NOT NULL,
    done BIGINT DEFAULT '0' NOT NULL,
    failed BIGINT DEFAULT '0' NOT NULL,
    attempts INTEGER DEFAULT '0' NOT NULL,
    max_attempts INTEGER NOT NULL,
    lease_owner TEXT,
    lease_until DOUBLE,
    message TEXT NOT NULL,
    result JSON NOT NULL,
    CONSTRAINT pk_jobs PRIMARY KEY (id)
);

CREATE TABLE keys (
    id TEXT NOT NULL,
    principal TEXT NOT NULL,
    name TEXT NOT NULL,
    hint TEXT NOT NULL,
    hash TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    expires_at DOUBLE,
    revoked_at DOUBLE, scopes JSON DEFAULT '{}' NOT NULL, limits JSON DEFAULT '{}' NOT NULL, record_content BOOLEAN DEFAULT FALSE NOT NULL, replaced_by TEXT,
    CONSTRAINT pk_keys PRIMARY KEY (id),
    CONSTRAINT fk_keys_principal FOREIGN KEY (principal) REFERENCES principals (id) ON DELETE CASCADE,
    CONSTRAINT uq_keys_hash UNIQUE (hash)
);

CREATE TABLE knowledge_bases (
    seq INTEGER NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    embedder TEXT NOT NULL,
    dimension INTEGER NOT NULL,
    created_at DOUBLE NOT NULL,
    revision BIGINT DEFAULT '0' NOT NULL,
    documents BIGINT DEFAULT '0' NOT NULL,
    chunks BIGINT DEFAULT '0' NOT NULL,
    words BIGINT DEFAULT '0' NOT NULL, description TEXT DEFAULT '' NOT NULL, metadata JSON DEFAULT '{}' NOT NULL, expires_after INTEGER, last_active_at DOUBLE, version INTEGER DEFAULT '0' NOT NULL, rules JSON DEFAULT '[]' NOT NULL,
    CONSTRAINT pk_knowledge_bases PRIMARY KEY (seq),
    CONSTRAINT uq_knowledge_bases_id UNIQUE (id),
    CONSTRAINT uq_knowledge_bases_name UNIQUE (name)
);

CREATE TABLE knowledge_versions (
    base INTEGER NOT NULL,
    version INTEGER NOT NULL,
    settings JSON NOT NULL,
    figures JSON NOT NULL,
    note TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    CONSTRAINT pk_knowledge_versions PRIMARY KEY (base, version),
    CONSTRAINT fk_knowledge_versions_base FOREIGN KEY(base) REFERENCES knowledge_bases (seq)
);

CREATE TABLE links (
    hash TEXT NOT NULL,
    principal TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    expires_at DOUBLE NOT NULL,
    used_at DOUBLE,
    CONSTRAINT pk_links PRIMARY KEY (hash),
    CONSTRAINT fk_links_principal FOREIGN KEY (principal) REFERENCES principals (id) ON DELETE CASCADE
);

CREATE TABLE memberships (
    "group" TEXT NOT NULL,
    principal TEXT NOT NULL,
    CONSTRAINT pk_memberships PRIMARY KEY ("group", principal),
    CONSTRAINT fk_memberships_group FOREIGN KEY("group") REFERENCES groups (id) ON DELETE CASCADE,
    CONSTRAINT fk_memberships_principal FOREIGN KEY(principal) REFERENCES principals (id) ON DELETE CASCADE
);

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

CREATE TABLE principals (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at DOUBLE NOT NULL, team TEXT CONSTRAINT fk_principals_team REFERENCES teams (id),
    CONSTRAINT pk_principals PRIMARY KEY (id),
    CONSTRAINT uq_principals_name UNIQUE (name)
);

CREATE TABLE pseudonyms (
    vault TEXT NOT NULL,
    pseudonym TEXT NOT NULL,
    principal TEXT NOT NULL,
    value TEXT NOT NULL,
    at DOUBLE NOT NULL,
    used_at DOUBLE NOT NULL,
    CONSTRAINT pk_pseudonyms PRIMARY KEY (vault, pseudonym)
);

CREATE TABLE questions (
    id TEXT NOT NULL,
    base INTEGER NOT NULL,
    text TEXT NOT NULL,
    relevant JSON NOT NULL,
    answer TEXT NOT NULL,
    origin TEXT NOT NULL,
    CONSTRAINT pk_questions PRIMARY KEY (id),
    CONSTRAINT fk_questions_base FOREIGN KEY(base) REFERENCES knowledge_bases (seq)
);

CREATE TABLE requests (
    trace TEXT NOT NULL,
    at DOUBLE NOT NULL,
    door TEXT NOT NULL,
    principal TEXT NOT NULL,
    model TEXT NOT NULL,
    status TEXT NOT NULL,
    prompt_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    seconds DOUBLE NOT NULL,
    first_token DOUBLE,
    cost DOUBLE NOT NULL, written_tokens BIGINT DEFAULT '0' NOT NULL, reasoning_tokens BIGINT DEFAULT '0' NOT NULL, duration DOUBLE DEFAULT '0' NOT NULL, "key" TEXT, team TEXT, target TEXT DEFAULT '' NOT NULL, cache TEXT DEFAULT '' NOT NULL, saved DOUBLE DEFAULT '0' NOT NULL,
    CONSTRAINT pk_requests PRIMARY KEY (trace)
);

CREATE TABLE responses (
    id TEXT NOT NULL,
    principal TEXT NOT NULL,
    previous TEXT,
    created_at DOUBLE NOT NULL,
    expires_at DOUBLE NOT NULL,
    body JSON NOT NULL,
    items JSON NOT NULL,
    CONSTRAINT pk_responses PRIMARY KEY (id)
);

CREATE TABLE sessions (
    hash TEXT NOT NULL,
    principal TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    expires_at DOUBLE NOT NULL,
    revoked_at DOUBLE, seen_at DOUBLE, way TEXT DEFAULT 'link' NOT NULL, agent TEXT DEFAULT '' NOT NULL, address TEXT DEFAULT '' NOT NULL,
    CONSTRAINT pk_sessions PRIMARY KEY (hash),
    CONSTRAINT fk_sessions_principal FOREIGN KEY (principal) REFERENCES principals (id) ON DELETE CASCADE
);

CREATE TABLE signature_bands (
    base INTEGER NOT NULL,
    band BIGINT NOT NULL,
    signature BIGINT NOT NULL,
    CONSTRAINT pk_signature_bands PRIMARY KEY (base, band, signature),
    CONSTRAINT fk_signature_bands_base FOREIGN KEY(base) REFERENCES knowledge_bases (seq)
);

CREATE TABLE signatures (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    base INTEGER NOT NULL,
    document TEXT NOT NULL,
    data BLOB NOT NULL,
    CONSTRAINT uq_signatures_document UNIQUE (document),
    CONSTRAINT fk_signatures_base FOREIGN KEY(base) REFERENCES knowledge_bases (seq),
    CONSTRAINT fk_signatures_document FOREIGN KEY(document) REFERENCES documents (id)
);

CREATE TABLE sync_sources (
    base INTEGER NOT NULL,
    origin TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    every DOUBLE,
    synced_at DOUBLE,
    state TEXT NOT NULL,
    job TEXT, principal TEXT, prefix TEXT DEFAULT '' NOT NULL, failures INTEGER DEFAULT '0' NOT NULL, error TEXT DEFAULT '' NOT NULL,
    CONSTRAINT pk_sync_sources PRIMARY KEY (base, origin),
    CONSTRAINT fk_sync_sources_base FOREIGN KEY(base) REFERENCES knowledge_bases (seq)
);

CREATE TABLE teams (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    limits JSON NOT NULL,
    created_at DOUBLE NOT NULL,
    CONSTRAINT pk_teams PRIMARY KEY (id),
    CONSTRAINT uq_teams_name UNIQUE (name)
);

CREATE TABLE traces (
    trace TEXT NOT NULL,
    at DOUBLE NOT NULL,
    spans TEXT NOT NULL,
    CONSTRAINT pk_traces PRIMARY KEY (trace)
);

CREATE TABLE users (
    principal TEXT NOT NULL,
    password TEXT,
    issuer TEXT,
    subject TEXT,
    created_at DOUBLE NOT NULL,
    changed_at DOUBLE,
    disabled_at DOUBLE,
    CONSTRAINT pk_users PRIMARY KEY (principal),
    CONSTRAINT uq_users_issuer_subject UNIQUE (issuer, subject),
    CONSTRAINT fk_users_principal FOREIGN KEY(principal) REFERENCES principals (id) ON DELETE CASCADE
);

CREATE TABLE vectors (
    chunk INTEGER NOT NULL,
    data BLOB NOT NULL,
    CONSTRAINT pk_vectors PRIMARY KEY (chunk),
    CONSTRAINT fk_vectors_chunk FOREIGN KEY (chunk) REFERENCES chunks (seq) ON DELETE CASCADE
);

CREATE INDEX ix_attempts_at ON attempts (at);

CREATE INDEX ix_audit_action ON audit (action);

CREATE INDEX ix_cache_shadows_route_embedder ON cache_shadows (route, embedder);

CREATE INDEX ix_chunks_base_access ON chunks (base, access);

CREATE INDEX ix_chunks_base_revision ON chunks (base, revision);

CREATE INDEX ix_contents_at ON contents (at);

CREATE INDEX ix_document_versions_text_sha256 ON document_versions (text_sha256);

CREATE INDEX ix_documents_base_access ON documents (base, access);

CREATE INDEX ix_documents_base_container ON documents (base, container);

CREATE INDEX ix_documents_base_near ON documents (base, near);

CREATE INDEX ix_documents_text_sha256 ON documents (text_sha256);

CREATE INDEX ix_evaluations_base ON evaluations (base);

CREATE INDEX ix_feedback_created_at ON feedback (created_at);

CREATE INDEX ix_files_sha256 ON files (sha256);

CREATE INDEX ix_guard_events_at ON guard_events (at, id);

CREATE INDEX ix_guard_events_trace ON guard_events (trace);

CREATE INDEX ix_jobs_state_created_at ON jobs (state, created_at);

CREATE INDEX ix_keys_principal ON keys (principal);

CREATE INDEX ix_links_principal ON links (principal);

CREATE INDEX ix_memberships_principal ON memberships (principal);

CREATE INDEX ix_pictures_sha256 ON pictures (sha256);

CREATE INDEX ix_pseudonyms_principal ON pseudonyms (principal);

CREATE INDEX ix_pseudonyms_used_at ON pseudonyms (used_at);

CREATE INDEX ix_questions_base ON questions (base);

CREATE INDEX ix_requests_at ON requests (at);

CREATE INDEX ix_requests_principal_at ON requests (principal, at);

CREATE INDEX ix_responses_expires_at ON responses (expires_at);

CREATE INDEX ix_sessions_principal ON sessions (principal);

CREATE INDEX ix_signatures_base ON signatures (base);

CREATE INDEX ix_traces_at ON traces (at);

CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
